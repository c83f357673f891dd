namespace Quietus.Traces;

/// <summary>A kind of event that says nothing about Stage-2.</summary>
/// <param name="Name">Its name without its group; what is not ASCII in it is a question mark.</param>
/// <param name="Count">How often it happened.</param>
public sealed record OtherEvent(string Name, long Count);

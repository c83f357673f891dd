namespace Quietus.Cli.Bench;
/// <summary>
/// The costs that everything else is made of, in instructions, measured with a filler VM of its own. Null where the
/// machine gave no figure.
/// </summary>
internal sealed record Primitives
{
    /// <summary>From the guest's HVC to its next instruction.</summary>
    public double? HvcRoundTrip { get; init; }
    /// <summary>A demand fault, from the exit to the entry.</summary>
    public double? DemandFault { get; init; }
    /// <summary>Mapping one page, within the fault.</summary>
    public double? MapPage { get; init; }
}

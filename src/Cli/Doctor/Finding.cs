namespace Quietus.Cli.Doctor;
/// <summary>One thing that was looked for.</summary>
/// <param name="Name">What.</param>
/// <param name="Found">Whether it is there and good enough.</param>
/// <param name="Detail">What was found, or what is wrong.</param>
/// <param name="Needed">Whether <c>bench</c> cannot run without it.</param>
/// <param name="Purpose">What it is for, when it is missing.</param>
/// <param name="Package">The Debian package that has it; null when it is none.</param>
/// <param name="Remedy">How to get it; null when there is nothing to do.</param>
internal sealed record Finding(
    string Name, bool Found, string Detail, bool Needed, string Purpose, string? Package = null, string? Remedy = null);

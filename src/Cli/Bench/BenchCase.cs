using System.Globalization;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>One death to measure.</summary>
internal sealed record BenchCase(
    GuestPayload Guest, long MemoryBytes, string Pages, MaintenancePolicy Policy, DeathWay Way)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Guest.Name} {ByteSize.FormatOption(MemoryBytes)} {Pages} {Policy.Name} {Way.Name()}");
}

using Quietus.Cli.Guests;

namespace Quietus.Cli.Bench;

/// <summary>One measured death.</summary>
internal sealed record BenchRow
{
    public required BenchCase Case { get; init; }

    public required DeathFigures Death { get; init; }

    /// <summary>What the VM's life has cost until then.</summary>
    public required LifeFigures Life { get; init; }

    /// <summary>Host time from sending the order to having the answer, in nanoseconds.</summary>
    public required long WallNanoseconds { get; init; }

    /// <summary>Instructions for each mapped entry; null when nothing was mapped.</summary>
    public double? InstructionsPerEntry =>
        Death.Entries == 0 ? null : (double)Death.Instructions / Death.Entries;
}

using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>Sums over a VM's life, as the monitor's <c>measure</c> gives them.</summary>
internal sealed record LifeFigures
{
    public required long Exits { get; init; }

    public required long FaultExits { get; init; }

    /// <summary>How many pages a mapping was measured with; null where the hypervisor does not tell.</summary>
    public long? MapCalls { get; init; }

    /// <summary>What that took.</summary>
    public long? MapInstructions { get; init; }

    public static LifeFigures Read(KeyValueLine line) => new()
    {
        Exits = line.Number("exits"),
        FaultExits = line.Number("fault_exits"),
        MapCalls = line.TryNumber(MeasureFields.MapCalls),
        MapInstructions = line.TryNumber(MeasureFields.MapInstructions),
    };
}

using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Bench;

/// <summary>
/// Sums over a VM's life, as the monitor's <c>measure</c> gives them; instructions from exit to entry.
/// </summary>
internal sealed record LifeFigures
{
    public required long Exits { get; init; }

    public required long FaultExits { get; init; }

    public required long FaultInstructions { get; init; }

    /// <summary>How often memory was mapped; null where the hypervisor does not count it.</summary>
    public long? MapCalls { get; init; }

    /// <summary>What that took.</summary>
    public long? MapInstructions { get; init; }

    public static LifeFigures Read(KeyValueLine line) => new()
    {
        Exits = line.Number("exits"),
        FaultExits = line.Number("fault_exits"),
        FaultInstructions = line.Number("fault_instructions"),
        MapCalls = line.TryNumber("map_calls"),
        MapInstructions = line.TryNumber("map_instructions"),
    };
}

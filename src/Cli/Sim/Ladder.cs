using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>A step on the way to a death in constant time, and what it came to.</summary>
/// <param name="Name">What the step is called.</param>
/// <param name="LeavesOut">What it does no more, and why it may, as sentences.</param>
/// <param name="Row">The death under its policy.</param>
internal sealed record LadderStep(string Name, string LeavesOut, SimulationRow Row)
{
    public double Nanoseconds => Row.Result.DeathNanoseconds;
}

/// <summary>
/// Before the series, with it, without a visit to the leaves, without one to the tables: the release of a whole VM,
/// step by step. Deaths that unmap first are another story, which fate decides page by page.
/// </summary>
internal static class Ladder
{
    private static readonly (MaintenancePolicy Policy, string Name, string LeavesOut)[] _steps =
    [
        (MaintenancePolicy.BeforeSeries, "before",
            "Linux 5.5 leaves nothing out. Each leaf is cleaned and invalidated to the PoC line by line, unmapped, and "
            + "invalidated in all TLBs by its address, and a DSB waits for each of these."),
        (MaintenancePolicy.Series, NameOf(MaintenancePolicy.Series),
            "No cleaning: what is not read before it is overwritten may stay stale. One invalidation of the VMID "
            + "stands for one of each address. Every leaf is still visited."),
        (MaintenancePolicy.TablesOnly, NameOf(MaintenancePolicy.TablesOnly),
            "No visit to the leaves: what they lead to is given back elsewhere. Tables are still found, by reading the "
            + "entries above them, and freed one by one."),
        (MaintenancePolicy.Fate, "constant time",
            "No visit to the tables either: the root is unlinked, the VMID invalidated once, and the chunks that the "
            + "tables are in go back by one splice. Nothing of that grows with the VM."),
    ];

    /// <summary>The steps for rows that differ in nothing but policy; none unless all four are there.</summary>
    public static IReadOnlyList<LadderStep> Of(IReadOnlyList<SimulationRow> rows)
    {
        LadderStep[] steps =
        [
            .. from step in _steps
               from row in rows
               where row.Policy.Engine == step.Policy && row.Request.Death is (DeathKind.Exit or DeathKind.Kill)
               select new LadderStep(step.Name, step.LeavesOut, row),
        ];
        return steps.Length == _steps.Length ? steps : [];
    }

    private static string NameOf(MaintenancePolicy policy) => Guests.MaintenancePolicy.Of(policy).Name;
}

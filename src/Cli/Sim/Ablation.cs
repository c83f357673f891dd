using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;

namespace Quietus.Cli.Sim;

/// <summary>One line of an ablation: a choice of patches, and what it came to.</summary>
/// <param name="Name">The choice.</param>
/// <param name="DeathNanoseconds">The death under it.</param>
/// <param name="FillNanoseconds">Filling the VM under it, where tables become blocks.</param>
/// <param name="SavedNanoseconds">Against before-series; for the series without a patch, what that patch saves in it,
/// as a loss.</param>
internal sealed record AblationLine(
    string Name, double DeathNanoseconds, double FillNanoseconds, double SavedNanoseconds);

/// <summary>
/// Which patch saves what: each alone, and the series without each. Patches 5, 6 and 7 act on paths that have nothing
/// to do with each other (the release; the fault that makes a table a block; a notifier's UNMAP), see
/// <see cref="PolicyRules"/>. So the series without one of them dies as another policy does that was run.
/// </summary>
internal static class Ablation
{
    /// <summary>The policies that the lines are made of.</summary>
    public static readonly MaintenancePolicy[] Needs =
    [
        MaintenancePolicy.BeforeSeries, MaintenancePolicy.Patch5, MaintenancePolicy.Patch6, MaintenancePolicy.Patch7,
        MaintenancePolicy.Series, MaintenancePolicy.Fate,
    ];

    /// <summary>The lines for rows that differ in nothing but policy; none when a policy is missing.</summary>
    public static IReadOnlyList<AblationLine> Of(IReadOnlyList<SimulationRow> rows)
    {
        Dictionary<MaintenancePolicy, SimulationRow> by = rows.ToDictionary(row => row.Policy.Engine);
        if (Needs.Any(need => !by.ContainsKey(need)))
        {
            return [];
        }

        double before = by[MaintenancePolicy.BeforeSeries].Result.DeathNanoseconds;
        double series = by[MaintenancePolicy.Series].Result.DeathNanoseconds;
        return
        [
            Alone(MaintenancePolicy.BeforeSeries),
            Alone(MaintenancePolicy.Patch5),
            Alone(MaintenancePolicy.Patch6),
            Alone(MaintenancePolicy.Patch7),
            Alone(MaintenancePolicy.Series),
            Without(MaintenancePolicy.Patch5, dies: MaintenancePolicy.Patch7, fills: MaintenancePolicy.Series),
            Without(MaintenancePolicy.Patch6, dies: MaintenancePolicy.Series, fills: MaintenancePolicy.Patch5),
            Without(MaintenancePolicy.Patch7, dies: MaintenancePolicy.Patch5, fills: MaintenancePolicy.Series),
            Alone(MaintenancePolicy.Fate),
        ];

        AblationLine Alone(MaintenancePolicy policy) => new(
            NameOf(policy), by[policy].Result.DeathNanoseconds, by[policy].Result.FillNanoseconds,
            before - by[policy].Result.DeathNanoseconds);

        AblationLine Without(MaintenancePolicy patch, MaintenancePolicy dies, MaintenancePolicy fills) => new(
            $"{NameOf(MaintenancePolicy.Series)} less {NameOf(patch)}", by[dies].Result.DeathNanoseconds,
            by[fills].Result.FillNanoseconds, series - by[dies].Result.DeathNanoseconds);
    }

    private static string NameOf(MaintenancePolicy policy) => Guests.MaintenancePolicy.Of(policy).Name;
}

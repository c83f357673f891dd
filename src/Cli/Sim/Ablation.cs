using System.Collections.Generic;
using System.Linq;

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
/// <see cref="Memory.PolicyRules"/>. So the series without one of them dies as another policy does that was run.
/// </summary>
internal static class Ablation
{
    /// <summary>The policies that the lines are made of.</summary>
    public static readonly string[] Needs = ["before-series", "patch5", "patch6", "patch7", "series", "fate"];

    /// <summary>The lines for rows that differ in nothing but policy; none when a policy is missing.</summary>
    public static IReadOnlyList<AblationLine> Of(IReadOnlyList<SimulationRow> rows)
    {
        Dictionary<string, SimulationRow> by = rows.ToDictionary(row => row.Policy.Name);
        if (Needs.Any(need => !by.ContainsKey(need)))
        {
            return [];
        }

        double before = by["before-series"].Result.DeathNanoseconds;
        double series = by["series"].Result.DeathNanoseconds;
        return
        [
            Alone("before-series"),
            Alone("patch5"),
            Alone("patch6"),
            Alone("patch7"),
            Alone("series"),
            Without("series less patch5", dies: "patch7", fills: "series"),
            Without("series less patch6", dies: "series", fills: "patch5"),
            Without("series less patch7", dies: "patch5", fills: "series"),
            Alone("fate"),
        ];

        AblationLine Alone(string policy) => new(
            policy, by[policy].Result.DeathNanoseconds, by[policy].Result.FillNanoseconds,
            before - by[policy].Result.DeathNanoseconds);

        AblationLine Without(string name, string dies, string fills) => new(
            name, by[dies].Result.DeathNanoseconds, by[fills].Result.FillNanoseconds,
            series - by[dies].Result.DeathNanoseconds);
    }
}

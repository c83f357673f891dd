using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Terminals;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>What a report needs besides the run: how the death grows, and what the assumptions leave open.</summary>
/// <param name="Growth">The plan's first machine, pages and way to die, with more and more memory.</param>
/// <param name="Sensitivity">Each assumption at both ends of its range.</param>
/// <param name="SensitivityOf">The VM that the assumptions were moved on.</param>
internal sealed record SimulationStudy(
    IReadOnlyList<SimulationRow> Growth, IReadOnlyList<SensitivityLine> Sensitivity, SimulationRequest SensitivityOf)
{
    private const int GrowthFactor = 4;
    private const int FewestSizes = 3;

    /// <summary>Runs what is missing. Where the plan has several sizes, they are the growth.</summary>
    public static SimulationStudy Make(SimulationPlan plan, CancellationToken cancellation)
    {
        SimulationPlan first = plan with
        {
            Machines = [plan.Machines[0]],
            Pages = [plan.Pages[0]],
            Deaths = [plan.Deaths[0]],
            MemoryBytes = plan.MemoryBytes.Count >= FewestSizes ? plan.MemoryBytes : Sizes(plan),
        };
        MaintenancePolicy[] moved =
        [
            .. plan.Policies.Where(policy => policy.Engine is Memory.MaintenancePolicy.BeforeSeries
                or Memory.MaintenancePolicy.Series or Memory.MaintenancePolicy.Fate),
        ];
        if (moved.Length == 0)
        {
            moved = [plan.Policies[0]];
        }

        using var progress = WorkProgress.Start(first.Cases.Count + 1, "report");
        List<SimulationRow> growth = [];
        foreach (SimulationCase what in first.Cases)
        {
            progress.Begins(what.ToString());
            growth.Add(RunCase(what, progress, cancellation));
            progress.Finished("growth: " + what);
        }

        progress.Begins("sensitivity");
        SimulationRequest request = Sim.Sensitivity.RequestOf(plan);
        IReadOnlyList<SensitivityLine> lines = Sim.Sensitivity.Run(request, moved, cancellation);
        progress.Finished("sensitivity");
        return new SimulationStudy(growth, lines, request);
    }

    /// <summary>Runs one case; what cannot be is a usage error.</summary>
    public static SimulationRow RunCase(
        SimulationCase what, WorkProgress progress, CancellationToken cancellation)
    {
        try
        {
            return new SimulationRow(what.Policy, Simulation.Run(
                what.Request, share => progress.Reaches(what.ToString(), share), cancellation));
        }
        catch (SimulationException error)
        {
            throw CliException.Usage($"{what}: {error.Problem}", error.Remedy);
        }
    }

    /// <summary>The plan's largest size and smaller ones, as far as whole pages of the plan's go.</summary>
    private static List<long> Sizes(SimulationPlan plan)
    {
        long unit = plan.Pages[0] == GuestPages.Blocks1G ? ByteSize.Gigabyte : 2 * ByteSize.Megabyte;
        List<long> sizes = [plan.MemoryBytes.Max()];
        while (sizes.Count < FewestSizes + 1 && sizes[0] % (GrowthFactor * unit) == 0)
        {
            sizes.Insert(0, sizes[0] / GrowthFactor);
        }

        return sizes;
    }
}

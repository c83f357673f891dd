using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>How a death changes when one assumed figure takes either end of its range.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Figure">The figure, with its range.</param>
/// <param name="Base">The death with all figures as they are, in nanoseconds.</param>
/// <param name="AtLow">With the figure at its low end.</param>
/// <param name="AtHigh">With the figure at its high end.</param>
internal sealed record SensitivityLine(
    MaintenancePolicy Policy, Figure Figure, double Base, double AtLow, double AtHigh)
{
    /// <summary>The width of what the figure leaves open, as a part of the base.</summary>
    public double Spread => Math.Abs(AtHigh - AtLow) / Base;
}

/// <summary>
/// How a death depends on the figures that no source has. Each assumption is moved alone.
/// </summary>
internal static class Sensitivity
{
    /// <summary>A smaller part of the base than this is not shown.</summary>
    private const double LeastSpread = 0.001;

    /// <summary>By 4K pages a smaller VM does: costs grow with the pages.</summary>
    private const long MostMemoryByPages = 2 * ByteSize.Gigabyte;

    /// <summary>The figures of a machine that are assumed, with a range.</summary>
    public static IReadOnlyList<Figure> Assumptions(MachinePreset machine) =>
    [
        .. machine.Figures.Where(
            figure => figure.IsAssumption && figure.Low < figure.High && figure.Group == "costs"),
    ];

    /// <summary>What the assumptions are moved on: the plan's first VM, made smaller where it has 4K pages.</summary>
    public static SimulationRequest RequestOf(SimulationPlan plan)
    {
        SimulationRequest request = plan.Cases[0].Request;
        bool hasPages = request.Pages is GuestPages.Pages4K or GuestPages.Transparent;
        return request with
        {
            MemoryBytes = (ulong)Math.Min(plan.MemoryBytes.Max(), hasPages ? MostMemoryByPages : long.MaxValue),
        };
    }

    /// <summary>Moves each assumption; the lines are sorted by policy, then by what the figure leaves open.</summary>
    public static IReadOnlyList<SensitivityLine> Run(
        SimulationRequest request, IReadOnlyList<MaintenancePolicy> policies, CancellationToken cancellation)
    {
        List<SensitivityLine> lines = [];
        foreach (MaintenancePolicy policy in policies)
        {
            double atBase = Death(request.Machine);
            lines.AddRange(Assumptions(request.Machine)
                .Select(figure => new SensitivityLine(
                    policy, figure, atBase, At(figure, figure.Low), At(figure, figure.High)))
                .Where(line => line.Spread >= LeastSpread)
                .OrderByDescending(line => line.Spread));

            double At(Figure figure, double value)
            {
                try
                {
                    return Death(request.Machine.With(figure.Key, value, "sensitivity"));
                }
                catch (PresetException)
                {
                    // Alone at this end it makes no machine: a remote line that is cheaper than a local one.
                    return atBase;
                }
            }

            double Death(MachinePreset machine) => Simulation.Run(
                request with { Machine = machine, Policy = policy.Engine }, cancellation: cancellation)
                .DeathNanoseconds;
        }

        return lines;
    }
}

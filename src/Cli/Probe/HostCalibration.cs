using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using Quietus.Architectures;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Simulator;
using Quietus.Wire;
using MaintenancePolicy = Quietus.Memory.MaintenancePolicy;

namespace Quietus.Cli.Probe;

/// <summary>What of a row is set beside the model.</summary>
internal enum CalibratedPart
{
    /// <summary>From the order until the process is reaped: the death and the host's freeing.</summary>
    Whole,

    /// <summary>The order alone of a way that keeps the memory: the tables.</summary>
    Tables,

    /// <summary>The guest's first touch of all of its memory, less its second.</summary>
    Touch,
}

/// <summary>One measurement beside what the calibrated machine gives for it.</summary>
/// <param name="Row">Where it was measured.</param>
/// <param name="Part">What of it.</param>
/// <param name="Measured">Nanoseconds, the median of the runs.</param>
/// <param name="IsHeldOut">Whether it had no part in the fit.</param>
internal sealed record CalibratedPoint(ProbeRow Row, CalibratedPart Part, double Measured, bool IsHeldOut)
{
    /// <summary>What the calibrated machine gives, in nanoseconds.</summary>
    public double Model { get; init; }

    /// <summary>How far the model lies above (or, negative, below) the measurement, as a part of it.</summary>
    public double Miss => (Model / Measured) - 1;

    public override string ToString() => Row + (Part switch
    {
        CalibratedPart.Tables => ", tables alone",
        CalibratedPart.Touch => ", first touch",
        _ => string.Empty,
    });
}

/// <summary>
/// A machine of the simulator that is fitted to a probe's rows of every second size, and tried on the others
/// (docs/probe.md). The simulator's times are linear in a machine's costs: each row's coefficients are found by running
/// it once for each cost, and the costs by least squares of the relative misses, none below 0.
/// </summary>
internal sealed record HostCalibration
{
    /// <summary>How far a held-out row may lie off before the fit is called bad.</summary>
    public const double Good = 0.25;

    private const double Unit = 1000; // nanoseconds: the step that finds a coefficient
    private const int Sweeps = 4000;

    /// <summary>Keeps a cost that no row says anything of where the base machine has it.</summary>
    private const double Inertia = 1e-7;

    private const double MostOfMany = 1e4;
    private const double Most = 1e6;

    private static readonly (string Key, double Most)[] _arm64 =
    [
        ("entry_unlink", MostOfMany), ("tlbi_wait", Most), ("dc_line_local", MostOfMany), ("table_free", Most),
        ("page_free", Most), ("block_free", Most), ("fault", Most), ("page_zero", Most), ("ipi", Most), ("call", Most),
    ];

    private static readonly (string Key, double Most)[] _others =
    [
        ("entry_unlink", MostOfMany), ("entry_visit", MostOfMany), ("flush_wait", Most), ("table_free", Most),
        ("page_free", Most), ("block_free", Most), ("ipi", Most), ("call", Most),
    ];

    private static readonly Dictionary<string, DeathKind> _deaths = new()
    {
        [ProbeWay.Close.Name()] = DeathKind.Exit, [ProbeWay.Kill.Name()] = DeathKind.Kill,
        [ProbeWay.Munmap.Name()] = DeathKind.Munmap, [ProbeWay.DontNeed.Name()] = DeathKind.Madvise,
        [ProbeWay.Slot.Name()] = DeathKind.Slot,
    };

    /// <summary>The fitted machine.</summary>
    public required MachinePreset Machine { get; init; }

    /// <summary>The machine whose other figures it has.</summary>
    public required string Base { get; init; }

    /// <summary>What was fitted, and the rows that each cost has a part in.</summary>
    public required IReadOnlyDictionary<string, string> Fitted { get; init; }

    public required IReadOnlyList<CalibratedPoint> Points { get; init; }

    /// <summary>Rows that the model has nothing for.</summary>
    public required IReadOnlyList<string> NotModelled { get; init; }

    public IEnumerable<CalibratedPoint> HeldOut => Points.Where(point => point.IsHeldOut);

    /// <summary>The largest miss of a row that was held out.</summary>
    public double Worst => HeldOut.Select(point => Math.Abs(point.Miss)).DefaultIfEmpty(0).Max();

    public bool IsGood => Worst <= Good;

    /// <summary>Fits a machine to a probe's result.</summary>
    /// <param name="probed">With two sizes at least.</param>
    /// <param name="start">The machine to start from, with the host's topology and features.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static HostCalibration Fit(
        ProbeResult probed, MachinePreset start, CancellationToken cancellation = default)
    {
        long[] sizes = [.. probed.Rows.Select(row => row.MemoryBytes).Distinct().Order()];
        if (sizes.Length < 2)
        {
            throw CliException.Usage(
                "the probe measured one size: there is nothing to hold "
                    + "out", "probe with --memory 64M,128M,256M,512M, say");
        }

        List<string> left = [];
        CalibratedPoint[] points = [.. probed.Rows.SelectMany(row => PointsOf(row, sizes, start, left))];
        (string Key, double Most)[] free = start.IsArm64 ? _arm64 : _others;
        MachinePreset none = free.Aggregate(start, (machine, figure) => machine.With(figure.Key, 0, "fit"));
        double[] constants = new double[points.Length];
        double[][] coefficients = [.. points.Select(_ => new double[free.Length])];
        Dictionary<(SimulationRequest Request, int Figure), double[]> known = [];
        for (int i = 0; i < points.Length; i++)
        {
            constants[i] = Times(points[i], none, -1)[(int)points[i].Part];
            for (int k = 0; k < free.Length; k++)
            {
                MachinePreset one = none.With(free[k].Key, Unit, "fit");
                coefficients[i][k] = (Times(points[i], one, k)[(int)points[i].Part] - constants[i]) / Unit;
            }
        }

        double[] costs = Solve(
            points, constants, coefficients, [.. free.Select(figure => (start[figure.Key], figure.Most))]);
        Dictionary<string, string> fitted = [];
        MachinePreset machine = start;
        for (int k = 0; k < free.Length; k++)
        {
            string[] rows = [.. points.Where((point, i) => !point.IsHeldOut && coefficients[i][k] > 0)
                .Select(point => $"{point.Row.Way} by {point.Row.Pages}").Distinct()];
            if (rows.Length > 0)
            {
                fitted[free[k].Key] = string.Join(", ", rows);
                machine = machine.With(free[k].Key, Math.Round(costs[k], 3), "fit");
            }
        }

        return new HostCalibration
        {
            Machine = machine,
            Base = start.Name,
            Fitted = fitted,
            Points =
            [
                .. points.Select((point, i) => point with
                {
                    Model = constants[i] + coefficients[i].Zip(costs, (count, cost) => count * cost).Sum(),
                }),
            ],
            NotModelled = [.. left.Distinct()],
        };

        // Rows of one size share their runs: the three parts of a life come from one.
        double[] Times(CalibratedPoint point, MachinePreset preset, int figure)
        {
            cancellation.ThrowIfCancellationRequested();
            SimulationRequest request = RequestOf(point.Row, start);
            if (!known.TryGetValue((request, figure), out double[]? times))
            {
                known[(request, figure)] = times = Run(request with { Machine = preset }, cancellation);
            }

            return times;
        }
    }

    /// <summary>Whole, tables, touch: in the order of <see cref="CalibratedPart"/>.</summary>
    private static double[] Run(SimulationRequest request, CancellationToken cancellation)
    {
        if (request.Machine.IsArm64)
        {
            SimulationResult result = Simulation.Run(request, null, cancellation);
            return
            [
                result.DeathNanoseconds + result.HostFreeNanoseconds, result.DeathNanoseconds, result.FillNanoseconds,
            ];
        }

        ArchitectureResult other = ArchitectureRun.Die(request, isChecked: false, cancellation);
        return [other.Nanoseconds + other.HostFreeNanoseconds, other.Nanoseconds, 0];
    }

    private static IEnumerable<CalibratedPoint> PointsOf(
        ProbeRow row, long[] sizes, MachinePreset start, List<string> left)
    {
        bool isHeldOut = Array.IndexOf(sizes, row.MemoryBytes) % 2 == 1;
        if (!_deaths.ContainsKey(row.Way))
        {
            left.Add(row.Way + (row.Is(ProbeWay.Punch)
                ? " (the model's host has no holes in files)"
                : " (a VM's host alone)"));
            yield break;
        }

        if (row.Pages == "thp" && row["transparent_bytes"] < 0.95 * row.MemoryBytes)
        {
            left.Add($"{row} (not all of it in blocks)");
            yield break;
        }

        if (row["total_ns"] > 0)
        {
            yield return new CalibratedPoint(row, CalibratedPart.Whole, row["total_ns"], isHeldOut);
        }

        if (row.Is(ProbeWay.Close) && row["order_ns"] > 0)
        {
            yield return new CalibratedPoint(row, CalibratedPart.Tables, row["order_ns"], isHeldOut);
        }

        double touched = row["touch_ns"] - row["touch_again_ns"];
        if (start.IsArm64 && row.Is(ProbeWay.Close) && touched > 0)
        {
            yield return new CalibratedPoint(row, CalibratedPart.Touch, touched, isHeldOut);
        }
    }

    /// <summary>
    /// The life that a row is of. Linux from 5.10 on frees a dead VM's tables as the series does, and unmaps from a
    /// live
    /// VM as Linux 5.5 did, line by line where there is no FEAT_S2FWB. KVM/x86 does at both what it did before.
    /// </summary>
    private static SimulationRequest RequestOf(ProbeRow row, MachinePreset machine) => new()
    {
        Machine = machine,
        MemoryBytes = (ulong)row.MemoryBytes,
        Pages = row.Pages switch
        {
            "4k" => GuestPages.Pages4K,
            "hugetlb-1g" => GuestPages.Blocks1G,
            _ => GuestPages.Blocks2M,
        },
        Death = _deaths[row.Way],
        Policy = machine.IsArm64 && (row.Is(ProbeWay.Close) || row.Is(ProbeWay.Kill))
            ? MaintenancePolicy.Series
            : MaintenancePolicy.BeforeSeries,
        Vcpus = 1,
    };

    /// <summary>One cost after the other to where it is best, until nothing moves: the sum is convex.</summary>
    private static double[] Solve(
        CalibratedPoint[] points, double[] constants, double[][] coefficients, (double Start, double Most)[] bounds)
    {
        double[] costs = [.. bounds.Select(bound => bound.Start)];
        for (int sweep = 0; sweep < Sweeps; sweep++)
        {
            for (int k = 0; k < costs.Length; k++)
            {
                double scale = Math.Max(bounds[k].Start, 1);
                double square = Inertia / (scale * scale);
                double pull = square * bounds[k].Start;
                for (int i = 0; i < points.Length; i++)
                {
                    if (points[i].IsHeldOut)
                    {
                        continue;
                    }

                    double own = coefficients[i][k] / points[i].Measured;
                    double rest = 1 - (constants[i] / points[i].Measured);
                    for (int j = 0; j < costs.Length; j++)
                    {
                        rest -= j == k ? 0 : coefficients[i][j] * costs[j] / points[i].Measured;
                    }

                    square += own * own;
                    pull += own * rest;
                }

                costs[k] = Math.Clamp(pull / square, 0, bounds[k].Most);
            }
        }

        return costs;
    }

    /// <summary>What may be wrong with a fit that is bad, most likely first.</summary>
    public IEnumerable<string> Reasons(ProbeResult probed)
    {
        double spread = Points.Select(point => point.Row.Spread).DefaultIfEmpty(0).Max();
        if (spread > 0.1)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"the runs spread by up to {spread * 100:0} %: probe an idle host, or with more --repeat");
        }

        if (probed.HostFlag("is_virtual"))
        {
            yield return "the host is a VM: its own hypervisor's faults are in the times, and not in the model";
        }

        if (probed.HostValue("second_stage").StartsWith("shadow", StringComparison.Ordinal))
        {
            yield return "the host keeps shadow page tables, whose cost is not the same for each page; the "
                + "model has EPT";
        }

        CalibratedPoint[] small = [.. Points.Where(point => point.Model < point.Measured / (1 + Good))
            .OrderBy(point => point.Row.MemoryBytes).Take(1)];
        if (small.Length > 0 && small[0].Row.MemoryBytes < Points.Max(point => point.Row.MemoryBytes))
        {
            yield return "small VMs take longer than the model says: it knows no fixed cost of a process's "
                + "end, nor the "
                + "kernel's waits (RCU); probe larger sizes";
        }
    }
}

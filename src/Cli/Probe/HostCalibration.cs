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
        CalibratedPart.Tables => ", tables",
        CalibratedPart.Touch => ", first touch",
        _ => string.Empty,
    });
}

/// <summary>
/// A machine of the simulator that is fitted to a probe's rows of every second size, and tried on the others
/// (docs/probe.md). The simulator's times are linear in a machine's costs: a row's coefficients are found by pricing
/// its life anew for each cost, and the costs by least squares of the relative misses, none below 0.
/// </summary>
internal sealed record HostCalibration
{
    /// <summary>How far a held-out row may lie off before the fit is called bad.</summary>
    public const double Good = 0.25;

    private const double Unit = 1000; // nanoseconds: the step that finds a coefficient

    /// <summary>Nanoseconds: what takes less was not measured.</summary>
    private const double Shortest = 1;

    private const double MostOfMany = 1e4;
    private const double Most = 1e6;
    private const double MostOfEnds = 1e9;

    /// <summary>An end of a VM or a process, in nanoseconds: what counts as one step from 0.</summary>
    private const double UsualEnd = 1e5;

    private static readonly (string Key, double Most)[] _arm64 =
    [
        ("vm_end", MostOfEnds), ("process_end", MostOfEnds), ("entry_unlink", MostOfMany), ("tlbi_wait", Most),
        ("dc_line_local", MostOfMany), ("dc_line_dirty", MostOfMany), ("table_free", Most),
        ("page_free", Most), ("block_free", Most), ("fault", Most), ("page_zero", Most), ("ipi", Most), ("call", Most),
        ("transparent_fill", Most), ("transparent_free", Most), ("file_fill", Most), ("file_free", Most),
        ("file_block_free", Most),
    ];

    private static readonly (string Key, double Most)[] _others =
    [
        ("vm_end", MostOfEnds), ("process_end", MostOfEnds),
        ("entry_unlink", MostOfMany), ("entry_visit", MostOfMany), ("flush_wait", Most), ("table_free", Most),
        ("page_free", Most), ("block_free", Most), ("ipi", Most), ("call", Most), ("transparent_free", Most),
        ("file_free", Most), ("file_block_free", Most),
    ];

    private static readonly Dictionary<string, DeathKind> _deaths = new()
    {
        [ProbeWay.Close.Name()] = DeathKind.Exit, [ProbeWay.Kill.Name()] = DeathKind.Kill,
        [ProbeWay.Munmap.Name()] = DeathKind.Munmap, [ProbeWay.DontNeed.Name()] = DeathKind.Madvise,
        [ProbeWay.Slot.Name()] = DeathKind.Slot, [ProbeWay.Punch.Name()] = DeathKind.Punch,
    };

    /// <summary>Rows of transparent pages have none but blocks: others are left out.</summary>
    private static readonly Dictionary<string, GuestPages> _kinds = new()
    {
        ["4k"] = GuestPages.Pages4K, ["thp"] = GuestPages.Transparent, ["hugetlb-2m"] = GuestPages.Blocks2M,
        ["hugetlb-1g"] = GuestPages.Blocks1G,
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

    /// <summary>Ways to die that the model has and the probe did not measure.</summary>
    public IEnumerable<string> NotMeasured => _deaths.Keys.Except(Points.Select(point => point.Row.Way));

    public IEnumerable<CalibratedPoint> HeldOut => Points.Where(point => point.IsHeldOut);

    /// <summary>The largest miss of a row that was held out.</summary>
    public double Worst => HeldOut.Select(point => Math.Abs(point.Miss)).DefaultIfEmpty(0).Max();

    /// <summary>The largest miss of a row that was fitted.</summary>
    public double WorstFitted =>
        Points.Where(point => !point.IsHeldOut).Select(point => Math.Abs(point.Miss)).DefaultIfEmpty(0).Max();

    public bool IsGood => Worst <= Good;

    /// <summary>Fits a machine to a probe's result.</summary>
    /// <param name="probed">With two sizes at least of one kind of pages.</param>
    /// <param name="start">The machine to start from, with the host's topology and features.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static HostCalibration Fit(
        ProbeResult probed, MachinePreset start, CancellationToken cancellation = default)
    {
        List<string> left = [];
        CalibratedPoint[] points = HoldOut([.. probed.Rows.SelectMany(row => PointsOf(row, start, left))]);
        if (points.Length == 0)
        {
            throw CliException.Usage(
                probed.Rows.Count == 0
                    ? "the probe measured nothing"
                    : $"nothing that the probe measured is in the model: {string.Join(", ", left.Distinct())}",
                "probe with --ways close,kill,munmap,dontneed,slot,punch");
        }

        if (!points.Any(point => point.IsHeldOut))
        {
            throw CliException.Usage(
                "the probe measured one size of each kind of pages: there is nothing to hold out",
                "probe with --memory 64M,128M,256M,512M, say");
        }

        (string Key, double Most)[] free = start.IsArm64 ? _arm64 : _others;
        MachinePreset none = free.Aggregate(start, (machine, figure) => WithCost(machine, figure.Key, 0));
        MachinePreset[] ones = [.. free.Select(figure => WithCost(none, figure.Key, Unit))];
        double[] constants = new double[points.Length];
        double[][] coefficients = [.. points.Select(_ => new double[free.Length])];
        Dictionary<SimulationRequest, Func<MachinePreset, double[]>> lives = [];
        for (int i = 0; i < points.Length; i++)
        {
            // Rows of one size share their life: its three parts come from one.
            cancellation.ThrowIfCancellationRequested();
            SimulationRequest request = RequestOf(points[i].Row, start);
            if (!lives.TryGetValue(request, out Func<MachinePreset, double[]>? life))
            {
                lives[request] = life = Live(request, cancellation);
            }

            constants[i] = life(none)[(int)points[i].Part];
            for (int k = 0; k < free.Length; k++)
            {
                coefficients[i][k] = (life(ones[k])[(int)points[i].Part] - constants[i]) / Unit;
            }
        }

        double[] costs = Solve(
            points, constants, coefficients,
            [.. free.Select(figure => UnknownOf(figure.Key, start[figure.Key], figure.Most))]);
        Dictionary<string, string> fitted = [];
        MachinePreset machine = start;
        for (int k = 0; k < free.Length; k++)
        {
            string rows = string.Join("; ", points.Where((point, i) => !point.IsHeldOut && coefficients[i][k] > 0)
                .GroupBy(point => point.Row.Pages)
                .Select(kind => $"{string.Join(", ", kind.Select(point => point.Row.Way).Distinct())} by {kind.Key}"));
            if (rows.Length > 0)
            {
                fitted[free[k].Key] = rows;
                machine = WithCost(machine, free[k].Key, Math.Round(costs[k], 3));
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
    }

    /// <summary>
    /// A life on a machine of such features; what it takes at a machine's costs: whole, tables, touch, in the order of
    /// <see cref="CalibratedPart"/>.
    /// </summary>
    private static Func<MachinePreset, double[]> Live(SimulationRequest request, CancellationToken cancellation)
    {
        if (!request.Machine.IsArm64)
        {
            ArchitectureResult other = ArchitectureRun.Die(request, isChecked: false, cancellation);
            return machine =>
            {
                ArchitectureResult priced = other.At(machine);
                return [priced.Nanoseconds + priced.HostFreeNanoseconds, priced.Nanoseconds, 0];
            };
        }

        SimulationResult result = Simulation.Run(request, null, cancellation);
        return machine =>
        {
            SimulationResult priced = result with { Fill = result.Fill.At(machine), Death = result.Death.At(machine) };
            return
            [
                priced.DeathNanoseconds + priced.HostFreeNanoseconds, priced.DeathNanoseconds, priced.FillNanoseconds,
            ];
        };
    }

    /// <summary>
    /// The machine at another cost. A line of another socket is dearer by as much as it was: a probe does not tell
    /// where its memory lay.
    /// </summary>
    private static MachinePreset WithCost(MachinePreset machine, string key, double cost)
    {
        if (key != "dc_line_local")
        {
            return machine.With(key, cost, "fit");
        }

        double more = machine["dc_line_remote"] - machine[key];
        return machine.With(key, 0, "fit").With("dc_line_remote", cost + more, "fit").With(key, cost, "fit");
    }

    /// <summary>Of each kind of pages every second size, from the second smallest on.</summary>
    private static CalibratedPoint[] HoldOut(CalibratedPoint[] points)
    {
        Dictionary<string, long[]> sizes = points.GroupBy(point => point.Row.Pages).ToDictionary(
            kind => kind.Key, kind => (long[])[.. kind.Select(point => point.Row.MemoryBytes).Distinct().Order()]);
        return
        [
            .. points.Select(point => point with
            {
                IsHeldOut = Array.IndexOf(sizes[point.Row.Pages], point.Row.MemoryBytes) % 2 == 1,
            }),
        ];
    }

    private static IEnumerable<CalibratedPoint> PointsOf(ProbeRow row, MachinePreset start, List<string> left)
    {
        if (!_deaths.ContainsKey(row.Way))
        {
            left.Add(row.Way switch
            {
                _ when row.Is(ProbeWay.MunmapNoVm) || row.Is(ProbeWay.KillNoVm) => $"{row.Way} (a VM's host alone)",
                _ => $"{row.Way} (no way that is known)",
            });
            yield break;
        }

        if (!_kinds.ContainsKey(row.Pages))
        {
            left.Add($"{row.Pages} (no kind of pages that is known)");
            yield break;
        }

        // A file in memory is by 4 KB pages, unless the host has transparent ones for files, too.
        double transparent = row["transparent_bytes"] / row.MemoryBytes;
        if (row.Pages == "thp" && (row.Is(ProbeWay.Punch) ? transparent > 0.05 : transparent < 0.95))
        {
            left.Add($"{row} ({(row.Is(ProbeWay.Punch) ? "blocks in a file" : "not all of it in blocks")})");
            yield break;
        }

        if (row["total_ns"] < Shortest)
        {
            left.Add($"{row} (it has no total_ns)");
        }
        else
        {
            yield return new CalibratedPoint(row, CalibratedPart.Whole, row["total_ns"], false);
        }

        if (row.Is(ProbeWay.Close) && row["order_ns"] >= Shortest)
        {
            yield return new CalibratedPoint(row, CalibratedPart.Tables, row["order_ns"], false);
        }

        double touched = row["touch_ns"] - row["touch_again_ns"];
        if (start.IsArm64 && (row.Is(ProbeWay.Close) || row.Is(ProbeWay.Punch)) && touched >= Shortest)
        {
            yield return new CalibratedPoint(row, CalibratedPart.Touch, touched, false);
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
        Pages = _kinds[row.Pages],
        HugePageShare = 1,
        Death = _deaths[row.Way],
        Policy = machine.IsArm64 && (row.Is(ProbeWay.Close) || row.Is(ProbeWay.Kill))
            ? MaintenancePolicy.Series
            : MaintenancePolicy.BeforeSeries,
        Vcpus = 1,
    };

    private static FitUnknown UnknownOf(string key, double start, double most) => key switch
    {
        // A dirty line costs no more than another, unless the rows tell: those of less memory than the caches hold,
        // where each line is dirty, tell only the sum.
        "dc_line_dirty" => new FitUnknown(0, 1, most),

        // The same of a transparent page and one of hugetlbfs: where one of them was not measured, they cost the same.
        "transparent_free" => new FitUnknown(0, 10, most),
        "transparent_fill" => new FitUnknown(0, 1000, most),

        // Of a file's page: where no anonymous one was measured, that keeps its assumption, and the rest is the file's.
        "file_fill" or "file_free" or "file_block_free" => new FitUnknown(0, 1000, most),
        "vm_end" or "process_end" => new FitUnknown(start, Math.Max(start, UsualEnd), most),
        _ => new FitUnknown(start, Math.Max(start, 1), most),
    };

    /// <summary>The costs that make the relative misses of what is fitted least.</summary>
    private static double[] Solve(
        CalibratedPoint[] points, double[] constants, double[][] coefficients, FitUnknown[] costs)
    {
        int[] fitted = [.. Enumerable.Range(0, points.Length).Where(i => !points[i].IsHeldOut)];
        return BoundedLeastSquares.Solve(
            [.. fitted.Select(i => (double[])[.. coefficients[i].Select(unit => unit / points[i].Measured)])],
            [.. fitted.Select(i => 1 - (constants[i] / points[i].Measured))],
            costs);
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
            yield return "small VMs take longer than the model says, which has one figure for the end of any VM and "
                + "process, however long the kernel waited in a run (RCU): probe larger sizes";
        }
    }
}

using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Simulator;
using MaintenancePolicy = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Sim;

/// <summary>The result for people.</summary>
internal static class SimulationTable
{
    private const int PoliciesAtATime = 5;

    private static readonly TextColumn<SimulationRow>[] _time =
    [
        new("policy", 13, true, row => row.Policy.Name),
        new("death", 10, false, row => Duration.Format(row.Result.DeathNanoseconds)),
        new("cleaning", 10, false, row => Duration.Format(row.Result.CacheNanoseconds)),
        new("TLBI", 10, false, row => Duration.Format(row.Result.TlbiNanoseconds)),
        new("walk", 10, false, row => Duration.Format(row.Result.WalkNanoseconds)),
        new("free", 10, false, row => Duration.Format(row.Result.FreeNanoseconds)),
        new("other", 10, false, row => Duration.Format(row.Result.OtherNanoseconds)),
    ];

    private static readonly TextColumn<SimulationRow>[] _operations =
    [
        new("policy", 13, true, row => row.Policy.Name),
        new("TLBI ipa", 11, false, row => Whole(row.Result.Death.Counts.TlbiIpa)),
        new("range", 9, false, row => Whole(row.Result.Death.Counts.TlbiRange)),
        new("vmid", 9, false, row => Whole(row.Result.Death.Counts.TlbiVmid)),
        new("DC lines", 14, false, row => Whole(row.Result.Death.Counts.DcLines)),
        new("DSB", 11, false, row => Whole(row.Result.Death.Counts.Dsb)),
    ];

    private static readonly TextColumn<AblationLine>[] _ablation =
    [
        new("patches", 20, true, line => line.Name),
        new("death", 12, false, line => Duration.Format(line.DeathNanoseconds)),
        new("saved", 12, false, line => Signed(line.SavedNanoseconds)),
        new("filling it", 12, false, line => Duration.Format(line.FillNanoseconds)),
    ];

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, SimulationRun run)
    {
        foreach (IReadOnlyList<SimulationRow> rows in run.Groups)
        {
            TextTable.WriteTitle(writer, Title(rows[0]));
            TextTable.Write(writer, _time, rows);
            writer.WriteLine();
            TextTable.Write(writer, _operations, rows);
            writer.WriteLine();
            WriteAblation(writer, run.Plan, rows);
        }

        WriteSummary(writer, run);
        foreach (string note in Notes(run))
        {
            TextTable.WriteNote(writer, note);
        }
    }

    /// <summary>A run with several sizes in one table: sizes below each other, policies side by side.</summary>
    private static void WriteSummary(TextWriter writer, SimulationRun run)
    {
        if (run.Plan.MemoryBytes.Count < 2)
        {
            return;
        }

        foreach (var group in run.Groups.GroupBy(
            rows => (rows[0].Request.Machine.Name, rows[0].Request.Pages, rows[0].Request.Death)))
        {
            foreach (MaintenancePolicy[] policies in run.Plan.Policies.Chunk(PoliciesAtATime))
            {
                TextTable.WriteTitle(
                    writer,
                    $"{group.Key.Name}, pages {SimulationNames.Of(group.Key.Pages)}, "
                        + $"{SimulationNames.Of(group.Key.Death)}: the death by memory");
                TextTable.Write(
                    writer,
                    [
                        new TextColumn<IReadOnlyList<SimulationRow>>(
                            "memory", 9, true, rows => ByteSize.Format((long)rows[0].Request.MemoryBytes)),
                        .. policies.Select(policy => new TextColumn<IReadOnlyList<SimulationRow>>(
                            policy.Name, 13, false,
                            rows => rows.FirstOrDefault(row => row.Policy == policy) is { } row
                                ? Duration.Format(row.Result.DeathNanoseconds)
                                : "-")),
                    ],
                    group);
                writer.WriteLine();
            }
        }
    }

    /// <summary>What was simulated: "d05, 64 GB by 2m pages, kill (32,768 blocks of 2 MB)".</summary>
    public static string Title(SimulationRow row)
    {
        SimulationRequest request = row.Request;
        List<string> mapped = [];
        Add(row.Result.MappedPages4K, "4 KB");
        Add(row.Result.MappedBlocks2M, "2 MB");
        Add(row.Result.MappedBlocks1G, "1 GB");
        return $"{request.Machine.Name}, {ByteSize.Format((long)request.MemoryBytes)}, "
            + $"pages {SimulationNames.Of(request.Pages)}, {SimulationNames.Of(request.Death)}"
            + (mapped.Count > 0 ? $" ({string.Join(", ", mapped)})" : string.Empty);

        void Add(long count, string size)
        {
            if (count > 0)
            {
                mapped.Add($"{Whole(count)} x {size}");
            }
        }
    }

    /// <summary>What a reader has to know about the figures.</summary>
    public static IEnumerable<string> Notes(SimulationRun run)
    {
        yield return "Simulated: the same engine as in the hypervisor, on a machine whose figures carry their sources "
            + "(machines/, docs/simulator.md). The death is Stage-2's, from the order until its tables are gone; the "
            + "host's own freeing of the process's pages comes on top, and is the same under every policy.";
        foreach (IReadOnlyList<SimulationRow> rows in run.Groups)
        {
            SimulationRow? before = Under(Memory.MaintenancePolicy.BeforeSeries);
            SimulationRow? series = Under(Memory.MaintenancePolicy.Series);
            if (before is not null && series is not null && series.Result.DeathNanoseconds > 0)
            {
                yield return string.Create(
                    CultureInfo.InvariantCulture,
                    $"{rows[0].Request.Machine.Name}, {ByteSize.Format((long)rows[0].Request.MemoryBytes)}, "
                        + $"{SimulationNames.Of(rows[0].Request.Pages)}, {SimulationNames.Of(rows[0].Request.Death)}: "
                        + $"{Duration.Format(before.Result.DeathNanoseconds)} before, "
                        + $"{CacheShare(before.Result):0.0} % of it cleaning caches; with the series "
                        + $"{Duration.Format(series.Result.DeathNanoseconds)}")
                    + string.Concat(Ladder.Of(rows).Skip(2).Select(step =>
                        $"; {step.Name} {Duration.Format(step.Nanoseconds)}")) + ".";
            }

            SimulationRow? Under(Memory.MaintenancePolicy policy) =>
                rows.FirstOrDefault(row => row.Policy.Engine == policy);
        }

        foreach (string note in Incomparable(run.Plan.Machines))
        {
            yield return note;
        }

        if (!run.IsComplete)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"Interrupted: {run.Rows.Count} of {Counted.Of(run.Plan.Cases.Count, "death")} simulated.");
        }
    }

    /// <summary>
    /// Which figures of the machines were derived from measurements of different things, so that one machine must not
    /// be held against another by them.
    /// </summary>
    public static IEnumerable<string> Incomparable(IReadOnlyList<MachinePreset> machines)
    {
        foreach (string key in machines[0].Figures
            .Where(figure => figure.Group == "costs")
            .Select(figure => figure.Key))
        {
            (MachinePreset Machine, Figure Figure)[] derived =
            [
                .. machines.Select(machine => (machine, machine.Figures.First(figure => figure.Key == key)))
                    .Where(pair => !pair.Item2.IsAssumption)
                    .OrderBy(pair => pair.Item2.Value),
            ];
            if (derived.Length > 1 && derived[0].Figure.Value * MostApart < derived[^1].Figure.Value)
            {
                yield return string.Create(
                    CultureInfo.InvariantCulture,
                    $"Not to be compared: {key} is {derived[0].Figure.Value:0.#} ns on {derived[0].Machine.Name} "
                        + $"({derived[0].Figure.Source}) and {derived[^1].Figure.Value:0.#} ns on "
                        + $"{derived[^1].Machine.Name} ({derived[^1].Figure.Source}). They were fitted to different "
                        + $"things: compare policies on one machine, and not these machines.");
            }
        }
    }

    /// <summary>Cores differ by less: beyond it, two figures were fitted to different things.</summary>
    private const double MostApart = 5;

    /// <summary>Cache maintenance, in percent of the death.</summary>
    public static double CacheShare(SimulationResult result) =>
        result.DeathNanoseconds > 0 ? 100 * result.CacheNanoseconds / result.DeathNanoseconds : 0;

    private static void WriteAblation(TextWriter writer, SimulationPlan plan, IReadOnlyList<SimulationRow> rows)
    {
        IReadOnlyList<AblationLine> lines = plan.Ablate ? Ablation.Of(rows) : [];
        if (lines.Count > 0)
        {
            TextTable.Write(writer, _ablation, lines);
            TextTable.WriteNote(writer, "Saved: against before-series; of the series less a patch, against the series. "
                + "The patches act on different paths, so the series less one dies as one that was run.");
            writer.WriteLine();
        }
    }

    private static string Signed(double nanoseconds) =>
        nanoseconds < 0 ? "-" + Duration.Format(-nanoseconds) : Duration.Format(nanoseconds);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Bench;

/// <summary>The result for people.</summary>
internal static class BenchTable
{
    // Two blocks of columns, since all of them are wider than a terminal. The widths hold a fully mapped 16 GB VM.
    private static TextColumn<BenchRow>[] Cost(BenchPlan plan) =>
    [
        new("policy", 13, true, row => row.Case.Policy.Name),
        new("way", 5, true, row => row.Case.Way.Name()),
        new("4K pages", 9, false, row => Whole(row.Death.MappedPages4K)),
        new("2M blks", 7, false, row => Whole(row.Death.MappedBlocks2M)),
        new("instructions", 14, false, row => Whole(row.Death.Instructions)),
        new("per page", 10, false, row => PerEntry(row)),
        new("D05 (model)", 11, false, row => Duration.Format(D05Model.Nanoseconds(plan, row))),
    ];

    private static readonly TextColumn<BenchRow>[] _operations =
    [
        new("policy", 13, true, row => row.Case.Policy.Name),
        new("way", 5, true, row => row.Case.Way.Name()),
        new("TLBI ipa", 9, false, row => Whole(row.Death.TlbiIpa)),
        new("range", 7, false, row => Whole(row.Death.TlbiRange)),
        new("vmid", 5, false, row => Whole(row.Death.TlbiVmid)),
        new("vmalle1", 9, false, row => Whole(row.Death.TlbiVmalle1)),
        new("DC lines", 13, false, row => Whole(row.Death.DcLines)),
        new("DSB", 10, false, row => Whole(row.Death.Dsb)),
    ];

    private static readonly TextColumn<(string Name, double? Value)>[] _primitives =
    [
        new("primitive", 28, true, row => row.Name),
        new("instructions", 14, false, row => row.Value?.ToString("N1", CultureInfo.InvariantCulture)
            ?? "not measured"),
    ];

    private static readonly TextColumn<Target>[] _targets =
    [
        new("target", 42, true, target => target.Name),
        new("bound", 9, false, target => target.Bound),
        new("measured", 14, false, target => target.Measured),
        new("", 6, true, target => target.Met ? "met" : "MISSED"),
    ];

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, BenchResult result)
    {
        if (result.Kvm is { } kvm)
        {
            KvmTable.Write(writer, result, kvm);
            return;
        }

        foreach (IGrouping<(string, long, string), BenchRow> group in result.Rows.GroupBy(
            row => (row.Case.Guest.Name, row.Case.MemoryBytes, row.Case.Pages)))
        {
            BenchCase sample = group.First().Case;
            TextTable.WriteTitle(
                writer,
                $"{sample.Guest.Name}, {ByteSize.Format(sample.MemoryBytes)}, pages {sample.Pages}, "
                + $"{result.Plan.Cpu.Name}, {Counted.Of(result.Plan.Cpus, "vCPU")}{result.Plan.FateNote}");
            TextTable.Write(writer, Cost(result.Plan), [.. group]);
            writer.WriteLine();
            TextTable.Write(writer, _operations, [.. group]);
            writer.WriteLine();
        }

        WritePrimitives(writer, result.Primitives);
        WriteTargets(writer, result);
        WriteNotes(
            writer,
            "Instructions are QEMU's count (-icount), from the order until all memory was back. Operations are counted "
                + "where they are issued. D05 (model) is no measurement: it is what ./quietus sim says of the same VM.",
            result.IsComplete ? result.Notes : result.Notes.Append(Interrupted(result)));
    }

    private static string Interrupted(BenchResult result) => string.Create(
        CultureInfo.InvariantCulture,
        $"interrupted: {result.Rows.Count} of {Counted.Of(result.Plan.Part.Length, "death")} measured.");

    /// <summary>Writes how the figures are to be read, and the run's own notes.</summary>
    public static void WriteNotes(TextWriter writer, string method, IEnumerable<string> notes)
    {
        foreach (string note in notes.Select(note => "Note: " + note).Prepend(method))
        {
            TextTable.WriteNote(writer, note);
        }
    }

    private static void WritePrimitives(TextWriter writer, Primitives primitives)
    {
        TextTable.WriteTitle(writer, "Primitives, in instructions (filler, 4K pages)");
        TextTable.Write(writer, _primitives,
        [
            ("HVC round trip", primitives.HvcRoundTrip), ("demand fault, exit to entry", primitives.DemandFault),
            ("map, per page", primitives.MapPage),
        ]);
        writer.WriteLine();
    }

    /// <summary>Writes what was promised and what came of it; nothing where nothing was.</summary>
    public static void WriteTargets(TextWriter writer, BenchResult result) =>
        WriteTargets(writer, Targets.Title(result), Targets.Judge(result));

    /// <summary>The same under a title.</summary>
    public static void WriteTargets(TextWriter writer, string title, IReadOnlyList<Target> targets)
    {
        if (targets.Count == 0)
        {
            return;
        }

        TextTable.WriteTitle(writer, title);
        TextTable.Write(writer, _targets, targets);
        writer.WriteLine();
    }

    private static string PerEntry(BenchRow row) =>
        row.InstructionsPerEntry?.ToString("N1", CultureInfo.InvariantCulture) ?? "-";

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

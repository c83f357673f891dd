using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.Terminals;
using Quietus.Cli.Units;

namespace Quietus.Cli.Bench;

/// <summary>The result for people: no line is longer than 80 columns, so that nothing wraps anywhere.</summary>
internal static class BenchTable
{
    /// <summary>The widest line.</summary>
    public const int Width = 80;

    private sealed record Column(string Title, int Width, bool Left, Func<BenchRow, string> Text);

    // Two blocks of columns, since all of them are wider than a terminal. The widths hold a fully mapped 16 GB VM.
    private static readonly Column[] _cost =
    [
        new("policy", 13, true, row => row.Case.Policy.Name),
        new("way", 5, true, row => row.Case.Way),
        new("4K pages", 9, false, row => Whole(row.Death.MappedPages4K)),
        new("2M blks", 7, false, row => Whole(row.Death.MappedBlocks2M)),
        new("instructions", 14, false, row => Whole(row.Death.Instructions)),
        new("per page", 10, false, row => PerEntry(row)),
        new("D05 (model)", 11, false, row => Duration.Format(D05Model.Nanoseconds(row.Death))),
    ];

    private static readonly Column[] _operations =
    [
        new("policy", 13, true, row => row.Case.Policy.Name),
        new("way", 5, true, row => row.Case.Way),
        new("TLBI ipa", 9, false, row => Whole(row.Death.TlbiIpa)),
        new("range", 7, false, row => Whole(row.Death.TlbiRange)),
        new("vmid", 5, false, row => Whole(row.Death.TlbiVmid)),
        new("vmalle1", 9, false, row => Whole(row.Death.TlbiVmalle1)),
        new("DC lines", 13, false, row => Whole(row.Death.DcLines)),
        new("DSB", 10, false, row => Whole(row.Death.Dsb)),
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
            writer.WriteLine(Style.Bold(
                $"{sample.Guest.Name}, {ByteSize.Format(sample.MemoryBytes)}, pages {sample.Pages}, "
                + $"{result.Plan.Cpu.Name}, {result.Plan.Cpus} vCPU"));
            WriteBlock(writer, _cost, [.. group]);
            writer.WriteLine();
            WriteBlock(writer, _operations, [.. group]);
            writer.WriteLine();
        }

        WritePrimitives(writer, result.Primitives);
        WriteTargets(writer, result);
        WriteNotes(
            writer,
            "Instructions are QEMU's count (-icount), from the order until all memory was back. Operations are counted "
                + "where they are issued. D05 (model) is no measurement: the counts times published figures of Arm "
                + "servers.",
            result.Notes);
    }

    /// <summary>Writes how the figures are to be read, and the run's own notes.</summary>
    public static void WriteNotes(TextWriter writer, string method, IEnumerable<string> notes)
    {
        foreach (string line in notes.Select(note => "Note: " + note).Prepend(method).SelectMany(Wrap))
        {
            writer.WriteLine(Style.Dim(line));
        }
    }

    private static void WriteBlock(TextWriter writer, Column[] columns, IReadOnlyList<BenchRow> rows)
    {
        writer.WriteLine(Line(columns, column => column.Title));
        writer.WriteLine(Line(columns, column => new string('-', column.Width)));
        foreach (BenchRow row in rows)
        {
            writer.WriteLine(Line(columns, column => column.Text(row)));
        }
    }

    private static string Line(Column[] columns, Func<Column, string> text)
    {
        var line = new StringBuilder(Width);
        foreach (Column column in columns)
        {
            if (line.Length > 0)
            {
                line.Append(' ');
            }

            string cell = text(column);
            line.Append(column.Left ? cell.PadRight(column.Width) : cell.PadLeft(column.Width));
        }

        return line.ToString().TrimEnd();
    }

    private static void WritePrimitives(TextWriter writer, Primitives primitives)
    {
        writer.WriteLine(Style.Bold("Primitives, in instructions (filler, 4K pages)"));
        WriteFigure("HVC round trip", primitives.HvcRoundTrip);
        WriteFigure("demand fault, exit to entry", primitives.DemandFault);
        WriteFigure("map, per page", primitives.MapPage);
        writer.WriteLine();

        void WriteFigure(string name, double? value) => writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  {name,-30}{value?.ToString("N1", CultureInfo.InvariantCulture) ?? "not measured",14}"));
    }

    /// <summary>Writes what was promised and what came of it; nothing where nothing was.</summary>
    public static void WriteTargets(TextWriter writer, BenchResult result)
    {
        IReadOnlyList<Target> targets = Targets.Judge(result);
        if (targets.Count == 0)
        {
            return;
        }

        writer.WriteLine(Style.Bold(Targets.Title(result)));
        foreach (Target target in targets)
        {
            writer.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"  {target.Name,-42}{target.Bound,9}{target.Measured,14}  {(target.Met ? "met" : "MISSED")}"));
        }

        writer.WriteLine();
    }

    private static string PerEntry(BenchRow row) =>
        row.InstructionsPerEntry?.ToString("N1", CultureInfo.InvariantCulture) ?? "-";

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static IEnumerable<string> Wrap(string text)
    {
        var line = new StringBuilder();
        foreach (string word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > Width)
            {
                yield return line.ToString();
                line.Clear();
            }

            line.Append(line.Length > 0 ? " " : string.Empty).Append(word);
        }

        yield return line.ToString();
    }
}

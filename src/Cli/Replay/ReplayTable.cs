using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>The result for people: what the traced kernel issued beside what each policy issues.</summary>
internal static class ReplayTable
{
    private const int PoliciesAtATime = 3;
    private const ulong PageBytes = 4096;

    /// <summary>Names of events on the screen; JSON has all.</summary>
    private const int MostNames = 8;

    /// <summary>One line of the comparison.</summary>
    /// <param name="Title">What is counted.</param>
    /// <param name="Traced">What the trace has.</param>
    /// <param name="Replayed">What a policy came to.</param>
    private sealed record Line(string Title, string Traced, Func<ReplayRow, string> Replayed);

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, ReplayResult result)
    {
        HostTrace trace = result.Trace;
        TextTable.WriteTitle(writer, Path.GetFileName(result.File) + ": " + Describe(trace));

        foreach (IGrouping<string, ReplayRow> machine in result.Rows.GroupBy(row => row.Machine.Name))
        {
            foreach (ReplayRow[] rows in machine.Chunk(PoliciesAtATime))
            {
                writer.WriteLine();
                TextTable.WriteNote(writer, "on " + machine.Key + ": " + machine.First().Machine.Title);
                TextTable.Write(writer, Columns(trace, rows), Lines(trace, rows[0]));
            }
        }

        writer.WriteLine();
        foreach (Difference difference in Difference.Find(trace, result.Rows))
        {
            TextTable.WriteNote(writer, difference.Name + ": " + difference.Explanation);
        }

        if (PassedOver(trace.Counts) is { } others)
        {
            TextTable.WriteNote(writer, others);
        }

        foreach (string note in Notes(result))
        {
            TextTable.WriteNote(writer, "Note: " + note);
        }

        TextTable.WriteNote(writer, "Times are a model: what was issued, times the machine's figures. The trace's are "
            + "the traced machine's, with tracing on.");
    }

    /// <summary>What a reader has to know about the trace.</summary>
    public static IEnumerable<string> Notes(ReplayResult result)
    {
        TraceCounts counts = result.Trace.Counts;
        if (counts.Lost > 0)
        {
            yield return Counted.Of(counts.Lost, "event was", "events were")
                + " lost while tracing: this is not all of the VM's life; trace with a larger buffer";
        }

        if (counts.Foreign > 0)
        {
            yield return Counted.Of(counts.Foreign, "line is", "lines are")
                + string.Create(CultureInfo.InvariantCulture, $" no event, the first is line {counts.FirstForeign}");
        }

        if (counts.Clockless > 0)
        {
            yield return "the trace's clock counts no time (trace_clock), so that the traced times are none";
        }

        if (counts.IsX86)
        {
            yield return "the host is KVM/x86: its maps and ranges are replayed on Arm machines; what it flushed is in "
                + "no event, and stands as a dash";
        }

        if (counts.LastLineIsCut)
        {
            yield return "the last line has no end and was left out";
        }

        if (result.Trace.Operations[^1].Kind != TraceOperationKind.Release)
        {
            yield return "the trace ends before the VM does: no death was played";
        }

        if (result.Rows.Count > 0 && result.Rows[0].Refused > 0)
        {
            yield return Counted.Of(result.Rows[0].Refused, "map was", "maps were")
                + " left out: device memory, or in contradiction to what is mapped";
        }
    }

    /// <summary>The events that say nothing about Stage-2, the most frequent by name; null: there is none.</summary>
    private static string? PassedOver(TraceCounts counts)
    {
        IReadOnlyList<OtherEvent> names = counts.OtherNames;
        if (names.Count == 0)
        {
            return null;
        }

        long rest = counts.OtherEvents - names.Take(MostNames).Sum(other => other.Count);
        return "Passed over, saying nothing about Stage-2: "
            + string.Join(", ", names.Take(MostNames).Select(other => $"{Whole(other.Count)} {other.Name}"))
            + (rest > 0 ? $", and {Whole(rest)} of other names (--json has them)" : string.Empty);
    }

    private static string Describe(HostTrace trace)
    {
        List<string> parts = [Counted.Of(Of(trace, TraceOperationKind.Map), "map", "maps")];
        Add(TraceOperationKind.Relax, "relaxed", "relaxed");
        Add(TraceOperationKind.UnmapByNotifier, "range unmapped", "ranges unmapped");
        Add(TraceOperationKind.UnmapBySlotRemoval, "slot removed", "slots removed");
        return string.Join(", ", parts)
            + (trace.Operations[^1].Kind == TraceOperationKind.Release ? ", death" : string.Empty);

        void Add(TraceOperationKind kind, string one, string many)
        {
            long count = Of(trace, kind);
            if (count > 0)
            {
                parts.Add(Counted.Of(count, one, many));
            }
        }
    }

    private static List<TextColumn<Line>> Columns(HostTrace trace, IReadOnlyList<ReplayRow> rows) =>
    [
        new("", 25, true, line => line.Title),
        new("traced", 12, false, line => trace.Counts.IsX86 ? "-" : line.Traced),
        .. rows.Select(row =>
            new TextColumn<Line>(row.Policy.Name, 13, false, line => line.Replayed(row))),
    ];

    private static IEnumerable<Line> Lines(HostTrace trace, ReplayRow sample)
    {
        yield return new Line("map    pages cleaned", Cleaned(trace.Mapping), row => Pages(row.Mapping, row));
        yield return new Line(
            "       TLBI ipa", Whole(trace.Mapping.LeafTlbi + trace.Mapping.TableTlbi),
            row => Whole(row.Mapping.Bill.Counts.TlbiIpa));
        if (sample.Unmapping.Bill != default)
        {
            foreach (Line line in Lines(
                "unmap  ", trace.Unmapping, trace.UnmapNanoseconds, row => row.Unmapping))
            {
                yield return line;
            }
        }

        if (trace.Operations[^1].Kind == TraceOperationKind.Release)
        {
            foreach (Line line in Lines("death  ", trace.Death, trace.DeathNanoseconds, row => row.Death))
            {
                yield return line;
            }
        }
    }

    private static IEnumerable<Line> Lines(
        string name, TracedMaintenance traced, long nanoseconds, Func<ReplayRow, ReplayPhase> phase)
    {
        string blank = new(' ', name.Length);
        yield return new Line(
            name + "TLBI ipa, leaves", Whole(traced.LeafTlbi), row => phase(row).IsEager
                ? Whole(phase(row).Leaves)
                : "-");
        yield return new Line(
            blank + "TLBI ipa, tables", Whole(traced.TableTlbi), row => phase(row).IsEager
                ? Whole(phase(row).Tables)
                : "-");
        yield return new Line(
            blank + "TLBI ipa, all", Whole(traced.LeafTlbi + traced.TableTlbi),
            row => Whole(phase(row).Bill.Counts.TlbiIpa));
        yield return new Line(
            blank + "TLBI range", Whole(traced.RangeTlbi), row => Whole(phase(row).Bill.Counts.TlbiRange));
        yield return new Line(
            blank + "TLBI vmid", Whole(traced.VmidTlbi), row => Whole(phase(row).Bill.Counts.TlbiVmid));
        yield return new Line(blank + "pages cleaned", Cleaned(traced), row => Pages(phase(row), row));
        yield return new Line(
            blank + "time", Duration.Format(nanoseconds), row => Duration.Format(phase(row).Nanoseconds));
        yield return new Line(
            blank + "  of it cleaning", "-", row => Duration.Format(phase(row).CacheNanoseconds));
        yield return new Line(
            blank + "  of it TLBI", "-", row => Duration.Format(phase(row).TlbiNanoseconds));
    }

    /// <summary>In 4 KB pages; where the trace does not say sizes, the calls.</summary>
    private static string Cleaned(TracedMaintenance traced) =>
        traced.CleanedBytes == 0 && traced.Cleanings > 0
            ? Whole(traced.Cleanings) + " calls"
            : Whole(traced.CleanedBytes / (long)PageBytes);

    private static string Pages(ReplayPhase phase, ReplayRow row) =>
        Whole((long)(phase.Bill.Counts.DcLines * row.Machine["line"] / PageBytes));

    private static long Of(HostTrace trace, TraceOperationKind kind) =>
        trace.Operations.LongCount(operation => operation.Kind == kind);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

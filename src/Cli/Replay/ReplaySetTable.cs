using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Replay;

/// <summary>Many traces for people: what each phase cost, over all of them.</summary>
internal static class ReplaySetTable
{
    /// <summary>The table's columns.</summary>
    public static IReadOnlyList<TextColumn<ReplayPercentiles>> Columns { get; } =
    [
        new("machine", 10, true, line => line.Machine),
        new("policy", 13, true, line => line.Policy),
        new("phase", 6, true, line => line.Phase),
        new("traces", 7, false, line => line.Traces.ToString("N0", CultureInfo.InvariantCulture)),
        new("p50", 9, false, line => Duration.Format(line.P50)),
        new("p90", 9, false, line => Duration.Format(line.P90)),
        new("p99", 9, false, line => Duration.Format(line.P99)),
        new("max", 9, false, line => Duration.Format(line.Maximum)),
    ];

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, ReplaySet set)
    {
        int failed = set.Traces.Count(trace => trace.Error is not null);
        TextTable.WriteTitle(writer, Counted.Of(set.Traces.Count, "trace") + " of "
            + Counted.Of(set.Plan.Files.Count, "file")
            + (set.Plan.Shard is { } shard ? ", shard " + shard : string.Empty)
            + (failed == 0 ? string.Empty : $", {Counted.Of(failed, "of them")} not played"));
        Write(writer, ReplayPercentiles.Of(set));
        foreach (ReplayedTrace trace in set.Traces)
        {
            string[] said = trace.Result is { } result ? [.. ReplayTable.Notes(result)] : [trace.Error!];
            foreach (string what in said)
            {
                TextTable.WriteNote(writer, Printable.Line(trace.File) + ": " + Printable.Line(what));
            }
        }
    }

    /// <summary>Writes the table alone.</summary>
    public static void Write(TextWriter writer, IEnumerable<ReplayPercentiles> lines)
    {
        TextTable.Write(writer, Columns, lines);
        writer.WriteLine();
        TextTable.WriteNote(writer, "Times are a model: what was issued, times the machine's figures. A trace counts "
            + "where it has the phase; --json has each trace.");
    }
}

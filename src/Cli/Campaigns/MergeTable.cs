using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.Bench;
using Quietus.Cli.Check;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Replay;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary>A merged result for people and for programs.</summary>
internal static class MergeTable
{
    private static readonly JsonWriterOptions _options = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly TextColumn<JsonObject>[] _deaths =
    [
        new("machine", 12, true, row => Word(row, "machine")),
        new("memory", 8, false, row => Memory(row)),
        new("pages", 6, true, row => Word(row, "page_size")),
        new("way", 12, true, row => Word(row, "die")),
        new("policy", 13, true, row => Word(row, "policy")),
        new("death", 12, false, row => Duration.Format(row["death_ns"]!.GetValue<double>())),
    ];

    private static readonly TextColumn<JsonObject>[] _measured =
    [
        new("guest", 7, true, row => Word(row, "guest")),
        new("memory", 8, false, row => Memory(row)),
        new("pages", 6, true, row => Word(row, "page_size")),
        new("policy", 13, true, row => Word(row, "policy")),
        new("way", 6, true, row => Word(row, "way")),
        new("instructions", 14, false, row => Whole(row["instructions"]!.GetValue<long>())),
        new("DC lines", 13, false, row => Whole(row["dc_lines"]!.GetValue<long>())),
    ];

    private const int NameWidth = 24;

    private static readonly TextColumn<JsonObject>[] _replayed =
    [
        new("trace", NameWidth, true, row => End(Path.GetFileName(Word(row, "trace")))),
        new("machine", 10, true, row => Word(row, "machine")),
        new("policy", 13, true, row => Word(row, "policy")),
        .. ReplayPercentiles.Phases.Select(phase => new TextColumn<JsonObject>(
            phase, 9, false, row => Duration.Format(row[phase]!["total_ns"]!.GetValue<double>()))),
    ];

    /// <summary>A name's end, which tells more than its beginning, where all of it is too long.</summary>
    private static string End(string name) => name.Length <= NameWidth ? name : "…" + name[^(NameWidth - 1)..];

    /// <summary>The name of the array that CSV is made of.</summary>
    public static string Rows(Merge merge) => merge.Schema switch
    {
        ChurnDocument.Name => "phases",
        CheckDocument.Name => "violations",
        ExhaustiveDocument.Name => "searches",
        _ => "rows",
    };

    /// <summary>Writes the document and the end of its last line.</summary>
    public static void WriteJson(Merge merge, Stream stream)
    {
        using (var json = new Utf8JsonWriter(stream, _options))
        {
            merge.Json.WriteTo(json);
        }

        stream.WriteByte((byte)'\n');
    }

    /// <summary>What is missing, or there twice.</summary>
    public static IEnumerable<string> Gaps(Merge merge) =>
    [
        .. merge.Missing.Select(shard => "missing: " + shard),
        .. merge.Unfinished.Select(shard => "not finished: " + shard),
        .. merge.Repeated.Select(shard => "ran twice, counted once: " + shard),
        .. merge.Contradicting.Select(shard => "ran twice with different results, of which the first counts: " + shard),
        .. RowsMerge.FailedTraces(merge.Json).Select(trace => "could not be played: " + trace),
    ];

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, Merge merge)
    {
        if (HasRows(merge))
        {
            TextTable.Write(writer, Columns(merge), RowsOf(merge));
            writer.WriteLine();
        }

        switch (merge.Schema)
        {
            case ExhaustiveDocument.Name:
                ExhaustiveMerge.Tell(merge.Json, writer);
                break;
            case ChurnDocument.Name:
                ChurnMerge.Tell(merge.Json, writer);
                break;
            case ReplaySetDocument.Name:
                ReplaySetTable.Write(writer, RowsMerge.TracePercentiles(merge.Json));
                break;
            case CheckDocument.Name:
                foreach (JsonObject violation in merge.Violations)
                {
                    CheckVerb.Tell([.. ((JsonArray)violation["story"]!).Select(line => line!.ToString())], writer);
                }

                break;
            default:
                if (PercentilesOf(merge) is { } percentiles)
                {
                    TextTable.Write(writer, RowsMerge.Columns(merge.Schema), percentiles);
                    writer.WriteLine();
                }

                break;
        }

        TextTable.WriteNote(writer, Summary(merge));
    }

    /// <summary>One page: what came out, what is missing, and all of it as JSON.</summary>
    public static string MakeReport(Merge merge) => HtmlPage.Make("a campaign", html =>
    {
        html.Append("<h1>Quietus: a campaign</h1>\n<p class=\"lead\">").Append(HtmlPage.Text(Summary(merge)))
            .Append("</p>\n");
        foreach (string gap in Gaps(merge))
        {
            html.Append("<p class=\"missed\">").Append(HtmlPage.Text(gap)).Append("</p>\n");
        }

        foreach (JsonObject violation in merge.Violations)
        {
            html.Append("<h2>").Append(HtmlPage.Text(Word(violation, "kind"))).Append("</h2>\n<pre>")
                .Append(HtmlPage.Text(string.Join('\n', (JsonArray)violation["story"]!))).Append("</pre>\n");
        }

        if (merge.Schema == ChurnDocument.Name)
        {
            (string[] titles, IEnumerable<string[]> lines) = ChurnMerge.Page(merge.Json);
            HtmlPage.WriteTable(html, titles, 1, lines);
        }
        else if (merge.Schema == ReplaySetDocument.Name)
        {
            WritePage(html, ReplaySetTable.Columns, RowsMerge.TracePercentiles(merge.Json));
        }
        else if (PercentilesOf(merge) is { } percentiles)
        {
            WritePage(html, RowsMerge.Columns(merge.Schema), percentiles);
        }

        if (HasRows(merge))
        {
            WritePage(html, Columns(merge), RowsOf(merge));
        }

        using var json = new MemoryStream();
        WriteJson(merge, json);
        HtmlPage.WriteData(html, merge.Schema, Encoding.UTF8.GetString(json.ToArray()));
    });

    /// <summary>One sentence, which says so where the whole is not there.</summary>
    private static string Summary(Merge merge)
    {
        int shards = merge.Json["merged"]!["shards"]!.GetValue<int>();
        int whole = shards - merge.Missing.Count - merge.Unfinished.Count;
        string violations = Counted.Of(merge.Violations.Count(), "violation");
        string covered = merge.Schema switch
        {
            CheckDocument.Name => $"{Sum("program")}, {Sum("step")}, {Sum("check")}, {violations}",
            ExhaustiveDocument.Name => $"{ExhaustiveMerge.Summary(merge.Json)}, {violations}",
            ChurnDocument.Name => Counted.Of(merge.Json["births"]!.GetValue<long>(), "birth"),
            ReplaySetDocument.Name => Counted.Of(((JsonArray)merge.Json["traces"]!).Count, "trace"),
            _ => Counted.Of(RowsOf(merge).Count(), "death"),
        };
        return $"{covered} in {Whole(whole)} of {Counted.Of(shards, "shard")}"
            + (merge.IsComplete ? string.Empty : ": this is not the whole");

        string Sum(string what) => Counted.Of(merge.Json[what + "s"]!.GetValue<long>(), what);
    }

    private static void WritePage<TRow>(
        StringBuilder html, IReadOnlyList<TextColumn<TRow>> columns, IEnumerable<TRow> rows) => HtmlPage.WriteTable(
        html, [.. columns.Select(column => column.Title)], columns.Count(column => column.Left),
        rows.Select(row => columns.Select(column => column.Text(row)).ToArray()));

    private static TextColumn<JsonObject>[] Columns(Merge merge) => merge.Schema switch
    {
        BenchDocument.Name => _measured,
        ReplaySetDocument.Name => _replayed,
        _ => _deaths,
    };

    private static bool HasRows(Merge merge) =>
        merge.Schema is SimulationDocument.Name or BenchDocument.Name or ReplaySetDocument.Name;

    private static IEnumerable<JsonObject>? PercentilesOf(Merge merge) =>
        (merge.Json["merged"]!["percentiles"] as JsonArray)?.OfType<JsonObject>();

    private static IEnumerable<JsonObject> RowsOf(Merge merge) =>
        (merge.Json["rows"] as JsonArray ?? []).OfType<JsonObject>();

    private static string Word(JsonObject row, string key) => Printable.Line(row[key]?.ToString() ?? string.Empty);

    private static string Memory(JsonObject row) => ByteSize.Format(row["memory_bytes"]!.GetValue<long>());

    private static string Whole(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json.Nodes;
using Quietus.Cli.Bench;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Replay;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// Documents with a row for each thing (a death, a trace), put together: rows are raw figures, so percentiles over all
/// of them can be had.
/// </summary>
internal static class RowsMerge
{
    /// <summary>Which figure of a row is looked at, and what tells the groups that are looked at apart.</summary>
    private sealed record Grouping(string Figure, IReadOnlyList<string> Keys);

    private static readonly Dictionary<string, Grouping> _groupings = new()
    {
        [BenchDocument.Name] = new("instructions", ["guest", "page_size", "policy", "way"]),
        [SimulationDocument.Name] = new("death_ns", ["machine", "page_size", "die", "policy"]),
    };

    /// <summary>Percentiles over all deaths that differ in nothing but their memory.</summary>
    /// <returns>Null where no two differ in that alone.</returns>
    public static JsonArray? Percentiles(string schema, JsonObject whole)
    {
        if (!_groupings.TryGetValue(schema, out Grouping? grouping))
        {
            return null;
        }

        IGrouping<string, JsonObject>[] groups =
        [
            .. ((JsonArray)whole["rows"]!).OfType<JsonObject>()
                .GroupBy(row => string.Join(' ', grouping.Keys.Select(key => row[key]?.ToString()))),
        ];
        return groups.All(group => group.Count() == 1)
            ? null
            : new JsonArray([.. groups.Select(group => Entry(grouping, [.. group]))]);
    }

    /// <summary>A table of them: words, then figures.</summary>
    public static IReadOnlyList<TextColumn<JsonObject>> Columns(string schema)
    {
        Grouping grouping = _groupings[schema];
        return
        [
            .. grouping.Keys.Select(key => new TextColumn<JsonObject>(
                key switch { "page_size" => "pages", "die" => "way", _ => key },
                key switch { "policy" => 13, "machine" => 10, "die" => 8, _ => 6 }, true,
                row => Printable.Line(row[key]!.ToString()))),
            new("deaths", 6, false, row => row["count"]!.ToString()),
            .. ((string[])["p50", "p90", "p99", "max"]).Select(rank =>
                new TextColumn<JsonObject>(rank, 10, false, row => Text(row[$"{rank}_{grouping.Figure}"]!))),
        ];

        string Text(JsonNode figure) => grouping.Figure.EndsWith("_ns", StringComparison.Ordinal)
            ? Duration.Format(figure.GetValue<double>())
            : figure.GetValue<double>().ToString("N0", CultureInfo.InvariantCulture);
    }

    /// <summary>Puts traces together: what is in their order, and percentiles over all rows.</summary>
    /// <param name="whole">A copy of the first shard's document.</param>
    /// <param name="parts">Each shard once.</param>
    public static void FillTraces(JsonObject whole, IReadOnlyList<ShardDocument> parts)
    {
        foreach (string key in (string[])["traces", "rows"])
        {
            whole[key] = new JsonArray([.. parts.SelectMany(part => part.Json[key] as JsonArray ?? [])
                .OfType<JsonNode>().Select(node => node.DeepClone())]);
        }

        whole["percentiles"] = new JsonArray([.. TracePercentiles(whole).Select(line => (JsonNode)new JsonObject
        {
            ["machine"] = line.Machine,
            ["policy"] = line.Policy,
            ["phase"] = line.Phase,
            ["traces"] = line.Traces,
            ["p50_ns"] = line.P50,
            ["p90_ns"] = line.P90,
            ["p99_ns"] = line.P99,
            ["max_ns"] = line.Maximum,
        })]);
    }

    /// <summary>What each phase took, over all traces.</summary>
    public static IReadOnlyList<ReplayPercentiles> TracePercentiles(JsonObject whole) => ReplayPercentiles.Of(
        ((JsonArray)whole["rows"]!).OfType<JsonObject>().SelectMany(row => ReplayPercentiles.Phases, (row, phase) => (
            row["machine"]!.ToString(), row["policy"]!.ToString(), phase,
            row[phase]!["total_ns"]!.GetValue<double>())));

    /// <summary>Traces that could not be played, with the reason.</summary>
    public static IEnumerable<string> FailedTraces(JsonObject whole) =>
        (whole["traces"] as JsonArray ?? []).OfType<JsonObject>().Where(trace => trace["error"] is not null)
            .Select(trace => $"{trace["trace"]}: {trace["error"]}");

    private static JsonObject Entry(Grouping grouping, IReadOnlyList<JsonObject> rows)
    {
        Percentiles figures = Reports.Percentiles.Of(rows.Select(row => row[grouping.Figure]!.GetValue<double>()));
        var entry = new JsonObject();
        foreach (string key in grouping.Keys)
        {
            entry[key] = rows[0][key]?.DeepClone();
        }

        entry["count"] = figures.Count;
        entry["p50_" + grouping.Figure] = figures.P50;
        entry["p90_" + grouping.Figure] = figures.P90;
        entry["p99_" + grouping.Figure] = figures.P99;
        entry["max_" + grouping.Figure] = figures.Maximum;
        return entry;
    }
}

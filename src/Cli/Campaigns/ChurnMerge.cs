using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// The shards of a churn, put together. Percentiles are of all lives' figures, which the shards' documents have. A
/// drift is one boot's, and each shard is a boot of its own: the whole has none.
/// </summary>
internal static class ChurnMerge
{
    /// <summary>Makes the document of the whole.</summary>
    /// <param name="whole">A copy of the first shard's.</param>
    /// <param name="parts">Each shard once.</param>
    public static void Fill(JsonObject whole, IReadOnlyList<ShardDocument> parts)
    {
        ChurnPhase[][] all = [.. parts.Select(part => PhasesOf(part.Json, part.File))];
        if (all.FirstOrDefault(phases => !phases.Select(phase => phase.Name)
            .SequenceEqual(all[0].Select(phase => phase.Name))) is not null)
        {
            throw Broken(parts[0].File);
        }

        ChurnPhase[] joined =
        [
            .. Enumerable.Range(0, all[0].Length).Select(number => new ChurnPhase(
                all[0][number].Name, Distribution.Join(all.Select(phases => phases[number].Figures)),
                FirstTenth: null, LastTenth: null)),
        ];
        foreach (string key in (string[])["births", "lost_bytes", "refused_frees", "leaked_frames", "wall_ns"])
        {
            whole[key] = parts.Sum(part => Number(part.Json, key, part.File));
        }

        if (whole["repeated_random"] is not null)
        {
            whole["repeated_random"] = parts.Sum(part => Number(part.Json, "repeated_random", part.File));
        }

        whole["births_per_virtual_second"] = ChurnDocument.Rate(whole["births"]!.GetValue<long>(), joined);
        whole["phases"] = JsonSerializer.SerializeToNode(
            joined.Select(phase => ChurnPhaseEntry.Of(phase, hasFigures: true)).ToArray(),
            ChurnContext.Default.ChurnPhaseEntryArray);
    }

    /// <summary>Whether all memory of all boots came back.</summary>
    public static bool IsSound(JsonObject whole) => TotalsOf(whole).IsSound;

    /// <summary>Writes the table of the whole.</summary>
    public static void Tell(JsonObject whole, TextWriter writer)
    {
        JsonNode config = whole["config"]!;
        string subject = ChurnTable.Subject(
            whole["births"]!.GetValue<long>(), config["template"]?.ToString(),
            config["memory_bytes"]?[0]?.GetValue<long>());
        ChurnTable.Write(
            writer, Printable.Line($"{subject}, {config["cpu"]}, lifetime {config["lifetime"]}"),
            PhasesOf(whole, "the whole"), TotalsOf(whole));
        TextTable.WriteNote(writer, "Each shard was a boot of its own: their documents have the drift in each.");
    }

    /// <summary>The table for a page: its titles, and its lines.</summary>
    public static (string[] Titles, IEnumerable<string[]> Lines) Page(JsonObject whole) => (
        ["phase", "VMs", "p50", "p90", "p99", "max"],
        PhasesOf(whole, "the whole").Select(phase => new[]
        {
            phase.Name, Text(phase.Figures.Count), Text(phase.Figures.Rank(50)), Text(phase.Figures.Rank(90)),
            Text(phase.Figures.Rank(99)), Text(phase.Figures.Maximum),
        }));

    private static ChurnTotals TotalsOf(JsonObject json) => new(
        Number(json, "births", "the whole"), Number(json, "lost_bytes", "the whole"),
        Number(json, "refused_frees", "the whole"), Number(json, "leaked_frames", "the whole"),
        json["repeated_random"]?.GetValue<long>());

    private static ChurnPhase[] PhasesOf(JsonObject json, string file)
    {
        try
        {
            return json["phases"].Deserialize(ChurnContext.Default.ChurnPhaseEntryArray) is { Length: > 0 } entries
                ? [.. entries.Select(entry => PhaseOf(entry, file))]
                : throw Broken(file);
        }
        catch (JsonException)
        {
            throw Broken(file);
        }
    }

    private static ChurnPhase PhaseOf(ChurnPhaseEntry entry, string file) =>
        entry is { Phase: not null, FiguresInstructions: { } values, FiguresCounts: { } counts }
            && new Distribution(values, counts) is { IsWellFormed: true } figures && figures.Count == entry.Count
            ? new ChurnPhase(entry.Phase, figures, entry.FirstTenth, entry.LastTenth)
            : throw Broken(file);

    private static long Number(JsonObject json, string key, string file) =>
        json[key] is JsonValue value && value.TryGetValue(out long number) ? number : throw Broken(file);

    private static string Text(long? number) => number?.ToString("N0", CultureInfo.InvariantCulture) ?? "-";

    private static CliException Broken(string file) => CliException.Usage(
        $"'{file}' lacks what a churn shard's document has", "run its shard again");
}

/// <summary>Generated code that reads and writes the phases.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ChurnPhaseEntry[]))]
internal sealed partial class ChurnContext : JsonSerializerContext;

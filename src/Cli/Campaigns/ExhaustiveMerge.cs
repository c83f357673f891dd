using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.Check;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// The shards of an exhaustive search, put together. A shard's document has its figures of all levels so far, so those
/// of the last level are all that it takes.
/// </summary>
internal static class ExhaustiveMerge
{
    /// <summary>Makes the document that one machine would have written.</summary>
    /// <param name="whole">A copy of the first shard's.</param>
    /// <param name="parts">Each shard once.</param>
    public static void Fill(JsonObject whole, IReadOnlyList<ShardDocument> parts)
    {
        ExhaustiveEntry[][] all = [.. parts.Select(part => EntriesOf(part.Json, part.File))];
        if (all.Any(entries => entries.Length != all[0].Length))
        {
            throw Broken(parts[0].File);
        }

        ExhaustiveEntry[] joined =
        [
            .. Enumerable.Range(0, all[0].Length).Select(search =>
                ExhaustiveEntry.Join([.. all.Select(entries => entries[search])])),
        ];
        whole["searches"] = JsonSerializer.SerializeToNode(joined, ExhaustiveContext.Default.ExhaustiveEntryArray);
        ((JsonObject)whole["config"]!).Remove("level");
    }

    /// <summary>The levels that are still to be run; none where the search is through.</summary>
    public static IEnumerable<string> LevelsLeft(JsonObject whole)
    {
        int steps = Steps(whole);
        ExhaustiveEntry[] left =
            [.. EntriesOf(whole).Where(search => !search.AnyLength && search.Depth < steps)];
        return left.Length == 0 ? [] : [FormattableString.Invariant($"level {left[0].Depth} of {steps} is the last")];
    }

    /// <summary>What was covered, in words.</summary>
    public static string Summary(JsonObject whole)
    {
        ExhaustiveEntry[] searches = EntriesOf(whole);
        return Counted.Of(searches.Sum(search => search.States), "distinct state") + ", "
            + Counted.Of(searches.Sum(search => search.Transitions), "transition");
    }

    /// <summary>What the search on one machine would have printed.</summary>
    public static void Tell(JsonObject whole, TextWriter writer) => CheckVerb.TellAll(
        EntriesOf(whole), ((JsonArray)whole["config"]!["features"]!).Count, Steps(whole), writer);

    private static int Steps(JsonObject whole) => whole["config"]!["steps"]!.GetValue<int>();

    private static ExhaustiveEntry[] EntriesOf(JsonObject json, string file = "the whole")
    {
        try
        {
            return json["searches"].Deserialize(ExhaustiveContext.Default.ExhaustiveEntryArray) is { Length: > 0 } found
                && Array.TrueForAll(
                    found, entry => entry.StatesByDepth is { Count: > 0 } && entry.Violations is not null)
                ? found
                : throw Broken(file);
        }
        catch (JsonException)
        {
            throw Broken(file);
        }
    }

    private static CliException Broken(string file) => CliException.Usage(
        $"'{file}' lacks what an exhaustive search's document has", "run its shard again");
}

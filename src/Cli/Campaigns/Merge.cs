using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Nodes;
using Quietus.Cli.Check;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Replay;

namespace Quietus.Cli.Campaigns;

/// <summary>Shards' documents put together to the document of the whole, and what is wrong with them.</summary>
/// <param name="Json">As one machine would have written it, with <c>merged</c> at its end.</param>
/// <param name="Schema">What it is.</param>
/// <param name="Missing">Shards that no document is of.</param>
/// <param name="Unfinished">Shards that were ended before their last thing.</param>
/// <param name="Repeated">Shards that ran more than once with one result.</param>
/// <param name="Contradicting">Shards that ran more than once with different results.</param>
internal sealed record Merge(
    JsonObject Json,
    string Schema,
    IReadOnlyList<string> Missing,
    IReadOnlyList<string> Unfinished,
    IReadOnlyList<string> Repeated,
    IReadOnlyList<string> Contradicting)
{
    /// <summary>
    /// What differs between shards of one work: the machine's memory stands in QEMU's command line, and a frame more
    /// or less goes over the wire of a slow host.
    /// </summary>
    private static readonly string[] _ownOfShard = ["qemu_command", "frames"];

    /// <summary>Whether all shards are there and whole.</summary>
    public bool IsComplete => Missing.Count + Unfinished.Count + Contradicting.Count == 0;

    /// <summary>Whether it found what a single run ends with exit code 1 for.</summary>
    public bool HasFailed => Violations.Any() || RowsMerge.FailedTraces(Json).Any()
        || (Schema == ChurnDocument.Name && !ChurnMerge.IsSound(Json));

    /// <summary>Violations, in the order in which they are told.</summary>
    public IEnumerable<JsonObject> Violations => (Schema == ExhaustiveDocument.Name
        ? ((JsonArray)Json["searches"]!).SelectMany(search => (JsonArray)search!["violations"]!)
        : Json["violations"] as JsonArray ?? []).OfType<JsonObject>();

    /// <summary>Puts documents of one work together; their order does not matter.</summary>
    /// <param name="documents">One at least.</param>
    public static Merge Of(IReadOnlyList<ShardDocument> documents)
    {
        ShardDocument first = documents[0];
        foreach (ShardDocument other in documents.Skip(1))
        {
            RequireSameWork(first, other);
        }

        List<ShardDocument> parts = [];
        List<string> repeated = [];
        List<string> contradicting = [];
        foreach (IGrouping<int, ShardDocument> same in documents.GroupBy(document => document.Shard.Index))
        {
            ShardDocument[] whole = [.. same.Where(document => document.IsComplete)];
            parts.Add(whole.Length != 0 ? whole[0] : same.First());
            if (whole.Length > 1)
            {
                bool isOne = Array.TrueForAll(whole, document => HasSameResult(whole[0], document));
                (isOne ? repeated : contradicting).Add(
                    $"{whole[0].Range}: {string.Join(", ", whole.Select(document => document.File))}");
            }
        }

        parts.Sort((one, other) => one.Shard.Index.CompareTo(other.Shard.Index));
        HashSet<int> there = [.. parts.Select(part => part.Shard.Index)];
        string[] missing =
        [
            .. Enumerable.Range(0, first.Shard.Count).Where(index => !there.Contains(index)).Select(index =>
                ShardDocument.Describe(
                    index, first.Shard.Count, new Shard(index, first.Shard.Count).Of(first.Shard.Of), first.Unit)),
        ];
        JsonObject json = Whole(parts);
        string[] unfinished =
        [
            .. parts.Where(part => !part.IsComplete).Select(part => $"{part.Range}: {part.File}"),
            .. first.Schema == ExhaustiveDocument.Name ? ExhaustiveMerge.LevelsLeft(json) : [],
        ];
        bool isWhole = missing.Length + unfinished.Length + contradicting.Count == 0;
        json[first.Schema == ChurnDocument.Name ? "interrupted" : "complete"] =
            first.Schema == ChurnDocument.Name ? !isWhole : isWhole;
        json["merged"] = new JsonObject
        {
            ["shards"] = first.Shard.Count,
            ["missing"] = ToArray(missing),
            ["unfinished"] = ToArray(unfinished),
            ["repeated"] = ToArray(repeated),
            ["contradicting"] = ToArray(contradicting),
        };
        if (RowsMerge.Percentiles(first.Schema, json) is { } percentiles)
        {
            json["merged"]!["percentiles"] = percentiles;
        }

        return new Merge(json, first.Schema, missing, unfinished, repeated, contradicting);
    }

    private static void RequireSameWork(ShardDocument one, ShardDocument other)
    {
        string? difference =
            one.Schema != other.Schema ? $"one is {one.Schema}, the other {other.Schema}"
            : one.Json["version"]?.ToString() != other.Json["version"]?.ToString() ? "they are of different versions"
            : one.Shard.Count != other.Shard.Count
                ? FormattableString.Invariant($"one is of {one.Shard.Count} shards, the other of {other.Shard.Count}")
            : DifferentKey((JsonObject)one.Json["config"]!, (JsonObject)other.Json["config"]!) is { } key
                ? $"their config differs in '{key}'"
            : one.Shard.Of != other.Shard.Of ? "the whole has another length"
            : null;
        if (difference is not null)
        {
            throw CliException.Usage(
                $"'{one.File}' and '{other.File}' are no shards of one work: {difference}",
                "give the documents of one campaign only");
        }
    }

    private static string? DifferentKey(JsonObject one, JsonObject other) =>
        one.Select(pair => pair.Key).Union(other.Select(pair => pair.Key)).Except(_ownOfShard)
            .FirstOrDefault(key => !JsonNode.DeepEquals(one[key], other[key]));

    /// <summary>Whether two runs of a shard found the same, but for the time that they took.</summary>
    private static bool HasSameResult(ShardDocument one, ShardDocument other)
    {
        return JsonNode.DeepEquals(Stripped(one.Json), Stripped(other.Json));

        static JsonObject Stripped(JsonObject json)
        {
            var copy = (JsonObject)json.DeepClone();
            copy.Remove("wall_ns");
            if (copy["config"] is JsonObject config)
            {
                foreach (string key in _ownOfShard)
                {
                    config.Remove(key);
                }
            }

            foreach (JsonObject row in (copy["rows"] as JsonArray ?? []).OfType<JsonObject>())
            {
                row.Remove("wall_ns");
            }

            return copy;
        }
    }

    private static JsonObject Whole(List<ShardDocument> parts)
    {
        var whole = (JsonObject)parts[0].Json.DeepClone();
        whole.Remove("shard");
        switch (parts[0].Schema)
        {
            case ExhaustiveDocument.Name:
                ExhaustiveMerge.Fill(whole, parts);
                break;
            case ChurnDocument.Name:
                ChurnMerge.Fill(whole, parts);
                break;
            case ReplaySetDocument.Name:
                RowsMerge.FillTraces(whole, parts);
                break;
            case CheckDocument.Name:
                FillPrograms(whole, parts);
                break;
            default:
                FillDeaths(whole, parts);
                break;
        }

        return whole;
    }

    private static void FillPrograms(JsonObject whole, List<ShardDocument> parts)
    {
        foreach (string key in (string[])["programs", "steps", "checks"])
        {
            whole[key] = parts.Sum(part => part.Json[key]!.GetValue<long>());
        }

        whole["violations"] = Violation(parts, whole["config"]!["all_findings"]!.GetValue<bool>());
    }

    private static void FillDeaths(JsonObject whole, List<ShardDocument> parts)
    {
        whole["rows"] = Copied(Joined(parts, "rows"));
        if (parts[0].Json["wall_ns"] is not null)
        {
            whole["wall_ns"] = parts.Sum(part => part.Json["wall_ns"]!.GetValue<long>());
            whole["notes"] = Copied(Joined(parts, "notes").DistinctBy(note => note.ToString()));
            whole["targets"] = Copied(Joined(parts, "targets")
                .OrderBy(target => target["met"]!.GetValue<bool>())
                .DistinctBy(target => target["name"]!.ToString()));
        }
    }

    /// <summary>What one machine would have shown: the lowest seed's, or that of each kind and reader.</summary>
    private static JsonArray Violation(List<ShardDocument> parts, bool all) => Copied(Joined(parts, "violations")
        .OrderBy(violation => violation["seed"]!.GetValue<int>())
        .DistinctBy(violation => $"{violation["kind"]} {violation["consumer"]}")
        .Take(all ? int.MaxValue : 1));

    private static IEnumerable<JsonNode> Joined(IEnumerable<ShardDocument> parts, string key) =>
        parts.SelectMany(part => part.Json[key] as JsonArray ?? []).OfType<JsonNode>();

    private static JsonArray Copied(IEnumerable<JsonNode> items) => new([.. items.Select(item => item.DeepClone())]);

    private static JsonArray ToArray(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode)text)]);
}

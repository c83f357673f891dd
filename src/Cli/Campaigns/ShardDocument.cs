using System;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.Bench;
using Quietus.Cli.Check;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Replay;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;

namespace Quietus.Cli.Campaigns;

/// <summary>A document that a shard has written, as it was read back.</summary>
/// <param name="File">Where it is.</param>
/// <param name="Schema">One of those that can be merged.</param>
/// <param name="Shard">Which part of the work it holds.</param>
/// <param name="Json">All of it.</param>
internal sealed record ShardDocument(string File, string Schema, ShardEntry Shard, JsonObject Json)
{
    private const string Next = "merge takes the JSON documents of check, sim, bench and replay with --shard";

    /// <summary>The documents that can be put together.</summary>
    private static readonly string[] _schemas =
    [
        CheckDocument.Name, ExhaustiveDocument.Name, SimulationDocument.Name, BenchDocument.Name, ChurnDocument.Name,
        ReplaySetDocument.Name,
    ];

    /// <summary>What the work is cut into; null where it goes by states' hashes, so by no range.</summary>
    public string? Unit => Schema switch
    {
        CheckDocument.Name => "programs",
        ExhaustiveDocument.Name => null,
        ChurnDocument.Name => "VMs",
        ReplaySetDocument.Name => "traces",
        _ => "deaths",
    };

    /// <summary>Whether the shard came to its end.</summary>
    public bool IsComplete => Schema == ChurnDocument.Name
        ? Json["interrupted"]?.GetValue<bool>() == false
        : Json["complete"]?.GetValue<bool>() == true;

    /// <summary>The part, for people: the last thing is included.</summary>
    public string Range => Describe(Shard.Index, Shard.Count, new ShardRange(Shard.First, Shard.End, Shard.Of), Unit);

    /// <summary>A part, for people.</summary>
    public static string Describe(int index, int count, ShardRange range, string? unit) =>
        unit is null ? FormattableString.Invariant($"shard {index}/{count}")
        : range.Length == 0 ? FormattableString.Invariant($"shard {index}/{count} (no {unit})")
        : FormattableString.Invariant($"shard {index}/{count} ({unit} {range.First} to {range.End - 1} of {range.Of})");

    /// <summary>Reads a document; a usage error that says what it is instead.</summary>
    public static ShardDocument Read(string file)
    {
        JsonObject json = JsonInput.Read(file, Next);
        try
        {
            return Of(file, json);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw CliException.Usage($"'{file}' is no whole JSON document: was its shard killed?", Next);
        }
    }

    private static ShardDocument Of(string file, JsonObject json)
    {
        string? schema = json["schema"]?.GetValue<string>();
        if (schema is null || !_schemas.Contains(schema))
        {
            throw CliException.Usage($"'{file}' is a {schema ?? "document without a schema"}", Next);
        }

        return json["shard"] is JsonObject shard && json["config"] is JsonObject
            ? new ShardDocument(file, schema, Checked(file, shard), json)
            : throw CliException.Usage($"'{file}' holds a whole result, not a shard's", Next);
    }

    private static ShardEntry Checked(string file, JsonObject json)
    {
        var entry = new ShardEntry(
            Number<int>("index"), Number<int>("count"), Number<long>("first"), Number<long>("end"),
            Number<long>("of"));
        return entry.Count is > 0 and <= Campaigns.Shard.Most && entry.Index >= 0 && entry.Index < entry.Count
            && entry.Of >= 0
            && new Shard(entry.Index, entry.Count).Of(entry.Of) == new ShardRange(entry.First, entry.End, entry.Of)
            ? entry
            : throw CliException.Usage($"'{file}': what it says of its shard is no part of a whole", Next);

        T Number<T>(string key) => (json[key] ?? throw new JsonException()).GetValue<T>();
    }
}

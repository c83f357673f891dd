using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary>A verb's work, cut into shards, and the folder in which their documents come together.</summary>
/// <param name="Verb">check, sim, bench or replay.</param>
/// <param name="Arguments">The verb's own, without --shard and --json.</param>
/// <param name="Shards">Into how many parts.</param>
/// <param name="Folder">A full path.</param>
internal sealed record CampaignPlan(string Verb, IReadOnlyList<string> Arguments, int Shards, string Folder)
{
    private const string JobsOption = "--jobs";

    /// <summary>What one shard may take before its engine ends it.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>Memory of one shard, in bytes, that an engine sets aside.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>How often a shard that wrote no document is started again.</summary>
    public required int Retries { get; init; }

    /// <summary>The container that an engine starts, where it starts containers.</summary>
    public string? Container { get; init; }

    /// <summary>The volume that an engine's pods share, where they need one.</summary>
    public string? Claim { get; init; }

    /// <summary>
    /// Of a work that goes by levels: one of them, as a campaign of its own in a folder of its own. Its shards read
    /// what those of the level before have left.
    /// </summary>
    /// <param name="level">From 0.</param>
    /// <param name="states">Where shards leave it.</param>
    public CampaignPlan Level(int level, string states) => this with
    {
        Arguments =
        [
            .. Arguments, "--level", level.ToString(CultureInfo.InvariantCulture), "--states", states,
        ],
        Folder = Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"level-{level:D2}")),
    };

    /// <summary>Threads of a shard: what the verb's --jobs says, or one.</summary>
    public int Jobs
    {
        get
        {
            for (int i = 0; i < Arguments.Count; i++)
            {
                string value = Arguments[i] == JobsOption && i + 1 < Arguments.Count ? Arguments[i + 1]
                    : Arguments[i].StartsWith(JobsOption + "=", StringComparison.Ordinal)
                        ? Arguments[i][(JobsOption.Length + 1)..]
                        : string.Empty;
                if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int jobs))
                {
                    return jobs;
                }
            }

            return 1;
        }
    }

    /// <summary>The name under which an engine lists it.</summary>
    public string Name => "quietus-" + Verb;

    /// <summary>Where the document of the whole comes to lie.</summary>
    public string MergedDocument => Path.Combine(Folder, "merged.json");

    /// <summary>Where a shard's document comes to lie; it is written whole or not at all.</summary>
    public string Document(int shard) =>
        Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"shard-{shard:D5}.json"));

    /// <summary>What a shard has written to stdout and stderr.</summary>
    public string Log(int shard) =>
        Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"shard-{shard:D5}.log"));

    /// <summary>A shard's words behind the program's name.</summary>
    /// <param name="shard">As --shard takes it.</param>
    /// <param name="json">As --json takes it.</param>
    public IReadOnlyList<string> Words(string shard, string json) =>
    [
        Verb, .. Arguments, .. HasJobs ? Array.Empty<string>() : [JobsOption, "1"], "--shard", shard, "--json", json,
    ];

    /// <summary>The shards that have no whole document yet.</summary>
    public int[] Pending() => [.. Enumerable.Range(0, Shards).Where(shard => !IsDone(shard))];

    /// <summary>Whether a shard's document is there, and whole.</summary>
    public bool IsDone(int shard)
    {
        try
        {
            return File.Exists(Document(shard)) && ShardDocument.Read(Document(shard)) is { IsComplete: true } there
                && there.Shard.Index == shard && there.Shard.Count == Shards;
        }
        catch (CliException)
        {
            return false;
        }
    }

    /// <summary>
    /// Makes the folder, or finds in it the same campaign, which then goes on with what is missing. A usage error where
    /// it holds another.
    /// </summary>
    public void Prepare()
    {
        string file = Path.Combine(Folder, "campaign.json");
        string text = JsonSerializer.Serialize(
            new CampaignRecord(ThisProgram.Version, Verb, Arguments, Shards), CampaignContext.Default.CampaignRecord);
        try
        {
            Directory.CreateDirectory(Folder);
            if (!File.Exists(file))
            {
                File.WriteAllText(file, text);
            }
            else if (File.ReadAllText(file) != text)
            {
                throw CliException.Usage(
                    Printable.Line($"{Folder} holds another campaign, or one of another version"),
                    "give another --folder, or remove that one");
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage(
                Printable.Line($"--folder: {Folder} cannot be used: {error.Message}"), "give another --folder");
        }
    }

    /// <summary>Puts together what is there; null where nothing is.</summary>
    public Merge? Collect()
    {
        ShardDocument[] documents =
        [
            .. Enumerable.Range(0, Shards).Where(IsDone).Select(shard => ShardDocument.Read(Document(shard))),
        ];
        return documents.Length == 0 ? null : Merge.Of(documents);
    }

    private bool HasJobs => Arguments.Any(word => word == JobsOption
        || word.StartsWith(JobsOption + "=", StringComparison.Ordinal));
}

/// <summary>What a campaign's folder is the folder of.</summary>
internal sealed record CampaignRecord(string Version, string Verb, IReadOnlyList<string> Arguments, int Shards);

/// <summary>Generated code for what campaigns read and write for themselves.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(CampaignRecord))]
[JsonSerializable(typeof(string))]
internal sealed partial class CampaignContext : JsonSerializerContext;

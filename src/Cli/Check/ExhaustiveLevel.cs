using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Search;
using Policies = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Check;

/// <summary>
/// A shard's part of one level of an exhaustive search. It reads what all shards left at the level before, and leaves
/// what the next one needs: files in a folder that all shards have, each written beside and renamed, the document last.
/// The same shard run again writes the same bytes.
/// </summary>
/// <param name="work">What is searched.</param>
/// <param name="shard">Which part.</param>
/// <param name="depth">The level: steps of the programs to its states.</param>
/// <param name="folder">Where the levels are.</param>
internal sealed class ExhaustiveLevel(ExhaustiveWork work, Shard shard, int depth, string folder)
{
    private StateExpansion? _expansion;

    /// <summary>The level.</summary>
    public int Depth => depth;

    /// <summary>How far it is, for people.</summary>
    public string Progress => "level " + depth.ToString(CultureInfo.InvariantCulture) + ": "
        + Counted.Of(Volatile.Read(ref _expansion)?.Transitions ?? 0, "transition");

    /// <summary>
    /// Runs it and returns the shard's document of all levels so far; null where it was cancelled, and then nothing is
    /// left that the next level takes. A usage error where the level before is not there.
    /// </summary>
    public ExhaustiveDocument? Run(int jobs, CancellationToken cancellation)
    {
        ExhaustiveEntry[] before = depth == 0 ? [] : ReadEntries();
        List<ExhaustiveEntry> entries = [];
        foreach ((Policies policy, ExhaustiveBounds bounds) in work.Searches)
        {
            int search = entries.Count;
            if (RunOne(search, policy, bounds, jobs, cancellation) is not { } entry)
            {
                return null;
            }

            entries.Add(depth == 0 ? entry : Added(before[search], entry));
        }

        var document = new ExhaustiveDocument(
            work.Configuration(depth), ShardEntry.For(shard, shard.Count), true, entries);
        Put(DocumentOf(depth), document.Write);
        return document;
    }

    private ExhaustiveEntry? RunOne(
        int search, Policies policy, ExhaustiveBounds bounds, int jobs, CancellationToken cancellation)
    {
        var expansion = new StateExpansion(Subject.Engine, CheckVerb.ToEngine(policy), bounds);
        Volatile.Write(ref _expansion, expansion);
        var part = new ExhaustiveShard(shard.Index, shard.Count);
        IReadOnlyList<ReachedState> own = depth == 0 ? part.Begin(expansion) : Accept(search);
        IReadOnlyList<IReadOnlyList<ReachedState>>? reached =
            part.Expand(expansion, depth < bounds.Steps ? own : [], jobs, cancellation);
        if (reached is null)
        {
            return null;
        }

        Put(FileOf(depth, shard.Index, search), stream => LevelFile.Write(
            stream, Identity(search), depth, shard.Index, own, reached));
        return new ExhaustiveEntry(
            policy.Name, ExhaustiveWork.Features(bounds), own.Count, expansion.Transitions, depth, false,
            [own.Count], ExhaustiveWork.Violations(policy, bounds, expansion.Findings()));
    }

    /// <summary>This shard's new states of this level.</summary>
    private IReadOnlyList<ReachedState> Accept(int search)
    {
        var seen = new HashSet<UInt128>();
        for (int level = 0; level < depth; level++)
        {
            Read(level, shard.Index, search, file => seen.UnionWith(
                file.Own().Select(state => state.Hash).OfType<UInt128>()));
        }

        var handedOver = new List<IReadOnlyList<ReachedState>>();
        for (int from = 0; from < shard.Count; from++)
        {
            Read(depth - 1, from, search, file => handedOver.Add([.. file.HandedOverTo(shard.Index)]));
        }

        return ExhaustiveShard.Accept(handedOver, seen);
    }

    /// <summary>A shard's figures up to the level before, and those of this level.</summary>
    private static ExhaustiveEntry Added(ExhaustiveEntry before, ExhaustiveEntry now) => now with
    {
        States = before.States + now.States,
        Transitions = before.Transitions + now.Transitions,
        StatesByDepth = [.. before.StatesByDepth, .. now.StatesByDepth],
        Violations = ExhaustiveEntry.FirstOfEach(before.Violations.Concat(now.Violations)),
    };

    private void Read(int level, int from, int search, Action<LevelFile> read)
    {
        string path = FileOf(level, from, search);
        try
        {
            using FileStream stream = File.OpenRead(path);
            read(LevelFile.Open(stream, Identity(search), level, from, shard.Count));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw Missing(level, from, error is FileNotFoundException or DirectoryNotFoundException
                ? "it is not there" : error.Message);
        }
    }

    /// <summary>This shard's own document of the level before.</summary>
    private ExhaustiveEntry[] ReadEntries()
    {
        string path = DocumentOf(depth - 1);
        try
        {
            using FileStream stream = File.OpenRead(path);
            ExhaustiveEntry[]? entries = JsonNode.Parse(stream)?["searches"]?.Deserialize(
                ExhaustiveContext.Default.ExhaustiveEntryArray);
            return entries is not null && entries.Length == work.Searches.Count()
                && Array.TrueForAll(entries, entry => entry.StatesByDepth.Count == depth)
                ? entries
                : throw new JsonException("it is no document of this search");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw Missing(depth - 1, shard.Index, error.Message);
        }
    }

    private CliException Missing(int level, int from, string why) => CliException.Usage(
        FormattableString.Invariant($"--states: level {level} of shard {from}/{shard.Count} cannot be read: ")
            + Printable.Line(why),
        FormattableString.Invariant($"run --shard {from}/{shard.Count} --level {level} first"));

    private static void Put(string path, Action<Stream> write)
    {
        string beside = FormattableString.Invariant(
            $"{path}.{Environment.MachineName}-{Environment.ProcessId}.part");
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            using (FileStream stream = File.Create(beside))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(beside, path, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(
                ExitCode.Failed, Printable.Line($"--states: '{path}' could not be written: {error.Message}"),
                "make room or give another folder, and run this shard's level again");
        }
    }

    /// <summary>What tells one search's files from another's.</summary>
    private string Identity(int search)
    {
        (Policies policy, ExhaustiveBounds bounds) = work.Searches.ElementAt(search);
        return $"{ThisProgram.Version} {policy.Name} {ExhaustiveWork.Words(bounds)}";
    }

    private string FileOf(int level, int from, int search) => Path.Combine(
        FolderOf(level), FormattableString.Invariant($"shard-{from:D5}.search-{search:D3}"));

    private string DocumentOf(int level) => Path.Combine(
        FolderOf(level), FormattableString.Invariant($"shard-{shard.Index:D5}.json"));

    private string FolderOf(int level) => Path.Combine(folder, FormattableString.Invariant($"level-{level:D2}"));
}

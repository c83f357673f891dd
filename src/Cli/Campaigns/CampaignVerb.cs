using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Check;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary><c>quietus campaign</c>: a verb's work in many shards, on an engine that a cluster already has.</summary>
internal static class CampaignVerb
{
    private static readonly string[] _verbs = ["check", "sim", "bench", "replay"];

    /// <summary>What a campaign gives its shards, or has for itself.</summary>
    private static readonly string[] _own =
        ["--shard", "--json", "--csv", "--markdown", "--report", "--record", "--level", "--states"];

    private static readonly Argument<string> _verb = new("verb")
    {
        Description = "check, sim, bench or replay, with its own options behind it",
        HelpName = "verb [options]",
    };

    private static readonly Value<string?> _on = Values.Choice(
        "--on", "engine", "What starts the shards: local (processes here), slurm, kubernetes", "engine",
        CampaignEngine.Names, "local");

    private static readonly Value<int?> _shards = Values.Number(
        "--shards", "Into how many parts the work is cut", "number of shards", 1, Shard.Most, "8");

    private static readonly Value<string?> _folder = Values.Text(
        "--folder", "dir", "Where documents, logs and the job are kept; what is there already is not run again "
            + "[default: campaign-VERB]");

    private static readonly Value<TimeSpan?> _limit =
        Values.Time("--shard-limit", "How long one shard may take [default: 12h]");

    private static readonly Value<long?> _memory = new(
        "--shard-memory", "size", "Memory that a cluster sets aside for one shard [default: 2G]", ReadMemory);

    private static readonly Value<int?> _retries = Values.Number(
        "--retries", "How often a shard that died is started again", "number of retries", 0, 10, "2");

    private static readonly Value<string?> _container = Values.Text(
        "--container", "image", "For --on kubernetes: the container, built from the Containerfile");

    private static readonly Value<string?> _claim = Values.Text(
        "--claim", "name", "For check --exhaustive --on kubernetes: the PersistentVolumeClaim that all pods share");

    private static readonly Option<bool> _write = new("--write-only")
    {
        Description = "Write the job to be submitted by hand, and start nothing",
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command(
            "campaign", "Run check, sim, bench or replay in many shards: here, on Slurm or Kubernetes")
        {
            _verb, _on, _shards, _folder, _limit, _memory, _retries, _container, _claim, _write,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        CampaignPlan plan = ReadPlan(result);
        CampaignEngine engine = CampaignEngine.Of(_on.Of(result)!);
        int? last = LastLevel(plan);
        if (plan.Claim is not null && (last is null || engine is not KubernetesEngine))
        {
            throw CliException.Usage(
                "--claim is for check --exhaustive on Kubernetes", "other shards leave nothing to each other");
        }

        CampaignPlan[] parts = last is int steps
            ? [.. Enumerable.Range(0, steps + 1).Select(level => plan.Level(level, engine.States(plan)))]
            : [plan];
        await CheckAsync(parts[0], cancellation).ConfigureAwait(false);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        plan.Prepare();
        if (result.GetValue(_write))
        {
            Console.WriteLine(WriteAll(plan, parts, engine) is { } written
                ? $"{written.File}\nsubmit it with: {written.Command}\nthen run this command without --write-only: "
                    + "it collects and merges"
                : "--on local has nothing to submit");
            return ExitCode.Ok;
        }

        Merge merge = await RunAsync(parts[0], engine, cancellation).ConfigureAwait(false);
        for (int level = 1; level < parts.Length && merge.Missing.Count == 0 && !merge.IsComplete; level++)
        {
            Notice.Progress(FormattableString.Invariant(
                $"level {level} of {last}: {ExhaustiveMerge.Summary(merge.Json)} so far"));
            merge = await RunAsync(parts[level], engine, cancellation).ConfigureAwait(false);
        }

        return MergeVerb.Write(merge, new Outputs(plan.MergedDocument, null, null, null));
    }

    /// <summary>Writes the job, or one for each level and what submits them in order.</summary>
    private static (string File, string Command)? WriteAll(
        CampaignPlan plan, IReadOnlyList<CampaignPlan> parts, CampaignEngine engine)
    {
        List<(string File, string Command)> jobs = [];
        foreach (CampaignPlan part in parts)
        {
            part.Prepare();
            if (engine.Write(part) is not { } job)
            {
                return null;
            }

            jobs.Add(job);
        }

        return jobs.Count == 1 ? jobs[0] : engine.WriteChain(plan, jobs);
    }

    /// <summary>The last level of a search that goes by levels; null for all other work.</summary>
    private static int? LastLevel(CampaignPlan plan)
    {
        const string Bounds = "--exhaustive";
        if (plan.Verb != "check")
        {
            return null;
        }

        string[] words = [.. plan.Arguments];
        int at = Array.FindIndex(
            words, word => word == Bounds || word.StartsWith(Bounds + "=", StringComparison.Ordinal)
                || word.StartsWith(Bounds + ":", StringComparison.Ordinal));
        return at < 0 ? null
            : words[at] != Bounds ? CheckVerb.ReadBounds(words[at][(Bounds.Length + 1)..])[0].Steps
            : at + 1 < words.Length ? CheckVerb.ReadBounds(words[at + 1])[0].Steps
            : throw CliException.Usage("--exhaustive has an empty value", "give it pes=2,vms=2,pages=2,steps=8");
    }

    private static async Task<Merge> RunAsync(
        CampaignPlan plan, CampaignEngine engine, CancellationToken cancellation)
    {
        plan.Prepare();
        engine.Write(plan);
        int[] pending = plan.Pending();
        if (pending.Length < plan.Shards)
        {
            Notice.Write(FormattableString.Invariant(
                $"{plan.Shards - pending.Length} of {plan.Shards} shards are there already"));
        }

        try
        {
            for (int attempt = 0; pending.Length != 0 && attempt <= plan.Retries; attempt++)
            {
                await engine.RunAsync(
                    plan, pending,
                    what => Notice.Progress(FormattableString.Invariant(
                        $"[{plan.Shards - plan.Pending().Length}/{plan.Shards}] {what}")),
                    cancellation).ConfigureAwait(false);
                pending = plan.Pending();
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            if (engine.LeftRunning(plan) is { } left)
            {
                Notice.Write(left);
            }

            throw;
        }

        return plan.Collect() ?? throw new CliException(
            ExitCode.Failed, "no shard has come to a result",
            $"the logs are in {Printable.Line(plan.Folder)}; the same command tries again");
    }

    private static CampaignPlan ReadPlan(ParseResult result)
    {
        string verb = result.GetValue(_verb)!;
        if (!_verbs.Contains(verb))
        {
            throw CliException.Usage(
                $"campaign takes no '{Printable.Line(verb)}'",
                "it takes check, sim, bench or replay, and their options");
        }

        IReadOnlyList<string> words = result.UnmatchedTokens;
        if (words.FirstOrDefault(word => _own.Any(
            own => word == own || word.StartsWith(own + "=", StringComparison.Ordinal))) is { } own)
        {
            throw CliException.Usage(
                $"{own} is not for a campaign",
                "its shards write documents of their own, and ./quietus merge reads them");
        }

        var plan = new CampaignPlan(
            verb, words, _shards.Of(result)!.Value, Path.GetFullPath(_folder.Of(result) ?? "campaign-" + verb))
        {
            Limit = _limit.Of(result) ?? TimeSpan.FromHours(12),
            MemoryBytes = _memory.Of(result) ?? 2 * ByteSize.Gigabyte,
            Retries = _retries.Of(result)!.Value,
            Container = _container.Of(result),
            Claim = _claim.Of(result),
        };
        return plan;
    }

    /// <summary>What a shard would say of its command line, before a thousand of them say it.</summary>
    private static async Task CheckAsync(CampaignPlan plan, CancellationToken cancellation)
    {
        RootCommand root = Commands.Make(cancellation);
        string[] words = ["[validate]", .. plan.Words(new Shard(0, plan.Shards).ToString(), "-")];
        ParseResult shard = root.Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (shard.Errors.Count != 0)
        {
            throw Commands.Usage(words, shard, root);
        }

        try
        {
            await shard.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false }, cancellation)
                .ConfigureAwait(false);
        }
        catch (CliException error) when (error.ExitCode == ExitCode.NotSupported)
        {
            // The machine that runs the shards may have what this one lacks.
        }
    }

    private static long? ReadMemory(string text) => ByteSize.TryParse(text, out long bytes)
        && bytes >= 256 * ByteSize.Megabyte
        ? bytes
        : throw CliException.Usage($"'{text}' is no memory of a shard",
            "--shard-memory takes 256M and more, such as 2G");
}

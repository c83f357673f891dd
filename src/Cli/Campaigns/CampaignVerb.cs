using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Campaigns;

/// <summary><c>quietus campaign</c>: a verb's work in many shards, on an engine that a cluster already has.</summary>
internal static class CampaignVerb
{
    private static readonly string[] _verbs = ["check", "sim", "bench"];

    /// <summary>What a campaign gives its shards, or has for itself.</summary>
    private static readonly string[] _own = ["--shard", "--json", "--csv", "--markdown", "--report", "--record"];

    private static readonly Argument<string> _verb = new("verb")
    {
        Description = "check, sim or bench, with its own options behind it",
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

    private static readonly Option<bool> _write = new("--write-only")
    {
        Description = "Write the job to be submitted by hand, and start nothing",
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("campaign", "Run check, sim or bench in many shards: here, on Slurm or Kubernetes")
        {
            _verb, _on, _shards, _folder, _limit, _memory, _retries, _container, _write,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        CampaignPlan plan = ReadPlan(result);
        await CheckAsync(plan, cancellation).ConfigureAwait(false);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        CampaignEngine engine = CampaignEngine.Of(_on.Of(result)!);
        plan.Prepare();
        (string File, string Command)? job = engine.Write(plan);
        if (result.GetValue(_write))
        {
            Console.WriteLine(job is { } written
                ? $"{written.File}\nsubmit it with: {written.Command}\nthen run this command without --write-only: "
                    + "it collects and merges"
                : "--on local has nothing to submit");
            return ExitCode.Ok;
        }

        return await RunAsync(plan, engine, cancellation).ConfigureAwait(false);
    }

    private static async Task<int> RunAsync(CampaignPlan plan, CampaignEngine engine, CancellationToken cancellation)
    {
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

        if (plan.Collect() is not { } merge)
        {
            throw new CliException(
                ExitCode.Failed, "no shard has come to a result",
                $"the logs are in {Printable.Line(plan.Folder)}; the same command tries again");
        }

        return MergeVerb.Write(merge, new Outputs(plan.MergedDocument, null, null, null));
    }

    private static CampaignPlan ReadPlan(ParseResult result)
    {
        string verb = result.GetValue(_verb)!;
        if (!_verbs.Contains(verb))
        {
            throw CliException.Usage(
                $"campaign takes no '{Printable.Line(verb)}'", "it takes check, sim or bench, and their options");
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

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Campaigns;

/// <summary>Processes of this machine, as many at a time as its cores are for. They end with the campaign.</summary>
internal sealed class LocalEngine : CampaignEngine
{
    public override (string File, string Command)? Write(CampaignPlan plan) => null;

    public override async Task RunAsync(
        CampaignPlan plan, IReadOnlyList<int> shards, Action<string> said, CancellationToken cancellation)
    {
        var parallel = new ParallelOptions
        {
            MaxDegreeOfParallelism = Math.Max(1, Environment.ProcessorCount / plan.Jobs),
            CancellationToken = cancellation,
        };
        await Parallel.ForEachAsync(
            shards, parallel, async (shard, stop) => said(await RunOneAsync(plan, shard, stop).ConfigureAwait(false)))
            .ConfigureAwait(false);
    }

    private static async Task<string> RunOneAsync(CampaignPlan plan, int shard, CancellationToken cancellation)
    {
        var name = new Shard(shard, plan.Shards);
        using Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(
            Environment.ProcessPath!,
            [typeof(LocalEngine).Assembly.Location, "--quiet", .. plan.Words(name.ToString(), plan.Document(shard))]))
            .ConfigureAwait(false);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(plan.Limit);
        try
        {
            process.StandardInput.Close();
            using (FileStream log = File.Create(plan.Log(shard)))
            using (Stream shared = Stream.Synchronized(log))
            {
                await Task.WhenAll(
                    process.StandardOutput.BaseStream.CopyToAsync(shared, limit.Token),
                    process.StandardError.BaseStream.CopyToAsync(shared, limit.Token)).ConfigureAwait(false);
            }

            await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"shard {name} was ended after {plan.Limit.TotalSeconds:0} s";
        }
        finally
        {
            ChildKeeper.Kill(process);
        }

        if (process.ExitCode is ExitCode.Usage or ExitCode.NotSupported)
        {
            string[] lines = [.. File.ReadLines(plan.Log(shard)).Where(line => line.Length != 0).Take(2)];
            throw new CliException(
                process.ExitCode,
                lines.Length == 0 ? $"shard {name} was refused" : After("quietus: ", lines[0]),
                lines.Length < 2 ? null : After("  next: ", lines[1]));
        }

        return plan.IsDone(shard)
            ? $"shard {name} is done"
            : FormattableString.Invariant(
                $"shard {name} ended with {process.ExitCode} and no result: {plan.Log(shard)}");
    }

    private static string After(string head, string line) =>
        line.StartsWith(head, StringComparison.Ordinal) ? line[head.Length..] : line;
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// A job array of Slurm (sbatch(1)). The folder, and the program, must be at the same place on every node, as home
/// folders of clusters are.
/// </summary>
internal sealed class SlurmEngine : CampaignEngine
{
    private static readonly TimeSpan _betweenLooks = TimeSpan.FromSeconds(2);

    public override (string File, string Command)? Write(CampaignPlan plan)
    {
        string script = Path.Combine(plan.Folder, "job.sh");
        string words = string.Join(' ', plan.Words("auto", "@").SkipLast(1).Select(ShellWord.Quote));
        File.WriteAllText(script, string.Create(CultureInfo.InvariantCulture, $"""
            #!/bin/bash
            # One task for each shard. A task that is to run again alone: sbatch --array=3 {ShellWord.Quote(script)}
            #SBATCH --job-name={plan.Name}
            #SBATCH --array=0-{plan.Shards - 1}
            #SBATCH --ntasks=1
            #SBATCH --cpus-per-task={plan.Jobs}
            #SBATCH --mem={plan.MemoryBytes / ByteSize.Megabyte}M
            #SBATCH --time={(int)Math.Ceiling(plan.Limit.TotalMinutes)}
            #SBATCH --requeue
            #SBATCH --open-mode=truncate
            #SBATCH --output={Path.Combine(plan.Folder, "task-%a.log")}
            set -eu
            export {Shard.CountVariable}={plan.Shards}
            export QUIETUS_HOME={ShellWord.Quote(Folders.Home ?? Environment.CurrentDirectory)}
            export QUIETUS_IMAGE={ShellWord.Quote(Folders.Image)} QUIETUS_CACHE={ShellWord.Quote(Folders.Cache)}
            document=$(printf 'shard-%05d.json' "$SLURM_ARRAY_TASK_ID")
            exec {ShellWord.Quote(Environment.ProcessPath!)} {ShellWord.Quote(typeof(SlurmEngine).Assembly.Location)} \
                {words} {ShellWord.Quote(plan.Folder)}/"$document"

            """));
        return (script, "sbatch " + ShellWord.Quote(script));
    }

    protected override IEnumerable<string> ChainOf(IReadOnlyList<(string File, string Command)> jobs) =>
    [
        "# One array for each level, which starts when the one before has ended.",
        "set -eu",
        $"job=$(sbatch --parsable {ShellWord.Quote(jobs[0].File)})",
        .. jobs.Skip(1).Select(job =>
            $"job=$(sbatch --parsable --dependency=afterany:${{job%;*}} {ShellWord.Quote(job.File)})"),
        "echo \"the last job is $job\"",
    ];

    public override async Task RunAsync(
        CampaignPlan plan, IReadOnlyList<int> shards, Action<string> said, CancellationToken cancellation)
    {
        string sbatch = Programs.Find("sbatch") ?? throw CliException.NotSupported(
            "sbatch is not there: this machine cannot submit to Slurm",
            $"submit {Path.Combine(plan.Folder, "job.sh")} where it is, then run this again: it collects and merges");
        string job = await FindAsync(plan, cancellation).ConfigureAwait(false)
            ?? await SubmitAsync(plan, sbatch, shards, cancellation).ConfigureAwait(false);
        said("job " + job);
        string last = string.Empty;
        while (await StatesAsync(job, cancellation).ConfigureAwait(false) is { Count: > 0 } states)
        {
            string now = string.Join(", ", states.GroupBy(state => state).OrderBy(group => group.Key)
                .Select(group => string.Create(
                    CultureInfo.InvariantCulture, $"{group.Count()} {group.Key.ToLowerInvariant()}")));
            if (now != last)
            {
                said(now);
                last = now;
            }

            await Task.Delay(_betweenLooks, cancellation).ConfigureAwait(false);
        }

        File.Delete(JobFile(plan));
    }

    public override string? LeftRunning(CampaignPlan plan) => File.Exists(JobFile(plan))
        ? $"job {File.ReadAllText(JobFile(plan))} goes on; the same command waits for it again, scancel ends it"
        : null;

    private static string JobFile(CampaignPlan plan) => Path.Combine(plan.Folder, "job.id");

    /// <summary>The job that an interrupted campaign has left behind, if it still runs.</summary>
    private static async Task<string?> FindAsync(CampaignPlan plan, CancellationToken cancellation)
    {
        if (!File.Exists(JobFile(plan)))
        {
            return null;
        }

        string job = (await File.ReadAllTextAsync(JobFile(plan), cancellation).ConfigureAwait(false)).Trim();
        return job.All(char.IsAsciiDigit)
            && (await StatesAsync(job, cancellation).ConfigureAwait(false)).Count != 0 ? job : null;
    }

    private static async Task<string> SubmitAsync(
        CampaignPlan plan, string sbatch, IReadOnlyList<int> shards, CancellationToken cancellation)
    {
        List<string> words = ["--parsable"];
        if (shards.Count < plan.Shards)
        {
            words.Add("--array=" + string.Join(',', shards));
        }

        // "123" or "123;cluster".
        string job = (await Programs.OutputAsync(
            sbatch, [.. words, Path.Combine(plan.Folder, "job.sh")], cancellation).ConfigureAwait(false))
            .Trim().Split(';')[0];
        if (job.Length == 0 || !job.All(char.IsAsciiDigit))
        {
            throw new CliException(
                ExitCode.Failed, "Slurm did not take the job",
                $"sbatch {ShellWord.Quote(Path.Combine(plan.Folder, "job.sh"))} says why");
        }

        await File.WriteAllTextAsync(JobFile(plan), job, cancellation).ConfigureAwait(false);
        return job;
    }

    /// <summary>The states of a job's tasks that are not over; a job that is not known any more has none.</summary>
    private static async Task<List<string>> StatesAsync(string job, CancellationToken cancellation)
    {
        string squeue = Programs.Find("squeue") ?? throw CliException.NotSupported(
            "squeue is not there: this machine cannot follow a job", "run this again where it is");
        string output = await Programs.OutputAsync(
            squeue, ["--noheader", "--array", "--job", job, "--format=%T"], cancellation).ConfigureAwait(false);
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Where(state => state != "COMPLETING")];
    }
}

using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Campaigns;

/// <summary>What starts a campaign's shards: processes of this machine, or a cluster's own scheduler.</summary>
internal abstract class CampaignEngine
{
    /// <summary>The names that --on takes.</summary>
    public static IReadOnlyList<string> Names { get; } = ["local", "slurm", "kubernetes"];

    /// <summary>The engine of a name.</summary>
    public static CampaignEngine Of(string name) => name switch
    {
        "slurm" => new SlurmEngine(),
        "kubernetes" => new KubernetesEngine(),
        _ => new LocalEngine(),
    };

    /// <summary>Where shards keep what they leave to each other, as they see it.</summary>
    public virtual string States(CampaignPlan plan) => Path.Combine(plan.Folder, "states");

    /// <summary>
    /// Writes what the engine is given, so that a person can read it and submit it by hand.
    /// </summary>
    /// <returns>The file, and the command that submits it; null where there is none.</returns>
    public abstract (string File, string Command)? Write(CampaignPlan plan);

    /// <summary>
    /// Writes what submits jobs one after the other, each when the one before has ended.
    /// </summary>
    /// <param name="plan">The whole.</param>
    /// <param name="jobs">What <see cref="Write"/> has returned for each.</param>
    /// <returns>As for one.</returns>
    public (string File, string Command)? WriteChain(
        CampaignPlan plan, IReadOnlyList<(string File, string Command)> jobs)
    {
        if (ChainOf(jobs) is not { } lines)
        {
            return null;
        }

        string script = Path.Combine(plan.Folder, "submit.sh");
        File.WriteAllLines(script, ["#!/bin/bash", .. lines]);
        return (script, "bash " + ShellWord.Quote(script));
    }

    /// <summary>
    /// Runs shards, and returns when none of them runs any more, whether each has written its document or not.
    /// </summary>
    /// <param name="plan">What they are shards of.</param>
    /// <param name="shards">Their numbers.</param>
    /// <param name="said">Told of what happens, in a line.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    public abstract Task RunAsync(
        CampaignPlan plan, IReadOnlyList<int> shards, Action<string> said, CancellationToken cancellation);

    /// <summary>The shell's lines that submit jobs in order; null where nothing is submitted.</summary>
    protected virtual IEnumerable<string>? ChainOf(IReadOnlyList<(string File, string Command)> jobs) => null;

    /// <summary>What is to be known when the waiting has been interrupted; null where nothing is left.</summary>
    public virtual string? LeftRunning(CampaignPlan plan) => null;
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Terminals;
using Quietus.Simulator;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>Many traces, each of one VM, to be played again in the same way.</summary>
internal sealed record ReplaySetPlan
{
    /// <summary>The traces' files, as they were given.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    public required IReadOnlyList<MachinePreset> Machines { get; init; }

    public required IReadOnlyList<MaintenancePolicy> Policies { get; init; }

    public required UnmapCause Cause { get; init; }

    /// <summary>The part of them that is to be played; null for all.</summary>
    public required Shard? Shard { get; init; }

    /// <summary>Which of them are to be played.</summary>
    public ShardRange Part => (Shard ?? new Shard(0, 1)).Of(Files.Count);

    /// <summary>The command that plays all of them again.</summary>
    public required string Command { get; init; }
}

/// <summary>One trace of many: what playing it came to, or why it could not be played.</summary>
/// <param name="File">As it was given.</param>
/// <param name="Result">Null where it could not be played.</param>
/// <param name="Error">Null where it was.</param>
internal sealed record ReplayedTrace(string File, ReplayResult? Result, string? Error);

/// <summary>What many traces came to.</summary>
/// <param name="Plan">What was to be done.</param>
/// <param name="Traces">In the order of the files; fewer than the plan has when it was interrupted.</param>
internal sealed record ReplaySet(ReplaySetPlan Plan, IReadOnlyList<ReplayedTrace> Traces)
{
    public bool IsComplete => Traces.Count == Plan.Part.Length;

    /// <summary>Every trace's rows, in the order of the files.</summary>
    public IEnumerable<(string File, ReplayRow Row)> Rows => Traces.SelectMany(
        trace => trace.Result?.Rows ?? [], (trace, row) => (trace.File, row));

    /// <summary>
    /// Plays the plan's part. A trace that cannot be read is told, and the others are played; when it is interrupted,
    /// what was done so far is the result.
    /// </summary>
    /// <param name="plan">What to play.</param>
    /// <param name="jobs">Traces at a time; each may take 400 MB.</param>
    /// <param name="play">Reads and plays one; throws <see cref="CliException"/>.</param>
    /// <param name="cancellation">Ends it.</param>
    public static ReplaySet Run(
        ReplaySetPlan plan, int jobs, Func<string, ReplayResult> play, CancellationToken cancellation)
    {
        var traces = new ReplayedTrace?[plan.Part.Length];
        using var progress = WorkProgress.Start(traces.Length, "reading");
        try
        {
            Parallel.For(
                0, traces.Length,
                new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                index =>
                {
                    string file = plan.Files[(int)plan.Part.First + index];
                    progress.Begins(Printable.Line(file));
                    traces[index] = PlayOne(file, play);
                    progress.Finished(Printable.Line(traces[index]!.Error ?? file));
                });
        }
        catch (Exception error) when (cancellation.IsCancellationRequested
            && error is OperationCanceledException or AggregateException)
        {
        }

        return new ReplaySet(plan, [.. traces.OfType<ReplayedTrace>()]);
    }

    private static ReplayedTrace PlayOne(string file, Func<string, ReplayResult> play)
    {
        try
        {
            return new(file, play(file), Error: null);
        }
        catch (CliException error)
        {
            return new(file, Result: null, error.Message);
        }
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>The same program in many children, some at a time. What they write is read and dropped.</summary>
/// <param name="plan">How often, and how many at a time.</param>
/// <param name="run">Runs it once, with these streams.</param>
internal sealed class ExecRepeat(ExecPlan plan, Func<JobStreams, CancellationToken, Task<JobOutcome>> run)
{
    private readonly JobOutcome?[] _outcomes = new JobOutcome?[plan.Repeat];
    private int _next;
    private int _done;

    /// <summary>Runs them all; the first that fails for a reason that is not the program's ends it.</summary>
    public async Task<IReadOnlyList<JobOutcome>> RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] workers = [.. Enumerable.Range(0, plan.Parallel).Select(_ => WorkAsync(stop))];
        try
        {
            await Task.WhenAll(workers).ConfigureAwait(false);
        }
        catch (Exception) when (Array.Find(workers, worker => worker.IsFaulted) is { } failed)
        {
            // The others were only cancelled.
            await failed.ConfigureAwait(false);
        }
        finally
        {
            Notice.Status(string.Empty);
        }

        return [.. _outcomes.Select(outcome => outcome!)];
    }

    private async Task WorkAsync(CancellationTokenSource stop)
    {
        try
        {
            int number;
            while ((number = Interlocked.Increment(ref _next) - 1) < plan.Repeat)
            {
                _outcomes[number] = await run(
                    new JobStreams(Input: null, Stream.Null, Stream.Null), stop.Token).ConfigureAwait(false);
                int done = Interlocked.Increment(ref _done);
                Notice.Status(string.Create(CultureInfo.InvariantCulture, $"{done:N0} of {plan.Repeat:N0}"));
            }
        }
        catch
        {
            await stop.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }
}

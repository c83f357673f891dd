using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Exec;

/// <summary>
/// One job: a child is born, its agent is told who it is, files go in, the program runs, files come out, the child is
/// killed. Whatever happens on the way, the child is dead at the end.
/// </summary>
internal static class JobRunner
{
    private const int NoSuchFile = 2; // ENOENT

    /// <summary>The host name of every child.</summary>
    private const string HostName = "quietus";

    /// <summary>How long a VM whose agent is gone may take to end by itself.</summary>
    private static readonly TimeSpan _endLimit = TimeSpan.FromSeconds(10);

    /// <summary>How long a child may take to die.</summary>
    private static readonly TimeSpan _deathLimit = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Runs the job. A <see cref="CliException"/> says that not the program failed, but what runs it.
    /// </summary>
    /// <param name="machine">Where the template is.</param>
    /// <param name="plan">What to run.</param>
    /// <param name="streams">Where its bytes come from and go to; their <see cref="IOException"/> is passed on.</param>
    /// <param name="started">Called with the agent when the program runs; null where nothing is sent to it.</param>
    /// <param name="cancellation">Ends the job and the child.</param>
    public static async Task<JobOutcome> RunAsync(
        TemplateMachine machine, JobPlan plan, JobStreams streams, Action<IRunningProgram>? started,
        CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        MachineVm vm;
        try
        {
            vm = await machine.BearAsync(parent: null, cancellation).ConfigureAwait(false);
            plan.Born?.Invoke(vm);
        }
        catch (MonitorException error)
        {
            throw new CliException(
                ExitCode.Failed, "there is no room for another VM: " + Printable.Line(error.Message),
                "fewer at a time, or less memory for each");
        }

        var times = new JobTimes { BirthNs = Since(begun) };
        JobOutcome outcome;
        long dying;
        try
        {
            outcome = await LimitAsync(machine, vm, plan, streams, started, times, begun, cancellation)
                .ConfigureAwait(false);
        }
        finally
        {
            dying = Stopwatch.GetTimestamp();
            if (!machine.Ended.IsCompleted)
            {
                using var last = new CancellationTokenSource(_deathLimit);
                await machine.KillAsync(vm, last.Token).ConfigureAwait(false);
            }
        }

        return outcome with
        {
            Times = outcome.Times with { DeathNs = Since(dying), TotalNs = Since(begun) },
        };
    }

    /// <summary>Runs the job in a VM that is there, and lives on.</summary>
    public static Task<JobOutcome> RunInAsync(
        TemplateMachine machine, MachineVm vm, JobPlan plan, JobStreams streams, Action<IRunningProgram>? started,
        CancellationToken cancellation) => LimitAsync(
            machine, vm, plan, streams, started, new JobTimes(), Stopwatch.GetTimestamp(), cancellation);

    private static async Task<JobOutcome> LimitAsync(
        TemplateMachine machine, MachineVm vm, JobPlan plan, JobStreams streams, Action<IRunningProgram>? started,
        JobTimes times, long begun, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (plan.Limit is { } longest)
        {
            limit.CancelAfter(longest);
        }

        try
        {
            return await LiveAsync(machine, vm, plan, streams, started, times, begun, limit.Token)
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            string after = Duration.Format(plan.Limit!.Value.TotalNanoseconds);
            return new JobOutcome(
                ExitCode.TimeLimit, $"time limit: the program was still running after {after}", times);
        }
    }

    private static async Task<JobOutcome> LiveAsync(
        TemplateMachine machine, MachineVm vm, JobPlan plan, JobStreams streams, Action<IRunningProgram>? started,
        JobTimes times, long begun, CancellationToken cancellation)
    {
        try
        {
            JobClient client = await machine.ConnectAsync(vm, cancellation).ConfigureAwait(false);
            await using (client.ConfigureAwait(false))
            {
                await client.IdentifyAsync(DateTimeOffset.UtcNow, HostName, cancellation).ConfigureAwait(false);
                if (plan.Before is { } before)
                {
                    await before(client, cancellation).ConfigureAwait(false);
                }

                long running = Stopwatch.GetTimestamp();
                var first = new FirstWrite(begun);
                JobExit exit;
                try
                {
                    exit = await client.RunAsync(
                        plan.Order, streams.Input, first.Watch(streams.Output), first.Watch(streams.Error),
                        () => started?.Invoke(client), cancellation).ConfigureAwait(false);
                }
                catch (JobException error) when (error.What == JobFailure.Execute)
                {
                    int code = error.Errno == NoSuchFile ? ExitCode.NotFound : ExitCode.CannotExecute;
                    return new JobOutcome(
                        code, $"'{Printable.Line(plan.Order.Arguments[0])}': {error.Message}", times);
                }

                times = times with { RunNs = Since(running), FirstOutputNs = first.Nanoseconds };
                if (plan.After is { } after)
                {
                    await after(client, cancellation).ConfigureAwait(false);
                }

                return new JobOutcome(
                    exit.IsSignal ? ExitCode.Signalled + exit.Value : exit.Value, Message: null, times);
            }
        }
        catch (JobException error)
        {
            throw new CliException(ExitCode.Failed, error.Message);
        }
        catch (Exception error) when (error is JobProtocolException or GuestStreamException)
        {
            // The reason of the VM's end comes by another way, a moment later; also where the agent was killed first.
            await Task.WhenAny(vm.Ended, Task.Delay(_endLimit, cancellation)).ConfigureAwait(false);
            throw new CliException(
                ExitCode.Failed,
                vm.Ended.IsCompletedSuccessfully
                    ? "the VM has ended under the program: " + Printable.Line(await vm.Ended.ConfigureAwait(false))
                    : error is JobProtocolException ? "the VM's agent is broken: " + error.Message : error.Message,
                "its console is above; more --memory may be what it needs",
                vm.Console.ToString());
        }
    }

    private static long Since(long begun) => (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;
}

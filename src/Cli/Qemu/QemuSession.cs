using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Qemu;

/// <summary>A running QEMU and the monitor of the hypervisor in it. Disposing ends it, however it is doing.</summary>
internal sealed class QemuSession : IAsyncDisposable
{
    private const int MostErrorLines = 200;
    private const string Prompt = "quietus> ";
    private static readonly TimeSpan _powerOffLimit = TimeSpan.FromSeconds(5);

    private readonly Process _process;
    private readonly Queue<string> _errors = new();
    private readonly TaskCompletionSource _errorsEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private QemuSession(Process process)
    {
        _process = process;
        Monitor = new MonitorClient(
            process.StandardInput.BaseStream, process.StandardOutput.BaseStream, ExplainEndAsync);
        process.ErrorDataReceived += (_, line) => KeepError(line.Data);
        process.BeginErrorReadLine();
    }

    /// <summary>The monitor, connected.</summary>
    public MonitorClient Monitor { get; }

    /// <summary>Starts QEMU and waits until the hypervisor's monitor is ready.</summary>
    /// <param name="qemu">The program.</param>
    /// <param name="machine">What it emulates.</param>
    /// <param name="folder">Where the child is noted.</param>
    /// <param name="limit">How long the hypervisor may take to come up.</param>
    /// <param name="cancellation">Ends the attempt, and QEMU with it.</param>
    public static async Task<QemuSession> StartAsync(
        QemuBinary qemu, QemuMachine machine, RunFolder folder, TimeSpan limit, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(qemu.Path, machine.Arguments()))
            .ConfigureAwait(false);
        folder.Note(process);
        var session = new QemuSession(process);
        try
        {
            await session.Monitor.ConnectAsync(limit, cancellation).ConfigureAwait(false);
            session.ForgetErrors();
            return session;
        }
        catch
        {
            await session.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Lets the hypervisor power the machine off; true when QEMU ended with 0 in good time.</summary>
    public async Task<bool> PowerOffAsync(CancellationToken cancellation)
    {
        try
        {
            Task<MonitorReply> order = Monitor.RequestAsync("off", _powerOffLimit, cancellation);
            await Task.WhenAny(Monitor.Ended, Task.Delay(_powerOffLimit, cancellation)).ConfigureAwait(false);
            _ = order.ContinueWith(
                static task => _ = task.Exception,
                CancellationToken.None,
                TaskContinuationOptions.OnlyOnFaulted,
                TaskScheduler.Default);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(_powerOffLimit);
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            return _process.ExitCode == 0;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        ChildKeeper.Kill(_process);
        if (Monitor.ReportsDropped > 0)
        {
            Notice.Write(Counted.Of(Monitor.ReportsDropped, "report") + " of a guest came faster than they were read, "
                + "and went unheard");
        }

        await Monitor.DisposeAsync().ConfigureAwait(false);
        _process.Dispose();
    }

    private void KeepError(string? line)
    {
        if (line is null)
        {
            _errorsEnded.TrySetResult();
            return;
        }

        if (line == Prompt)
        {
            return;
        }

        // What the UART says comes here, too: a prompt for a person stands before what QEMU has to say.
        line = line.StartsWith(Prompt, StringComparison.Ordinal) ? line[Prompt.Length..] : line;
        Monitor.NoteText(line + "\n");
        lock (_errors)
        {
            _errors.Enqueue(line);
            if (_errors.Count > MostErrorLines)
            {
                _errors.Dequeue();
            }
        }
    }

    /// <summary>The machine is up: what was said until then explains nothing that comes later.</summary>
    private void ForgetErrors()
    {
        lock (_errors)
        {
            _errors.Clear();
        }
    }

    /// <summary>The link is closed: QEMU has ended, or is about to.</summary>
    private async Task<CliException> ExplainEndAsync()
    {
        using var limit = new CancellationTokenSource(2000);
        string how;
        try
        {
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            await Task.WhenAny(_errorsEnded.Task, Task.Delay(500, CancellationToken.None)).ConfigureAwait(false);
            how = ChildEnd.Describe(_process);
        }
        catch (OperationCanceledException)
        {
            how = "its serial line is closed, but it is still running";
        }

        string details;
        lock (_errors)
        {
            details = string.Join('\n', _errors);
        }

        return new CliException(
            ExitCode.Failed,
            $"QEMU ended unexpectedly ({how})",
            details.Length > 0 ? "see QEMU's own words above" : "./quietus doctor checks what QEMU needs",
            details);
    }
}

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>One boot of the machine with Linux as its hypervisor and the probe as Linux's first process.</summary>
internal static class KvmHost
{
    private const int MostErrorLines = 200;
    private static readonly TimeSpan _powerOffLimit = TimeSpan.FromSeconds(5);

    /// <summary>Runs the machine until the probe is done. QEMU has ended when this returns or throws.</summary>
    /// <param name="qemu">The program.</param>
    /// <param name="machine">What it emulates.</param>
    /// <param name="folder">Where the child is noted.</param>
    /// <param name="reader">What the probe measures.</param>
    /// <param name="limit">How long the probe may be silent: each of its lines is up to three VMs' lives.</param>
    /// <param name="cancellation">Ends it.</param>
    public static async Task RunAsync(
        QemuBinary qemu,
        QemuMachine machine,
        RunFolder folder,
        KvmProbeLines reader,
        TimeSpan limit,
        CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(qemu.Path, machine.Arguments()))
            .ConfigureAwait(false);
        try
        {
            folder.Note(process);
            Task<string> errors = LastLinesAsync(process.StandardError);
            await ReadAsync(process.StandardOutput.BaseStream, reader, limit, cancellation).ConfigureAwait(false);
            if (!reader.IsDone)
            {
                throw await ExplainEndAsync(process, reader, errors, cancellation).ConfigureAwait(false);
            }

            // It powers off by itself. Should it not, everything has been measured all the same.
            await EndsAsync(process, cancellation).ConfigureAwait(false);
        }
        finally
        {
            ChildKeeper.Kill(process);
        }
    }

    /// <summary>Reads until the probe is done or the serial line is closed.</summary>
    private static async Task ReadAsync(
        Stream console,
        KvmProbeLines reader,
        TimeSpan limit,
        CancellationToken cancellation)
    {
        byte[] buffer = new byte[4096];
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(limit);
        try
        {
            int count;
            while (!reader.IsDone
                && (count = await console.ReadAsync(buffer, timer.Token).ConfigureAwait(false)) > 0)
            {
                if (reader.Feed(buffer.AsSpan(0, count)))
                {
                    timer.CancelAfter(limit);
                }
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"time limit: the KVM probe has said nothing for {limit.TotalSeconds:0.#} s"),
                "a slow or busy host may need more: --timeout SECONDS",
                reader.Console);
        }
    }

    private static async Task<CliException> ExplainEndAsync(
        Process process, KvmProbeLines reader, Task<string> errors, CancellationToken cancellation)
    {
        string how = await EndsAsync(process, cancellation).ConfigureAwait(false)
            ? ChildEnd.Describe(process)
            : "its serial line is closed, but it is still running";
        ChildKeeper.Kill(process);
        string said = await errors.ConfigureAwait(false);
        return new CliException(
            ExitCode.Failed,
            string.Create(
                CultureInfo.InvariantCulture,
                $"{reader.What}: the machine ended ({how}) after {reader.Count} of {reader.Expected} measurements"),
            "its last words are above; Linux needs a share of the machine for itself: try less --memory",
            string.Join('\n', reader.Console, said));
    }

    private static async Task<bool> EndsAsync(Process process, CancellationToken cancellation)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(_powerOffLimit);
        try
        {
            await process.WaitForExitAsync(timer.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    private static async Task<string> LastLinesAsync(StreamReader errors)
    {
        Queue<string> lines = [];
        while (await errors.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            lines.Enqueue(line);
            if (lines.Count > MostErrorLines)
            {
                lines.Dequeue();
            }
        }

        return string.Join('\n', lines);
    }
}

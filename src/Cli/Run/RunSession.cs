using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Quietus.Cli.Bench;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Run;

/// <summary>One VM with its console on our terminal, from its start to its end.</summary>
internal sealed class RunSession(RunPlan plan, QemuBinary qemu, string image) : IDisposable
{
    private const ulong TestFailedReport = 3;
    private const byte EndOfInput = 0x04;

    /// <summary>Pieces of up to 1 KB that are read ahead of the guest.</summary>
    private const int MostQueued = 64;

    private static readonly TimeSpan _longestBoot = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan _answerLimit = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan _endRepeats = TimeSpan.FromSeconds(1);

    /// <summary>A kernel that has said that its panic has ended, and nothing for this long, says no more.</summary>
    private static readonly TimeSpan _panicSilence = TimeSpan.FromSeconds(3);

    private readonly TimeSpan _bootLimit = plan.Limit < _longestBoot ? plan.Limit.Value : _longestBoot;
    private readonly CancellationTokenSource _escape = new();
    private readonly Stream _output = StandardStreams.OpenOutput();
    private volatile PanicWatch _panic = new();
    private long _vm;
    private volatile int _slot;
    private bool _raw;
    private bool _testFailed;

    /// <summary>Runs the VM and returns the exit code that its end deserves.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = Math.Max(2, plan.Cpus + 1),
            MemoryBytes = BenchPlan.MachineMemory(plan.Guest, plan.MemoryBytes),
            Image = image,
            Bundle = plan.Guest.Pack(folder.Path),
        };
        QemuSession session = await QemuSession.StartAsync(qemu, machine, folder, _bootLimit, cancellation)
            .ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            try
            {
                return await RunVmAsync(session, cancellation).ConfigureAwait(false);
            }
            catch (MonitorException error)
            {
                throw new CliException(
                    ExitCode.Failed, "the hypervisor refused: " + Printable.Line(error.Message));
            }
        }
    }

    public void Dispose()
    {
        _escape.Dispose();
        _output.Dispose();
    }

    private async Task<int> RunVmAsync(QemuSession session, CancellationToken cancellation)
    {
        MonitorClient monitor = session.Monitor;
        await CreateAsync(monitor, cancellation).ConfigureAwait(false);
        using RawTerminal? raw = RawTerminal.Enter();
        _raw = raw is not null;
        if (_raw)
        {
            Say(string.Create(
                CultureInfo.InvariantCulture,
                $"{plan.Guest.Name}, {ByteSize.Format(plan.MemoryBytes)}, {Counted.Of(plan.Cpus, "vCPU")}; "
                    + $"Ctrl-A x ends it"));
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _escape.Token);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        if (plan.Limit is TimeSpan longest)
        {
            limit.CancelAfter(longest);
        }

        try
        {
            await StartAsync(monitor, limit.Token).ConfigureAwait(false);
            StartInput(monitor, stop.Token);
            int? code;
            while ((code = await FollowAsync(monitor, limit.Token).ConfigureAwait(false)) is null)
            {
                // The VM that asked for it has died as every VM does: the next one is made as the first was.
                Say("the VM reboots");
                await CreateAsync(monitor, limit.Token).ConfigureAwait(false);
                await StartAsync(monitor, limit.Token).ConfigureAwait(false);
            }

            await session.PowerOffAsync(stop.Token).ConfigureAwait(false);
            return code.Value;
        }
        catch (OperationCanceledException) when (_escape.IsCancellationRequested)
        {
            await KillAsync(monitor, cancellation).ConfigureAwait(false);
            return _panic.Hangs ? ExitCode.GuestPanic : _testFailed ? ExitCode.Failed : ExitCode.Ok;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            RawTerminal.RestoreNow();
            throw new CliException(
                ExitCode.TimeLimit,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"time limit: the VM is still running after {plan.Limit?.TotalSeconds:0.#} s"),
                "give it longer with --timeout SECONDS, or leave the option out");
        }
        finally
        {
            // The thread that reads the input ends with the process: a read from a terminal cannot be called back.
            await stop.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task CreateAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        var order = new GuestOrder(
            plan.Guest.Name, plan.MemoryBytes, plan.Cpus, plan.Pages, plan.Policy, plan.Append);
        MonitorReply created = await monitor.RequestAsync(order.Command, _answerLimit, cancellation)
            .ConfigureAwait(false);
        _panic = new PanicWatch();
        _vm = created.Final.Number("vm");
        _slot = (int)created.Final.Number("slot");
        if (created.Final.Value("random") == "none")
        {
            Say("this machine has no source of random numbers: the guest gets no seed, and its keys can be guessed");
        }
    }

    private async Task StartAsync(MonitorClient monitor, CancellationToken cancellation) => await monitor.RequestAsync(
        string.Create(CultureInfo.InvariantCulture, $"start vm={_vm}"), _answerLimit, cancellation)
            .ConfigureAwait(false);

    /// <summary>The person has asked for the end: the VM dies as every VM does, and we say what that took.</summary>
    private async Task KillAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        try
        {
            MonitorReply reply = await monitor.RequestAsync(
                string.Create(CultureInfo.InvariantCulture, $"kill vm={_vm}"), _answerLimit, cancellation)
                .ConfigureAwait(false);
            DeathFigures death = DeathFigures.Read(reply.Final);
            long invalidations = death.TlbiIpa + death.TlbiRange + death.TlbiVmid + death.TlbiVmalle1;
            Say($"killed with {Counted.Of(death.MappedPages4K, "page")} and "
                + $"{Counted.Of(death.MappedBlocks2M, "block")} mapped: {Counted.Of(invalidations, "TLBI")}, "
                + $"{Counted.Of(death.DcLines, "DC line")} ({plan.Policy.Name})");
        }
        catch (MonitorException)
        {
            // It ended by itself in the same moment.
            Say("ended");
        }
    }

    /// <summary>Hands on what the guest prints, to its end: the exit code, or null to start it again.</summary>
    private async Task<int?> FollowAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        while (await SomethingIsSaidAsync(monitor, cancellation).ConfigureAwait(false))
        {
            while (monitor.Messages.TryRead(out MachineMessage? message))
            {
                switch (message)
                {
                    case ConsoleOutput output when output.Slot == _slot:
                        _output.Write(output.Bytes);
                        _panic.Take(output.Bytes);
                        break;
                    case MachineEvent { Name: "report" } report when report.Line.TryNumber("vm") == _vm:
                        Report(report.Line);
                        break;
                    case MachineEvent { Name: "state" } state
                        when state.Line.TryNumber("vm") == _vm && state.Line.Value("state") == "stopped":
                        return Ended(state.Line);
                    case LogLine log:
                        Say("hypervisor: " + Printable.Line(log.Text));
                        break;
                    default:
                        break;
                }
            }
        }

        return _panic.Hangs ? Panicked() : throw new CliException(ExitCode.Failed, "the machine has ended");
    }

    /// <summary>
    /// Waits for the next message. False when there will be none, which a kernel that has panicked and hangs decides
    /// by its silence: on a terminal a person is told, and looks at it as long as they like; a script's run is over.
    /// </summary>
    private async Task<bool> SomethingIsSaidAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        Task<bool> next = monitor.Messages.WaitToReadAsync(cancellation).AsTask();
        if (!_panic.Hangs
            || await Task.WhenAny(next, Task.Delay(_panicSilence, cancellation)).ConfigureAwait(false) == next)
        {
            return await next.ConfigureAwait(false);
        }

        cancellation.ThrowIfCancellationRequested();
        if (!_raw)
        {
            return false;
        }

        Say("the guest's kernel has panicked and hangs; Ctrl-A x ends the VM");
        return await next.ConfigureAwait(false);
    }

    private void Report(KeyValueLine line)
    {
        ulong value = line.GuestNumber("value");
        ulong kind = line.GuestNumber("kind");
        _testFailed |= kind == TestFailedReport;
        Say(kind switch
        {
            1 => $"guest: {ByteSize.FormatMegabytes((long)Math.Min(value, long.MaxValue))} dirtied",
            2 => "guest: test passed",
            TestFailedReport => string.Create(CultureInfo.InvariantCulture, $"guest: test failed ({value})"),
            4 => string.Create(
                CultureInfo.InvariantCulture, $"guest: an HVC round trip takes {value / 1000.0:0.0} instructions"),
            5 => string.Create(
                CultureInfo.InvariantCulture, $"guest: a first touch takes {value / 1000.0:0.0} instructions"),
            _ => string.Create(CultureInfo.InvariantCulture, $"guest: report {kind}, value {value}"),
        });
    }

    /// <summary>
    /// The exit code that the VM's end deserves; null when it is to be started again. A guest that powers off has ended
    /// well, one that the hypervisor had to stop has not.
    /// </summary>
    private int? Ended(KeyValueLine state)
    {
        string reason = state.Value("reason") ?? "no reason given";
        if (reason is not "guest power-off" and not "guest reset")
        {
            RawTerminal.RestoreNow();
            throw new CliException(
                ExitCode.Failed, "the VM was stopped: " + Printable.Line(reason), "see its console above");
        }

        if (reason == "guest reset")
        {
            if (_panic.HasPanicked)
            {
                return Panicked();
            }

            if (plan.Reboots)
            {
                return null;
            }
        }

        Say("the VM has ended: " + reason);
        return _testFailed ? ExitCode.Failed : reason == "guest reset" ? ExitCode.GuestReset : ExitCode.Ok;
    }

    private int Panicked()
    {
        Say("the VM has ended: its kernel has panicked, see its console above");
        return ExitCode.GuestPanic;
    }

    /// <summary>Notes of ours. In raw mode a line feed alone would not return the carriage.</summary>
    private void Say(string text) => Console.Error.Write("[quietus] " + text + (_raw ? "\r\n" : "\n"));

    /// <summary>
    /// Feeds the input to the guest, read by a thread of its own, because reading a terminal blocks. A guest that does
    /// not take its input must not keep the keys that are for us from being read: between the two is a queue.
    /// </summary>
    private void StartInput(MonitorClient monitor, CancellationToken cancellation)
    {
        // A person cannot type much; a pipe waits.
        Channel<byte[]> queue = _raw
            ? Channel.CreateUnbounded<byte[]>()
            : Channel.CreateBounded<byte[]>(MostQueued);
        var thread = new Thread(() => ReadInput(queue.Writer, cancellation))
        {
            IsBackground = true,
            Name = "input",
        };
        thread.Start();
        _ = FeedAsync(queue.Reader, monitor, cancellation);
    }

    private async Task FeedAsync(
        ChannelReader<byte[]> queue, MonitorClient monitor, CancellationToken cancellation)
    {
        try
        {
            await foreach (byte[] bytes in queue.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                await monitor.SendConsoleAsync(_slot, bytes, cancellation).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or CliException)
        {
            // The VM has ended.
        }
    }

    private void ReadInput(ChannelWriter<byte[]> queue, CancellationToken cancellation)
    {
        var keys = new EscapeKeys();
        byte[] typed = new byte[1024];
        byte last = (byte)'\n';
        List<byte> forGuest = [];
        try
        {
            using var handle = new SafeFileHandle((IntPtr)0, ownsHandle: false);
            using var input = new FileStream(handle, FileAccess.Read, bufferSize: 0);
            int count;
            while ((count = input.Read(typed)) > 0 && !cancellation.IsCancellationRequested)
            {
                forGuest.Clear();
                EscapeAction action = EscapeAction.None;
                if (_raw)
                {
                    action = keys.Take(typed.AsSpan(0, count), forGuest);
                }
                else
                {
                    forGuest.AddRange(typed.AsSpan(0, count));
                    last = typed[count - 1];
                }

                Queue(queue, forGuest.ToArray(), cancellation);
                if (action == EscapeAction.End)
                {
                    _escape.Cancel();
                    return;
                }

                if (action == EscapeAction.Help)
                {
                    Say("Ctrl-A x ends the VM, Ctrl-A h shows this, Ctrl-A Ctrl-A types Ctrl-A");
                }
            }

            if (!_raw)
            {
                // What a person would type then: the end of the last line, where it has none, and Ctrl-D. A file stays
                // at its end for all who read on, and a guest that is not up yet loses the first: so it comes again.
                Queue(queue, last == (byte)'\n' ? [EndOfInput] : [(byte)'\n', EndOfInput], cancellation);
                while (!cancellation.WaitHandle.WaitOne(_endRepeats))
                {
                    if (!_panic.Hangs)
                    {
                        Queue(queue, [EndOfInput], cancellation);
                    }
                }
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException
            or ObjectDisposedException or UnauthorizedAccessException or ArgumentException or CliException)
        {
            // No more input, or no guest to take it.
        }
    }

    private static void Queue(ChannelWriter<byte[]> queue, byte[] bytes, CancellationToken cancellation) =>
        queue.WriteAsync(bytes, cancellation).AsTask().GetAwaiter().GetResult();
}

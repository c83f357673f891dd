using System;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Run;

/// <summary>
/// One VM with its console on our terminal, from its start to its end; or a template and its children, one at a time.
/// </summary>
internal sealed partial class RunSession(RunPlan plan, QemuBinary qemu, string image) : IDisposable
{
    private const ulong TestFailedReport = 3;
    private const byte EndOfInput = 0x04;

    /// <summary>The monitor's error code for a kernel whose pages this CPU does not have.</summary>
    private const string PageSizeIsMissing = "bad-page-size";

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
    private bool _isAlive;

    /// <summary>Runs the VM and returns the exit code that its end deserves.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = plan.MachineCores,
            MemoryBytes = plan.MachineMemory,
            Image = image,
            Bundle = plan.Guest.Pack(folder.Path),
            Network = plan.HasNetwork ? QemuMachine.UserNetwork : null,
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
                string refusal = "the hypervisor refused: " + Printable.Line(error.Message);
                throw error.Code == PageSizeIsMissing
                    ? CliException.NotSupported(refusal, "another --cpu may have it: max has every page size")
                    : new CliException(ExitCode.Failed, refusal);
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
            int code = plan.IsFromTemplate
                ? await ServeAsync(monitor, limit.Token).ConfigureAwait(false)
                : await LiveAsync(monitor, limit.Token).ConfigureAwait(false);
            await session.PowerOffAsync(stop.Token).ConfigureAwait(false);
            return code;
        }
        catch (OperationCanceledException) when (_escape.IsCancellationRequested)
        {
            if (_isAlive)
            {
                await KillAsync(monitor, cancellation).ConfigureAwait(false);
            }

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
            await stop.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Follows the VM to its end, and those that come after it when it reboots.</summary>
    private async Task<int> LiveAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        int? code;
        while ((code = await FollowAsync(monitor, cancellation).ConfigureAwait(false)) is null)
        {
            // The VM that asked for it has died as every VM does: the next one is made as the first was.
            Say("the VM reboots");
            await CreateAsync(monitor, cancellation).ConfigureAwait(false);
            await StartAsync(monitor, cancellation).ConfigureAwait(false);
        }

        return code.Value;
    }

    private async Task CreateAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        var order = new GuestOrder(
            plan.Guest.Name, plan.MemoryBytes, plan.Cpus, plan.Pages, plan.Policy, plan.Append)
        {
            HasUplink = plan.HasNetwork,
            Weight = plan.Weight,
            Cores = plan.Cores,
        };
        MonitorReply created = await monitor.RequestAsync(order.Command, _answerLimit, cancellation)
            .ConfigureAwait(false);
        Watch(created.Final);
        if (created.Final.Value("random") == "none")
        {
            Say("this machine has no source of random numbers: the guest gets no seed, and its keys can be guessed");
        }
    }

    /// <summary>From now on it is this VM whose console is here.</summary>
    private void Watch(KeyValueLine born)
    {
        _panic = new PanicWatch();
        _vm = born.Number("vm");
        _slot = (int)born.Number("slot");
        _isAlive = true;
    }

    private async Task StartAsync(MonitorClient monitor, CancellationToken cancellation) => await monitor.RequestAsync(
        Order("start", _vm), _answerLimit, cancellation)
            .ConfigureAwait(false);

    /// <summary>The person has asked for the end: the VM dies as every VM does, and we say what that took.</summary>
    private async Task KillAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        _isAlive = false;
        try
        {
            MonitorReply reply = await monitor.RequestAsync(
                Order(DeathWay.Kill.Name(), _vm), _answerLimit, cancellation)
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

    /// <summary>
    /// Hands on what the guest prints, to its end: the exit code, or null to start it again. One that is to become a
    /// template is followed until it is one, or can be: the answer is 0 then, and <see cref="_shell"/> says which.
    /// </summary>
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
                        _shell?.Take(output.Bytes);
                        break;
                    case MachineEvent { Name: "state" } state
                        when state.Line.TryNumber("vm") == _vm && state.Line.Value("state") == "frozen":
                        _shell?.Frozen(state.Line);
                        break;
                    case MachineEvent { Name: "device" } device when device.Line.TryNumber("vm") == _vm:
                        Say(device.ToDeviceNews());
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

            if (_shell is { CanBeForked: true })
            {
                return ExitCode.Ok;
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
        _isAlive = false;
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
    private void Say(string text, bool freshLine = false) => Console.Error.Write(
        (freshLine && _raw ? "\r\n" : string.Empty) + "[quietus] " + text + (_raw ? "\r\n" : "\n"));

    private void StartInput(MonitorClient monitor, CancellationToken cancellation)
    {
        var input = new ConsoleInput(_raw, plan.IsFromTemplate, action => Asked(monitor, action, cancellation));
        input.Start(cancellation);
        if (plan.IsFromTemplate)
        {
            _lines = new InputLines(input.Pieces, _raw);
        }
        else
        {
            _ = FeedAsync(input, monitor, cancellation);
        }
    }

    /// <summary>A key was for us. Comes on the input's thread.</summary>
    private void Asked(MonitorClient monitor, EscapeAction action, CancellationToken cancellation)
    {
        switch (action)
        {
            case EscapeAction.End:
                _escape.Cancel();
                break;
            case EscapeAction.Kill:
                _child?.Cancel();
                break;
            case EscapeAction.Status:
                _ = TellStatusAsync(monitor, cancellation);
                break;
            default:
                Say("Ctrl-A x ends the VM, "
                    + (plan.IsFromTemplate ? "Ctrl-A k kills the child, " : string.Empty)
                    + "Ctrl-A s shows what runs, Ctrl-A h shows this, Ctrl-A Ctrl-A types Ctrl-A");
                break;
        }
    }

    private async Task FeedAsync(ConsoleInput input, MonitorClient monitor, CancellationToken cancellation)
    {
        try
        {
            byte last = (byte)'\n';
            await foreach (byte[] bytes in input.Pieces.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                await monitor.SendConsoleAsync(_slot, bytes, cancellation).ConfigureAwait(false);
                last = bytes[^1];
            }

            if (!_raw)
            {
                // What a person would type then: the end of the last line, where it has none, and Ctrl-D.
                await TypeEndAsync(monitor, last == (byte)'\n' ? [] : "\n"u8.ToArray(), cancellation)
                    .ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or CliException)
        {
            // The VM has ended.
        }
    }

    /// <summary>
    /// Types some bytes and Ctrl-D. A file stays at its end for all who read on, and a guest that is not up yet loses
    /// the first: so it comes again.
    /// </summary>
    private async Task TypeEndAsync(MonitorClient monitor, byte[] before, CancellationToken cancellation)
    {
        await monitor.SendConsoleAsync(_slot, (byte[])[.. before, EndOfInput], cancellation).ConfigureAwait(false);
        while (true)
        {
            await Task.Delay(_endRepeats, cancellation).ConfigureAwait(false);
            if (!_panic.Hangs)
            {
                await monitor.SendConsoleAsync(_slot, (byte[])[EndOfInput], cancellation).ConfigureAwait(false);
            }
        }
    }
}

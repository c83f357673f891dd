using System;
using System.Collections.Concurrent;
using System.Globalization;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Templates;

/// <summary>
/// A machine of its own for one template: Linux boots in it, its agent is told to freeze, and children are born from
/// it for as long as the machine lives. Disposing ends the machine, whatever runs in it.
/// </summary>
internal sealed class TemplateMachine : IAsyncDisposable
{
    /// <summary>
    /// Without kpti=off a kernel that has placed itself by a seed isolates its page tables: each way into it and out
    /// of it is another ASID then, for which QEMU flushes its whole TLB, 276 times in a job. No CPU of
    /// <see cref="CpuModel"/> has Meltdown (docs/security.md, "Side channels").
    /// </summary>
    private const string CommandLine = "console=ttyAMA0 panic=-1 quiet kpti=off rdinit=" + JobGuest.Init;

    private static readonly TimeSpan _answerLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan _nextTry = TimeSpan.FromMilliseconds(100);

    private readonly TemplatePlan _plan;
    private readonly QemuSession _session;
    private readonly ConcurrentDictionary<long, MachineVm> _vms = new();
    private readonly TaskCompletionSource<Exception> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private MachineVm _template = null!;
    private bool _isReady;

    private TemplateMachine(TemplatePlan plan, QemuSession session)
    {
        _plan = plan;
        _session = session;
        _ = ListenAsync();
    }

    /// <summary>
    /// Complete, with the reason, when the machine has ended; it is not when this was disposed first.
    /// </summary>
    public Task<Exception> Ended => _ended.Task;

    /// <summary>Starts the machine, boots the guest, runs the warm-up and freezes it.</summary>
    public static async Task<TemplateMachine> StartAsync(
        TemplatePlan plan, QemuBinary qemu, string image, RunFolder folder, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(plan.Limit);
        string own = Path.Combine(folder.Path, Path.GetRandomFileName());
        Directory.CreateDirectory(own);
        var description = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = plan.Processors,
            MemoryBytes = plan.MachineMemory,
            Image = image,
            Bundle = plan.Guest.Pack(own),
            Network = plan.HasNetwork ? QemuMachine.UserNetwork : null,
        };
        TemplateMachine? machine = null;
        try
        {
            QemuSession session = await QemuSession.StartAsync(qemu, description, folder, plan.Limit, limit.Token)
                .ConfigureAwait(false);
            machine = new TemplateMachine(plan, session);
            await machine.BootAsync(limit.Token).ConfigureAwait(false);
            machine._isReady = true;
            return machine;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit,
                $"time limit: the guest was not ready within {Duration.Format(plan.Limit.TotalNanoseconds)}",
                "a slow or busy host may need more",
                machine?._template?.Console.ToString());
        }
        catch (MonitorException error)
        {
            throw new CliException(
                ExitCode.Failed, "the hypervisor refused: " + Printable.Line(error.Message));
        }
        catch (Exception error) when (error is JobException or JobProtocolException or GuestStreamException)
        {
            throw new CliException(
                ExitCode.Failed, "the VM's agent could not make a template of it: " + error.Message,
                details: machine?._template?.Console.ToString());
        }
        finally
        {
            if (machine is { _isReady: false })
            {
                await machine.DisposeAsync().ConfigureAwait(false);
            }

            // QEMU has read it into the machine's memory.
            Directory.Delete(own, recursive: true);
        }
    }

    /// <summary>A fresh child, running.</summary>
    /// <param name="parent">A VM that was frozen; null for the template.</param>
    /// <param name="cancellation">Gives it up.</param>
    public async Task<MachineVm> BearAsync(MachineVm? parent, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();

        // An order that was sent is carried out: its answer is waited for also where the caller has gone meanwhile, for
        // a child that has no caller would live on and hold its memory.
        MonitorReply reply = await AskAsync("fork", parent ?? _template, CancellationToken.None).ConfigureAwait(false);
        MachineVm vm = Watch(reply.Items[0]);
        if (cancellation.IsCancellationRequested)
        {
            await KillAsync(vm, CancellationToken.None).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }

        return vm;
    }

    /// <summary>Puts a child back to its birth.</summary>
    public Task ResetAsync(MachineVm vm, CancellationToken cancellation) => AskAsync("reset", vm, cancellation);

    /// <summary>Makes a template of a child, which asks for it itself, so that its children are others.</summary>
    public async Task FreezeAsync(MachineVm vm, CancellationToken cancellation) => await FreezeAsync(
        await ConnectAsync(vm, cancellation).ConfigureAwait(false), vm, cancellation).ConfigureAwait(false);

    /// <summary>Ends a child at once; one that has just ended by itself is no error.</summary>
    public async Task KillAsync(MachineVm vm, CancellationToken cancellation)
    {
        try
        {
            await AskAsync(DeathWay.Kill.Name(), vm, cancellation).ConfigureAwait(false);
        }
        catch (MonitorException error) when (error.Code == "no-such-vm")
        {
            // It has ended by itself.
        }
        finally
        {
            _vms.TryRemove(vm.Number, out _);
        }
    }

    /// <summary>What its VMs and its memory are at this moment.</summary>
    public Task<MachineView> LookAsync(CancellationToken cancellation) =>
        MachineView.AskAsync(_session.Monitor, _template.Number, _answerLimit, cancellation);

    /// <summary>What the machine has left: the monitor's <c>memory</c>.</summary>
    public async Task<KeyValueLine> MemoryAsync(CancellationToken cancellation) =>
        (await _session.Monitor.RequestAsync("memory", _answerLimit, cancellation).ConfigureAwait(false)).Final;

    /// <summary>A conversation with a VM's agent.</summary>
    public Task<JobClient> ConnectAsync(MachineVm vm, CancellationToken cancellation) =>
        JobClient.OpenAsync(_session.Monitor.Streams, vm.Slot, vm.Number, cancellation);

    public ValueTask DisposeAsync() => _session.DisposeAsync();

    private async Task BootAsync(CancellationToken cancellation)
    {
        var order = new GuestOrder(
            GuestPayload.Linux, _plan.MemoryBytes, _plan.Cpus, "auto",
            MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate), CommandLine)
        {
            HasSockets = true,
            HasUplink = _plan.HasNetwork,
        };
        MonitorReply created = await _session.Monitor.RequestAsync(order.Command, _answerLimit, cancellation)
            .ConfigureAwait(false);
        _template = Watch(created.Final);
        await AskAsync("start", _template, cancellation).ConfigureAwait(false);
        foreach (JobOrder warmUp in _plan.WarmUp)
        {
            await WarmUpAsync(warmUp, cancellation).ConfigureAwait(false);
        }

        JobClient client = await FindAgentAsync(cancellation).ConfigureAwait(false);
        await FreezeAsync(client, _template, cancellation).ConfigureAwait(false);
    }

    private static async Task FreezeAsync(JobClient client, MachineVm vm, CancellationToken cancellation)
    {
        await using (client.ConfigureAwait(false))
        {
            await client.FreezeAsync(cancellation).ConfigureAwait(false);
        }

        if (await Task.WhenAny(vm.Frozen, vm.Ended).WaitAsync(cancellation).ConfigureAwait(false) == vm.Ended)
        {
            throw new CliException(
                ExitCode.Failed, "the VM has ended instead of becoming a template: "
                    + Printable.Line(await vm.Ended.ConfigureAwait(false)));
        }
    }

    private async Task WarmUpAsync(JobOrder order, CancellationToken cancellation)
    {
        JobClient client = await FindAgentAsync(cancellation).ConfigureAwait(false);
        await using (client.ConfigureAwait(false))
        {
            var output = new TailStream();
            JobExit exit = await client.RunAsync(order, input: null, output, output, started: null, cancellation)
                .ConfigureAwait(false);
            if (exit.IsSignal || exit.Value != 0)
            {
                throw new CliException(
                    ExitCode.Failed,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"the warm-up '{Printable.Line(string.Join(' ', order.Arguments))}' ended with "
                            + $"{(exit.IsSignal ? "signal " : string.Empty)}{exit.Value}"),
                    "a template must warm up without an error",
                    output.Tail.ToString());
            }
        }
    }

    /// <summary>Connects to the template's agent as soon as it listens.</summary>
    private async Task<JobClient> FindAgentAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                return await ConnectAsync(_template, cancellation).ConfigureAwait(false);
            }
            catch (GuestStreamException error) when (error.End is StreamEnd.NoDevice or StreamEnd.ByGuest)
            {
                // Its kernel boots still, or its init.
            }

            if (_template.Ended.IsCompleted)
            {
                throw new CliException(
                    ExitCode.Failed,
                    "the guest has ended while it booted: "
                        + Printable.Line(await _template.Ended.ConfigureAwait(false)),
                    "its console is above; more --memory may be what it needs",
                    _template.Console.ToString());
            }

            await Task.Delay(_nextTry, cancellation).ConfigureAwait(false);
        }
    }

    private MachineVm Watch(KeyValueLine born)
    {
        var vm = new MachineVm(born.Number("vm"), (int)born.Number("slot"));
        _vms[vm.Number] = vm;
        return vm;
    }

    private Task<MonitorReply> AskAsync(string verb, MachineVm vm, CancellationToken cancellation) =>
        _session.Monitor.RequestAsync(
            string.Create(CultureInfo.InvariantCulture, $"{verb} vm={vm.Number}"), _answerLimit, cancellation);

    /// <summary>Takes what the machine says unasked, to its end.</summary>
    private async Task ListenAsync()
    {
        Exception reason;
        try
        {
            await foreach (MachineMessage message in _session.Monitor.Messages.ReadAllAsync().ConfigureAwait(false))
            {
                Take(message);
            }

            reason = new CliException(ExitCode.Failed, "the machine has ended");
        }
        catch (CliException error)
        {
            reason = error;
        }

        foreach (MachineVm vm in _vms.Values)
        {
            vm.End("the machine has ended");
        }

        _ended.TrySetResult(reason);
    }

    private void Take(MachineMessage message)
    {
        switch (message)
        {
            case ConsoleOutput output:
                foreach (MachineVm vm in _vms.Values)
                {
                    if (vm.Slot == output.Slot)
                    {
                        vm.Console.Take(output.Bytes);
                    }
                }

                break;
            case MachineEvent { Name: "state" } state when state.Line.TryNumber("vm") is long number
                && _vms.TryGetValue(number, out MachineVm? vm):
                if (state.Line.Value("state") == "frozen")
                {
                    vm.Freeze();
                }
                else if (state.Line.Value("state") == "stopped")
                {
                    _vms.TryRemove(number, out _);
                    vm.End(state.Line.Value("reason") ?? "no reason given");
                }

                break;
            case MachineEvent { Name: "device" } device when device.Line.TryNumber("vm") is long number
                && _vms.TryGetValue(number, out MachineVm? vm):
                vm.Console.Take(Encoding.UTF8.GetBytes($"\n[quietus] {device.ToDeviceNews()}\n"));
                break;
            case LogLine log:
                Notice.Progress("[quietus] hypervisor: " + log.Text);
                break;
            default:
                break;
        }
    }

    /// <summary>Keeps the end of what is written to it.</summary>
    private sealed class TailStream : WriteOnlyStream
    {
        public ConsoleTail Tail { get; } = new();

        public override void Write(ReadOnlySpan<byte> buffer) => Tail.Take(buffer);
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests.Machines;

/// <summary>
/// The hypervisor's image on a real QEMU. One test at a time uses it and waits for one thing at a time: whatever comes
/// in between is filed with the VM that it is about.
/// </summary>
internal sealed class TestMachine : IAsyncDisposable
{
    /// <summary>How long anything may take: ten times what a busy host needs, for it is there to end a hang.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(150);

    private readonly RunFolder _folder;
    private readonly QemuSession _session;
    private readonly string _command;
    private readonly Dictionary<long, TestVm> _byNumber = [];
    private readonly Dictionary<int, TestVm> _bySlot = [];
    private readonly List<string> _log = [];
    private long _freeAtBoot;

    private TestMachine(RunFolder folder, QemuSession session, string command)
    {
        _folder = folder;
        _session = session;
        _command = command;
    }

    internal static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    internal MonitorClient Monitor => _session.Monitor;

    /// <summary>Boots the image.</summary>
    /// <param name="cpu">A model's name, as <c>--cpu</c> takes it.</param>
    /// <param name="cores">Cores, the monitor's among them.</param>
    /// <param name="memory">RAM in bytes.</param>
    /// <param name="counts">Whether time is a count of instructions.</param>
    /// <param name="linux">Whether the cached Linux guest is handed over.</param>
    /// <param name="network">The backend of the machine's network device, or null for no such device.</param>
    /// <param name="turn">
    /// Where time counts instructions: microseconds that QEMU runs one core before the next. Without it a core's turn
    /// ends where a timer does, which may be inside another core's lock each time: then a third never gets that lock.
    /// </param>
    internal static async Task<TestMachine> BootAsync(
        string cpu = "cortex-a72",
        int cores = 2,
        long memory = 512 * ByteSize.Megabyte,
        bool counts = false,
        GuestPayload? linux = null,
        string? network = null,
        int? turn = null)
    {
        var folder = new RunFolder();
        try
        {
            var board = new QemuMachine
            {
                Cpu = CpuModel.Parse(cpu).QemuName,
                Processors = cores,
                MemoryBytes = memory,
                Image = Folders.Image,
                Bundle = linux?.Pack(folder.Path),
                CountsInstructions = counts,
                TurnMicroseconds = turn,
                Network = network,
            };
            return await BootAsync(board, folder).ConfigureAwait(false);
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Boots the image on any board.</summary>
    internal static async Task<TestMachine> BootAsync(QemuMachine board, RunFolder folder)
    {
        QemuBinary qemu = await QemuBinary.FindAsync(Cancellation).ConfigureAwait(false);
        string command = board.CommandLine(qemu.Path);
        QemuSession session = await ExplainAsync(
            QemuSession.StartAsync(qemu, board, folder, Patience, Cancellation), command).ConfigureAwait(false);
        var machine = new TestMachine(folder, session, command);
        if (board.CountsInstructions)
        {
            // No core scrubs beside what is counted.
            await machine.AskAsync("scrub when=asked").ConfigureAwait(false);
        }

        machine._freeAtBoot = (await machine.AskAsync("memory").ConfigureAwait(false)).Number("free_bytes");
        return machine;
    }

    /// <summary>Gives a command and returns the last line of the answer.</summary>
    internal async Task<KeyValueLine> AskAsync(string command) =>
        (await RequestAsync(command).ConfigureAwait(false)).Final;

    /// <summary>Gives a command and returns the whole answer.</summary>
    internal Task<MonitorReply> RequestAsync(string command) =>
        ExplainAsync(Monitor.RequestAsync(command, Patience, Cancellation), _command);

    /// <summary>Gives a command that must be refused, with the error of this name.</summary>
    internal async Task ShouldRefuseAsync(string command, string code)
    {
        MonitorException error = await Should.ThrowAsync<MonitorException>(() => RequestAsync(command))
            .ConfigureAwait(false);
        error.Code.ShouldBe(code, $"{command}: {error.Message}");
        error.Message.Length.ShouldBeGreaterThan(10, command);
    }

    /// <summary>Every device that a filler can have, beside those that each VM has.</summary>
    internal const string AllDevices = "vsock=on console=virtio group=1";

    /// <summary>Creates a VM, and does not start it.</summary>
    internal Task<TestVm> CreateAsync(
        string append,
        long memory = 64 * ByteSize.Megabyte,
        int cpus = 1,
        string pages = "4k",
        string policy = "fate",
        string guest = "filler",
        bool overcommit = false,
        string devices = "") =>
        AdoptAsync(new GuestOrder(
            guest, memory, cpus, pages, MaintenancePolicy.ParseList([policy])[0], append).Command
            + (overcommit ? " overcommit=yes " : " ") + devices);

    /// <summary>Creates a VM by a command of one's own.</summary>
    internal async Task<TestVm> AdoptAsync(string create)
    {
        KeyValueLine made = await AskAsync(create).ConfigureAwait(false);

        // What the slot's last VM has still printed came before the answer, and is the last VM's.
        Sort();
        return Adopt(made);
    }

    /// <summary>Forks a template.</summary>
    internal async Task<IReadOnlyList<TestVm>> ForkAsync(TestVm template, int count = 1, string own = "")
    {
        var children = new List<TestVm>();

        // What the slots' last VMs have printed has come; what the children say comes with the answer, or before it.
        Sort();
        MonitorReply reply = await RequestAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"fork vm={template.Number} count={count}{(own.Length != 0 ? " own=" + own : own)}")).ConfigureAwait(false);
        foreach (KeyValueLine line in reply.Items)
        {
            children.Add(Adopt(line));
        }

        children.Count.ShouldBe(count);
        Sort();
        return children;
    }

    private TestVm Adopt(KeyValueLine made)
    {
        var vm = new TestVm(this, made.Number("vm"), (int)made.Number("slot"));
        _byNumber.Add(vm.Number, vm);
        _bySlot[vm.Slot] = vm;
        return vm;
    }

    /// <summary>Creates a VM and starts it.</summary>
    internal async Task<TestVm> RunAsync(
        string append,
        long memory = 64 * ByteSize.Megabyte,
        int cpus = 1,
        string pages = "4k",
        string policy = "fate",
        string guest = "filler",
        bool overcommit = false,
        string devices = "")
    {
        TestVm vm = await CreateAsync(append, memory, cpus, pages, policy, guest, overcommit, devices)
            .ConfigureAwait(false);
        await vm.StartAsync().ConfigureAwait(false);
        return vm;
    }

    /// <summary>
    /// Whatever has happened: the monitor answers, no VM is left, all memory is back, nothing was freed that was not
    /// taken, and no frame came damaged or was lost.
    /// </summary>
    internal async Task ShouldBeUnharmedAsync()
    {
        (await AskAsync("version").ConfigureAwait(false)).Value("name").ShouldBe("quietus");
        (await AskAsync("list").ConfigureAwait(false)).Number("count").ShouldBe(0);
        KeyValueLine memory = await AskAsync("memory").ConfigureAwait(false);
        (memory.Number("free_bytes") + memory.Number("slot_bytes")).ShouldBe(_freeAtBoot, memory.Text);
        memory.Number("used_bytes").ShouldBe(0, memory.Text);
        memory.Number("refused_frees").ShouldBe(0, memory.Text);
        memory.Number("misplaced_chunks").ShouldBe(0, memory.Text);
        Monitor.FramesDamaged.ShouldBe(0);
        Monitor.FramesLost.ShouldBe(0);
        Sort();
        _log.ShouldBeEmpty();
    }

    /// <summary>Gives the command to power the machine off; true when QEMU has ended well.</summary>
    internal Task<bool> PowerOffAsync() => _session.PowerOffAsync(Cancellation);

    /// <summary>Waits until something comes that was not there before, and files it.</summary>
    internal async Task ListenAsync(CancellationToken cancellation)
    {
        await ExplainAsync(Monitor.Messages.WaitToReadAsync(cancellation).AsTask(), _command).ConfigureAwait(false);
        Sort();
    }

    /// <summary>Files what has come.</summary>
    internal void Sort()
    {
        while (Monitor.Messages.TryRead(out MachineMessage? message))
        {
            switch (message)
            {
                case ConsoleOutput output when _bySlot.TryGetValue(output.Slot, out TestVm? vm):
                    vm.Hear(output.Bytes);
                    break;
                case MachineEvent happened when _byNumber.TryGetValue(
                    happened.Line.TryNumber("vm") ?? 0, out TestVm? vm):
                    vm.Hear(happened);
                    break;
                case LogLine line:
                    _log.Add(line.Text);
                    break;
                default:
                    break;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _session.DisposeAsync().ConfigureAwait(false);
        _folder.Dispose();
    }

    /// <summary>A test's report has one message: that of a panic must have the registers in it.</summary>
    private static async Task<T> ExplainAsync<T>(Task<T> task, string command)
    {
        try
        {
            return await task.ConfigureAwait(false);
        }
        catch (CliException error)
        {
            throw new InvalidOperationException(
                string.Create(CultureInfo.InvariantCulture, $"{error.Message}\n{error.Details}\n{command}"), error);
        }
    }
}

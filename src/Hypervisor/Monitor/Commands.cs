using System;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// The monitor's commands (docs/protocol.md): a reply is any number of lines that begin with "- " and one that begins
/// with "ok" or "error". Whatever is wrong with a command is said; nothing that is typed can hurt.
/// </summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class Commands
{
    private const int LineBytes = 768;

    /// <summary>Carries out one line and replies.</summary>
    /// <param name="text">The line; its quoted values are unescaped in place.</param>
    internal static void Execute(Span<byte> text)
    {
        Span<byte> buffer = stackalloc byte[LineBytes];
        LineBuilder reply = new(buffer);
        CommandLineError error = CommandLine.Parse(text, out CommandLine command);
        bool isMeant = false;
        if (error != CommandLineError.None)
        {
            Fail(ref reply, "bad-command"u8, CommandLine.Describe(error));
        }
        else if (!TryFindKeys(in command, out ReadOnlySpan<byte> keys))
        {
            Fail(ref reply, "unknown-command"u8, "there is no such command; help lists them"u8);
        }
        else if (command.TryFindOther(keys, out ReadOnlySpan<byte> other))
        {
            Fail(ref reply, "unknown-argument"u8, "the command takes no such argument; help lists those it takes"u8);
            reply.QuotedField("argument"u8, other);
        }
        else
        {
            isMeant = true;
            reply.Text("ok"u8);
            Dispatch(in command, ref reply);
        }

        MachineConsole.Send(Channel.Monitor, reply.Written);
        if (isMeant && command.VerbIs("off"u8))
        {
            MachineConsole.Drain();
            Firmware.TurnOffMachine();
        }
    }

    private static void Dispatch(in CommandLine command, ref LineBuilder reply)
    {
        if (command.VerbIs("version"u8))
        {
            reply.Field("name"u8, "quietus"u8);
            reply.Field("version"u8, "0.1.0"u8);
            reply.Field("protocol"u8, FrameFormat.Protocol);
        }
        else if (command.VerbIs("machine"u8))
        {
            DescribeMachine(ref reply);
        }
        else if (command.VerbIs("create"u8))
        {
            Create(in command, ref reply);
        }
        else if (command.VerbIs("start"u8))
        {
            Start(in command, ref reply);
        }
        else if (command.VerbIs(DeathWays.NameOf(DeathWay.Kill)))
        {
            Kill(in command, ref reply);
        }
        else if (command.VerbIs(DeathWays.NameOf(DeathWay.Unmap)))
        {
            Unmap(in command, ref reply);
        }
        else if (command.VerbIs("freeze"u8))
        {
            BirthCommands.Freeze(in command, ref reply);
        }
        else if (command.VerbIs("fork"u8))
        {
            BirthCommands.Fork(in command, ref reply);
        }
        else if (command.VerbIs("reset"u8))
        {
            BirthCommands.Reset(in command, ref reply);
        }
        else if (command.VerbIs("list"u8))
        {
            List(ref reply);
        }
        else if (command.VerbIs("cores"u8))
        {
            SchedulingCommands.ListCores(ref reply);
        }
        else if (command.VerbIs("memory"u8))
        {
            MemoryCommands.Describe(ref reply);
        }
        else if (command.VerbIs("chunks"u8))
        {
            MemoryCommands.Map(in command, ref reply);
        }
        else if (command.VerbIs("scrub"u8))
        {
            MemoryCommands.Scrub(in command, ref reply);
        }
        else if (command.VerbIs("measure"u8))
        {
            Measure(in command, ref reply);
        }
        else if (command.VerbIs("send"u8))
        {
            Send(in command, ref reply);
        }
        else if (command.VerbIs("size"u8))
        {
            Resize(in command, ref reply);
        }
        else if (command.VerbIs("help"u8))
        {
            Help();
        }
        else if (command.VerbIs("text"u8))
        {
            MachineConsole.UseText();
        }
        else if (command.VerbIs("panic"u8))
        {
            Instructions.Break();
        }
    }

    /// <summary>
    /// The arguments that a command takes; false when there is no such command. One that it does not take is refused:
    /// a slip in a key would otherwise mean the default.
    /// </summary>
    private static bool TryFindKeys(in CommandLine command, out ReadOnlySpan<byte> keys)
    {
        keys = command.VerbIs("create"u8)
            ? "guest memory cpus pages policy overcommit append random vsock console uplink group weight cores"u8
            : command.VerbIs("start"u8) ? "vm for"u8
            : command.VerbIs(DeathWays.NameOf(DeathWay.Unmap)) ? "vm fate"u8
            : command.VerbIs("fork"u8) ? "vm count own text"u8
            : command.VerbIs(DeathWays.NameOf(DeathWay.Kill)) || command.VerbIs("measure"u8)
                || command.VerbIs("freeze"u8) || command.VerbIs("reset"u8) ? "vm"u8
            : command.VerbIs("send"u8) ? "vm text"u8
            : command.VerbIs("size"u8) ? "vm columns rows"u8
            : command.VerbIs("scrub"u8) ? "when"u8
            : command.VerbIs("chunks"u8) ? "from"u8
            : default;
        return keys.Length != 0 || command.VerbIs("version"u8) || command.VerbIs("machine"u8)
            || command.VerbIs("list"u8) || command.VerbIs("cores"u8) || command.VerbIs("memory"u8)
            || command.VerbIs("help"u8) || command.VerbIs("text"u8) || command.VerbIs("panic"u8)
            || command.VerbIs("off"u8);
    }

    private static void DescribeMachine(ref LineBuilder reply)
    {
        PoolUsage usage = Platform.Pool.Usage;
        reply.Field("cores"u8, (ulong)Platform.CoreCount);
        reply.Field("memory_bytes"u8, (ulong)usage.TotalChunks << FramePool.ChunkShift);
        reply.Field("free_bytes"u8, (ulong)usage.FreeChunks << FramePool.ChunkShift);
        reply.HexadecimalField("midr"u8, Instructions.ReadMidr(), 8);
        reply.Field("ipa_bits"u8, (ulong)VmTable.Geometry.IpaBits);
        reply.Field("granule"u8, "4k"u8);
        reply.Field("s2fwb"u8, CpuFeatures.ForcedWriteBack ? 1u : 0u);
        reply.Field("tlbirange"u8, CpuFeatures.RangeInvalidation ? 1u : 0u);
        reply.Field("vmid_bits"u8, (ulong)CpuFeatures.VmidBits);
        reply.Field("el2_counter"u8, Stopwatch.IsExact ? "pmu"u8 : "cntpct"u8);
        reply.Field("el2_counts"u8, Stopwatch.CountsInstructions ? DeathFields.Instructions : DeathFields.Ticks);
        reply.Field("uplink"u8, GuestNetwork.HasUplink ? 1u : 0u);
        reply.Field("virtual_ns"u8, Stopwatch.Now);
        if (OwnWork.IsCounted)
        {
            reply.Field("el2_instructions"u8, OwnWork.Total);
        }

        reply.Field("guests"u8, GuestLoader.HasLinux ? "filler,linux"u8 : "filler"u8);
        if (GuestLoader.BundleProblem.Length != 0)
        {
            reply.QuotedField("bundle_problem"u8, GuestLoader.BundleProblem);
        }
    }

    /// <summary>Reads an argument of two values; left out it is as it was. False: it has another.</summary>
    private static bool TryChoose(
        in CommandLine command,
        ReadOnlySpan<byte> key,
        ReadOnlySpan<byte> no,
        ReadOnlySpan<byte> yes,
        ref bool choice)
    {
        if (!command.TryGet(key, out ReadOnlySpan<byte> value))
        {
            return true;
        }

        choice = value.SequenceEqual(yes);
        return choice || value.SequenceEqual(no);
    }

    private static bool TryReadGroup(in CommandLine command, ref ushort group)
    {
        ulong number = 0;
        bool isNumber = !command.TryGet("group"u8, out ReadOnlySpan<byte> text)
            || Numbers.TryParse(text, out number) == NumberError.None;
        group = (ushort)number;
        return isNumber && number <= ushort.MaxValue;
    }

    private static void Create(in CommandLine command, ref LineBuilder reply)
    {
        VmOptions options = default;
        options.VcpuCount = 1;
        if (!command.TryGet("guest"u8, out ReadOnlySpan<byte> guest) || !GuestLoader.TryFind(guest, out options.Guest))
        {
            Fail(ref reply, "bad-guest"u8, "guest=filler or guest=linux (machine lists those that are there)"u8);
            return;
        }

        if (!command.TryGet("memory"u8, out ReadOnlySpan<byte> memory)
            || Numbers.TryParseSize(memory, out options.MemoryBytes) != NumberError.None)
        {
            Fail(ref reply, "bad-memory"u8, "memory=BYTES is needed, a multiple of 2M"u8);
            return;
        }

        if (command.TryGet("cpus"u8, out ReadOnlySpan<byte> cpus))
        {
            bool isNumber = Numbers.TryParse(cpus, out ulong count) == NumberError.None;
            options.VcpuCount = isNumber && count <= Vm.MaximumVcpus ? (int)count : 0;
        }

        if (!command.TryGet("pages"u8, out ReadOnlySpan<byte> pages) || !TryFindSizing(pages, out options.Sizing))
        {
            Fail(ref reply, "bad-pages"u8, "pages=4k, pages=2m or pages=auto"u8);
            return;
        }

        if (!command.TryGet("policy"u8, out ReadOnlySpan<byte> policy)
            || !PolicyNames.TryFind(policy, out options.Policy))
        {
            Span<byte> buffer = stackalloc byte[LineBytes];
            LineBuilder message = new(buffer);
            message.Text("policy=NAME, one of"u8);
            ListPolicies(ref message);
            Fail(ref reply, "bad-policy"u8, message.Written);
            return;
        }

        if (!TryChoose(in command, "random"u8, "on"u8, "off"u8, ref options.IsRepeatable)
            || !TryChoose(in command, "vsock"u8, "off"u8, "on"u8, ref options.HasVsock)
            || !TryChoose(in command, "console"u8, "uart"u8, "virtio"u8, ref options.HasConsole)
            || !TryChoose(in command, "uplink"u8, "off"u8, "on"u8, ref options.HasUplink)
            || !TryReadGroup(in command, ref options.Group)
            || !TryChoose(in command, "overcommit"u8, "no"u8, "yes"u8, ref options.Overcommits))
        {
            Fail(
                ref reply, "bad-argument"u8,
                "random=on|off, vsock|uplink=off|on, console=uart|virtio, group=0 to 65535, overcommit=no|yes"u8);
            return;
        }

        if (options.HasUplink && !GuestNetwork.HasUplink)
        {
            Fail(ref reply, "no-uplink"u8, "the machine has no virtio network device (docs/devices.md)"u8);
            return;
        }

        if (!SchedulingCommands.TryReadShare(in command, ref reply, ref options))
        {
            return;
        }

        options.DiskBytes = options.Guest == GuestKind.Linux ? GuestLoader.DiskBytes : 0;
        command.TryGet("append"u8, out ReadOnlySpan<byte> append);
        Stopwatch watch = Stopwatch.Start();
        VmError error = VmLife.Create(in options, append, out Vm* vm);
        ulong ticks = watch.Elapsed;
        if (error == VmError.OutOfMemory)
        {
            RefuseMemory(ref reply, in options);
            return;
        }

        if (error != VmError.None)
        {
            Fail(ref reply, VmErrors.CodeOf(error), VmErrors.Describe(error));
            return;
        }

        reply.Field("vm"u8, vm->Id);
        reply.Field("slot"u8, (ulong)vm->Slot);
        reply.Field(Stopwatch.CountsInstructions ? DeathFields.Instructions : DeathFields.Ticks, ticks);
        reply.Field("random"u8, VmRandom.IsThere(vm) ? "on"u8 : options.IsRepeatable ? "off"u8 : "none"u8);
    }

    /// <summary>Says how much the VM would need and how much there is.</summary>
    private static void RefuseMemory(ref LineBuilder reply, in VmOptions options)
    {
        const int ToMegabytes = FramePool.ChunkShift - 20;
        ulong needed = (ulong)VmLife.NeededChunks(in options);
        ulong available = (ulong)Platform.Pool.Usage.AvailableChunks;
        Span<byte> buffer = stackalloc byte[256];
        LineBuilder message = new(buffer);
        message.Text("the VM needs "u8);
        message.Number(needed << ToMegabytes);
        message.Text("M with its tables, and "u8);
        message.Number(available << ToMegabytes);
        message.Text("M are neither used nor promised to another VM"u8);
        message.Text(options.Overcommits ? default : "; overcommit=yes sets none aside"u8);
        Fail(ref reply, VmErrors.CodeOf(VmError.OutOfMemory), message.Written);
        reply.Field("needed_bytes"u8, needed << FramePool.ChunkShift);
        reply.Field("available_bytes"u8, available << FramePool.ChunkShift);
    }

    private static void Start(in CommandLine command, ref LineBuilder reply)
    {
        if (!TryFindVm(in command, ref reply, out Vm* vm))
        {
            return;
        }

        const ulong Longest = 1_000_000_000;
        ulong nanoseconds = 0;
        bool isLimited = command.TryGet("for"u8, out ReadOnlySpan<byte> time);
        if (isLimited && (Numbers.TryParse(time, out nanoseconds) != NumberError.None || nanoseconds > Longest))
        {
            Fail(ref reply, "bad-argument"u8, "for=NANOSECONDS, at most 1000000000"u8);
            return;
        }

        reply.Field("vm"u8, vm->Id);
        DeathFigures figures = default;
        ulong late = 0;
        VmError error = isLimited ? VmLife.StartFor(vm, nanoseconds, out figures, out late) : VmLife.Start(vm);
        if (error != VmError.None)
        {
            Fail(ref reply, VmErrors.CodeOf(error), VmErrors.Describe(error));
        }
        else if (isLimited)
        {
            figures.Write(ref reply);
            reply.Field("late_ns"u8, late);
        }
    }

    private static void Kill(in CommandLine command, ref LineBuilder reply)
    {
        if (TryFindVm(in command, ref reply, out Vm* vm))
        {
            ulong id = vm->Id;
            reply.Field("vm"u8, id);
            VmError error = VmLife.Kill(vm, out DeathFigures figures);
            if (error != VmError.None)
            {
                Fail(ref reply, VmErrors.CodeOf(error), VmErrors.Describe(error));
                return;
            }

            figures.Write(ref reply);
            if (vm->Id == id)
            {
                reply.Field("state"u8, "ending"u8);
                reply.Field("children"u8, vm->Offspring.Living);
            }
        }
    }

    private static void Unmap(in CommandLine command, ref LineBuilder reply)
    {
        if (!TryFindVm(in command, ref reply, out Vm* vm))
        {
            return;
        }

        PageFate fate = PageFate.AnonymousLastMappingFreed;
        if (command.TryGet("fate"u8, out ReadOnlySpan<byte> name) && !FateNames.TryFind(name, out fate))
        {
            Fail(ref reply, "bad-fate"u8,
                "fate=freed or fate=unknown: a VM's memory is the pool's, so pages that leave it are free"u8);
            return;
        }

        VmError error = VmLife.Unmap(vm, fate, out DeathFigures figures);
        if (error != VmError.None)
        {
            Fail(ref reply, VmErrors.CodeOf(error), VmErrors.Describe(error));
            return;
        }

        reply.Field("vm"u8, vm->Id);
        figures.Write(ref reply);
    }

    private static void List(ref LineBuilder reply)
    {
        Span<byte> buffer = stackalloc byte[LineBytes];
        ulong count = 0;
        for (int slot = 0; slot < VmTable.Made; slot++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->Id == 0)
            {
                continue;
            }

            count++;
            LineBuilder line = new(buffer);
            line.Text("-"u8);
            line.Field("vm"u8, vm->Id);
            line.Field("slot"u8, (ulong)slot);
            line.Field("state"u8, StateOf(vm));
            line.Field("cpus"u8, (ulong)vm->Options.VcpuCount);
            SchedulingCommands.WriteShare(ref line, vm);
            line.Field("memory_bytes"u8, vm->Options.MemoryBytes);
            line.Field(
                "promised_bytes"u8, (ulong)vm->MachineState.Frames.PromisedChunks << FramePool.ChunkShift);
            line.Field(DeathFields.MappedPages4K, vm->Memory.MappedPages);
            line.Field(DeathFields.MappedBlocks2M, vm->Memory.MappedBlocks);
            line.Field(DeathFields.Policy, PolicyNames.NameOf(vm->Options.Policy));
            line.Field("held_bytes"u8, VmLife.HeldBytes(vm));
            if (vm->State == VmState.Frozen)
            {
                line.Field("children"u8, vm->Offspring.Living);
            }

            if (vm->Template != null)
            {
                line.Field("template"u8, vm->Template->Id);
            }

            MachineConsole.Send(Channel.Monitor, line.Written);
        }

        reply.Field("count"u8, count);
    }

    private static ReadOnlySpan<byte> StateOf(Vm* vm) => vm->State switch
    {
        VmState.Running => "running"u8,
        VmState.Created => "created"u8,
        _ => vm->Offspring.IsEnding ? "ending"u8 : "frozen"u8,
    };

    private static void Measure(in CommandLine command, ref LineBuilder reply)
    {
        if (TryFindVm(in command, ref reply, out Vm* vm))
        {
            VcpuCounters sum = default;
            for (int i = 0; i < vm->Options.VcpuCount; i++)
            {
                sum.Add(in vm->VcpuAt(i)->Counters);
            }

            reply.Field("vm"u8, vm->Id);
            sum.Write(ref reply);
            reply.Field(
                DeathFields.FirstEntryNanoseconds, vm->EnteredAt != 0 ? vm->EnteredAt - vm->StartedAt : 0);
            reply.Field("last_output_virtual_ns"u8, VmLife.LastOutput(vm));
            reply.Field("owned_bytes"u8, VmLife.OwnedBytes(vm));
            reply.Field("held_bytes"u8, VmLife.HeldBytes(vm));
            GuestNetwork.Describe(vm, ref reply);
            reply.Field(MeasureFields.MapCalls, MapMeasurement.Calls);
            reply.Field(
                Stopwatch.CountsInstructions ? MeasureFields.MapInstructions : MeasureFields.MapTicks,
                MapMeasurement.Run());
        }
    }

    private static void Send(in CommandLine command, ref LineBuilder reply)
    {
        if (TryFindVm(in command, ref reply, out Vm* vm))
        {
            command.TryGet("text"u8, out ReadOnlySpan<byte> text);
            GuestConsole.Receive(vm->Slot, text, isCounted: false);
            GuestConsole.Receive(vm->Slot, "\r"u8, isCounted: false);
        }
    }

    private static void Resize(in CommandLine command, ref LineBuilder reply)
    {
        if (!TryFindVm(in command, ref reply, out Vm* vm))
        {
            return;
        }

        ulong columns = 0;
        ulong rows = 0;
        bool isSize = command.TryGet("columns"u8, out ReadOnlySpan<byte> text)
            && Numbers.TryParse(text, out columns) == NumberError.None
            && command.TryGet("rows"u8, out text)
            && Numbers.TryParse(text, out rows) == NumberError.None
            && columns <= ushort.MaxValue && rows <= ushort.MaxValue;
        if (!isSize || !vm->Options.HasConsole)
        {
            Fail(ref reply, "bad-argument"u8, "columns=N rows=N, up to 65535, of a VM with console=virtio"u8);
            return;
        }

        GuestConsole.Resize(vm, (ushort)columns, (ushort)rows);
    }

    private static void Help()
    {
        Line("- version | machine | cores | memory | list | help | text | off | panic"u8);
        Line("- scrub [when=idle|asked] | chunks [from=N]"u8);
        Line("- create guest=filler|linux memory=64M [cpus=1] pages=4k|2m|auto policy=NAME [append=\"...\"]"u8);
        Line("-   [overcommit=no|yes] [random=on|off] [vsock=off|on] [console=uart|virtio] [weight=100] [cores=1,3]"u8);
        Line("-   [uplink=off|on] [group=N]"u8);
        Span<byte> buffer = stackalloc byte[LineBytes];
        LineBuilder policies = new(buffer);
        policies.Text("-   policies:"u8);
        ListPolicies(ref policies);
        Line(policies.Written);
        Line("- start vm=N [for=NANOSECONDS] | kill vm=N | measure vm=N | send vm=N text=\"...\""u8);
        Line("- size vm=N columns=N rows=N"u8);
        Line("- unmap vm=N [fate=freed|unknown]"u8);
        Line("- freeze vm=N | fork vm=N [count=K] [own=2M] [text=\"...\"] | reset vm=N"u8);
    }

    private static void ListPolicies(ref LineBuilder line)
    {
        for (int place = 0; place < PolicyNames.Count; place++)
        {
            line.Character((byte)' ');
            line.Text(PolicyNames.NameOf(PolicyNames.At(place)));
        }
    }

    private static void Line(ReadOnlySpan<byte> text) => MachineConsole.Send(Channel.Monitor, text);

    internal static bool TryFindVm(in CommandLine command, ref LineBuilder reply, out Vm* vm)
    {
        bool isNumber = command.TryGet("vm"u8, out ReadOnlySpan<byte> text)
            & Numbers.TryParse(text, out ulong id) == NumberError.None;
        vm = isNumber ? VmTable.Find(id) : null;
        if (vm == null)
        {
            Fail(
                ref reply,
                isNumber ? "no-such-vm"u8 : "bad-argument"u8,
                isNumber ? "no VM has this number (it may have ended by itself)"u8 : "vm=NUMBER is needed"u8);
        }

        return vm != null;
    }

    private static bool TryFindSizing(ReadOnlySpan<byte> name, out PageSizing sizing)
    {
        sizing = name.SequenceEqual("4k"u8) ? PageSizing.Pages
            : name.SequenceEqual("2m"u8) ? PageSizing.Blocks
            : PageSizing.Auto;
        return sizing != PageSizing.Auto || name.SequenceEqual("auto"u8);
    }

    internal static void Fail(
        ref LineBuilder reply, scoped ReadOnlySpan<byte> code, scoped ReadOnlySpan<byte> message)
    {
        reply.Clear();
        reply.Text("error"u8);
        reply.Field("code"u8, code);
        reply.QuotedField("message"u8, message);
    }
}

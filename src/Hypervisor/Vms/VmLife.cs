using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Memory;
using Quietus.Stage2;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// A VM's life, all of it on the monitor's core: create, start, freeze, fork, reset, unmap, kill, reap. However a VM
/// ends, it ends in <see cref="End"/>.
/// </summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe partial class VmLife
{
    private const ulong MemoryGranularity = 2UL << 20;
    private const ulong SmallestMemory = 16UL << 20;

    /// <summary>
    /// Makes a VM: slot, memory, devices, and the guest in its memory. On an error nothing is left of it.
    /// </summary>
    /// <param name="options">What it is to be.</param>
    /// <param name="arguments">The guest kernel's command line.</param>
    /// <param name="vm">The VM.</param>
    internal static VmError Create(in VmOptions options, ReadOnlySpan<byte> arguments, out Vm* vm)
    {
        vm = null;
        if (options.VcpuCount is < 1 or > Vm.MaximumVcpus)
        {
            return VmError.BadVcpuCount;
        }

        ulong room = VmTable.Geometry.IpaLimit.Value - GuestMemoryMap.MemoryStart;
        if (options.MemoryBytes < SmallestMemory || options.MemoryBytes % MemoryGranularity != 0
            || options.MemoryBytes > room)
        {
            return VmError.BadMemorySize;
        }

        vm = VmTable.Take();
        if (vm == null)
        {
            return VmError.NoSlot;
        }

        Scrubber.Pause();
        VmError error = Build(vm, in options, arguments);
        if (error != VmError.None)
        {
            Clear(vm);
            vm = null;
        }

        Scrubber.Resume();
        return error;
    }

    /// <summary>
    /// Chunks that a VM's memory can come to, with its tables. Its size has been checked, or is that of a refusal.
    /// </summary>
    internal static int NeededChunks(in VmOptions options) => (int)MemoryBound.Chunks<Arm<Granule4K>>(
        VmTable.Geometry, new Ipa(GuestMemoryMap.MemoryStart), options.MemoryBytes, options.Sizing,
        GenerationId.Frames + DiskFrames(in options));

    /// <summary>Pages of the disk and their tables.</summary>
    private static ulong DiskFrames(in VmOptions options) => options.DiskBytes == 0 ? 0
        : (options.DiskBytes >> 12) + MemoryBound.Tables<Arm<Granule4K>>(
            VmTable.Geometry, new Ipa(GuestMemoryMap.DiskMemoryStart), options.DiskBytes, PageSizing.Pages);

    /// <summary>
    /// Hands the vCPUs to the scheduler; vCPU 0 begins at the guest's entry, the others wait for PSCI CPU_ON.
    /// </summary>
    internal static VmError Start(Vm* vm)
    {
        if (vm->State != VmState.Created)
        {
            return vm->State == VmState.Frozen ? VmError.IsTemplate : VmError.NotCreated;
        }

        vm->StartedAt = Stopwatch.Now;
        Run(vm);
        return VmError.None;
    }

    /// <summary>From now on its vCPUs run.</summary>
    private static void Run(Vm* vm)
    {
        vm->State = VmState.Running;
        Dispatcher.Admit(vm);
    }

    /// <summary>
    /// Starts a VM and kills it when so much time has passed since: under icount a moment that can be had again. The
    /// monitor waits meanwhile. <see cref="VmError.Ended"/> when the VM's own end came first, which is reaped later.
    /// </summary>
    /// <param name="vm">A VM that was not started.</param>
    /// <param name="nanoseconds">When, from its start on.</param>
    /// <param name="figures">What the kill cost.</param>
    /// <param name="late">Nanoseconds from then on until the monitor was heard.</param>
    internal static VmError StartFor(Vm* vm, ulong nanoseconds, out DeathFigures figures, out ulong late)
    {
        figures = default;
        late = 0;
        VmError error = Start(vm);
        if (error != VmError.None)
        {
            return error;
        }

        MonitorLoop.Await(vm->StartedAt + nanoseconds, vm);
        late = Stopwatch.Now - vm->StartedAt - nanoseconds;
        if (vm->IsStopRequested)
        {
            return VmError.Ended;
        }

        return Kill(vm, out figures);
    }

    /// <summary>
    /// The kill order: abrupt, wherever the vCPUs are. The VM is gone when this returns, and its chunks with it, even
    /// where a defect kept the release from all of its maintenance.
    /// </summary>
    /// <param name="vm">A VM, running or not.</param>
    /// <param name="figures">What it cost; to be used only without an error.</param>
    internal static VmError Kill(Vm* vm, out DeathFigures figures)
    {
        Stopwatch watch = Stopwatch.Start();
        vm->RequestStop("killed"u8);
        return End(vm, DeathWay.Kill, watch, out figures);
    }

    /// <summary>
    /// Takes all memory from a live VM by one notifier range, as a VMM's munmap does. Its vCPUs are not stopped, but
    /// one that touches memory waits: there is no host mapping left to look a page up in, so the invalidation never
    /// ends. What is left to do with such a VM is to kill it.
    /// </summary>
    /// <param name="vm">A VM, running or not.</param>
    /// <param name="fate">What is claimed of its pages, which are the pool's: freed, or unknown.</param>
    /// <param name="figures">What it cost; to be used only without an error.</param>
    internal static VmError Unmap(Vm* vm, PageFate fate, out DeathFigures figures)
    {
        Stopwatch watch = Stopwatch.Start();
        El2Machine machine = vm->Machine;
        Ipa start = new(GuestMemoryMap.MemoryStart);
        NotifierRange range = new(
            start,
            start + vm->Options.MemoryBytes,
            NotifierEvent.Unmap,
            mayBlock: true,
            fate);
        InvalidationCursor cursor = default;
        vm->MemoryLock.Enter();
        figures = Begin(vm, DeathWay.Unmap);
        ulong heldBefore = HeldBytes(vm);
        MemoryResult result = vm->Memory.BeginInvalidation(ref machine, in range, ref cursor);
        vm->MemoryLock.Leave();
        Finish(vm, ref figures, watch, heldBefore);
        Scrubber.Wake();
        return ErrorOf(result);
    }

    /// <summary>Ends and freezes VMs that asked for it themselves, and says so. True when there was one.</summary>
    internal static bool ReapStopped()
    {
        bool any = false;
        while (VmTable.Leaving.TryTake(out int slot))
        {
            // The order may have been overtaken by one of the monitor's, and the slot be another VM's by now.
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running && vm->MustLeave)
            {
                if (vm->IsStopRequested)
                {
                    Reap(vm);
                }
                else
                {
                    FreezeAsAsked(vm);
                }

                any = true;
            }
        }

        return any;
    }

    private static void Reap(Vm* vm)
    {
        Span<byte> buffer = stackalloc byte[768];
        LineBuilder line = new(buffer);
        line.Text("event=state"u8);
        line.Field("vm"u8, vm->Id);
        line.Field("state"u8, "stopped"u8);
        line.QuotedField("reason"u8, vm->StopReason);
        VmError error = End(vm, DeathWay.Self, Stopwatch.Start(), out DeathFigures figures);
        NoteError(error, ref line);
        figures.Write(ref line);
        MachineConsole.Send(Channel.Event, line.Written);
    }

    /// <summary>What kept a release from all of its maintenance, if anything did.</summary>
    private static void NoteError(VmError error, ref LineBuilder line)
    {
        if (error != VmError.None)
        {
            line.Field("error"u8, VmErrors.CodeOf(error));
        }
    }

    private static VmError Build(Vm* vm, in VmOptions options, ReadOnlySpan<byte> arguments)
    {
        vm->Options = options;
        vm->MachineState.Pool = Platform.PoolPointer;
        vm->MachineState.Holders.Initialize(options.VcpuCount == 1);
        vm->CounterOffset = GuestClock.Offset(Instructions.ReadCounter(), TimerSums.Wrap);
        for (int i = 0; i < options.VcpuCount; i++)
        {
            vm->VcpuAt(i)->Vm = vm;
            vm->VcpuAt(i)->Index = i;
        }

        // Refused now, or never for lack of memory while it is within its own size. One that overcommits takes what is
        // promised to no other, and must be smaller than the machine at least.
        int needed = NeededChunks(in options);
        PoolUsage usage = Platform.Pool.Usage;
        ulong all = (ulong)(usage.TotalChunks - usage.ReservedChunks) << FramePool.ChunkShift;
        if (options.Overcommits ? options.MemoryBytes + options.DiskBytes > all : needed > usage.AvailableChunks)
        {
            return VmError.OutOfMemory;
        }

        if (!GuestStreams.TryPrepare(vm) || !GuestNetwork.TryPrepare(vm))
        {
            return VmError.OutOfMemory;
        }

        El2Machine machine = vm->Machine;
        if (!TryTakeVmid(vm))
        {
            return VmError.Defect;
        }

        MemoryResult result = GuestMemory<Arm<Granule4K>, El2Machine>.Create(
            ref machine,
            ref vm->Memory,
            new GuestMemoryOptions(VmTable.Geometry, options.Policy)
            {
                PromisedChunks = options.Overcommits ? 0 : needed,
            },
            Platform.Vmids.VmidOf(in vm->Lease));
        if (result == MemoryResult.Ok)
        {
            result = vm->Memory.AddSlot(
                new Ipa(GuestMemoryMap.MemoryStart), options.MemoryBytes, SlotOptions.Ram(options.Sizing), out _);
        }

        if (result == MemoryResult.Ok && options.DiskBytes != 0)
        {
            result = vm->Memory.AddSlot(
                new Ipa(GuestMemoryMap.DiskMemoryStart), options.DiskBytes, SlotOptions.Ram(PageSizing.Pages), out _);
        }

        if (result == MemoryResult.Ok)
        {
            result = GenerationId.Add(vm);
        }

        if (result != MemoryResult.Ok)
        {
            return ErrorOf(result);
        }

        vm->Gic.Reset(options.VcpuCount, VcpuTimers.Interrupts);
        vm->Uart.Reset();
        VirtioDevices.Install(vm);
        VmError error = GuestLoader.Load(vm, arguments, out ulong entry, out ulong deviceTree);
        if (error == VmError.None)
        {
            vm->Power.Reset(options.VcpuCount);
            vm->Power.TryStart(0, entry, deviceTree);
            vm->State = VmState.Created;
        }

        return error;
    }

    private static bool TryTakeVmid(Vm* vm)
    {
        El2Machine machine = vm->Machine;
        int self = (int)Core.Current->Index;
        bool isThere = Platform.Vmids.Enter(self, ref vm->Lease, ref machine) == VmidResult.Ok;
        Platform.Vmids.Leave(self);
        return isThere;
    }

    /// <summary>
    /// The one path of every death: wait for the vCPUs, release under the policy, retire the VMID, forget.
    /// </summary>
    private static VmError End(Vm* vm, DeathWay way, Stopwatch watch, out DeathFigures figures)
    {
        AwaitStopped(vm);
        figures = Begin(vm, way);
        figures.StopTicks = watch.Elapsed;
        ulong heldBefore = HeldBytes(vm);
        if (!vm->Offspring.End())
        {
            // Its children stand on its memory: the last of them takes it along.
            Finish(vm, ref figures, watch, heldBefore);
            return VmError.None;
        }

        ReleaseReport report = ReleaseMemory(vm);
        figures.LeakedFrames = report.LeakedFrames;
        Finish(vm, ref figures, watch, heldBefore);
        GuestConsole.Finish(vm);
        GuestStreams.Finish(vm, StreamEnd.Ended);
        GuestNetwork.Finish(vm);
        DeviceNews.Finish(vm);
        Vm* template = vm->Template;
        VmTable.Give(vm);
        LeaveTemplate(template);
        Scrubber.Wake();
        return ErrorOf(report.Result);
    }

    private static void AwaitStopped(Vm* vm)
    {
        while (!AllStopped(vm))
        {
            // The kick of a core that has let go stays pending until it is acknowledged here: none is missed.
            Instructions.WaitForInterrupt();
            MonitorLoop.PollInterrupts();
        }

        Dispatcher.Withdraw(vm);
    }

    private static ReleaseReport ReleaseMemory(Vm* vm)
    {
        El2Machine machine = vm->Machine;
        ReleaseReport report = vm->Memory.Release(ref machine);
        if (!report.VmidIsInvalidated || Platform.Vmids.Retire(ref vm->Lease) != VmidResult.Ok)
        {
            VmidAllocator.Abandon(ref vm->Lease);
        }

        return report;
    }

    private static VmError ErrorOf(MemoryResult result) => result switch
    {
        MemoryResult.Ok => VmError.None,
        MemoryResult.OutOfMemory => VmError.OutOfMemory,
        MemoryResult.Frozen => VmError.IsTemplate,
        _ => VmError.Defect,
    };

    /// <summary>A VM that was never started, or could not be made whole.</summary>
    private static void Clear(Vm* vm)
    {
        ReleaseMemory(vm);
        Vm* template = vm->Template;
        VmTable.Give(vm);
        LeaveTemplate(template);
    }

    private static DeathFigures Begin(Vm* vm, DeathWay way) => new()
    {
        Way = way,
        Policy = vm->Options.Policy,
        MappedPages = vm->Memory.MappedPages,
        MappedBlocks = vm->Memory.MappedBlocks,
        Issued = vm->MachineState.Counters,
        FirstEntryNanoseconds = vm->EnteredAt != 0 ? vm->EnteredAt - vm->StartedAt : 0,
        FillNanoseconds = vm->FilledAt != 0 ? vm->FilledAt - vm->EnteredAt : 0,
    };

    private static void Finish(Vm* vm, ref DeathFigures figures, Stopwatch watch, ulong heldBefore)
    {
        figures.Ticks = watch.Elapsed;
        figures.VirtualNanoseconds = watch.ElapsedNanoseconds;
        figures.FreedBytes = heldBefore - HeldBytes(vm);
        figures.Issued = vm->MachineState.Counters.Since(in figures.Issued);
    }

    /// <summary>
    /// Takes those that wait or are blocked off their queues. A core lets go of the one that it runs last of all, and
    /// only then may the slot be another VM's. While one runs it may be about to wake another, which does nothing to
    /// one that has been taken off.
    /// </summary>
    private static bool AllStopped(Vm* vm)
    {
        Vcpu* vcpu = vm->FirstVcpu;
        Vcpu* end = vcpu + vm->Options.VcpuCount;
        while (vcpu < end && Dispatcher.TryRemove(vcpu))
        {
            vcpu++;
        }

        return vcpu >= end;
    }
}

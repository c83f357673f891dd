using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Memory;
using Quietus.Stage2;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

// Templates and children. A frozen VM keeps its slot, its memory and its vCPUs' saved state, and never runs again. A
// child begins with all of that: its memory stands on the template's, its vCPUs are loaded from the template's.
// Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.
internal static unsafe partial class VmLife
{
    /// <summary>How many children one order can make.</summary>
    internal const int MostChildrenAtOnce = 16;

    /// <summary>
    /// The freeze order: stops the VM wherever its vCPUs are, and makes a template of it. On an error it runs on.
    /// </summary>
    internal static VmError Freeze(Vm* vm, out BirthFigures figures)
    {
        figures = default;
        VmError error = vm->State == VmState.Frozen ? VmError.AlreadyFrozen
            : vm->State != VmState.Running ? VmError.NotRunning
            : vm->Options.Policy != MaintenancePolicy.Fate ? VmError.CannotFreeze
            : vm->Memory.InvalidationsInProgress != 0 ? VmError.Unmapped
            : VmError.None;
        if (error != VmError.None)
        {
            return error;
        }

        Stopwatch watch = Stopwatch.Start();
        vm->RequestFreeze();
        return FinishFreeze(vm, watch, out figures);
    }

    /// <summary>
    /// Makes children of a template and starts them; all or none.
    /// </summary>
    /// <param name="template">The template.</param>
    /// <param name="count">How many children.</param>
    /// <param name="mostChunks">What each of them may own at most.</param>
    /// <param name="typed">A line that waits in each one's UART when it begins; empty for none.</param>
    /// <param name="children">Room for as many.</param>
    /// <param name="figures">What it took until the last vCPU of the last one was about to enter its guest.</param>
    internal static VmError Fork(
        Vm* template, int count, int mostChunks, ReadOnlySpan<byte> typed, Vm** children, out BirthFigures figures)
    {
        Stopwatch watch = Stopwatch.Start();
        ulong now = Stopwatch.Now;
        figures = default;
        VmError error = template->State != VmState.Frozen ? VmError.NotFrozen
            : template->Offspring.IsEnding ? VmError.TemplateEnded
            : count is < 1 or > MostChildrenAtOnce ? VmError.BadCount
            : count != 1 && VmTable.FreeSlots < count ? VmError.NoSlot
            : VmError.None;
        int made = 0;
        while (error == VmError.None && made < count)
        {
            error = Bear(template, mostChunks, out children[made]);
            made += error == VmError.None ? 1 : 0;
        }

        if (error != VmError.None)
        {
            while (made != 0)
            {
                Clear(children[--made]);
            }

            return error;
        }

        for (int i = 0; i < count; i++)
        {
            children[i]->StartedAt = now;
            if (typed.Length != 0)
            {
                GuestConsole.Type(children[i], typed);
            }

            Resume(children[i], template);
        }

        for (int i = 0; i < count; i++)
        {
            MonitorLoop.AwaitArrived(children[i]);
            figures.Ticks = Math.Max(figures.Ticks, ArrivalTicks(children[i], watch));
        }

        return VmError.None;
    }

    /// <summary>
    /// Puts a child back to the moment of its birth: a death and a birth in the same slot, under the same number. When
    /// there is no memory for that the child ends.
    /// </summary>
    internal static VmError Reset(Vm* vm, out BirthFigures figures)
    {
        Stopwatch watch = Stopwatch.Start();
        ulong now = Stopwatch.Now;
        figures = default;
        Vm* template = vm->Template;
        VmError error = vm->State == VmState.Frozen ? VmError.IsTemplate
            : template == null ? VmError.NoChild
            : VmError.None;
        if (error != VmError.None)
        {
            return error;
        }

        vm->RequestFreeze();
        AwaitStopped(vm);
        if (vm->IsStopRequested)
        {
            return VmError.Ended;
        }

        vm->EndFreezeRequest();
        figures.StopTicks = watch.Elapsed;
        figures.Issued = vm->MachineState.Counters;
        ulong held = HeldBytes(vm);
        El2Machine machine = vm->Machine;
        MemoryResult result = vm->Memory.Reset(ref machine, ref template->Memory);
        if (result != MemoryResult.Ok)
        {
            vm->RequestStop("there was no memory to begin again with"u8);
            VmTable.Leaving.Add(vm->Slot);
            return ErrorOf(result);
        }

        vm->StolenTimePage = 0;
        GuestConsole.Finish(vm);
        GuestStreams.Finish(vm, StreamEnd.WasReset);
        GuestNetwork.Finish(vm);
        DeviceNews.Finish(vm);
        CopyDevices(vm, template);
        vm->StartedAt = now;
        vm->EnteredAt = 0;
        vm->PrintedCount = 0;
        vm->FilledAt = 0;
        figures.MappedPages = vm->Memory.MappedPages;
        figures.MappedBlocks = vm->Memory.MappedBlocks;
        figures.FreedBytes = held - HeldBytes(vm);
        figures.Issued = vm->MachineState.Counters.Since(in figures.Issued);
        Resume(vm, template);
        MonitorLoop.AwaitArrived(vm);
        figures.Ticks = ArrivalTicks(vm, watch);
        return VmError.None;
    }

    /// <summary>Nanoseconds from the order that started the VM to its last output; 0 when there was none.</summary>
    internal static ulong LastOutput(Vm* vm) =>
        vm->PrintedCount != 0 ? Stopwatch.ToNanoseconds(vm->PrintedCount) - vm->StartedAt : 0;

    /// <summary>Pages and tables that the VM owns, in bytes. Walks its chunks.</summary>
    internal static ulong OwnedBytes(Vm* vm)
    {
        vm->MemoryLock.Enter();
        ulong frames = Platform.Pool.CountUsed(in vm->MachineState.Frames);
        vm->MemoryLock.Leave();
        return frames * vm->MachineState.Frames.FrameBytes;
    }

    /// <summary>What the VM has of the pool. The pool's own figures move with every VM that runs meanwhile.</summary>
    internal static ulong HeldBytes(Vm* vm) =>
        (ulong)vm->MachineState.Frames.ChunkCount << FramePool.ChunkShift;

    /// <summary>The guest asked for it, by HVC: says what came of it.</summary>
    private static void FreezeAsAsked(Vm* vm)
    {
        if (FinishFreeze(vm, Stopwatch.Start(), out BirthFigures figures) != VmError.None)
        {
            return; // it ended meanwhile, and is reaped; or it goes on, and was told
        }

        Span<byte> buffer = stackalloc byte[512];
        LineBuilder line = new(buffer);
        line.Text("event=state"u8);
        line.Field("vm"u8, vm->Id);
        line.Field("state"u8, "frozen"u8);
        figures.Write(ref line);
        MachineConsole.Send(Channel.Event, line.Written);
    }

    /// <summary>The vCPUs have been told to leave; when all have, memory is frozen.</summary>
    private static VmError FinishFreeze(Vm* vm, Stopwatch watch, out BirthFigures figures)
    {
        figures = default;
        AwaitStopped(vm);
        if (vm->IsStopRequested)
        {
            return VmError.Ended;
        }

        vm->FrozenCount = Instructions.ReadCounter() - vm->CounterOffset;
        vm->EndFreezeRequest();
        figures.StopTicks = watch.Elapsed;
        figures.MappedPages = vm->Memory.MappedPages;
        figures.MappedBlocks = vm->Memory.MappedBlocks;
        figures.Issued = vm->MachineState.Counters;
        El2Machine machine = vm->Machine;
        MemoryResult result = vm->Memory.Freeze(ref machine);
        vm->StolenTimePage = result == MemoryResult.NotShareable ? vm->StolenTimePage : 0; // else its pages are gone
        if (result != MemoryResult.Ok)
        {
            // It was unmapped after it had asked, or there was no memory.
            Resume(vm, vm);
            return result == MemoryResult.NotShareable ? VmError.Unmapped : ErrorOf(result);
        }

        vm->State = VmState.Frozen;
        figures.Issued = vm->MachineState.Counters.Since(in figures.Issued);
        figures.Ticks = watch.Elapsed;
        GuestConsole.Finish(vm);
        GuestStreams.Finish(vm, StreamEnd.Frozen);
        GuestNetwork.Finish(vm);
        DeviceNews.Finish(vm);
        return VmError.None;
    }

    /// <summary>Makes one child, and does not start it. On an error nothing is left of it.</summary>
    private static VmError Bear(Vm* template, int mostChunks, out Vm* vm)
    {
        vm = VmTable.Take();
        if (vm == null)
        {
            return VmError.NoSlot;
        }

        vm->Options = template->Options;
        vm->MachineState.Pool = Platform.PoolPointer;
        vm->MachineState.Holders.Initialize(vm->Options.VcpuCount == 1);
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            vm->VcpuAt(i)->Vm = vm;
            vm->VcpuAt(i)->Index = i;
        }

        El2Machine machine = vm->Machine;
        VmError error = !GuestStreams.TryPrepare(vm) || !GuestNetwork.TryPrepare(vm) ? VmError.OutOfMemory
            : TryTakeVmid(vm) ? VmError.None
            : VmError.Defect;
        if (error == VmError.None)
        {
            error = ErrorOf(Share(vm, template, mostChunks));
        }

        if (error != VmError.None || !template->Offspring.TryBear())
        {
            Clear(vm);
            vm = null;
            return error == VmError.None ? VmError.TemplateEnded : error;
        }

        vm->Template = template;
        CopyDevices(vm, template);
        vm->State = VmState.Created;
        return VmError.None;
    }

    private static MemoryResult Share(Vm* vm, Vm* template, int mostChunks)
    {
        El2Machine machine = vm->Machine;
        Vmid vmid = Platform.Vmids.VmidOf(in vm->Lease);
        MemoryResult result = GuestMemory<Arm<Granule4K>, El2Machine>.Fork(
            ref machine, ref vm->Memory, ref template->Memory, vmid, mostChunks);
        if (result == MemoryResult.OutOfMemory && Platform.Pool.IsScrubbing)
        {
            // What there is, is being scrubbed.
            Scrubber.Pause();
            result = GuestMemory<Arm<Granule4K>, El2Machine>.Fork(
                ref machine, ref vm->Memory, ref template->Memory, vmid, mostChunks);
            Scrubber.Resume();
        }

        return result;
    }

    /// <summary>
    /// Interrupt controller, UART and power states, as they were at the freeze, but for the news of the birth.
    /// </summary>
    private static void CopyDevices(Vm* vm, Vm* template)
    {
        vm->Gic = template->Gic;
        vm->Uart.Inherit(ref template->Uart);
        VirtioDevices.Inherit(vm, template);
        vm->Power = template->Power;
        GenerationId.Announce(vm);
    }

    /// <summary>
    /// Lets the vCPUs run again, with the state of those of another VM, or their own. One that is off has none.
    /// </summary>
    private static void Resume(Vm* vm, Vm* from)
    {
        vm->CounterOffset = Instructions.ReadCounter() - from->FrozenCount;
        int on = 0;
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            Vcpu* vcpu = vm->VcpuAt(i);
            bool isOff = vm->Power.StateOf(i) == VcpuPowerState.Off;
            vcpu->Origin = isOff ? null : from->VcpuAt(i);
            StolenTime.Inherit(vcpu, from->VcpuAt(i));
            vcpu->IsSaved = false;
            vcpu->Waits = VcpuWait.None;
            vcpu->BirthAnswer = vm != from ? vm->Id : unchecked((ulong)Psci.Denied);
            on += isOff ? 0 : 1;
        }

        vm->AwaitArrivals(on);
        Run(vm);
    }

    /// <summary>
    /// Ticks until the last vCPU had arrived. This core hears of it later: under QEMU's icount when that core's guest
    /// first leaves it.
    /// </summary>
    private static ulong ArrivalTicks(Vm* vm, Stopwatch watch) =>
        vm->HasArrived ? watch.ElapsedAt(vm->ArrivedCount) : watch.Elapsed;

    /// <summary>A child is gone. The last one takes a template along that was told to end, and so on.</summary>
    private static void LeaveTemplate(Vm* template)
    {
        while (template != null && template->Offspring.Leave())
        {
            Vm* next = template->Template;
            Bury(template);
            template = next;
        }
    }

    private static void Bury(Vm* template)
    {
        Span<byte> buffer = stackalloc byte[768];
        LineBuilder line = new(buffer);
        line.Text("event=state"u8);
        line.Field("vm"u8, template->Id);
        line.Field("state"u8, "stopped"u8);
        line.QuotedField("reason"u8, "its last child is gone"u8);
        Stopwatch watch = Stopwatch.Start();
        DeathFigures figures = Begin(template, DeathWay.Self);
        ulong heldBefore = HeldBytes(template);
        ReleaseReport report = ReleaseMemory(template);
        figures.LeakedFrames = report.LeakedFrames;
        Finish(template, ref figures, watch, heldBefore);
        VmTable.Give(template);
        NoteError(ErrorOf(report.Result), ref line);
        figures.Write(ref line);
        MachineConsole.Send(Channel.Event, line.Written);
    }
}

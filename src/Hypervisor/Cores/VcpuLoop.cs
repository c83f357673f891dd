using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Boot;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A vCPU's turn on a core: from the load of its state, through entries and exits, to the last trace of it.
/// </summary>
/// <remarks>Invariant: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.</remarks>
internal static unsafe class VcpuLoop
{
    /// <summary>
    /// SCTLR_EL1 after a reset: its RES1 bits, MMU and caches off, little-endian (DDI 0487 D24.2.140).
    /// </summary>
    private const ulong ResetSystemControl = 0x30D0_0800;

    /// <summary>
    /// SPSR for EL1 with its own stack pointer and every interrupt masked: how a PE comes out of reset.
    /// </summary>
    private const ulong ResetProcessorState = 0x3C5;

    /// <summary>MPIDR_EL1's RES1 bit.</summary>
    private const ulong MpidrResOne = 1UL << 31;

    /// <summary>
    /// A turn: the vCPU is loaded, runs, and goes back to the scheduler when it waits or must make room; or it ends
    /// with its VM.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Run(Core* core, Vcpu* vcpu)
    {
        Load(core, vcpu);
        vcpu->NeedsAttention = false;
        bool hasRun = !MustStop(core, vcpu) && TryGoOn(vcpu);
        if (hasRun)
        {
            if (vcpu->Vm->EnteredAt == 0)
            {
                vcpu->Vm->EnteredAt = Stopwatch.Now;
            }

            vcpu->Arrive();
            Instructions.RunGuest(&vcpu->Context);
        }

        if (!vcpu->Vm->MustLeave)
        {
            GoBack(core, vcpu, hasRun);
            return;
        }

        if (vcpu->Vm->IsFreezeRequested)
        {
            if (hasRun)
            {
                Instructions.SaveVectors(&vcpu->Context);
            }

            VcpuState.Save(vcpu);
        }

        Unload(core, vcpu);
        Dispatcher.End(core);
    }

    /// <summary>
    /// The vCPU waits, is off, or makes room. All of it is saved before another core can have it. What came meanwhile
    /// is looked at after attention has been cleared, so that it does not block on it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void GoBack(Core* core, Vcpu* vcpu, bool hasRun)
    {
        Vm* vm = vcpu->Vm;
        if (hasRun)
        {
            Instructions.SaveVectors(&vcpu->Context);
        }
        else
        {
            vcpu->Arrive();
        }

        VcpuState.Save(vcpu);

        if (vcpu->Waits is VcpuWait.None or VcpuWait.Turn)
        {
            bool toBack = vcpu->Waits == VcpuWait.Turn;
            vcpu->Waits = VcpuWait.None;
            vcpu->IsSaved = true;
            Unload(core, vcpu);
            Dispatcher.Yield(core, toBack);
        }
        else
        {
            Block(core, vcpu);
        }

        if (vm->MustLeave)
        {
            Platform.CoreAt(0)->Kick(); // which may have found it running; a slot can be read at any time
        }
    }

    /// <summary>The vCPU, which has been saved, is blocked, unless what it waits for has come.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Block(Core* core, Vcpu* vcpu)
    {
        // Only now does the virtual GIC know which timers' interrupts the guest has ended: those count again.
        Vm* vm = vcpu->Vm;
        ulong until = vcpu->Waits == VcpuWait.Interrupt
            ? VcpuTimers.NextExpiry(vcpu, vm->Gic.ActiveHardware(vcpu->Index))
            : ulong.MaxValue;
        vcpu->IsSaved = true;
        Unload(core, vcpu);
        vcpu->NeedsAttention = false;
        Interlocked.MemoryBarrier(); // an event whose waker has set attention before that is seen below
        bool blocks = !vm->MustLeave && vcpu->Waits switch
        {
            VcpuWait.Interrupt => !vm->Gic.HasPending(vcpu->Index) && !VirtioDevices.HasWork(vm),
            VcpuWait.Kick => Aborts.IsInvalidating(vm),
            _ => vm->Power.StateOf(vcpu->Index) == VcpuPowerState.Off,
        };
        vcpu->Waits = VcpuWait.None; // what wakes it ends the wait: its guest may be told too often, never too late
        Dispatcher.Leave(core, vcpu, blocks, until);
    }

    /// <summary>
    /// Every exit from a guest (Boot/Vectors.S). Answers the context to go on with; null, not to enter it again.
    /// </summary>
    /// <param name="context">The guest's registers: the first field of the vCPU that this core runs.</param>
    /// <param name="kind">0 synchronous, 1 IRQ, 2 FIQ, 3 SError.</param>
    [RuntimeExport("quietus_guest_exit")]
    private static VcpuContext* Exited(VcpuContext* context, ulong kind)
    {
        Vcpu* vcpu = (Vcpu*)context;
        if (kind == 0)
        {
            ExitHandler.Synchronous(vcpu);
        }
        else
        {
            Asynchronous(vcpu, kind);
        }

        if (!vcpu->NeedsAttention)
        {
            return context;
        }

        // What ends a wait is looked at when the vCPU has been saved; that is where most of them go.
        return vcpu->Waits != VcpuWait.Interrupt && TryAttend(vcpu) ? context : null;
    }

    /// <summary>
    /// Looks at everything that another core, or the last exit, may have left for this vCPU. False: it must not go on
    /// here: it waits, or is off, or makes room, or the VM ends or is frozen.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryAttend(Vcpu* vcpu)
    {
        HaltAfterReport();
        vcpu->NeedsAttention = false;
        return !MustStop(vcpu->Core, vcpu) && TryGoOn(vcpu);
    }

    /// <summary>Whether the VM ends or is frozen, or the vCPU makes room, for another one or for the monitor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool MustStop(Core* core, Vcpu* vcpu) =>
        vcpu->Vm->MustLeave
        || (core->MustLook
            && (core->IsMonitorWanted || Dispatcher.IsTimeUp(core) || Dispatcher.MustYield(core)));

    /// <summary>Does what there is to do for the vCPU. False: it waits, or is off.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryGoOn(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        if (!vm->Power.IsOn(vcpu->Index))
        {
            if (!vm->Power.TryTakeStart(vcpu->Index, out ulong entry, out ulong context))
            {
                vcpu->Waits = VcpuWait.Start;
                return false;
            }

            Reset(vcpu, entry, context);
        }

        if (VirtioDevices.HasWork(vm))
        {
            VirtioDevices.Work(vcpu);
        }

        VcpuInterrupts.Reload(vcpu);
        return vcpu->Waits == VcpuWait.None;
    }

    /// <summary>When another core's EL2 has failed, nothing goes on here either.</summary>
    internal static void HaltAfterReport()
    {
        if (FaultReporter.HasReported)
        {
            Instructions.Halt();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Asynchronous(Vcpu* vcpu, ulong kind)
    {
        if (kind == 1)
        {
            vcpu->Counters.InterruptExits++;
            VcpuInterrupts.TakePhysical(vcpu);
        }
        else
        {
            vcpu->Vm->RequestStop(kind == 3
                ? "the machine reported an asynchronous error (SError)"u8
                : "an FIQ arrived, which nothing here uses"u8);
        }
    }

    /// <summary>
    /// The vCPU's state after PSCI CPU_ON, or at the VM's start. What the redistributor holds is no part of it: an SGI
    /// that was sent to the vCPU while it was off is pending when it comes up. So list registers are taken back before
    /// the CPU interface is cleared, and filled afterwards, when the timers are off and their interrupts withdrawn.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Reset(Vcpu* vcpu, ulong entry, ulong context)
    {
        VcpuInterrupts.Unload(vcpu);
        vcpu->Context = default;
        vcpu->Context.ProgramCounter = entry;
        vcpu->Context.ProcessorState = ResetProcessorState;
        vcpu->Context.X[0] = context;
        Instructions.LoadVectors(&vcpu->Context);
        vcpu->Timer = default;
        vcpu->Waits = VcpuWait.None;
        GuestDebug.Reset(vcpu);
        Instructions.ResetGuestRegisters(ResetSystemControl, 0);
        VcpuInterrupts.Reset(vcpu);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(Core* core, Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        El2Machine machine = vm->Machine;
        if (Platform.Vmids.Enter((int)core->Index, ref vm->Lease, ref machine) != VmidResult.Ok)
        {
            // More cores run guests than there are VMIDs. The stop is seen before the guest is entered.
            vm->RequestStop("no VMID is left"u8);
        }

        // It is this core's until it leaves: a rollover keeps it.
        Vmid vmid = Platform.Vmids.VmidOf(in vm->Lease);
        if (vm->Memory.Vmid.Value != vmid.Value)
        {
            vm->MemoryLock.Enter();
            vm->Memory.Vmid = vmid;
            vm->MemoryLock.Leave();
        }

        vm->MachineState.Holders.Load((int)core->Index);
        Instructions.EnterVm(vm->Memory.Vttbr, GuestTraps.Hcr, MpidrResOne | (uint)vcpu->Index, vm->CounterOffset);
        if (core->LastVcpus.IsOther(vm->Slot, vcpu->Index))
        {
            Instructions.ForgetVcpu();
        }

        vcpu->Core = core;
        if (vcpu->Origin != null || vcpu->IsSaved)
        {
            Vcpu* from = vcpu->Origin != null ? vcpu->Origin : vcpu;
            VcpuInterrupts.TakeDue(vcpu, VcpuTimers.Due(vcpu, from));
            VcpuState.Load(vcpu, from);
            vcpu->IsSaved = false;
        }
        else
        {
            Instructions.ResetGuestRegisters(ResetSystemControl, 0);
            VcpuInterrupts.Reset(vcpu);
        }

        StolenTime.Tell(vcpu);
    }

    /// <summary>
    /// Leaves no Stage-2, no VMID and no interrupt of the guest in the core. What its other registers hold stays,
    /// unread, until <see cref="Load"/> and RunGuest write each of them for the next guest.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unload(Core* core, Vcpu* vcpu)
    {
        GuestDebug.Unload(vcpu);
        CoreSetup.LeaveVm();
        VcpuInterrupts.Forget(core); // whose timers' lines are down now
        Platform.Vmids.Leave((int)core->Index);
        vcpu->Core = null;
    }
}

using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Boot;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A vCPU's stay on its core: from the load of its state, through entries and exits, to the last trace of it.
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

    internal static void Run(Core* core, Vcpu* vcpu)
    {
        Load(core, vcpu);
        if (vcpu->Vm->Power.StateOf(vcpu->Index) != VcpuPowerState.On)
        {
            vcpu->Arrive();
        }

        if (TryAttend(vcpu))
        {
            if (vcpu->Vm->EnteredAt == 0)
            {
                vcpu->Vm->EnteredAt = Stopwatch.Now;
            }

            vcpu->Arrive();
            Instructions.RunGuest(&vcpu->Context);
            if (vcpu->Vm->IsFreezeRequested)
            {
                Instructions.SaveVectors(&vcpu->Context);
            }
        }

        if (vcpu->Vm->IsFreezeRequested)
        {
            VcpuState.Save(vcpu);
        }

        Unload(core, vcpu);
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

        return !vcpu->NeedsAttention || TryAttend(vcpu) ? context : null;
    }

    /// <summary>
    /// Looks at everything that another core, or the last exit, may have left for this vCPU; a vCPU that is off keeps
    /// its core and waits here until another one starts it. False: the VM ends, or is frozen.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryAttend(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        while (true)
        {
            HaltAfterReport();
            vcpu->NeedsAttention = false;
            if (vm->MustLeave)
            {
                return false;
            }

            if (vm->Power.StateOf(vcpu->Index) == VcpuPowerState.On)
            {
                VirtioDevices.Work(vcpu);
                VcpuInterrupts.Reload(vcpu);
                return true;
            }

            if (vm->Power.TryTakeStart(vcpu->Index, out ulong entry, out ulong context))
            {
                Reset(vcpu, entry, context);
            }
            else
            {
                WaitForKick(vcpu);
            }
        }
    }

    /// <summary>When another core's EL2 has failed, nothing goes on here either.</summary>
    internal static void HaltAfterReport()
    {
        if (FaultReporter.HasReported)
        {
            Instructions.Halt();
        }
    }

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
    /// Waits until there is something for this vCPU. What comes is acknowledged; the caller looks at everything
    /// again.
    /// </summary>
    internal static void WaitForKick(Vcpu* vcpu)
    {
        // QEMU ends a WFI at EL2 for a virtual interrupt, too, that only the guest could take: none is shown meanwhile.
        ulong control = Instructions.ReadIchHcr();
        Instructions.WriteIchHcr(control & ~VcpuInterrupts.Enable);
        Instructions.WaitForInterrupt();
        Instructions.WriteIchHcr(control);
        while (VcpuInterrupts.TakePhysical(vcpu))
        {
        }
    }

    /// <summary>
    /// The vCPU's state after PSCI CPU_ON, or at the VM's start. What the redistributor holds is no part of it: an SGI
    /// that was sent to the vCPU while it was off is pending when it comes up. So list registers are taken back before
    /// the CPU interface is cleared, and filled afterwards, when the timers are off and their interrupts withdrawn.
    /// </summary>
    private static void Reset(Vcpu* vcpu, ulong entry, ulong context)
    {
        VcpuInterrupts.Unload(vcpu);
        vcpu->Context = default;
        vcpu->Context.ProgramCounter = entry;
        vcpu->Context.ProcessorState = ResetProcessorState;
        vcpu->Context.X[0] = context;
        Instructions.LoadVectors(&vcpu->Context);
        vcpu->Timer = default;
        GuestDebug.Reset(vcpu);
        Instructions.ResetGuestRegisters(ResetSystemControl, 0);
        VcpuInterrupts.Reset(vcpu);
    }

    private static void Load(Core* core, Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        vm->MemoryLock.Enter();
        El2Machine machine = vm->Machine;
        if (Platform.Vmids.Enter((int)core->Index, ref vm->Lease, ref machine) != VmidResult.Ok)
        {
            // More cores run guests than there are VMIDs. The stop is seen before the guest is entered.
            vm->RequestStop("no VMID is left"u8);
        }

        vm->Memory.Vmid = Platform.Vmids.VmidOf(in vm->Lease);
        ulong root = vm->Memory.Vttbr;
        vm->MemoryLock.Leave();

        Instructions.WriteVtcr(TranslationControl.Vtcr(VmTable.Geometry, CpuFeatures.VmidBits == 16));
        Instructions.WriteVttbr(root);
        Instructions.WriteHcr(GuestTraps.Hcr);
        Instructions.WriteMdcr(GuestTraps.Mdcr | (Instructions.ReadMdcr() & GuestTraps.MdcrKept));
        Instructions.WriteCptr(GuestTraps.Cptr);
        Instructions.WriteVpidr(Instructions.ReadMidr());
        Instructions.WriteVmpidr(MpidrResOne | (uint)vcpu->Index);
        Instructions.WriteCnthctl(VcpuTimers.Traps);
        Instructions.WriteCntvoff(vm->CounterOffset);
        Instructions.InvalidateLocalGuestContext();
        if (vcpu->Origin != null)
        {
            VcpuState.Load(core, vcpu, vcpu->Origin);
        }
        else
        {
            Instructions.ResetGuestRegisters(ResetSystemControl, 0);
            VcpuInterrupts.Reset(vcpu);
        }

        PhysicalGic.EnablePrivate(core->Redistributor, VcpuTimers.Interrupts);
    }

    /// <summary>
    /// Leaves no Stage-2, no VMID and no interrupt of the guest in the core. What its other registers hold stays,
    /// unread, until <see cref="Load"/> and RunGuest write each of them for the next guest.
    /// </summary>
    private static void Unload(Core* core, Vcpu* vcpu)
    {
        VcpuInterrupts.Forget(core);
        GuestDebug.Unload(vcpu);

        // Before Stage-2 goes: a walk of the guest's stage 1 without it would take what the guest wrote for physical
        // addresses.
        CoreSetup.ParkGuestRegisters();
        Instructions.WriteHcr(CoreSetup.HostHcr);
        Instructions.WriteVttbr(0);
        Instructions.WriteCptr(CoreSetup.HostCptr);
        Platform.Vmids.Leave((int)core->Index);
        vcpu->Core = null;
    }
}

using System;
using System.Numerics;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// Interrupts of a vCPU: physical ones that end a stay in the guest, virtual ones on their way through the list
/// registers. List registers stay loaded over exits that have nothing to do with interrupts; they are taken back and
/// filled again only when the virtual GIC says that something changed.
/// </summary>
internal static unsafe class VcpuInterrupts
{
    /// <summary>ICH_HCR_EL2.En.</summary>
    internal const ulong Enable = 1UL << 0;

    private const ulong UnderflowInterrupt = 1UL << 1;
    private const int EndCountShift = 27;

    /// <summary>ICH_VMCR_EL2.VBPR1, which can never be 0 (IHI 0069, ICV_BPR1_EL1).</summary>
    private const ulong BinaryPoint1 = 7UL << 18;

    private static int ListRegisterCount => (int)(Instructions.ReadIchVtr() & 0x1F) + 1;

    /// <summary>The virtual CPU interface as after a reset, before the vCPU's first instruction on this core.</summary>
    internal static void Reset(Vcpu* vcpu)
    {
        Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
        registers.Clear();
        fixed (ulong* first = &registers[0])
        {
            // Invariant: the array holds as many as the architecture can have.
            Instructions.WriteListRegisters(first, ListRegisterCount);
        }

        ulong preemptionBits = ((Instructions.ReadIchVtr() >> 26) & 7) + 1;
        Instructions.ClearActivePriorities(preemptionBits);
        Instructions.WriteIchVmcr(0);
        vcpu->InterruptControl = Enable;
        Instructions.WriteIchHcr(Enable);
    }

    /// <summary>
    /// Acknowledges the physical interrupt that ended the stay in the guest. A timer's stays active until the guest
    /// deactivates its virtual twin (ICH_LR.HW). False: none was pending.
    /// </summary>
    internal static bool TakePhysical(Vcpu* vcpu)
    {
        ulong interrupt = Instructions.AcknowledgeInterrupt() & 0xFF_FFFF;
        if (interrupt >= PhysicalGic.FirstSpecial)
        {
            return false;
        }

        Instructions.DropPriority(interrupt);
        if (VcpuTimers.Owns(interrupt))
        {
            Vm* vm = vcpu->Vm;
            vm->DeviceLock.Enter();
            TakeBack(vcpu); // what the list registers still say of the timer's last interrupt comes before the new one
            vm->Gic.RaiseHardware(vcpu->Index, (uint)interrupt);
            vm->DeviceLock.Leave();
            return true;
        }

        vcpu->NeedsAttention = true; // a kick means that there is something to look at
        if (interrupt == Platform.Description.MaintenanceInterrupt)
        {
            // Its line is up as long as list registers run short (ICH_HCR_EL2.UIE): that is switched off before the
            // deactivation, or it would be pending again at once. Load switches it on again where it is needed.
            vcpu->Vm->DeviceLock.Enter();
            TakeBack(vcpu);
            vcpu->InterruptControl = Enable;
            Instructions.WriteIchHcr(Enable);
            vcpu->Vm->DeviceLock.Leave();
        }

        Instructions.DeactivateInterrupt(interrupt);
        return true;
    }

    /// <summary>Takes the list registers back, before they are cleared.</summary>
    internal static void Unload(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        TakeBack(vcpu);
        vm->DeviceLock.Leave();
    }

    /// <summary>Takes the list registers back and loads what is to be in them now.</summary>
    internal static void Reload(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        Sync(vcpu);
        Load(vcpu);
        vm->DeviceLock.Leave();
    }

    /// <summary>Waits, as WFI does, until an interrupt could be taken: PSCI CPU_SUSPEND.</summary>
    internal static void Await(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        while (!vm->IsStopRequested)
        {
            vm->DeviceLock.Enter();
            Sync(vcpu);
            bool isPending = vm->Gic.HasPending(vcpu->Index);
            Load(vcpu);
            vm->DeviceLock.Leave();
            if (isPending)
            {
                return;
            }

            VcpuLoop.WaitForKick(vcpu);
        }
    }

    /// <summary>
    /// Takes the list registers back into the virtual GIC, whose state is then exact; they are loaded again before the
    /// next entry. The device lock is held.
    /// </summary>
    internal static void TakeBack(Vcpu* vcpu)
    {
        Sync(vcpu);
        vcpu->NeedsAttention = true;
    }

    private static void Sync(Vcpu* vcpu)
    {
        ref VirtualGic gic = ref vcpu->Vm->Gic;
        ulong ended = Instructions.ReadIchHcr() >> EndCountShift;
        if (ended != 0)
        {
            vcpu->Vm->KickVcpus(gic.EndUnlisted(vcpu->Index, (uint)ended));
            Instructions.WriteIchHcr(vcpu->InterruptControl);
        }

        uint kicked = 0;
        if (gic.ListRegistersInUse(vcpu->Index) != 0)
        {
            Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
            fixed (ulong* first = &registers[0])
            {
                // Invariant: the array holds as many as the architecture can have.
                Instructions.ReadListRegisters(first, ListRegisterCount);
            }

            kicked = gic.Sync(vcpu->Index, registers.Slice(0, ListRegisterCount));
        }

        uint active = gic.ActiveHardware(vcpu->Index);
        if (active != 0)
        {
            kicked |= gic.DropHardware(vcpu->Index, active & ~VcpuTimers.Asserted());
        }

        vcpu->Vm->KickVcpus(kicked);
    }

    private static void Load(Vcpu* vcpu)
    {
        ref VirtualGic gic = ref vcpu->Vm->Gic;
        Deactivate(gic.TakeReleasedHardware(vcpu->Index));
        Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
        gic.Fill(vcpu->Index, registers.Slice(0, ListRegisterCount), out bool more);
        fixed (ulong* first = &registers[0])
        {
            // Invariant: the array holds as many as the architecture can have.
            Instructions.WriteListRegisters(first, ListRegisterCount);
        }

        // QEMU (7.2 to 10.0) keeps the low 3 bits of what a guest writes to ICC_BPR1_EL1 after it has raised all of it
        // to the least value: 8 becomes 0, and the next interrupt aborts QEMU. Written back, 0 becomes the least value.
        ulong interfaceControl = Instructions.ReadIchVmcr();
        if ((interfaceControl & BinaryPoint1) == 0)
        {
            Instructions.WriteIchVmcr(interfaceControl);
        }

        ulong control = Enable | (more ? UnderflowInterrupt : 0);
        if (control != vcpu->InterruptControl)
        {
            vcpu->InterruptControl = control;
            Instructions.WriteIchHcr(control);
        }
    }

    /// <summary>
    /// The vCPU is gone: no virtual interrupt, no timer, and no physical interrupt of this core that was the guest's.
    /// </summary>
    internal static void Forget(Core* core, Vcpu* vcpu)
    {
        VcpuTimers.Stop();
        Instructions.WriteIchHcr(0);
        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        uint active = vm->Gic.ActiveHardware(vcpu->Index) | vm->Gic.TakeReleasedHardware(vcpu->Index);
        vm->DeviceLock.Leave();
        Deactivate(active);
        PhysicalGic.SetPrivateEnabled(core->Redistributor, VcpuTimers.Interrupts, enabled: false);
        PhysicalGic.ForgetPrivate(core->Redistributor, VcpuTimers.Interrupts);
    }

    private static void Deactivate(uint interrupts)
    {
        const uint Peripherals = 0xFFFF_0000;
        for (uint left = interrupts & Peripherals; left != 0; left &= left - 1)
        {
            Instructions.DeactivateInterrupt((uint)BitOperations.TrailingZeroCount(left));
        }
    }
}

using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
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

    /// <summary>List registers of a core.</summary>
    private static int ListRegisterCount { get; set; }

    /// <summary>ICH_VTR_EL2.PREbits: how many active priorities registers there are.</summary>
    private static ulong PreemptionBits { get; set; }

    /// <summary>Once for each core; all are taken to be alike. What its list registers hold is unknown.</summary>
    internal static void Initialize(Core* core)
    {
        ulong type = Instructions.ReadIchVtr();
        ListRegisterCount = (int)(type & 0x1F) + 1;
        PreemptionBits = ((type >> 26) & 7) + 1;
        core->ListRegisters = ListRegisterCount;
    }

    /// <summary>The virtual CPU interface as after a reset, before the vCPU's first instruction on this core.</summary>
    internal static void Reset(Vcpu* vcpu)
    {
        ClearListRegisters(vcpu);
        Instructions.ClearActivePriorities(PreemptionBits);
        Instructions.WriteIchVmcr(0);
    }

    /// <summary>
    /// What the vCPU before it has left in its core's list registers goes, and it may take interrupts.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ClearListRegisters(Vcpu* vcpu)
    {
        if (vcpu->Core->ListRegisters != 0)
        {
            ClearUsed(vcpu->Core);
        }

        vcpu->InterruptControl = Enable;
        Instructions.WriteIchHcr(Enable);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ClearUsed(Core* core)
    {
        Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
        registers.Clear();
        fixed (ulong* first = &registers[0])
        {
            // Invariant: the array holds as many as the architecture can have.
            Instructions.WriteListRegisters(first, core->ListRegisters);
        }

        core->ListRegisters = 0;
    }

    /// <summary>Saves the virtual CPU interface, whose list registers have been taken back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SaveInterface(Vcpu* vcpu) =>
        Instructions.SaveInterruptInterface(vcpu->Registers.Interface, PreemptionBits);

    /// <summary>The virtual CPU interface as it was saved, with no list register in use yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void LoadInterface(Vcpu* vcpu, Vcpu* from)
    {
        ClearListRegisters(vcpu);
        Instructions.LoadInterruptInterface(from->Registers.Interface, PreemptionBits);
    }

    /// <summary>
    /// Acknowledges the physical interrupt that ended the stay in the guest. A timer's stays active until the guest
    /// deactivates its virtual twin (ICH_LR.HW).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void TakePhysical(Vcpu* vcpu)
    {
        ulong interrupt = Instructions.AcknowledgeInterrupt() & 0xFF_FFFF;
        if (interrupt >= PhysicalGic.FirstSpecial)
        {
            return;
        }

        Instructions.DropPriority(interrupt);
        vcpu->NeedsAttention = true; // a kick means that there is something to look at
        if (interrupt == PhysicalGic.KickInterrupt)
        {
            Instructions.DeactivateInterrupt(interrupt);
            return;
        }

        if (VcpuTimers.Owns(interrupt))
        {
            vcpu->RaisedTimers |= 1u << (int)interrupt;
            return;
        }

        if (interrupt == Platform.Description.HypervisorTimerInterrupt)
        {
            vcpu->Core->NoteTimer();
        }
        else if (interrupt == Platform.Description.MaintenanceInterrupt)
        {
            // Its line is up as long as list registers run short (ICH_HCR_EL2.UIE): that is switched off before the
            // deactivation, or it would be pending again at once. Load switches it on again where it is needed.
            vcpu->Vm->DeviceLock.Enter();
            TakeBack(vcpu);
            vcpu->InterruptControl = Enable;
            Instructions.WriteIchHcr(Enable);
            vcpu->Vm->DeviceLock.Leave();
        }
        else if (!MonitorLoop.TakeDevice(interrupt))
        {
            return;
        }

        Instructions.DeactivateInterrupt(interrupt);
    }

    /// <summary>
    /// A vCPU comes to this core: timers' interrupts that its guest has not ended are active on its core, and those of
    /// timers that are due are taken as if they had come, before the timers are on. So its guest begins with them, and
    /// not with an exit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void TakeDue(Vcpu* vcpu, uint due)
    {
        uint active = vcpu->Vm->Gic.ActiveHardware(vcpu->Index);
        due &= ~active;
        vcpu->RaisedTimers |= due;
        if ((active | due) != 0)
        {
            PhysicalGic.SetPrivateActive(vcpu->Core->Redistributor, active | due);
        }
    }

    /// <summary>
    /// The virtual GIC has nothing for the vCPU, the core has taken nothing for it, and no list register has anything
    /// of it: most turns begin and end so. Read after attention has been cleared, as the lock would be taken.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsQuiet(Vcpu* vcpu) =>
        vcpu->Vm->Gic.IsQuiet(vcpu->Index) && vcpu->RaisedTimers == 0 && vcpu->InterruptControl == Enable;

    /// <summary>Takes the list registers back, before they are cleared.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Unload(Vcpu* vcpu)
    {
        if (!IsQuiet(vcpu))
        {
            TakeAllBack(vcpu);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeAllBack(Vcpu* vcpu)
    {
        if (TryEndAlone(vcpu))
        {
            return;
        }

        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        TakeBack(vcpu);
        uint released = vm->Gic.TakeReleasedHardware(vcpu->Index);
        vm->DeviceLock.Leave();
        Deactivate(released);
    }

    /// <summary>
    /// Takes the list registers back and loads what is to be in them now. The hardware is read before the lock and
    /// written after it: each access takes long on an emulated machine, and the other vCPUs wait for the lock.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Reload(Vcpu* vcpu)
    {
        if (!IsQuiet(vcpu) || vcpu->Core->ListRegisters != 0)
        {
            ReloadAll(vcpu);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReloadAll(Vcpu* vcpu)
    {
        if (TryRaiseAlone(vcpu))
        {
            return;
        }

        Vm* vm = vcpu->Vm;
        ref VirtualGic gic = ref vm->Gic;
        Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
        ulong ended = ReadBack(vcpu, registers, out int used, out uint asserted);

        vm->DeviceLock.Enter();
        uint kicked = Merge(vcpu, ended, registers.Slice(0, used), asserted);
        uint released = gic.TakeReleasedHardware(vcpu->Index);
        used = gic.Fill(vcpu->Index, registers.Slice(0, ListRegisterCount), out bool more);
        vm->DeviceLock.Leave();

        vm->KickVcpus(kicked);
        Deactivate(released);
        Load(vcpu, registers, used, more);
    }

    /// <summary>
    /// A timer's interrupt that has been taken goes into the first list register, where that is all that there is. What
    /// the timer's line says need not be asked: it is up, or falls with an exit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryRaiseAlone(Vcpu* vcpu)
    {
        uint raised = vcpu->RaisedTimers;
        if (!BitOperations.IsPow2(raised) || vcpu->InterruptControl != Enable || vcpu->Core->ListRegisters > 1)
        {
            return false;
        }

        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        bool isRaised = vm->Gic.TryRaiseAlone(
            vcpu->Index, (uint)BitOperations.TrailingZeroCount(raised), out ulong register);
        vm->DeviceLock.Leave();
        if (isRaised)
        {
            vcpu->RaisedTimers = 0;
            vcpu->Core->ListRegisters = 1;
            Instructions.WriteListRegisters(&register, 1);
            KeepBinaryPoint();
        }

        return isRaised;
    }

    /// <summary>
    /// The guest has ended the only interrupt that it had, its timer's. What is left in the list register is empty.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryEndAlone(Vcpu* vcpu)
    {
        if (vcpu->RaisedTimers != 0 || vcpu->InterruptControl != Enable || vcpu->Core->ListRegisters != 1)
        {
            return false;
        }

        ulong register;
        Instructions.ReadListRegisters(&register, 1);
        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        bool isEnded = vm->Gic.TryEndAlone(vcpu->Index, register);
        vm->DeviceLock.Leave();
        if (isEnded)
        {
            vcpu->Core->ListRegisters = 0;
        }

        return isEnded;
    }

    /// <summary>
    /// Takes the list registers back into the virtual GIC, whose state is then exact; they are loaded again before the
    /// next entry. The device lock is held.
    /// </summary>
    internal static void TakeBack(Vcpu* vcpu)
    {
        Span<ulong> registers = stackalloc ulong[ListRegister.Maximum];
        ulong ended = ReadBack(vcpu, registers, out int used, out uint asserted);
        vcpu->Vm->KickVcpus(Merge(vcpu, ended, registers.Slice(0, used), asserted));
        vcpu->NeedsAttention = true;
    }

    /// <summary>Reads what the core's hardware says of the vCPU's interrupts. Needs no lock.</summary>
    /// <param name="vcpu">This core's vCPU.</param>
    /// <param name="registers">Room for every list register.</param>
    /// <param name="used">How many of them hold something.</param>
    /// <param name="asserted">The timers whose lines are up, where one of them has interrupted.</param>
    /// <returns>Interrupts that the guest has ended and that were in no list register.</returns>
    private static ulong ReadBack(Vcpu* vcpu, scoped Span<ulong> registers, out int used, out uint asserted)
    {
        ref VirtualGic gic = ref vcpu->Vm->Gic;
        used = gic.ListRegistersInUse(vcpu->Index);
        if (used != 0)
        {
            fixed (ulong* first = &registers[0])
            {
                // Invariant: the array holds as many as the architecture can have.
                Instructions.ReadListRegisters(first, used);
            }
        }

        // Only this core makes a timer's interrupt active; others may withdraw it meanwhile.
        asserted = (gic.ActiveHardware(vcpu->Index) | vcpu->RaisedTimers) != 0 ? VcpuTimers.Asserted() : 0;

        // Only when something found no room (UIE) there can be an interrupt to end that is in no list register.
        ulong ended = (vcpu->InterruptControl & UnderflowInterrupt) != 0
            ? Instructions.ReadIchHcr() >> EndCountShift
            : 0;
        if (ended != 0)
        {
            Instructions.WriteIchHcr(vcpu->InterruptControl);
        }

        return ended;
    }

    /// <summary>
    /// Takes over what <see cref="ReadBack"/> has read. What the list registers still say of a timer's last interrupt
    /// comes before its new one. The device lock is held.
    /// </summary>
    private static uint Merge(Vcpu* vcpu, ulong ended, scoped ReadOnlySpan<ulong> registers, uint asserted)
    {
        ref VirtualGic gic = ref vcpu->Vm->Gic;
        uint kicked = ended != 0 ? gic.EndUnlisted(vcpu->Index, (uint)ended) : 0;
        if (registers.Length != 0)
        {
            kicked |= gic.Sync(vcpu->Index, registers);
        }

        for (uint raised = vcpu->RaisedTimers; raised != 0; raised &= raised - 1)
        {
            kicked |= gic.RaiseHardware(vcpu->Index, (uint)BitOperations.TrailingZeroCount(raised));
        }

        vcpu->RaisedTimers = 0;
        uint fallen = gic.ActiveHardware(vcpu->Index) & ~asserted;
        return fallen != 0 ? kicked | gic.DropHardware(vcpu->Index, fallen) : kicked;
    }

    /// <summary>
    /// Writes the list registers that hold something, and those that did: on QEMU each takes a lock of the machine.
    /// </summary>
    private static void Load(Vcpu* vcpu, scoped ReadOnlySpan<ulong> registers, int used, bool more)
    {
        int changed = Math.Max(used, vcpu->Core->ListRegisters);
        if (changed != 0)
        {
            fixed (ulong* first = &registers[0])
            {
                // Invariant: the array holds as many as the architecture can have.
                Instructions.WriteListRegisters(first, changed);
            }
        }

        vcpu->Core->ListRegisters = used;
        if (used != 0)
        {
            KeepBinaryPoint();
        }

        ulong control = Enable | (more ? UnderflowInterrupt : 0);
        if (control != vcpu->InterruptControl)
        {
            vcpu->InterruptControl = control;
            Instructions.WriteIchHcr(control);
        }
    }

    /// <summary>
    /// QEMU (7.2 to 10.0) keeps the low 3 bits of what a guest writes to ICC_BPR1_EL1 after it has raised all of it to
    /// the least value: 8 becomes 0, and the next interrupt aborts QEMU. Written back, 0 becomes the least value.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KeepBinaryPoint()
    {
        ulong interfaceControl = Instructions.ReadIchVmcr();
        if ((interfaceControl & BinaryPoint1) == 0)
        {
            Instructions.WriteIchVmcr(interfaceControl);
        }
    }

    /// <summary>
    /// The vCPU is gone: no virtual interrupt, no timer, and no physical interrupt of this core that was the guest's.
    /// All of these are timers', so the redistributor drops them without a look at which of them are active.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Forget(Core* core) =>
        PhysicalGic.ClearPrivateActive(core->Redistributor, VcpuTimers.Interrupts);

    private static void Deactivate(uint interrupts)
    {
        const uint Peripherals = 0xFFFF_0000;
        for (uint left = interrupts & Peripherals; left != 0; left &= left - 1)
        {
            Instructions.DeactivateInterrupt((uint)BitOperations.TrailingZeroCount(left));
        }
    }
}

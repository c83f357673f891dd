using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A vCPU's timers. The virtual one is the core's, at the VM's offset, and never traps. The physical one is the core's
/// too, but each access of the guest traps, and so does its physical counter.
/// </summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class VcpuTimers
{
    /// <summary>
    /// CNTHCTL_EL2 in a guest: CNTPCT_EL0 (EL1PCTEN) and the physical timer (EL1PCEN) trap; no event stream of EL2's.
    /// </summary>
    internal const ulong Traps = 0;

    /// <summary>The timers' private interrupts, as bits: the same INTIDs on the machine as in every guest.</summary>
    internal const uint Interrupts = Virtual | Physical;

    private const uint Virtual = 1u << (int)GuestMemoryMap.VirtualTimerInterrupt;
    private const uint Physical = 1u << (int)GuestMemoryMap.PhysicalTimerInterrupt;

    // Op0 = 3, Op1 = 3, CRn = 14.
    private const uint GenericTimer = (3 << 14) | (3 << 11) | (14 << 7);
    private const uint PhysicalCount = GenericTimer | (0 << 3) | 1;
    private const uint PhysicalTimerValue = GenericTimer | (2 << 3) | 0;
    private const uint PhysicalTimerControl = GenericTimer | (2 << 3) | 1;
    private const uint PhysicalTimerCompare = GenericTimer | (2 << 3) | 2;

    /// <summary>CNTx_CTL_EL0: ENABLE, IMASK, ISTATUS; and the value while the timer's line is up.</summary>
    private const ulong TimerState = 7;
    private const ulong TimerAsserted = 5;

    /// <summary>ENABLE and IMASK; and their value while the timer can interrupt.</summary>
    private const ulong EnabledMask = 3;
    private const ulong Enabled = 1;

    /// <summary>Whether an interrupt is one of the two timers'.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Owns(ulong interrupt) => interrupt < 32 && ((Interrupts >> (int)interrupt) & 1) != 0;

    /// <summary>The timers whose lines are up, as bits of their interrupts.</summary>
    internal static uint Asserted()
    {
        uint asserted = (Instructions.ReadVirtualTimerControl() & TimerState) == TimerAsserted ? Virtual : 0;
        return (Instructions.ReadPhysicalTimerControl() & TimerState) == TimerAsserted
            ? asserted | Physical
            : asserted;
    }

    /// <summary>
    /// When the first of the timers fires that would interrupt; the greatest value for never. One that has fired, and
    /// whose interrupt the core has taken, does not count.
    /// </summary>
    /// <param name="vcpu">A vCPU that has been saved.</param>
    /// <param name="taken">The timers whose interrupts have been taken, as bits.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong NextExpiry(Vcpu* vcpu, uint taken)
    {
        ulong next = ulong.MaxValue;
        ref GuestRegisters registers = ref vcpu->Registers;
        if ((taken & Virtual) == 0 && (registers.VirtualTimerControl & EnabledMask) == Enabled)
        {
            ulong machine = Instructions.ReadCounter();
            ulong guest = machine - vcpu->Vm->CounterOffset;
            ulong compare = registers.VirtualTimerCompare;
            ulong wait = compare > guest ? compare - guest : 0;
            next = wait > ulong.MaxValue - machine ? ulong.MaxValue : machine + wait;
        }

        if ((taken & Physical) == 0 && (registers.PhysicalTimerControl & EnabledMask) == Enabled)
        {
            ulong machine = Instructions.ReadCounter();
            ulong compare = vcpu->Timer.MachineCompare(machine - vcpu->Vm->CounterOffset, machine);
            next = compare < next ? compare : next;
        }

        return next;
    }

    /// <summary>The timers that interrupt as soon as they are on a core: their moments have come.</summary>
    /// <param name="vcpu">The vCPU; its VM's time has been set.</param>
    /// <param name="from">Whose saved state it begins with: its own, or its template's.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Due(Vcpu* vcpu, Vcpu* from)
    {
        ulong guest = Instructions.ReadCounter() - vcpu->Vm->CounterOffset;
        ref GuestRegisters registers = ref from->Registers;
        uint due = (registers.VirtualTimerControl & EnabledMask) == Enabled && registers.VirtualTimerCompare <= guest
            ? Virtual
            : 0;
        return (registers.PhysicalTimerControl & EnabledMask) == Enabled && from->Timer.Compare <= guest
            ? due | Physical
            : due;
    }

    /// <summary>The physical timer goes on: its moment is the guest's, and its machine's count another.</summary>
    /// <param name="vcpu">The vCPU, whose timer's moment is set; its core's timer is off.</param>
    /// <param name="control">CNTP_CTL_EL0.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Load(Vcpu* vcpu, ulong control)
    {
        if ((control & PhysicalTimer.ControlMask) != 0)
        {
            Start(vcpu, control & PhysicalTimer.ControlMask);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Start(Vcpu* vcpu, ulong control)
    {
        ulong machine = Instructions.ReadCounter();
        ulong guest = machine - vcpu->Vm->CounterOffset;
        Instructions.WritePhysicalTimerCompare(vcpu->Timer.MachineCompare(guest, machine));
        Instructions.WritePhysicalTimerControl(control);
    }

    /// <summary>Carries a trapped access out. False: the register is none of the physical timer's.</summary>
    internal static bool TryAccess(Vcpu* vcpu, SystemRegisterAccess access)
    {
        if (access.Register is not (PhysicalCount or PhysicalTimerValue or PhysicalTimerControl or PhysicalTimerCompare)
            || (access.Register == PhysicalCount && !access.IsRead))
        {
            return false;
        }

        ref VcpuContext context = ref vcpu->Context;
        if (access.IsRead)
        {
            context.SetRegister(access.GeneralRegister, Read(vcpu, access.Register));
        }
        else
        {
            Write(vcpu, access.Register, context.Register(access.GeneralRegister));
        }

        return true;
    }

    private static ulong Read(Vcpu* vcpu, uint register) => register switch
    {
        PhysicalCount => Instructions.ReadCounter() - vcpu->Vm->CounterOffset,
        PhysicalTimerValue => vcpu->Timer.Remaining(Instructions.ReadCounter() - vcpu->Vm->CounterOffset),
        PhysicalTimerControl => Instructions.ReadPhysicalTimerControl() & TimerState,
        _ => vcpu->Timer.Compare,
    };

    private static void Write(Vcpu* vcpu, uint register, ulong value)
    {
        if (register == PhysicalTimerControl)
        {
            Instructions.WritePhysicalTimerControl(value & PhysicalTimer.ControlMask);
        }
        else
        {
            ulong machine = Instructions.ReadCounter();
            ulong guest = machine - vcpu->Vm->CounterOffset;
            if (register == PhysicalTimerValue)
            {
                vcpu->Timer.SetRemaining(value, guest);
            }
            else
            {
                vcpu->Timer.Compare = value;
            }

            Instructions.WritePhysicalTimerCompare(vcpu->Timer.MachineCompare(guest, machine));
        }

        // The line may have fallen: an interrupt that the guest has not taken yet is withdrawn before the next entry.
        vcpu->NeedsAttention = true;
    }
}

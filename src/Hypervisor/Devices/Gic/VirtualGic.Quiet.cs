using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Devices;

public partial struct VirtualGic
{
    /// <summary>
    /// Whether there is nothing for a vCPU: none of its interrupts waits, is in a list register, or is linked to an
    /// active physical one. On the vCPU's own core, as after <see cref="NeedsAttention"/>; needs no lock.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsQuiet(int vcpu)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        return (Volatile.Read(ref self.Summary) | (uint)self.Used
            | self.Private.HardwareActive | self.Private.HardwareReleased) == 0;
    }

    /// <summary>
    /// What <see cref="RaiseHardware"/> and <see cref="Fill"/> come to for a vCPU that is quiet: its timer has fired,
    /// which is what wakes most. False, and nothing has changed: it is not, or the guest does not want the interrupt.
    /// </summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="interrupt">A linked interrupt, as for RaiseHardware.</param>
    /// <param name="register">For list register 0, the only one in use.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRaiseAlone(int vcpu, uint interrupt, out ulong register)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        ref InterruptBank bank = ref self.Private;
        uint bit = 1U << (int)interrupt;
        register = 0;
        if (!IsQuiet(vcpu) || interrupt >= FirstShared
            || (bit & bank.HardwareLinked & bank.Enabled & GroupMask(ref bank)) == 0)
        {
            return false;
        }

        bank.HardwareActive = bit;
        bank.Latch |= bit;
        bank.Loaded = bit;
        bank.LoadedAsPending = bit;
        self.LoadedInterrupts[0] = (byte)interrupt;
        self.Used = 1;
        register = interrupt | ListRegister.Pending | ListRegister.Hardware
            | ((ulong)interrupt << ListRegister.PhysicalShift)
            | ((ulong)bank.Priorities[(int)interrupt] << ListRegister.PriorityShift)
            | ((bank.Group1 & bit) != 0 ? ListRegister.Group1 : 0);
        return true;
    }

    /// <summary>
    /// What <see cref="Sync"/> comes to where the only list register in use is a linked interrupt's that the guest has
    /// ended, and nothing else has happened. False, and nothing has changed: it is not so.
    /// </summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="register">ICH_LR0_EL2.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEndAlone(int vcpu, ulong register)
    {
        const ulong State = ListRegister.Hardware | ListRegister.Pending | ListRegister.Active;
        ref VcpuInterface self = ref vcpus[vcpu];
        ref InterruptBank bank = ref self.Private;
        uint bit = bank.HardwareActive;
        if (self.Used != 1 || (self.Summary | bank.HardwareReleased | bank.ChangedWhileLoaded) != 0
            || (register & State) != ListRegister.Hardware
            || bit == 0 || bank.Loaded != bit || bank.LoadedAsPending != bit)
        {
            return false;
        }

        bank.HardwareActive = 0;
        bank.Latch &= ~bit;
        bank.Active &= ~bit;
        bank.Loaded = 0;
        bank.LoadedAsPending = 0;
        self.Used = 0;
        return true;
    }
}

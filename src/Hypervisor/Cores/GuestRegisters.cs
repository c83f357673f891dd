using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What of a vCPU lies in its core's registers while it has a core: EL1's system registers and the virtual CPU
/// interface. Filled when its VM is frozen; each child's vCPU is loaded from it.
/// </summary>
/// <remarks>
/// Boot/Instructions.S stores and loads them (save_guest_registers, save_interrupt_interface). The order is that
/// file's; only what C# has to look at has a name. Invariant: the arrays are as long as what those functions store.
/// </remarks>
internal unsafe struct GuestRegisters
{
    private const int Count = 29;
    private const int PhysicalTimerControlPlace = 23;
    private const int VirtualTimerComparePlace = 24;
    private const int VirtualTimerControlPlace = 25;
    private const int InterfaceCount = 9;

    /// <summary>EL1's system registers.</summary>
    internal fixed ulong System[Count];

    /// <summary>ICH_VMCR_EL2, ICH_AP0R&lt;n&gt;_EL2, ICH_AP1R&lt;n&gt;_EL2.</summary>
    internal fixed ulong Interface[InterfaceCount];

    /// <summary>CNTP_CTL_EL0. When it fires is in <see cref="Vcpu.Timer"/>.</summary>
    internal readonly ulong PhysicalTimerControl
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => System[PhysicalTimerControlPlace];
    }

    /// <summary>CNTV_CTL_EL0.</summary>
    internal readonly ulong VirtualTimerControl
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => System[VirtualTimerControlPlace];
    }

    /// <summary>CNTV_CVAL_EL0: when the virtual timer fires, in the guest's count.</summary>
    internal readonly ulong VirtualTimerCompare
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => System[VirtualTimerComparePlace];
    }
}

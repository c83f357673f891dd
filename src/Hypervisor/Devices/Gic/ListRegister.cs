namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A list register, ICH_LR&lt;n&gt;_EL2: by it the hypervisor hands one virtual interrupt to the GIC's virtual CPU
/// interface (GIC architecture specification IHI 0069, ICH_LR&lt;n&gt;_EL2).
/// </summary>
/// <remarks>
/// <code>
///  63 62 | 61 | 60    | 59..56 | 55..48   | 47..45 | 44..32         | 31..0
///  state | HW | group | 0      | priority | 0      | physical INTID | virtual INTID
///                                                    with HW = 0: 41 = EOI (maintenance interrupt at the end)
/// </code>
/// </remarks>
public static class ListRegister
{
    /// <summary>The greatest number of list registers that an implementation can have.</summary>
    public const int Maximum = 16;

    /// <summary>The interrupt is pending; with <see cref="Active"/>, pending again while it is active.</summary>
    public const ulong Pending = 1UL << 62;

    /// <summary>The guest has acknowledged the interrupt and not yet deactivated it.</summary>
    public const ulong Active = 1UL << 63;

    /// <summary>The guest's deactivation deactivates the physical interrupt too.</summary>
    public const ulong Hardware = 1UL << 61;

    /// <summary>The interrupt is of group 1: it is signalled as a virtual IRQ, otherwise as a virtual FIQ.</summary>
    public const ulong Group1 = 1UL << 60;

    /// <summary>
    /// A maintenance interrupt tells when the guest has ended the interrupt. Only without <see cref="Hardware"/>.
    /// </summary>
    public const ulong TellEnd = 1UL << 41;

    /// <summary>Where the priority begins.</summary>
    public const int PriorityShift = 48;

    /// <summary>Where the physical INTID begins.</summary>
    public const int PhysicalShift = 32;
}

using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// The state of 32 interrupts with consecutive INTIDs, a bit for each, as the GIC's own registers have it. A bank is
/// either the private interrupts of one vCPU (SGIs 0 to 15, PPIs 16 to 31) or 32 of the VM's shared ones.
/// </summary>
/// <remarks>
/// While an interrupt is loaded in a list register the hardware owns its pending and active state, and what is here
/// is from before. Changes meanwhile are noted in the four *While-loaded* words, and folded in when the list
/// register has been read back.
/// </remarks>
internal struct InterruptBank
{
    /// <summary>GICx_ISENABLER.</summary>
    internal uint Enabled;

    /// <summary>
    /// An edge has come, software has made it pending, or a linked physical interrupt has been taken.
    /// </summary>
    internal uint Latch;

    /// <summary>The input lines.</summary>
    internal uint Level;

    /// <summary>GICx_ISACTIVER.</summary>
    internal uint Active;

    /// <summary>Edge-triggered by GICx_ICFGR; the others are level-sensitive.</summary>
    internal uint EdgeTriggered;

    /// <summary>GICx_IGROUPR.</summary>
    internal uint Group1;

    /// <summary>In a list register of some vCPU.</summary>
    internal uint Loaded;

    /// <summary>Loaded as pending, so that the list register tells whether the guest has taken it.</summary>
    internal uint LoadedAsPending;

    /// <summary>
    /// Raised by a physical interrupt of the same INTID, which stays active until the guest deactivates it.
    /// </summary>
    internal uint HardwareLinked;

    /// <summary>The linked physical interrupt is active on this vCPU's core.</summary>
    internal uint HardwareActive;

    /// <summary>
    /// The linked physical interrupt is still active but no vCPU waits for it: the core must deactivate it.
    /// </summary>
    internal uint HardwareReleased;

    /// <summary>While loaded: made pending once more.</summary>
    internal uint PendedWhileLoaded;

    /// <summary>While loaded: pending state withdrawn.</summary>
    internal uint UnpendedWhileLoaded;

    /// <summary>While loaded: made active by a register write.</summary>
    internal uint ActivatedWhileLoaded;

    /// <summary>While loaded: deactivated by a register write.</summary>
    internal uint DeactivatedWhileLoaded;

    /// <summary>GICx_IPRIORITYR.</summary>
    internal InterruptPriorities Priorities;

    /// <summary>Pending as GICx_ISPENDR shows it: latched, or level-sensitive with its line asserted.</summary>
    internal readonly uint Pending
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Latch | (Level & ~EdgeTriggered);
    }

    /// <summary>Nothing is pending, active or loaded: no vCPU has anything to do for it.</summary>
    internal readonly bool IsQuiet
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Latch | Level | Active | Loaded) == 0;
    }

    /// <summary>What must be folded in from the list registers at once.</summary>
    internal readonly uint ChangedWhileLoaded
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => PendedWhileLoaded | UnpendedWhileLoaded | ActivatedWhileLoaded | DeactivatedWhileLoaded;
    }

    internal void SetPending(uint bits)
    {
        Latch |= bits;
        PendedWhileLoaded |= bits & Loaded;
    }

    internal void ClearPending(uint bits)
    {
        Latch &= ~bits;
        PendedWhileLoaded &= ~bits;
        UnpendedWhileLoaded |= bits & Loaded;
        ReleaseHardware();
    }

    internal void SetActive(uint bits)
    {
        Active |= bits & ~Loaded;
        ActivatedWhileLoaded |= bits & Loaded;
        DeactivatedWhileLoaded &= ~bits;
    }

    internal void ClearActive(uint bits)
    {
        Active &= ~(bits & ~Loaded);
        DeactivatedWhileLoaded |= bits & Loaded;
        ActivatedWhileLoaded &= ~bits;
        ReleaseHardware();
    }

    /// <summary>Moves a line; an edge-triggered interrupt latches the rising edge.</summary>
    internal void SetLine(uint bit, bool asserted)
    {
        if (!asserted)
        {
            Level &= ~bit;
            return;
        }

        uint rising = bit & ~Level & EdgeTriggered;
        Level |= bit;
        SetPending(rising);
    }

    /// <summary>Takes back one interrupt's state from a list register as the hardware left it.</summary>
    internal void Unload(uint bit, ulong listRegister)
    {
        bool pending = (listRegister & ListRegister.Pending) != 0;
        bool active = (listRegister & ListRegister.Active) != 0;
        if ((listRegister & ListRegister.Hardware) != 0 && !pending && !active)
        {
            HardwareActive &= ~bit;
        }

        pending = (pending && (UnpendedWhileLoaded & bit) == 0) || (PendedWhileLoaded & bit) != 0;
        active = (active && (DeactivatedWhileLoaded & bit) == 0) || (ActivatedWhileLoaded & bit) != 0;

        // A level-sensitive interrupt is in the list register because of its line, its latch, or both. Only what
        // was latched before may stay latched: the line is looked at afresh. What was loaded as active only keeps
        // its latch, which the guest has not seen.
        bool latched = (Latch & bit) != 0 && (pending || (LoadedAsPending & bit) == 0);
        Latch = latched ? Latch | bit : Latch & ~bit;
        Active = active ? Active | bit : Active & ~bit;
        Loaded &= ~bit;
        LoadedAsPending &= ~bit;
        PendedWhileLoaded &= ~bit;
        UnpendedWhileLoaded &= ~bit;
        ActivatedWhileLoaded &= ~bit;
        DeactivatedWhileLoaded &= ~bit;
        ReleaseHardware();
    }

    /// <summary>
    /// Notes linked physical interrupts that stayed active although the virtual one is neither pending nor active.
    /// </summary>
    internal void ReleaseHardware()
    {
        uint idle = HardwareActive & ~(Latch | Active | Loaded);
        HardwareActive &= ~idle;
        HardwareReleased |= idle;
    }
}

/// <summary>A priority for each interrupt of a bank; 0 is the highest. The low 3 bits are always 0.</summary>
[InlineArray(32)]
internal struct InterruptPriorities
{
    private byte first;
}

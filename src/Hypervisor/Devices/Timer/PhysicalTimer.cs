namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A vCPU's EL1 physical timer (DDI 0487, D12.2): its registers and CNTPCT_EL0 trap, for the hardware has no offset
/// for them. The core's own timer stands in, set to the same moment in the machine's count; this is what must be
/// remembered besides, and the arithmetic.
/// </summary>
public struct PhysicalTimer
{
    /// <summary>CNTP_CTL_EL0's bits that can be written: ENABLE and IMASK.</summary>
    public const ulong ControlMask = 3;

    /// <summary>CNTP_CVAL_EL0 as the guest has it.</summary>
    public ulong Compare;

    /// <summary>CNTP_TVAL_EL0: what is left until the timer fires, negative afterwards, in 32 bits.</summary>
    public readonly ulong Remaining(ulong guestCount) => (uint)(Compare - guestCount);

    /// <summary>A write of CNTP_TVAL_EL0: 32 bits, signed.</summary>
    public void SetRemaining(ulong value, ulong guestCount) => Compare = guestCount + (ulong)(long)(int)(uint)value;

    /// <summary>
    /// CNTP_CVAL_EL0 for the core, at which its timer fires when the guest's should. A moment that has passed is 0,
    /// one that the machine's count never reaches is the greatest value: nothing wraps.
    /// </summary>
    public readonly ulong MachineCompare(ulong guestCount, ulong machineCount)
    {
        if (Compare <= guestCount)
        {
            return 0;
        }

        ulong wait = Compare - guestCount;
        return wait > ulong.MaxValue - machineCount ? ulong.MaxValue : machineCount + wait;
    }
}

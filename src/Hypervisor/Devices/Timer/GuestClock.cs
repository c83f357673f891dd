namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A guest's time. Both of its counters, CNTVCT_EL0 and CNTPCT_EL0, count the machine's ticks from where the VM began,
/// so that neither tells how long the machine has been up: guest count = machine count - offset, in 64 bits.
/// </summary>
/// <remarks>
/// <para>By the architecture a virtual timer fires when CNTPCT reaches CNTV_CVAL + CNTVOFF, a sum of 64 bits that may
/// wrap (DDI 0487, D12.2.4). QEMU gets one half of that wrong, and which half depends on its version:</para>
/// <list type="bullet">
/// <item>up to 8.1 and in 7.2, a sum that wraps to a moment in the past fires without end and hangs the whole machine,
/// so that no guest may come by one: a guest parks its timer by CVAL = ~0, which wraps with any offset from 1 on as
/// long as the guest's count is behind the machine's. With the guest's count ahead of the machine's, no CVAL
/// that is still to come wraps to the past;</item>
/// <item>later, a sum that wraps never fires: the guest's count must not be ahead of the machine's.</item>
/// </list>
/// <para>A timer that cannot be trapped (FEAT_ECV came with Armv8.6) leaves only the choice of the offset: hence two
/// beginnings, and <see cref="Offset"/> is told which one this machine takes. Real hardware takes both.</para>
/// </remarks>
public static class GuestClock
{
    /// <summary>
    /// Where a guest's count begins that must be ahead of the machine's: 208 days at QEMU's 62.5 MHz. Multiplied by
    /// 1000, as boot loaders do, it still fits 64 bits.
    /// </summary>
    public const ulong AheadStart = 1UL << 50;

    /// <summary>CNTVOFF_EL2 of a VM that begins now.</summary>
    /// <param name="machineCount">CNTPCT_EL0.</param>
    /// <param name="sumsWrap">Whether a timer's sum that wraps fires when its time comes.</param>
    public static ulong Offset(ulong machineCount, bool sumsWrap) =>
        sumsWrap && machineCount < AheadStart ? machineCount - AheadStart : machineCount;
}

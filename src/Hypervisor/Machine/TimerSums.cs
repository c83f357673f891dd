using Quietus.Hypervisor.Devices;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Tries out whether a virtual timer fires whose CNTV_CVAL_EL0 + CNTVOFF_EL2 exceeds 64 bits, as it must by the
/// architecture and does not under newer QEMU (<see cref="GuestClock"/>).
/// </summary>
internal static class TimerSums
{
    private const ulong Masked = 3; // CNTx_CTL: ENABLE, IMASK
    private const ulong Condition = 4;

    /// <summary>Whether they fire. Set by <see cref="Detect"/>.</summary>
    internal static bool Wrap { get; private set; }

    /// <summary>
    /// On the boot core, with no guest: the virtual counter is set far below zero, its timer to a moment soon, and the
    /// EL2 timer to a little later. When that one has come, the other has, or never will: QEMU serves both in the
    /// order of their times.
    /// </summary>
    internal static void Detect()
    {
        const ulong Behind = 1UL << 40;
        ulong soon = Stopwatch.ToTicks(10_000);
        ulong now = Instructions.ReadCounter();
        Instructions.WriteCntvoff(now + Behind);
        Instructions.WriteVirtualTimerCompare(soon - Behind);
        Instructions.WriteVirtualTimerControl(Masked);
        Instructions.StartHypervisorTimer(2 * soon);
        while ((Instructions.ReadHypervisorTimerControl() & Condition) == 0)
        {
        }

        Wrap = (Instructions.ReadVirtualTimerControl() & Condition) != 0;
        Instructions.StopHypervisorTimer();
        Instructions.WriteVirtualTimerControl(0);
        Instructions.WriteVirtualTimerCompare(0);
        Instructions.WriteCntvoff(0);
    }
}

using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// What an exit costs, by the guest's own clock. Where virtual time counts instructions (QEMU's -icount shift=0: one
/// nanosecond for each), the results are instructions; elsewhere nanoseconds.
/// </summary>
internal static class Measurements
{
    private const ulong Calls = 4096;
    private const ulong Pages = 4096;
    private const ulong FewestPages = 2048;

    /// <summary>An HVC and back: SMCCC_VERSION, which does nothing but answer.</summary>
    internal static void HypervisorCall()
    {
        // Once before, so that neither loop pays for what is done once only.
        Instructions.LoopHypervisorCall(1, Firmware.CallingConventionVersion);
        ulong begin = Clock.Now;
        Instructions.LoopHypervisorCall(Calls, Firmware.CallingConventionVersion);
        ulong end = Clock.Now;
        Report.HypervisorCallCost(Thousandths(end - begin, Empty(Calls), Calls));
    }

    /// <summary>The first store to a page: exit, demand fault, entry, and the store itself.</summary>
    internal static bool FirstTouch()
    {
        ulong pages = Pages;
        ulong start = FreeMemory.FindLowest(pages);
        if (start == 0)
        {
            pages = FewestPages;
            start = FreeMemory.FindLowest(pages);
        }

        if (start == 0)
        {
            Terminal.Line("measure=fault needs 8 MB of free memory"u8);
            Report.TestFailed(FewestPages);
            return false;
        }

        ulong begin = Clock.Now;
        Instructions.LoopStore(pages, start, FreeMemory.PageBytes);
        ulong end = Clock.Now;
        Report.FirstTouchCost(Thousandths(end - begin, Empty(pages), pages));
        return true;
    }

    private static ulong Empty(ulong count)
    {
        ulong begin = Clock.Now;
        Instructions.LoopEmpty(count, 0, 0);
        return Clock.Now - begin;
    }

    private static ulong Thousandths(ulong ticks, ulong emptyTicks, ulong count) =>
        ticks <= emptyTicks ? 0 : Clock.Nanoseconds(ticks - emptyTicks) * 1000 / count;
}

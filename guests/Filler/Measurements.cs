using System;
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

    /// <summary>A load from a device and back: the UART's flags, which a console looks at for each character.</summary>
    internal static void UartAccess()
    {
        _ = Instructions.Load32(Board.Uart + Terminal.FlagRegister);
        ulong begin = Clock.Now;
        for (ulong i = 0; i < Calls; i++)
        {
            _ = Instructions.Load32(Board.Uart + Terminal.FlagRegister);
        }

        ulong end = Clock.Now;
        Report.UartCost(Thousandths(end - begin, Empty(Calls), Calls));
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

        Report.FirstTouchCost(Stores(pages, start, FreeMemory.PageBytes));
        return true;
    }

    /// <summary>
    /// The first store to a page that is shared with a template: exit, copy, break, entry, and the store itself. False
    /// where too little was filled for that.
    /// </summary>
    internal static bool SharedWrites(ulong filled)
    {
        const ulong RegionBytes = 2 << 20;
        const ulong MostRegions = 16;
        const ulong Further = 256;
        ulong regions = Math.Min(filled / RegionBytes, MostRegions + 1);
        if (regions < 2)
        {
            Terminal.Line("shared=measure needs 4 MB that were filled"u8);
            Report.TestFailed(RegionBytes);
            return false;
        }

        // From the end of RAM downwards, as it was filled. What is said comes last: the UART's driver writes, too.
        ulong region = (Board.RamEnd & ~(RegionBytes - 1)) - RegionBytes;
        ulong gigabyte = Stores(1, region, 0);
        ulong first = Stores(regions - 1, region - ((regions - 1) * RegionBytes), RegionBytes);
        ulong further = Stores(Further, region + FreeMemory.PageBytes, FreeMemory.PageBytes);
        Report.FirstInGigabyteCost(gigabyte);
        Report.FirstInRegionCost(first);
        Report.SharedWriteCost(further);
        return true;
    }

    private static ulong Stores(ulong count, ulong start, ulong stride)
    {
        ulong begin = Clock.Now;
        Instructions.LoopStore(count, start, stride);
        ulong end = Clock.Now;
        return Thousandths(end - begin, Empty(count), count);
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

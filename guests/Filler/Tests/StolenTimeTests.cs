using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// What the hypervisor says of the time that it did not let this vCPU run (DEN0057): what it says before, over and
/// after 100 ms of work, and what comes of writing there.
/// </summary>
internal static class StolenTimeTests
{
    private const ulong ArchitectureFeatures = 0x8000_0001;
    private const ulong TimeFeatures = 0xC500_0020;
    private const ulong StolenTime = 0xC500_0021;
    private const ulong TimeOffset = 8;
    private const ulong Bytes = 64;
    private const ulong Time = 100;

    internal static void Run(ref Tally tally)
    {
        tally.Check(Firmware.Call(ArchitectureFeatures, TimeFeatures) == 0, "there is PV_TIME_FEATURES"u8);
        tally.Check(Firmware.Call(TimeFeatures, TimeFeatures) == 0, "it knows itself"u8);
        tally.Check(Firmware.Call(TimeFeatures, StolenTime) == 0, "there is PV_TIME_ST"u8);
        tally.Check(Firmware.Call(TimeFeatures, StolenTime + 1) == Firmware.NotSupported, "and nothing else"u8);
        ulong place = Instructions.HypervisorCall(StolenTime, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue);
        tally.Check((long)place > 0 && place % Bytes == 0, "the structure is aligned"u8, place);
        ulong structure = Tables.Open(place, Tables.Memory);
        tally.Check(Instructions.Load64(structure) == 0, "revision and attributes are 0"u8);

        ulong begin = Clock.Now;
        ulong end = begin + Clock.Milliseconds(Time);
        ulong first = Instructions.Load64(structure + TimeOffset);
        ulong last = first;
        bool rises = true;
        while (Clock.Now < end)
        {
            ulong now = Instructions.Load64(structure + TimeOffset);
            rises &= now >= last;
            last = now;
        }

        tally.Check(rises, "stolen time never falls"u8);
        ulong passed = Clock.Nanoseconds(Clock.Now - begin);
        tally.Check(last - first <= passed, "no more is stolen than has passed"u8, last - first);
        Report.StolenPart((last - first) * 1000 / passed);

        // All of the page, the other vCPUs' structures and what is behind them too; it is the guest's own.
        ulong page = structure & ~((1UL << FreeMemory.PageShift) - 1);
        Instructions.PageSetLines(page, ulong.MaxValue);
        for (ulong i = 0; i < Bytes; i += sizeof(ulong))
        {
            Instructions.Store64(structure + i, ulong.MaxValue);
        }

        end = Clock.Now + Clock.Milliseconds(Time / 10);
        while (Clock.Now < end)
        {
        }

        ulong after = Instructions.Load64(structure + TimeOffset);
        tally.Check(after == ulong.MaxValue || after >= last, "what is written is kept, or written over"u8, after);
        Instructions.Store64(structure, 0);
    }
}

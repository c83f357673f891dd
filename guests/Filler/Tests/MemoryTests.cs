using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>What a guest may do to its own memory and caches.</summary>
/// <remarks>Invariant: pages come from <see cref="FreeMemory"/>, and nothing else uses them meanwhile.</remarks>
internal static unsafe class MemoryTests
{
    private const ulong Pages = 64;

    /// <summary>Every page that the guest does not use itself reads zero: no other VM's byte is left in it.</summary>
    internal static void Zero(ref Tally tally)
    {
        ulong dirty = Filling.FindNotZero();
        tally.Tried(FreeMemory.Pages);
        tally.Check(dirty == 0, "memory is zero before it is written"u8, dirty);
    }

    /// <summary>Set/way maintenance of the whole first-level data cache loses nothing (DDI 0487 D7.5.9).</summary>
    internal static void SetWay(ref Tally tally)
    {
        ulong size = Instructions.ReadCacheSize(0);
        int lineShift = (int)(size & 7) + 4;
        ulong ways = ((size >> 3) & 0x3FF) + 1;
        ulong sets = ((size >> 13) & 0x7FFF) + 1;
        int wayShift = 32 - BitsFor(ways);
        Write(0x1111);
        for (ulong way = 0; way < ways; way++)
        {
            for (ulong set = 0; set < sets; set++)
            {
                ulong operand = (way << wayShift) | (set << lineShift);
                Instructions.CleanSetWay(operand);
                Instructions.CleanInvalidateSetWay(operand);
                Instructions.InvalidateSetWay(operand);
                tally.Tried(3);
            }
        }

        Instructions.Synchronize();
        Verify(ref tally, 0x1111, uncached: false);
    }

    /// <summary>Writes code and runs it, each time another, with the maintenance that the architecture asks.</summary>
    internal static void SelfModifying(ref Tally tally)
    {
        for (uint i = 0; i < 1000; i++)
        {
            // MOV W0, #i; ADD X0, X0, X0 as often as the page position asks.
            GeneratedCode.Clear();
            GeneratedCode.Add(0x5280_0000 | (i << 5));
            for (uint n = 0; n < i % 7; n++)
            {
                GeneratedCode.Add(0x8B00_0000);
            }

            ulong answer = GeneratedCode.Run(0);
            tally.Check(answer == (ulong)i << (int)(i % 7), "new code runs"u8, i);
        }

        CodeInFreshPages(ref tally);
    }

    /// <summary>With the MMU and the caches off, memory is what it is with them on, and fresh memory is zero.</summary>
    internal static void Uncached(ref Tally tally)
    {
        Write(0x2222);
        for (ulong i = 0; i < Pages; i++)
        {
            Instructions.CleanInvalidateLineToPoC(Page(i));
        }

        Verify(ref tally, 0x2222, uncached: true);
        for (ulong i = 0; i < Pages; i++)
        {
            Instructions.UncachedStore(Page(i), Page(i) + 0x3333);
        }

        Verify(ref tally, 0x3333, uncached: false);
        for (ulong i = Pages; i < 2 * Pages; i++)
        {
            ulong value = Instructions.UncachedLoad(Page(i) + 64);
            tally.Check(value == 0, "a page that was never touched is zero without the caches"u8, value);
        }
    }

    private static void CodeInFreshPages(ref Tally tally)
    {
        for (ulong i = 0; i < Pages; i++)
        {
            uint* page = (uint*)Page(i);
            page[0] = 0xD280_0000 | ((uint)i << 5);     // MOV X0, #i
            page[1] = 0xD65F_03C0;                      // RET
            Instructions.SynchronizeCodeLine((ulong)page);
            tally.Check(Instructions.Call((ulong)page, 0) == i, "code in a fresh page runs"u8, i);
        }
    }

    private static ulong Page(ulong number) => FreeMemory.Find(number, out _);

    private static void Write(ulong mark)
    {
        for (ulong i = 0; i < Pages; i++)
        {
            Instructions.Store64(Page(i), Page(i) + mark);
        }
    }

    private static void Verify(ref Tally tally, ulong mark, bool uncached)
    {
        for (ulong i = 0; i < Pages; i++)
        {
            ulong value = uncached ? Instructions.UncachedLoad(Page(i)) : Instructions.Load64(Page(i));
            tally.Check(value == Page(i) + mark, "what was written is read"u8, value);
        }
    }

    private static int BitsFor(ulong count)
    {
        int bits = 0;
        while ((1UL << bits) < count)
        {
            bits++;
        }

        return bits;
    }
}

namespace Quietus.Filler.Machine;

/// <summary>
/// The guest's own stage 1 (DDI 0487 D8.3): one level-1 table of 1 GB blocks, identity for RAM and devices, and a
/// window through which any intermediate physical address can be reached.
/// </summary>
/// <remarks>Invariant: indices are below the table's 512 entries.</remarks>
internal static unsafe class Tables
{
    /// <summary>Normal write-back, inner shareable, accessed; EL1 may read, write and execute.</summary>
    internal const ulong Memory = 0x701;

    /// <summary>Device-nGnRE, never executed.</summary>
    internal const ulong Device = 0x0060_0000_0000_0405;

    /// <summary>Normal write-back; EL0 and EL1 may read and execute.</summary>
    internal const ulong UserMemory = Memory | 0xC0;

    private const int GigabyteShift = 30;
    private const ulong GigabyteMask = (1UL << GigabyteShift) - 1;
    private const int Entries = 512;

    /// <summary>The entry that is changed for the window: the gigabyte below 512 GB.</summary>
    private const int Window = Entries - 1;

    /// <summary>Adds the identity mapping of RAM.</summary>
    internal static void MapRam()
    {
        ulong* table = Instructions.GigabyteTable();
        ulong last = (Board.RamEnd - 1) >> GigabyteShift;
        for (ulong i = Board.RamStart >> GigabyteShift; i <= last && i < Window; i++)
        {
            table[i] = (i << GigabyteShift) | Memory;
        }

        Instructions.InvalidateTranslations();
    }

    /// <summary>Maps the gigabyte around an address into the window.</summary>
    /// <param name="address">An intermediate physical address below 2^48.</param>
    /// <param name="attributes"><see cref="Memory"/> or <see cref="Device"/>.</param>
    /// <returns>The virtual address that leads there until the next call.</returns>
    internal static ulong Open(ulong address, ulong attributes) => Map(Window, address, attributes);

    /// <summary>Lets the walks of the window's gigabyte go on in a table.</summary>
    /// <param name="table">The table's intermediate physical address, where there may be nothing.</param>
    /// <returns>The gigabyte's virtual address.</returns>
    internal static ulong OpenTable(ulong table)
    {
        const ulong TableEntry = 3;
        Unmap(Window);
        Instructions.GigabyteTable()[Window] = table | TableEntry;
        Instructions.InvalidateTranslations();
        return (ulong)Window << GigabyteShift;
    }

    /// <summary>Maps the gigabyte around an address at a gigabyte of its own, which must be free.</summary>
    internal static ulong Map(int gigabyte, ulong address, ulong attributes)
    {
        // Break before make (DDI 0487 D8.16).
        ulong* table = Instructions.GigabyteTable();
        table[gigabyte] = 0;
        Instructions.InvalidateTranslations();
        table[gigabyte] = (address & ~GigabyteMask) | attributes;
        Instructions.InvalidateTranslations();
        return ((ulong)gigabyte << GigabyteShift) | (address & GigabyteMask);
    }

    /// <summary>Whether nothing is mapped at a gigabyte.</summary>
    internal static bool IsFree(int gigabyte) => Instructions.GigabyteTable()[gigabyte] == 0;

    /// <summary>Takes a gigabyte away.</summary>
    internal static void Unmap(int gigabyte)
    {
        Instructions.GigabyteTable()[gigabyte] = 0;
        Instructions.InvalidateTranslations();
    }
}

namespace Quietus.Hypervisor.Machine;

/// <summary>What EL2 may do with a piece of its address space.</summary>
internal enum El2Access : byte
{
    /// <summary>Text: read and execute.</summary>
    Execute,

    /// <summary>Constants: read.</summary>
    Read,

    /// <summary>Memory: read and write.</summary>
    ReadWrite,

    /// <summary>A device's registers: read and write, Device-nGnRE.</summary>
    Device,
}

/// <summary>
/// EL2's own stage-1 tables: everything mapped at its physical address, nothing both writable and executable.
/// 4K granule, 48 bits, levels 0 to 3 (DDI 0487 D8.2, D8.3). Built at boot by the boot core; later only guards are
/// taken out.
/// </summary>
/// <remarks>
/// <code>
///  63   54 53      12 11 10 9 8 7 6 5  4  2 1 0
///   .. |XN|  address | 0|AF|SH |AP |NS| Attr|T|V      AP[2]: read-only; AP[1] is RES1 in a one-privilege regime
/// </code>
/// </remarks>
internal unsafe struct El2Tables
{
    private const ulong Valid = 1;
    private const ulong TableOrPage = 2;
    private const ulong AccessFlag = 1UL << 10;
    private const ulong InnerShareable = 3UL << 8;
    private const ulong ReadOnly = 1UL << 7;
    private const ulong ResOneAp1 = 1UL << 6;
    private const ulong ExecuteNever = 1UL << 54;
    private const ulong DeviceIndex = 1UL << 2;     // MAIR_EL2: 0 Normal write-back, 1 Device-nGnRE (Boot/Start.S)
    private const ulong AddressMask = 0x0000_FFFF_FFFF_F000;
    private const int PageShift = 12;

    private ulong* _root;

    /// <summary>The level-0 table's address, for TTBR0_EL2; 0 before <see cref="Initialize"/>.</summary>
    internal readonly ulong Root => (ulong)_root;

    internal bool Initialize(ref BootMemory memory)
    {
        _root = (ulong*)memory.TakePage();
        return _root != null;
    }

    /// <summary>
    /// Maps [start, end) to itself, in the largest blocks that fit; both are rounded outwards to pages. What is mapped
    /// already stays as it is, so that the image's own rights are set first and RAM around it later.
    /// </summary>
    /// <returns>False: no memory for a table page, or an address beyond 48 bits.</returns>
    internal readonly bool Map(ref BootMemory memory, ulong start, ulong end, El2Access access)
    {
        ulong address = start & ~0xFFFUL;
        ulong last = (end + 0xFFF) & ~0xFFFUL;
        if (last < end || last > 1UL << 48)
        {
            return false;
        }

        while (address < last)
        {
            if (!MapOne(ref memory, address, last - address, access, out ulong mapped))
            {
                return false;
            }

            address += mapped;
        }

        return true;
    }

    /// <summary>
    /// Makes sure that a range is mapped by pages, so that <see cref="Unmap"/> needs no table and breaks no block.
    /// Before the tables are in use.
    /// </summary>
    internal readonly bool MapByPages(ref BootMemory memory, ulong start, ulong end)
    {
        bool made = true;
        for (ulong page = start; page < end && made; page += 4096)
        {
            made = Walk(ref memory, page, 3) != null;
        }

        return made;
    }

    /// <summary>
    /// Takes a page of EL2's own memory away from it: a guard below a stack. The page was mapped as a page.
    /// </summary>
    internal readonly bool Unmap(ref BootMemory memory, ulong page)
    {
        // Invariant: the walk ends at a level-3 entry of a table that this struct made.
        ulong* entry = Walk(ref memory, page, 3);
        if (entry == null)
        {
            return false;
        }

        *entry = 0;
        Instructions.InvalidateEl2Page(page >> PageShift);
        return true;
    }

    private readonly bool MapOne(ref BootMemory memory, ulong address, ulong left, El2Access access, out ulong mapped)
    {
        for (int level = 1; level <= 3; level++)
        {
            ulong bytes = 1UL << (PageShift + (9 * (3 - level)));
            bool fits = (address & (bytes - 1)) == 0 && left >= bytes;
            if (!fits && level < 3)
            {
                continue;
            }

            // Invariant: Walk returns an entry of a table that this struct made.
            ulong* entry = Walk(ref memory, address, level);
            if (entry == null)
            {
                mapped = 0;
                return false;
            }

            if ((*entry & Valid) == 0)
            {
                *entry = address | Attributes(access) | Valid | (level == 3 ? TableOrPage : 0);
            }
            else if (level < 3 && (*entry & TableOrPage) != 0)
            {
                continue; // part of it is mapped by pages already: fill in the rest
            }

            mapped = bytes;
            return true;
        }

        mapped = 0;
        return false;
    }

    /// <summary>The entry for an address at a level; blocks on the way are split, missing tables made.</summary>
    private readonly ulong* Walk(ref BootMemory memory, ulong address, int level)
    {
        ulong* table = _root;
        for (int at = 0; ; at++)
        {
            ulong* entry = table + ((address >> (PageShift + (9 * (3 - at)))) & 511);
            if (at == level)
            {
                return entry;
            }

            if ((*entry & Valid) == 0 || (*entry & TableOrPage) == 0)
            {
                ulong* made = (ulong*)memory.TakePage();
                if (made == null)
                {
                    return null;
                }

                Split(*entry, at, made);
                *entry = (ulong)made | TableOrPage | Valid;
            }

            table = (ulong*)(*entry & AddressMask);
        }
    }

    /// <summary>Fills a new table with what the block before it mapped; nothing, where there was none.</summary>
    private static void Split(ulong block, int level, ulong* table)
    {
        if ((block & Valid) == 0)
        {
            return;
        }

        ulong step = 1UL << (PageShift + (9 * (2 - level)));
        for (ulong i = 0; i < 512; i++)
        {
            table[i] = (block + (i * step)) | (level == 2 ? TableOrPage : 0);
        }
    }

    private static ulong Attributes(El2Access access)
    {
        const ulong Common = AccessFlag | InnerShareable | ResOneAp1;
        return access switch
        {
            El2Access.Execute => Common | ReadOnly,
            El2Access.Read => Common | ReadOnly | ExecuteNever,
            El2Access.ReadWrite => Common | ExecuteNever,
            _ => Common | ExecuteNever | DeviceIndex,
        };
    }
}

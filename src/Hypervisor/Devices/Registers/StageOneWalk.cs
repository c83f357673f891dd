using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.Devices;

/// <summary>Reads a guest's memory on behalf of <see cref="StageOneWalk"/>.</summary>
public interface IGuestMemoryReader
{
    /// <summary>Reads 64 bits, little-endian; false where there is no memory.</summary>
    bool TryRead(ulong address, out ulong value);
}

/// <summary>What decides a guest's stage 1 at EL1 and EL0.</summary>
public struct StageOneRegime
{
    /// <summary>SCTLR_EL1.</summary>
    public ulong SystemControl;

    /// <summary>TCR_EL1.</summary>
    public ulong TranslationControl;

    /// <summary>TTBR0_EL1.</summary>
    public ulong LowerTable;

    /// <summary>TTBR1_EL1.</summary>
    public ulong UpperTable;
}

/// <summary>
/// A walk of a guest's own tables (DDI 0487 D8.2), for the one thing that EL2 is not told: the level of stage 1 at
/// which the guest's walk, or the address that it gave, led nowhere. Every register and entry is hostile: what makes
/// no sense gives <see cref="ExceptionInjection.UnknownLevel"/>.
/// </summary>
public static class StageOneWalk
{
    /// <summary>No table: the level of the entry that maps the address is asked for.</summary>
    public const ulong NoTable = ulong.MaxValue;

    private const ulong PageMask = 0xFFF;
    private const ulong AddressMask = 0x0000_FFFF_FFFF_F000;
    private const ulong IsOn = 1;               // SCTLR_EL1.M
    private const ulong IsBigEndian = 1 << 25;  // SCTLR_EL1.EE
    private const int LastLevel = 3;

    /// <summary>The level at which the walk for an address reads a page, or ends.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="regime">The guest's registers.</param>
    /// <param name="address">The virtual address.</param>
    /// <param name="table">The page in which the walk read an entry (HPFAR_EL2), or <see cref="NoTable"/>.</param>
    public static int FindLevel<TReader>(
        ref TReader memory, in StageOneRegime regime, ulong address, ulong table)
        where TReader : struct, IGuestMemoryReader
    {
        if ((regime.SystemControl & IsOn) == 0)
        {
            return 0; // where addresses are not translated, their size faults are level 0's
        }

        bool isUpper = (address & (1UL << 55)) != 0;
        ulong control = regime.TranslationControl;
        int shift = isUpper ? UpperGranule(control >> 30) : LowerGranule(control >> 14);
        int stride = shift - 3;
        int bits = 64 - (int)((isUpper ? control >> 16 : control) & 0x3F);
        bits = Math.Max(shift + 1, Math.Min(bits, shift == 16 ? 52 : 48));
        int level = LastLevel + 1 - ((bits - shift + stride - 1) / stride);
        int lowest = shift + (stride * (LastLevel - level));
        ulong input = address & ((1UL << bits) - 1);

        // The first table may be smaller than a page, and is aligned to its size.
        ulong first = isUpper ? regime.UpperTable : regime.LowerTable;
        ulong entry = (first & (AddressMask | 0xFC0) & ~((8UL << (bits - lowest)) - 1)) | ((input >> lowest) << 3);
        while ((entry & ~PageMask) != (table & ~PageMask))
        {
            if (!memory.TryRead(entry, out ulong descriptor))
            {
                return ExceptionInjection.UnknownLevel;
            }

            if ((regime.SystemControl & IsBigEndian) != 0)
            {
                descriptor = BinaryPrimitives.ReverseEndianness(descriptor);
            }

            bool isTable = level < LastLevel && (descriptor & 3) == 3;
            if (!isTable)
            {
                bool isLeaf = (descriptor & 1) != 0 && table == NoTable;
                return isLeaf ? level : ExceptionInjection.UnknownLevel;
            }

            level++;
            lowest -= stride;
            ulong index = (input >> lowest) & ((1UL << stride) - 1);
            entry = (descriptor & AddressMask & ~((1UL << shift) - 1)) | (index << 3);
        }

        return level;
    }

    /// <summary>TCR_EL1.TG0: 4K, 64K, 16K.</summary>
    private static int LowerGranule(ulong field) => (field & 3) switch { 1 => 16, 2 => 14, _ => 12 };

    /// <summary>TCR_EL1.TG1: 16K, 4K, 64K.</summary>
    private static int UpperGranule(ulong field) => (field & 3) switch { 1 => 14, 3 => 16, _ => 12 };
}

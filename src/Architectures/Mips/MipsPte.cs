using System.Numerics;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// An entry of KVM/mips's table of guest-physical addresses, which software alone reads, in the layout of Linux 5.5 for
/// MIPS64 with RI and XI (arch/mips/include/asm/pgtable-bits.h); and the EntryLo register that the TLB gets of it
/// (MIPS64 PRA, volume III, EntryLo0).
/// <code>
/// Table's  63        13 12 10 9 8 7  6     5    4   3      2      1     0
///         ┌────────────┬─────┬─┬─┬─┬────┬────┬────┬─────┬──────┬─────┬───────┐
///         │    PFN     │  C  │D│V│G│ NR │ NX │huge│modif│access│write│present│
///         └────────────┴─────┴─┴─┴─┴────┴────┴────┴─────┴──────┴─────┴───────┘
/// EntryLo  63 62 61 30 29             6 5 3 2 1 0
///         ┌──┬──┬─────┬────────────────┬───┬─┬─┬─┐
///         │RI│XI│PFNX │      PFN       │ C │D│V│G│   without the software's bits, turned right by two
///         └──┴──┴─────┴────────────────┴───┴─┴─┴─┘
/// </code>
/// V follows "accessed" and D "modified": a page that is old, or clean, faults.
/// </summary>
internal readonly struct MipsPte : IDescriptorFormat
{
    internal const ulong Present = 1UL << 0;
    internal const ulong WriteBit = 1UL << 1;
    internal const ulong AccessedBit = 1UL << 2;
    internal const ulong Modified = 1UL << 3;
    internal const ulong NoExecute = 1UL << 5;
    internal const ulong NoRead = 1UL << 6;
    internal const ulong Global = 1UL << 7;
    internal const ulong Valid = 1UL << 8;
    internal const ulong Dirty = 1UL << 9;

    private const int SoftwareBits = 5;
    private const int CacheShift = 10;
    private const ulong CacheMask = 7UL << CacheShift;
    private const int PfnShift = 13;

    // Cacheability of the proAptiv and Loongson cores: coherent write-back, uncached accelerated, uncached.
    private const ulong WriteBack = 5UL << CacheShift;
    private const ulong Accelerated = 7UL << CacheShift;
    private const ulong Uncached = 2UL << CacheShift;

    public static int GranuleShift => 12;

    public static int BitsPerLevel => 9;

    public static int MaximumOutputBits => 48;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level == 3;

    public static int ContiguousShift(int level) => 0;

    public static bool IsValid(ulong entry) => (entry & Present) != 0;

    public static bool IsTable(ulong entry, int level) => level < 3;

    /// <summary>A pointer: only software follows it.</summary>
    public static ulong Table(Pa table) => table.Value | Present;

    public static Pa TableAddress(ulong entry) => new(entry & ~0xFFFUL);

    /// <summary>The table has no counts: it is walked again to see whether it is empty.</summary>
    public static int TableCount(ulong entry) => (int)((entry >> 1) & 0x3FF);

    public static ulong WithTableCount(ulong entry, int count) =>
        (entry & ~(0x3FFUL << 1)) | ((ulong)(uint)count << 1);

    public static ulong CountingOneMore(ulong entry) => entry + 2;

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        WithAccessed(
            Present
            | attributes.Type switch
            {
                MemoryType.NormalWriteBack => WriteBack,
                MemoryType.NormalNonCacheable => Accelerated,
                _ => Uncached,
            }
            | Permissions(attributes),
            attributes.Accessed);

    public static ulong Leaf(ulong attributes, Pa output) =>
        attributes | (output.Value >> GranuleShift << PfnShift);

    public static ulong NextPage(ulong page) => page + (1UL << PfnShift);

    public static Pa OutputAddress(ulong entry, int level) => new(entry >> PfnShift << GranuleShift);

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack) => new(
        (entry & NoRead) == 0, (entry & WriteBit) != 0, (entry & NoExecute) != 0, TypeOf(entry),
        Shareability.InnerShareable, (entry & AccessedBit) != 0);

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => TypeOf(entry) == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | AccessedBit | Valid : entry & ~(AccessedBit | Valid);

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        (entry & ~(NoRead | NoExecute | WriteBit | Modified | Dirty)) | Permissions(attributes);

    public static ulong WithoutWrite(ulong entry) => entry & ~(WriteBit | Modified | Dirty);

    public static bool IsContiguous(ulong entry) => false;

    public static ulong WithContiguous(ulong entry, bool contiguous) => entry;

    public static ulong Park(ulong leaf) => leaf & ~Present;

    public static ulong Unpark(ulong parked) => parked | Present;

    public static bool IsParked(ulong entry) => !IsValid(entry) && (entry & CacheMask) != 0;

    /// <summary>What the TLB gets (build_convert_pte_to_entrylo).</summary>
    internal static ulong EntryLo(ulong entry) => BitOperations.RotateRight(entry >> SoftwareBits, 2);

    private static ulong Permissions(LeafAttributes attributes) =>
        (attributes.Read ? 0 : NoRead)
        | (attributes.Write ? WriteBit | Modified | Dirty : 0)
        | (attributes.ExecuteNever ? NoExecute : 0);

    private static MemoryType TypeOf(ulong entry) => (entry & CacheMask) switch
    {
        WriteBack => MemoryType.NormalWriteBack,
        Accelerated => MemoryType.NormalNonCacheable,
        _ => MemoryType.Device,
    };
}

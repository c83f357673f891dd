using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// Partition-scoped radix tree entries of POWER9 (Power ISA 3.0B, book III, 5.7.10.1 and 5.7.10.2), which are stored
/// big-endian. Bits are numbered here from the least significant, as everywhere in this project; the manual counts them
/// from the other end.
/// <code>
/// Leaf   63 62  61  60 57 56        12 11 10  9   8   7 6 5  4 3 2 1 0
///       ┌──┬──┬────┬─────┬────────────┬──┬──┬───┬───┬───┬─┬────┬─┬─┬─┬─┐
///       │V │1 │ 0  │  0  │    RPN     │sw│W?│sw │ R │ C │0│ATT │P│R│W│X│
///       └──┴──┴────┴─────┴────────────┴──┴──┴───┴───┴───┴─┴────┴─┴─┴─┴─┘
/// Table  63 62 61        52 51                      8 7  5 4    0
///       ┌──┬──┬────────────┬─────────────────────────┬────┬──────┐
///       │V │0 │   count    │         NLB             │ 0  │ NLS  │
///       └──┴──┴────────────┴─────────────────────────┴────┴──────┘
/// </code>
/// W? keeps that writing was asked for: hardware knows "read" and "read and write" only. ATT 0 is ordinary memory, 2
/// non-idempotent, 3 tolerant I/O. NLS is log2 of the next table's entries. The count does not reach memory, where
/// hardware reads all of a table's entry (<see cref="TableCounts"/>).
/// <para>
/// The base page is 4K with nine bits for each table below the root. With 64K base pages the last table has 32 entries
/// of 64K: the same entries in another tree, <see cref="SoftTree{TFormat}"/>.
/// </para>
/// </summary>
public readonly struct PowerRadix : IDescriptorFormat
{
    internal const ulong Valid = 1UL << 63;
    internal const ulong LeafBit = 1UL << 62;
    internal const ulong Reference = 1UL << 8;
    internal const ulong Change = 1UL << 7;
    internal const ulong WriteAsked = 1UL << 10;
    internal const ulong CanRead = 1UL << 2;
    internal const ulong CanWrite = 1UL << 1;
    internal const ulong CanExecute = 1UL << 0;

    /// <summary>Bits that a table's entry has for its count, and that never reach memory.</summary>
    internal const ulong CountMask = 0x3FFUL << CountShift;

    private const int CountShift = 52;
    private const ulong AttributeMask = 3UL << 4;
    private const ulong NonIdempotent = 2UL << 4;
    private const ulong Tolerant = 3UL << 4;
    private const ulong RpnMask = (1UL << 57) - (1UL << 12);
    private const ulong NlbMask = (1UL << 52) - (1UL << 8);

    /// <summary>The base page of 4K; other trees of these entries say theirs.</summary>
    public static int GranuleShift => 12;

    public static int BitsPerLevel => 9;

    /// <summary>Hardware has 51; the engine's addresses have 48.</summary>
    public static int MaximumOutputBits => 48;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level is >= 1 and <= 3;

    public static int ContiguousShift(int level) => 0;

    public static bool IsValid(ulong entry) => (entry & Valid) != 0;

    public static bool IsTable(ulong entry, int level) => level < 3 && (entry & LeafBit) == 0;

    public static ulong Table(Pa table) => Directory(table.Value, BitsPerLevel);

    public static Pa TableAddress(ulong entry) => new(entry & NlbMask);

    public static int TableCount(ulong entry) => (int)((entry & CountMask) >> CountShift);

    public static ulong WithTableCount(ulong entry, int count) =>
        (entry & ~CountMask) | ((ulong)(uint)count << CountShift);

    public static ulong CountingOneMore(ulong entry) => entry + (1UL << CountShift);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        Valid | LeafBit
        | attributes.Type switch
        {
            MemoryType.NormalWriteBack => 0,
            MemoryType.NormalNonCacheable => Tolerant,
            _ => NonIdempotent,
        }
        | (attributes.Accessed ? Reference : 0)
        | Permissions(attributes);

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    public static Pa OutputAddress(ulong entry, int level) => new(entry & RpnMask);

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack) => new(
        (entry & CanRead) != 0, (entry & WriteAsked) != 0, (entry & CanExecute) == 0, TypeOf(entry),
        Shareability.InnerShareable, (entry & Reference) != 0);

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => TypeOf(entry) == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | Reference : entry & ~Reference;

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        (entry & ~(CanRead | CanWrite | CanExecute | WriteAsked)) | Permissions(attributes);

    public static ulong WithoutWrite(ulong entry) => entry & ~(CanWrite | WriteAsked);

    public static bool IsContiguous(ulong entry) => false;

    public static ulong WithContiguous(ulong entry, bool contiguous) => entry;

    public static ulong Park(ulong leaf) => leaf & ~Valid;

    public static ulong Unpark(ulong parked) => parked | Valid;

    public static bool IsParked(ulong entry) => !IsValid(entry) && (entry & LeafBit) != 0;

    /// <summary>An entry that leads to a table of 2^<paramref name="bits"/> entries.</summary>
    internal static ulong Directory(ulong table, int bits) => Valid | table | (ulong)(uint)bits;

    /// <summary>
    /// The first doubleword of a partition table entry (5.7.6.1): HR, RTS of 52 bits, which POWER9 insists on, the
    /// root's address, and log2 of the root's entries.
    /// </summary>
    internal static ulong PartitionEntry(ulong root, int rootBits)
    {
        const ulong hostRadix = 1UL << 63;
        const ulong treeSize = 52 - 31;
        return hostRadix | ((treeSize >> 3) << 61) | ((treeSize & 7) << 5) | root | (ulong)(uint)rootBits;
    }

    private static ulong Permissions(LeafAttributes attributes) =>
        (attributes.Read ? CanRead : 0)
        | (attributes.Write ? WriteAsked : 0)
        | (attributes.Write && attributes.Read ? CanWrite : 0)
        | (attributes.ExecuteNever ? 0 : CanExecute);

    private static MemoryType TypeOf(ulong entry) => (entry & AttributeMask) switch
    {
        0 => MemoryType.NormalWriteBack,
        Tolerant => MemoryType.NormalNonCacheable,
        _ => MemoryType.Device,
    };
}

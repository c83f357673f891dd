using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// Nested page-table entries (AMD64 APM 2, 15.25.5 and 5.3.3): the host's own long-mode format, in four levels, pages
/// of 4K, 2M and 1G. The guest's accesses count as a user's, so U is always 1.
/// <code>
/// Leaf   63  62 58 55 54 53 52 51       g 12  11   10   9   8  7     6 5  4   3   2 1  0
///       ┌───┬────┬────┬────────┬────────────┬────┬────┬────┬─┬──────┬─┬─┬───┬───┬─┬───┬─┐
///       │NX │ 0  │ 0  │ asked  │  address   │ 0  │leaf│used│G│PS/PAT│D│A│PCD│PWT│U│R/W│P│
///       └───┴────┴────┴────────┴────────────┴────┴────┴────┴─┴──────┴─┴─┴───┴───┴─┴───┴─┘
/// Table  63 62 61            52 51          12  11  10   9   8   7 6 5  4   3   2 1 0
///       ┌─────┬────────────────┬──────────────┬────────┬────┬─────────┬───┬───┬─┬─┬─┐
///       │  0  │     count      │  next table  │   0    │used│ 0     A │ 0 │ 0 │1│1│1│
///       └─────┴────────────────┴──────────────┴────────┴────┴─────────┴───┴───┴─┴─┴─┘
/// </code>
/// PS is 1 in leaves of 2M and 1G; at 4K the bit is PAT's, and 0. Bits 62:52 and 11:9 are software's.
/// </summary>
public readonly struct Npt : IDescriptorFormat
{
    internal const ulong Present = 1UL << 0;
    internal const ulong Writable = 1UL << 1;
    internal const ulong User = 1UL << 2;
    internal const ulong WriteThrough = 1UL << 3;
    internal const ulong CacheDisable = 1UL << 4;
    internal const ulong AccessedBit = 1UL << 5;
    internal const ulong DirtyBit = 1UL << 6;
    internal const ulong Large = 1UL << 7;
    internal const ulong Used = 1UL << 9;
    internal const ulong LeafMark = 1UL << 10;
    internal const ulong NoExecute = 1UL << 63;

    // By the PAT as it is after reset (APM 2, 7.8): index 0 is write-back, 2 is UC-, 3 is uncacheable.
    private const ulong TypeMask = WriteThrough | CacheDisable;

    public static int GranuleShift => 12;

    public static int BitsPerLevel => 9;

    public static int MaximumOutputBits => 48;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level is >= 1 and <= 3;

    public static int ContiguousShift(int level) => 0;

    public static bool IsValid(ulong entry) => (entry & Used) != 0;

    public static bool IsTable(ulong entry, int level) => level < 3 && (entry & Large) == 0;

    public static ulong Table(Pa table) => table.Value | Used | User | Writable | Present;

    public static Pa TableAddress(ulong entry) => new(entry & X86Software.AddressMask);

    public static int TableCount(ulong entry) => X86Software.Count(entry);

    public static ulong WithTableCount(ulong entry, int count) => X86Software.WithCount(entry, count);

    public static ulong CountingOneMore(ulong entry) => WithTableCount(entry, TableCount(entry) + 1);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        WithPermissions(
            Used | LeafMark | User
            | (level < 3 ? Large : 0)
            | attributes.Type switch
            {
                MemoryType.NormalWriteBack => 0,
                MemoryType.NormalNonCacheable => CacheDisable,
                _ => CacheDisable | WriteThrough,
            }
            | (attributes.Accessed ? AccessedBit : 0),
            attributes);

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    public static Pa OutputAddress(ulong entry, int level) =>
        new(entry & X86Software.AddressMask & ~(Stage2Geometry.LevelBytes<Npt>(level) - 1));

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack) =>
        X86Software.Attributes(entry, TypeOf(entry), (entry & AccessedBit) != 0);

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => TypeOf(entry) == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | AccessedBit : entry & ~AccessedBit;

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes)
    {
        ulong asked = X86Software.AskedFor(attributes);
        return Shown((entry & ~(Present | Writable | NoExecute | X86Software.Asked)) | asked, asked);
    }

    public static ulong WithoutWrite(ulong entry) => entry & ~(Writable | X86Software.Write);

    public static bool IsContiguous(ulong entry) => false;

    public static ulong WithContiguous(ulong entry, bool contiguous) => entry;

    /// <summary>Of an entry without P, hardware looks at nothing else.</summary>
    public static ulong Park(ulong leaf) => leaf & ~(Present | Used);

    public static ulong Unpark(ulong parked) =>
        (parked & LeafMark) == 0 || (parked & X86Software.Read) != 0 ? parked | Used | Present : parked | Used;

    public static bool IsParked(ulong entry) => !IsValid(entry) && (entry & LeafMark) != 0;

    private static ulong Shown(ulong entry, ulong asked) =>
        entry
        | ((asked & X86Software.Read) != 0 ? Present : 0)
        | ((asked & X86Software.Write) != 0 ? Writable : 0)
        | ((asked & X86Software.Execute) != 0 ? 0 : NoExecute);

    private static MemoryType TypeOf(ulong entry) => (entry & TypeMask) switch
    {
        0 => MemoryType.NormalWriteBack,
        CacheDisable => MemoryType.NormalNonCacheable,
        _ => MemoryType.Device,
    };
}

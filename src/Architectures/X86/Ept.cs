using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// Extended page-table entries (Intel SDM 3C 28.3.2, tables 28-1 to 28-7): 48-bit guest-physical addresses by four
/// levels, pages of 4K, 2M and 1G. Level 0 is the PML4.
/// <code>
/// Leaf   63  62 61 55 54 53 52 51       g 12 11  10  9 8 7   6    5  3 2 1 0
///       ┌───┬───┬─────┬────────┬────────────┬────┬───┬─┬─┬──┬────┬─────┬─┬─┬─┐
///       │#VE│ 1 │  0  │ asked  │  address   │used│XU │D│A│PS│IPAT│ MT  │X│W│R│
///       └───┴───┴─────┴────────┴────────────┴────┴───┴─┴─┴──┴────┴─────┴─┴─┴─┘
/// Table  63 62 61            52 51          12 11  10  9 8 7        3 2 1 0
///       ┌─────┬────────────────┬──────────────┬────┬───┬─┬─┬──────────┬─┬─┬─┐
///       │     │     count      │  next table  │used│XU │ │A│    0     │1│1│1│
///       └─────┴────────────────┴──────────────┴────┴───┴─┴─┴──────────┴─┴─┴─┘
/// </code>
/// PS is 1 in leaves of 2M and 1G, ignored at 4K. XU is looked at with mode-based execute control only; it is kept like
/// X. Hardware ignores bits 11, 62, 59 and 56:52, and those between as long as the controls that read them are off.
/// </summary>
public readonly struct Ept : IDescriptorFormat
{
    internal const ulong Readable = 1UL << 0;
    internal const ulong Writable = 1UL << 1;
    internal const ulong Executable = 1UL << 2;
    internal const ulong UserExecutable = 1UL << 10;
    internal const ulong IgnorePat = 1UL << 6;
    internal const ulong Large = 1UL << 7;
    internal const ulong AccessedBit = 1UL << 8;
    internal const ulong DirtyBit = 1UL << 9;
    internal const ulong Used = 1UL << 11;
    internal const ulong LeafMark = 1UL << 62;

    private const ulong AllPermissions = Readable | Writable | Executable | UserExecutable;
    private const int TypeShift = 3;
    private const ulong Uncacheable = 0;
    private const ulong WriteCombining = 1;
    private const ulong WriteBack = 6;

    public static int GranuleShift => 12;

    public static int BitsPerLevel => 9;

    public static int MaximumOutputBits => 48;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level is >= 1 and <= 3;

    public static int ContiguousShift(int level) => 0;

    public static bool IsValid(ulong entry) => (entry & Used) != 0;

    public static bool IsTable(ulong entry, int level) => level < 3 && (entry & Large) == 0;

    public static ulong Table(Pa table) => table.Value | Used | AllPermissions;

    public static Pa TableAddress(ulong entry) => new(entry & X86Software.AddressMask);

    public static int TableCount(ulong entry) => X86Software.Count(entry);

    public static ulong WithTableCount(ulong entry, int count) => X86Software.WithCount(entry, count);

    public static ulong CountingOneMore(ulong entry) => WithTableCount(entry, TableCount(entry) + 1);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        WithPermissions(
            Used | LeafMark
            | (level < 3 ? Large : 0)
            | attributes.Type switch
            {
                // The guest's PAT is ignored for memory, as KVM does without devices that do not snoop.
                MemoryType.NormalWriteBack => (WriteBack << TypeShift) | IgnorePat,
                MemoryType.NormalNonCacheable => WriteCombining << TypeShift,
                _ => Uncacheable << TypeShift,
            }
            | (attributes.Accessed ? AccessedBit : 0),
            attributes);

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    public static Pa OutputAddress(ulong entry, int level) =>
        new(entry & X86Software.AddressMask & ~(Stage2Geometry.LevelBytes<Ept>(level) - 1));

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack) =>
        X86Software.Attributes(entry, TypeOf(entry), (entry & AccessedBit) != 0);

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => TypeOf(entry) == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | AccessedBit : entry & ~AccessedBit;

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes)
    {
        ulong asked = X86Software.AskedFor(attributes);
        return Shown((entry & ~(AllPermissions | X86Software.Asked)) | asked, asked);
    }

    public static ulong WithoutWrite(ulong entry) => entry & ~(Writable | X86Software.Write);

    public static bool IsContiguous(ulong entry) => false;

    public static ulong WithContiguous(ulong entry, bool contiguous) => entry;

    public static ulong Park(ulong leaf) => leaf & ~(AllPermissions | Used);

    public static ulong Unpark(ulong parked) =>
        (parked & LeafMark) != 0
            ? Shown(parked | Used, parked & X86Software.Asked)
            : parked | Used | AllPermissions;

    public static bool IsParked(ulong entry) => !IsValid(entry) && (entry & LeafMark) != 0;

    /// <summary>
    /// What hardware may see of what was asked for: an entry that is written but not read is an EPT misconfiguration
    /// (28.3.3.1).
    /// </summary>
    private static ulong Shown(ulong entry, ulong asked) =>
        entry
        | ((asked & X86Software.Read) != 0 ? Readable : 0)
        | ((asked & X86Software.Write) != 0 && (asked & X86Software.Read) != 0 ? Writable : 0)
        | ((asked & X86Software.Execute) != 0 ? Executable | UserExecutable : 0);

    private static MemoryType TypeOf(ulong entry) => ((entry >> TypeShift) & 7) switch
    {
        WriteBack => MemoryType.NormalWriteBack,
        WriteCombining => MemoryType.NormalNonCacheable,
        _ => MemoryType.Device,
    };
}

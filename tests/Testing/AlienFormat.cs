using Quietus.Stage2;

namespace Quietus.Testing;

/// <summary>
/// A descriptor format that no machine has, so that nothing in the engine can rely on Arm's: 8K granule, tables that
/// use 128 of their 1024 entries, leaves at every level, page numbers at the low end and everything else above them,
/// and each entry scrambled, leaves of each level in another way: read at a wrong level, a leaf leads elsewhere, and a
/// page is taken for a table. An entry is valid where the scrambled "absent" bit is clear; an entry that was removed is
/// not zero.
/// <code>
///   63     62      61       60       59     58    57     56     54..53 51..50 48..35     34..0
/// ┌──────┬─────┬─────────┬──────────┬──────┬──────┬──────┬────────┬──────┬──────┬───────┬─────────────┐
/// │absent│table│ no read │ no write │ exec │ idle │ solo │ parked │ type │  SH  │ count │ page number │  xor Key
/// └──────┴─────┴─────────┴──────────┴──────┴──────┴──────┴────────┴──────┴──────┴───────┴─────────────┘
/// </code>
/// </summary>
public readonly struct AlienFormat : IDescriptorFormat
{
    private const ulong Absent = 1UL << 63;
    private const ulong IsTableBit = 1UL << 62;
    private const ulong NoRead = 1UL << 61;
    private const ulong NoWrite = 1UL << 60;
    private const ulong Executable = 1UL << 59;
    private const ulong Idle = 1UL << 58;
    private const ulong Solo = 1UL << 57;
    private const ulong ParkedBit = 1UL << 56;
    private const int TypeShift = 53;
    private const int ShareabilityShift = 50;
    private const int CountShift = 35;
    private const ulong CountMask = ((1UL << 14) - 1) << CountShift;
    private const ulong PageMask = (1UL << CountShift) - 1;

    // The absent bit is set in the key: a zeroed table is a table of absent entries.
    private const ulong Key = Absent | 0x2AAA_5555_1234_5678;

    public static int GranuleShift => 13;

    public static int BitsPerLevel => 7;

    public static int MaximumOutputBits => 48;

    public static ulong Invalid => 0x0000_DEAD_0000_0001;

    public static bool HasLeafAt(int level) => level is >= 0 and <= 3;

    public static int ContiguousShift(int level) => level switch
    {
        3 => 3,
        2 => 2,
        _ => 0,
    };

    public static bool IsValid(ulong entry) => ((entry ^ Key) & Absent) == 0;

    public static bool IsTable(ulong entry, int level) => level < 3 && ((entry ^ Key) & IsTableBit) != 0;

    public static ulong Table(Pa table) => (IsTableBit | (table.Value >> GranuleShift)) ^ Key;

    public static Pa TableAddress(ulong entry) => new(((entry ^ Key) & PageMask) << GranuleShift);

    public static int TableCount(ulong entry) => (int)(((entry ^ Key) & CountMask) >> CountShift);

    public static ulong WithTableCount(ulong entry, int count) =>
        (((entry ^ Key) & ~CountMask) | ((ulong)(uint)count << CountShift)) ^ Key;

    public static ulong CountingOneMore(ulong entry) => WithTableCount(entry, TableCount(entry) + 1);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        ((attributes.Read ? 0 : NoRead) | (attributes.Write ? 0 : NoWrite)
            | (attributes.ExecuteNever ? 0 : Executable) | (attributes.Accessed ? 0 : Idle) | Solo | LevelKey(level)
            | ((ulong)attributes.Type << TypeShift)
            | ((ulong)attributes.Shareability << ShareabilityShift)) ^ Key;

    public static ulong Leaf(ulong attributes, Pa output) => attributes ^ (output.Value >> GranuleShift);

    public static ulong NextPage(ulong page) => ((page ^ Key ^ LevelKey(3)) + 1) ^ Key ^ LevelKey(3);

    public static Pa OutputAddress(ulong entry, int level) =>
        new(((entry ^ Key ^ LevelKey(level)) & PageMask) << GranuleShift);

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack)
    {
        ulong plain = entry ^ Key;
        LeafAttributes attributes = new((plain & NoRead) == 0, (plain & NoWrite) == 0, (plain & Executable) == 0,
            (MemoryType)((plain >> TypeShift) & 3), (Shareability)((plain >> ShareabilityShift) & 3),
            (plain & Idle) == 0);
        return IsContiguous(entry) ? new LeafAttributes(attributes.Bits | LeafAttributes.ContiguousBit) : attributes;
    }

    public static bool IsDevice(ulong entry, bool forcedWriteBack) =>
        Attributes(entry, forcedWriteBack).Type == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) => With(entry, Idle, !accessed);

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        With(With(With(entry, NoRead, !attributes.Read), NoWrite, !attributes.Write), Executable,
            !attributes.ExecuteNever);

    public static ulong WithoutWrite(ulong entry) => With(entry, NoWrite, true);

    public static bool IsContiguous(ulong entry) => ((entry ^ Key) & Solo) == 0;

    public static ulong WithContiguous(ulong entry, bool contiguous) => With(entry, Solo, !contiguous);

    public static ulong Park(ulong leaf) => With(With(leaf, Absent, true), ParkedBit, true);

    public static ulong Unpark(ulong parked) => With(With(parked, Absent, false), ParkedBit, false);

    public static bool IsParked(ulong entry) => entry != 0 && entry != Invalid && !IsValid(entry)
        && ((entry ^ Key) & ParkedBit) != 0;

    /// <summary>What scrambles a leaf's page number; a page has the table bit besides, as Arm's have.</summary>
    private static ulong LevelKey(int level) =>
        (((ulong)(uint)level + 1) * 0x1_2345_6789 & PageMask) | (level == 3 ? IsTableBit : 0);

    private static ulong With(ulong entry, ulong bit, bool set)
    {
        ulong plain = entry ^ Key;
        return (set ? plain | bit : plain & ~bit) ^ Key;
    }
}

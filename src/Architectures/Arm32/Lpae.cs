using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// VMSAv7 Stage-2 descriptors in the long-descriptor format, with the Virtualization Extensions (DDI 0406C B3.6.1 and
/// B3.6.2): 40-bit IPA, 40-bit physical addresses, pages of 4K at level 3, blocks of 2M at 2 and 1G at 1; "g" is the
/// leaf's shift.
/// <code>
/// Block, page  63 59 58 55 54  53  52 51 40 39        g  11  10  9  8 7   6 5     2 1 0
///             ┌─────┬─────┬───┬───┬──┬─────┬───────────┬───┬────┬────┬─────┬───────┬─┬─┐
///             │ ign │ sw  │XN │ 0 │C │  0  │  address  │ 0 │ AF │ SH │ HAP │MemAttr│T│V│
///             └─────┴─────┴───┴───┴──┴─────┴───────────┴───┴────┴────┴─────┴───────┴─┴─┘
/// Table        63            40 39                12 11       2 1 0
///             ┌────────────────┬────────────────────┬──────────┬─┬─┐
///             │       0        │  next-level table  │  count   │1│1│
///             └────────────────┴────────────────────┴──────────┴─┴─┘
/// </code>
/// T is 1 in pages and tables, 0 in blocks. Hardware ignores bits 11:2 of a table.
/// </summary>
public readonly struct Lpae : IDescriptorFormat
{
    private const ulong Valid = 1UL << 0;
    private const ulong Type = 1UL << 1;
    private const int MemAttrShift = 2;
    private const ulong MemAttrMask = 0xFUL << MemAttrShift;
    private const ulong HapRead = 1UL << 6;
    private const ulong HapWrite = 1UL << 7;
    private const int ShareabilityShift = 8;
    private const ulong AccessFlag = 1UL << 10;
    private const ulong ContiguousHint = 1UL << 52;
    private const ulong ExecuteNever = 1UL << 54;
    private const ulong AddressMask = (1UL << 40) - (1UL << 12);
    private const int CountShift = 2;
    private const ulong CountMask = 0x3FFUL << CountShift;

    // MemAttr[3:0]: inner and outer write-back, inner and outer non-cacheable, Device.
    private const ulong WriteBack = 0xFUL << MemAttrShift;
    private const ulong NonCacheable = 0x5UL << MemAttrShift;
    private const ulong Device = 0x1UL << MemAttrShift;

    public static int GranuleShift => 12;

    public static int BitsPerLevel => 9;

    public static int MaximumOutputBits => 40;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level is >= 1 and <= 3;

    public static int ContiguousShift(int level) => HasLeafAt(level) ? 4 : 0;

    public static bool IsValid(ulong entry) => (entry & Valid) != 0;

    public static bool IsTable(ulong entry, int level) => level < 3 && (entry & Type) != 0;

    public static ulong Table(Pa table) => table.Value | Type | Valid;

    public static Pa TableAddress(ulong entry) => new(entry & AddressMask);

    public static int TableCount(ulong entry) => (int)((entry & CountMask) >> CountShift);

    public static ulong WithTableCount(ulong entry, int count) =>
        (entry & ~CountMask) | ((ulong)(uint)count << CountShift);

    public static ulong CountingOneMore(ulong entry) => entry + (1UL << CountShift);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        Valid
        | (level == 3 ? Type : 0)
        | attributes.Type switch
        {
            MemoryType.NormalWriteBack => WriteBack,
            MemoryType.NormalNonCacheable => NonCacheable,
            _ => Device,
        }
        | (attributes.Accessed ? AccessFlag : 0)
        | ((ulong)attributes.Shareability << ShareabilityShift)
        | Permissions(attributes);

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    public static Pa OutputAddress(ulong entry, int level) =>
        new(entry & AddressMask & ~(Stage2Geometry.LevelBytes<Lpae>(level) - 1));

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack)
    {
        LeafAttributes attributes = new(
            (entry & HapRead) != 0, (entry & HapWrite) != 0, (entry & ExecuteNever) != 0, TypeOf(entry),
            (Shareability)((entry >> ShareabilityShift) & 3), (entry & AccessFlag) != 0);
        return new LeafAttributes(attributes.Bits | (IsContiguous(entry) ? LeafAttributes.ContiguousBit : 0));
    }

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => TypeOf(entry) == MemoryType.Device;

    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | AccessFlag : entry & ~AccessFlag;

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        (entry & ~(HapRead | HapWrite | ExecuteNever)) | Permissions(attributes);

    public static ulong WithoutWrite(ulong entry) => entry & ~HapWrite;

    public static bool IsContiguous(ulong entry) => (entry & ContiguousHint) != 0;

    public static ulong WithContiguous(ulong entry, bool contiguous) =>
        contiguous ? entry | ContiguousHint : entry & ~ContiguousHint;

    public static ulong Park(ulong leaf) => leaf & ~Valid;

    public static ulong Unpark(ulong parked) => parked | Valid;

    /// <summary>No type that is written here has its attributes all zero.</summary>
    public static bool IsParked(ulong entry) => !IsValid(entry) && (entry & MemAttrMask) != 0;

    private static ulong Permissions(LeafAttributes attributes) =>
        (attributes.Read ? HapRead : 0) | (attributes.Write ? HapWrite : 0)
        | (attributes.ExecuteNever ? ExecuteNever : 0);

    private static MemoryType TypeOf(ulong entry) => (entry & MemAttrMask) switch
    {
        WriteBack => MemoryType.NormalWriteBack,
        NonCacheable => MemoryType.NormalNonCacheable,
        _ => MemoryType.Device,
    };
}

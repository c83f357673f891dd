using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// VMSAv8-64 Stage-2 descriptors (DDI 0487 D8.3) of the three granules; "g" is the granule's shift, 12, 14 or
/// 16, and a block's address begins higher by as much as the block is larger:
/// <code>
/// Block, page   54 53  52    51   50 48 47       g    11   10  9  8  7    6  5     2  1  0
///             ┌───────┬────┬─────┬─────┬──────────┬──────┬────┬──────┬───────┬───────┬────┬───┐
///             │  XN   │ C  │ DBM │  0  │ address  │ FnXS │ AF │  SH  │ S2AP  │MemAttr│ T  │ V │
///             └───────┴────┴─────┴─────┴──────────┴──────┴────┴──────┴───────┴───────┴────┴───┘
/// Table         63 59 58          51 50 48 47                  g  11  8  7           2  1  0
///             ┌──────┬──────────────┬─────┬──────────────────────┬──────┬──────────────┬───┬───┐
///             │  0   │ count[7:0]   │  0  │  next-level table    │  0   │ count[13:8]  │ 1 │ 1 │
///             └──────┴──────────────┴─────┴──────────────────────┴──────┴──────────────┴───┴───┘
/// </code>
/// T is 1 in pages and tables, 0 in blocks. Bits 58:51 and 11:2 of a table are ignored by hardware. The count of 16K
/// and 64K tables is drawn; 14 bits hold the 8192 entries of the latter. It keeps off 11:8, which FEAT_LPA2 and
/// FEAT_HAFT give a meaning, so that formats for them can have it too. 4K has it in 11:2, where it takes the fewest
/// instructions: it is the hottest, and neither feature is used with it.
/// </summary>
public readonly struct Arm<TGranule> : IDescriptorFormat
    where TGranule : struct, IGranule
{
    private const ulong ValidBit = 1UL << 0;
    private const ulong TypeBit = 1UL << 1;
    private const int MemAttrShift = 2;
    private const int MemAttrMask = 0xF;
    private const ulong WriteBit = 1UL << 7;
    private const ulong PermissionMask = 3UL << 6;
    private const ulong AccessedBit = 1UL << 10;

    /// <summary>AF, SH and S2AP are where <see cref="LeafAttributes"/> has them.</summary>
    private const uint SharedLayout = 0x7C0;

    private const ulong ContiguousBit = 1UL << 52;
    private const int ExecuteNeverShift = 54;
    private const ulong ExecuteNeverBit = 1UL << ExecuteNeverShift;
    private const int AddressBits = 48;

    // MemAttr[3:0] by MemoryType, four bits each: write-back, non-cacheable, Device-nGnRE.
    private const uint MemAttrs = 0x15F;

    // With FEAT_S2FWB: 0b0110 forces write-back, 0b0101 forces non-cacheable, 0b0001 is Device-nGnRE.
    private const uint ForcedMemAttrs = 0x156;

    public static int GranuleShift => TGranule.Shift;

    /// <summary>A table of eight-byte entries is as large as a page.</summary>
    public static int BitsPerLevel => TGranule.Shift - 3;

    public static int MaximumOutputBits => AddressBits;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level >= TGranule.TopLeafLevel && level <= Stage2Geometry.LastLevel;

    public static int ContiguousShift(int level) => HasLeafAt(level) ? TGranule.ContiguousShift(level) : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsValid(ulong entry) => (entry & ValidBit) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsTable(ulong entry, int level) => level < Stage2Geometry.LastLevel && (entry & TypeBit) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Table(Pa table) => table.Value | TypeBit | ValidBit;

    public static Pa TableAddress(ulong entry) => Address(entry, GranuleShift);

    public static int TableCount(ulong entry) => TGranule.TableCount(entry);

    public static ulong WithTableCount(ulong entry, int count) => TGranule.WithTableCount(entry, count);

    public static ulong CountingOneMore(ulong entry) => TGranule.CountingOneMore(entry);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack)
    {
        uint memAttrs = forcedWriteBack ? ForcedMemAttrs : MemAttrs;
        ulong memAttr = (memAttrs >> ((int)(attributes.Bits >> (LeafAttributes.TypeShift - 2)) & 0xC)) & MemAttrMask;
        return ValidBit
            | (level == Stage2Geometry.LastLevel ? TypeBit : 0)
            | (memAttr << MemAttrShift)
            | (attributes.Bits & SharedLayout)
            | ExecuteNever(attributes.Bits);
    }

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pa OutputAddress(ulong entry, int level) =>
        Address(entry, Stage2Geometry.LevelShift<Arm<TGranule>>(level));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack)
    {
        uint bits = (uint)entry & SharedLayout;
        bits |= (entry & ExecuteNeverBit) != 0 ? LeafAttributes.ExecuteNeverBit : 0;
        bits |= (entry & ContiguousBit) != 0 ? LeafAttributes.ContiguousBit : 0;
        bits |= (uint)Type(entry, forcedWriteBack) << LeafAttributes.TypeShift;
        return new LeafAttributes(bits);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsDevice(ulong entry, bool forcedWriteBack) =>
        Type(entry, forcedWriteBack) == MemoryType.Device;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithAccessed(ulong entry, bool accessed) =>
        accessed ? entry | AccessedBit : entry & ~AccessedBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        (entry & ~(PermissionMask | ExecuteNeverBit))
        | (attributes.Bits & PermissionMask)
        | ExecuteNever(attributes.Bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithoutWrite(ulong entry) => entry & ~WriteBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsContiguous(ulong entry) => (entry & ContiguousBit) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithContiguous(ulong entry, bool contiguous) =>
        contiguous ? entry | ContiguousBit : entry & ~ContiguousBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Park(ulong leaf) => leaf & ~ValidBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Unpark(ulong parked) => parked | ValidBit;

    /// <summary>A parked leaf keeps its memory attributes, which no type that is written here has all zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsParked(ulong entry) =>
        !IsValid(entry) && (entry & ((ulong)MemAttrMask << MemAttrShift)) != 0;

    /// <summary>The address field from a given bit up to bit 47.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Pa Address(ulong entry, int lowestBit) =>
        new(entry & ((1UL << AddressBits) - 1) & ~((1UL << lowestBit) - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong ExecuteNever(uint attributeBits) =>
        (ulong)(attributeBits & LeafAttributes.ExecuteNeverBit) << (ExecuteNeverShift - 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static MemoryType Type(ulong entry, bool forcedWriteBack)
    {
        uint memAttr = (uint)(entry >> MemAttrShift) & MemAttrMask;
        uint writeBack = (forcedWriteBack ? ForcedMemAttrs : MemAttrs) & MemAttrMask;
        if (memAttr == writeBack)
        {
            return MemoryType.NormalWriteBack;
        }

        return memAttr == ((MemAttrs >> 4) & MemAttrMask) ? MemoryType.NormalNonCacheable : MemoryType.Device;
    }
}

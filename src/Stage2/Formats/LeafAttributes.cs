using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The memory type that Stage-2 gives a leaf. Without FEAT_S2FWB it is combined with the guest's own choice, and
/// the weaker of the two wins (DDI 0487 D8, FEAT_S2FWB); with it, Stage-2 decides alone.
/// </summary>
public enum MemoryType : byte
{
    /// <summary>Normal memory, write-back cacheable.</summary>
    NormalWriteBack = 0,

    /// <summary>Normal memory, non-cacheable.</summary>
    NormalNonCacheable = 1,

    /// <summary>Device-nGnRE.</summary>
    Device = 2,
}

/// <summary>Who sees the memory coherently. The values are those of the SH field.</summary>
public enum Shareability : byte
{
    NonShareable = 0,
    OuterShareable = 2,
    InnerShareable = 3,
}

/// <summary>
/// What a leaf permits and how its memory behaves, independently of descriptor formats:
/// <code>
///   11           10         9  8   7       6      5  4   3   2              1 0
/// ┌────────────┬──────────┬──────┬───────┬──────┬──────┬───┬──────────────┬─────┐
/// │ Contiguous │ Accessed │  SH  │ Write │ Read │ Type │ 0 │ ExecuteNever │  0  │
/// └────────────┴──────────┴──────┴───────┴──────┴──────┴───┴──────────────┴─────┘
/// </code>
/// Bits 10 to 6 are where VMSAv8-64 has them, which makes encoding cheap; a format need not follow.
/// Contiguous is only ever reported: whether a leaf gets it is for the range mapping to find out.
/// </summary>
public readonly struct LeafAttributes
{
    public const uint ReadBit = 1 << 6;
    public const uint WriteBit = 1 << 7;
    public const uint ExecuteNeverBit = 1 << 2;
    public const uint AccessedBit = 1 << 10;
    public const uint ContiguousBit = 1 << 11;

    /// <summary>The bits that say who may do what: the ones that <c>ChangePermissions</c> changes.</summary>
    public const uint PermissionBits = ReadBit | WriteBit | ExecuteNeverBit;

    internal const int TypeShift = 4;
    internal const int ShareabilityShift = 8;

    /// <summary>All of it, in the layout drawn above.</summary>
    public readonly uint Bits;

    public LeafAttributes(uint bits) => Bits = bits;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public LeafAttributes(bool read, bool write, bool executeNever, MemoryType type,
        Shareability shareability = Shareability.InnerShareable, bool accessed = true) =>
        Bits = (read ? ReadBit : 0) | (write ? WriteBit : 0) | (executeNever ? ExecuteNeverBit : 0)
            | (accessed ? AccessedBit : 0) | ((uint)type << TypeShift) | ((uint)shareability << ShareabilityShift);

    /// <summary>Guest memory as a VM gets it at first: readable, writable, executable, write-back, accessed.</summary>
    public static LeafAttributes GuestMemory => new(true, true, false, MemoryType.NormalWriteBack);

    public bool Read => (Bits & ReadBit) != 0;

    public bool Write => (Bits & WriteBit) != 0;

    public bool ExecuteNever => (Bits & ExecuteNeverBit) != 0;

    public bool Accessed => (Bits & AccessedBit) != 0;

    public bool Contiguous => (Bits & ContiguousBit) != 0;

    public MemoryType Type => (MemoryType)((Bits >> TypeShift) & 3);

    public Shareability Shareability => (Shareability)((Bits >> ShareabilityShift) & 3);

    public LeafAttributes WithWrite(bool write) => new(write ? Bits | WriteBit : Bits & ~WriteBit);

    public LeafAttributes WithAccessed(bool accessed) => new(accessed ? Bits | AccessedBit : Bits & ~AccessedBit);
}

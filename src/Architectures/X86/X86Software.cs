using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// What both x86 formats keep in bits that hardware ignores. An entry that permits nothing is not present for
/// hardware, yet it may be a leaf of ours; and one that is written but not read does not exist. So what was asked for
/// is kept beside what hardware sees, and whether the entry is used at all has a bit of its own, as in KVM's shadow
/// entries since 5.13 (SPTE_MMU_PRESENT).
/// <code>
///  leaf   62      54  53  52          table  61            52
///       ┌──────┬───┬───┬───┬───┐            ┌────────────────┐
///       │ leaf │   │ X │ W │ R │            │     count      │
///       └──────┴───┴───┴───┴───┘            └────────────────┘
/// </code>
/// </summary>
internal static class X86Software
{
    internal const ulong Read = 1UL << 52;
    internal const ulong Write = 1UL << 53;
    internal const ulong Execute = 1UL << 54;
    internal const ulong Asked = Read | Write | Execute;
    internal const ulong AddressMask = (1UL << 52) - (1UL << 12);

    private const int CountShift = 52;
    private const ulong CountMask = 0x3FFUL << CountShift;

    internal static int Count(ulong table) => (int)((table & CountMask) >> CountShift);

    internal static ulong WithCount(ulong table, int count) =>
        (table & ~CountMask) | ((ulong)(uint)count << CountShift);

    internal static ulong AskedFor(LeafAttributes attributes) =>
        (attributes.Read ? Read : 0) | (attributes.Write ? Write : 0) | (attributes.ExecuteNever ? 0 : Execute);

    /// <summary>x86 has no shareability: every core sees memory coherently.</summary>
    internal static LeafAttributes Attributes(ulong leaf, MemoryType type, bool accessed) => new(
        (leaf & Read) != 0, (leaf & Write) != 0, (leaf & Execute) == 0, type, Shareability.InnerShareable, accessed);
}

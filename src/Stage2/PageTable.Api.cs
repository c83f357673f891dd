namespace Quietus.Stage2;

/// <summary>How a range is mapped.</summary>
[System.Flags]
public enum MapOptions : byte
{
    /// <summary>The largest blocks that fit.</summary>
    None = 0,

    /// <summary>Pages only.</summary>
    PagesOnly = 1,

    /// <summary>Mark aligned runs with the contiguous bit.</summary>
    Contiguous = 2,
}

public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>Maps one leaf: a page at level 3, a block above. Owes nothing when it returns: whatever was there is
    /// broken and invalidated first when the architecture demands it, and changed in place otherwise.
    /// AlreadyMapped: a leaf with another output address (use Replace).</summary>
    public Stage2Result Map(ref TMachine machine, Ipa ipa, Pa output, int level, LeafAttributes attributes) => default;

    /// <summary>Maps a range in which nothing is mapped yet. All or nothing.</summary>
    public Stage2Result MapRange(ref TMachine machine, Ipa ipa, Pa output, ulong bytes, LeafAttributes attributes, MapOptions options) => default;

    /// <summary>Replaces the leaf at an IPA by another of the same level (break, invalidate, [CMO of the old], make).</summary>
    public Stage2Result Replace(ref TMachine machine, Ipa ipa, Pa output, LeafAttributes attributes, UnmapFlags flags, out Pa previous) { previous = default; return default; }

    /// <summary>Linux 5.5's unmapping. cursor.Result tells also.</summary>
    public Stage2Result UnmapEager<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags, PartialBlock partial, ref TSink sink) where TSink : struct, ILeafSink => default;

    /// <summary>Batched; the result is in cursor.Result. When CMO is due it settles its own runs before cleaning.</summary>
    public MaintenanceDebt Unmap<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags, PartialBlock partial, ref TSink sink) where TSink : struct, ILeafSink => default;

    public MaintenanceDebt ChangePermissions(ref TMachine machine, ref RangeCursor cursor, LeafAttributes permissions, PartialBlock partial) => default;

    public MaintenanceDebt WriteProtect(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial) => default;

    /// <summary>Clears access flags; young: whether any was set.</summary>
    public MaintenanceDebt Age(ref TMachine machine, ref RangeCursor cursor, out bool young) { young = false; return default; }

    /// <summary>Whether any leaf of the range is marked accessed; changes nothing.</summary>
    public bool IsYoung(ref TMachine machine, ref RangeCursor cursor) => default;

    /// <summary>Sets the access flag (access flag fault). Owes nothing: entries without it are never cached.</summary>
    public Stage2Result MarkAccessed(ref TMachine machine, Ipa ipa) => default;

    /// <summary>Splits the block around an IPA until its leaf is of toLevel. BBM inside; owes nothing.</summary>
    public Stage2Result SplitBlock(ref TMachine machine, Ipa ipa, int toLevel) => default;

    /// <summary>Linux 5.5's retry: UnmapEager of the block's range by the flags, then map.</summary>
    public Stage2Result ReplaceTableByBlockEager<TSink>(ref TMachine machine, Ipa ipa, Pa output, int level, LeafAttributes attributes, UnmapFlags flags, ref TSink sink) where TSink : struct, ILeafSink => default;

    /// <summary>Unlinks the table, invalidates once, [CMO], frees, maps the block. Owes nothing.</summary>
    public Stage2Result ReplaceTableByBlock<TSink>(ref TMachine machine, Ipa ipa, Pa output, int level, LeafAttributes attributes, UnmapFlags flags, ref TSink sink) where TSink : struct, ILeafSink => default;

    public Translation Translate(ref TMachine machine, Ipa ipa) => default;

    /// <summary>Shows each leaf of the range; cursor.Result tells how it ended.</summary>
    public Stage2Result Visit<TVisitor>(ref TMachine machine, ref RangeCursor cursor, ref TVisitor visitor) where TVisitor : struct, ILeafVisitor => default;

    /// <summary>Pays. Cheapest sufficient TLBI, DSB, then frees the tables it holds; zeroes the debt.</summary>
    public void Settle(ref TMachine machine, ref MaintenanceDebt debt) { }

    /// <summary>Joins two debts; `debt` is zeroed.</summary>
    public void Merge(ref TMachine machine, ref MaintenanceDebt into, ref MaintenanceDebt debt) { }

    /// <summary>dsb ishst; VMALLS12E1IS; dsb ish; isb.</summary>
    public void InvalidateVmid(ref TMachine machine) { }

    /// <summary>A cursor over all of the input range.</summary>
    public readonly RangeCursor WholeRange(uint budget = RangeCursor.Unlimited) => default;

    /// <summary>Linux 5.5 (and 5.5 with elisions): unmaps all eagerly, then drops and frees the root. Call again while cursor.IsUnfinished.</summary>
    public Stage2Result DestroyEager<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags, ref TSink sink) where TSink : struct, ILeafSink => default;

    /// <summary>Patch 5 as posted: both elided, tables freed during the walk, root dropped, one VMID invalidation.</summary>
    public Stage2Result DestroyAsPosted<TSink>(ref TMachine machine, ref RangeCursor cursor, ref TSink sink) where TSink : struct, ILeafSink => default;

    /// <summary>Fate: unlink root, one VMID invalidation, DSB, then frees the table pages; leaves not visited.</summary>
    public void Destroy(ref TMachine machine) { }

    /// <summary>Fate, where the memory layer owns all table pages wholesale: unlink, invalidate, DSB; frees nothing.</summary>
    public void DestroyByOwner(ref TMachine machine) { }
}

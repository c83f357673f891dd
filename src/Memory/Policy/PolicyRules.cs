namespace Quietus.Memory;

/// <summary>How a live range leaves Stage-2.</summary>
public enum RangeStyle : byte
{
    /// <summary>
    /// As Linux 5.5: each leaf and each emptied table is invalidated by itself, at once, and its frame is freed
    /// in the same step. A block that is covered in part is taken whole.
    /// </summary>
    Eager,

    /// <summary>
    /// Unlink a batch of leaves, invalidate once for what is owed, complete the DSB, then free. A block that is
    /// covered in part is split.
    /// </summary>
    Batched,
}

/// <summary>How a whole VM leaves Stage-2.</summary>
public enum ReleaseStyle : byte
{
    /// <summary>A walk over all leaves that maintains and frees one by one, as Linux 5.5.</summary>
    LeafByLeaf,

    /// <summary>
    /// Patch 5 as posted: a walk over all leaves that elides both kinds and frees leaves and tables as it goes;
    /// then the root is dropped; then one invalidation of the VMID. Freed memory precedes its invalidation, so it
    /// is legal only while no PE has the VMID's VTTBR_EL2 loaded: every vCPU is stopped and out.
    /// </summary>
    WalkThenInvalidateVmid,

    /// <summary>
    /// Unlink the root, one invalidation of the VMID, DSB, then the VM's chunks go back in one splice. Leaves are
    /// not visited, but for those of slots whose pages another owner still reads. Right in any situation.
    /// </summary>
    UnlinkInvalidateFree,

    /// <summary>
    /// As <see cref="UnlinkInvalidateFree"/>, but between the DSB and the splice each table is visited and freed by
    /// itself, which takes time by the tables.
    /// </summary>
    UnlinkInvalidateFreeTables,
}

/// <summary>What each policy does, apart from cache maintenance, which <see cref="Elision"/> decides.</summary>
/// <remarks>
/// <code>
///   policy         range and slot   whole VM                 block retry   range by UNMAP event
///   before-series  eager            leaf by leaf             CMO           CMO
///   patch5         eager            walk, then VMID          CMO           CMO
///   patch6         eager            leaf by leaf             no CMO        CMO
///   patch7         eager            leaf by leaf             CMO           no CMO
///   series         eager            walk, then VMID          no CMO        no CMO
///   tables-only    batched          as fate, table by table  no CMO        by the pages' fate
///   fate           batched          unlink, VMID, DSB, free  no CMO        by the pages' fate
/// </code>
/// </remarks>
public static class PolicyRules
{
    /// <summary>Whether the pages' fate decides about cache maintenance.</summary>
    public static bool DecidesByFate(MaintenancePolicy policy) =>
        policy is MaintenancePolicy.Fate or MaintenancePolicy.TablesOnly;

    /// <summary>How live ranges and removed slots are unmapped.</summary>
    public static RangeStyle RangeStyleOf(MaintenancePolicy policy) =>
        DecidesByFate(policy) ? RangeStyle.Batched : RangeStyle.Eager;

    /// <summary>How a whole VM is released.</summary>
    public static ReleaseStyle ReleaseStyleOf(MaintenancePolicy policy) =>
        policy == MaintenancePolicy.Fate ? ReleaseStyle.UnlinkInvalidateFree
        : policy == MaintenancePolicy.TablesOnly ? ReleaseStyle.UnlinkInvalidateFreeTables
        : policy is MaintenancePolicy.Patch5 or MaintenancePolicy.Series ? ReleaseStyle.WalkThenInvalidateVmid
        : ReleaseStyle.LeafByLeaf;

    /// <summary>Whether patch 6 is in it: a table that becomes a block is unmapped without cache maintenance.</summary>
    public static bool ElidesAtBlockRetry(MaintenancePolicy policy) =>
        policy is MaintenancePolicy.Patch6 or MaintenancePolicy.Series || DecidesByFate(policy);

    /// <summary>Whether the policy contains patch 7: the event alone decides, as posted.</summary>
    public static bool ElidesByEvent(MaintenancePolicy policy) =>
        policy is MaintenancePolicy.Patch7 or MaintenancePolicy.Series;

    /// <summary>Whether a policy value is one of the named ones; a byte off the wire may not be.</summary>
    public static bool IsKnown(MaintenancePolicy policy) => policy <= MaintenancePolicy.TablesOnly;
}

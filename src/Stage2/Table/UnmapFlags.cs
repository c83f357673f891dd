using System;

namespace Quietus.Stage2;

/// <summary>
/// What an unmapping may leave out. The flags go down every unmapping function, as in patch 2 of the series
/// "Help VMs dying quicker" (20191213182503.14460-3-maz@kernel.org); zero elides nothing.
/// docs/elision.md tells what breaks where a licence does not hold.
/// </summary>
[Flags]
public enum UnmapFlags : byte
{
    None = 0,

    /// <summary>
    /// Do not clean and invalidate the leaf's memory to the PoC (patch 3, 20191213182503.14460-4-maz@kernel.org).
    /// <para>licence: no reader goes past the caches, or through an alias of other cacheability, before
    /// it has been overwritten through the caches or maintained by another owner; or the machine has FEAT_S2FWB,
    /// where the guest could not make it non-cacheable.</para>
    /// </summary>
    ElideCacheMaintenance = 1,

    /// <summary>
    /// Do not invalidate the TLB for the leaves and tables that are unlinked (patch 4,
    /// 20191213182503.14460-5-maz@kernel.org).
    /// <para>licence: no PE has the tables loaded, from before the first unlinking until the caller has invalidated the
    /// whole VMID and completed the DSB; only then may the leaves' memory be reused. A later invalidation alone is no
    /// licence: tables are freed as they become empty.</para>
    /// </summary>
    ElideTlbInvalidation = 2,
}

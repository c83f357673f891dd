using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// The licence, in words, under which <see cref="Elision.For"/> leaves something out: docs/elision.md has them all.
/// </summary>
internal static class Licence
{
    /// <summary>What flags leave out; null where they leave out nothing.</summary>
    public static string? LeftOut(UnmapFlags flags) => flags switch
    {
        UnmapFlags.ElideCacheMaintenance => "DC CIVAC and its DSB SY: UnmapFlags.ElideCacheMaintenance",
        UnmapFlags.ElideTlbInvalidation => "TLBI for each entry: UnmapFlags.ElideTlbInvalidation",
        UnmapFlags.None => null,
        _ => "DC CIVAC and TLBI for each entry: UnmapFlags.ElideCacheMaintenance, ElideTlbInvalidation",
    };

    /// <summary>By which licence a page that leaves a live VM is not maintained.</summary>
    public static string OfRange(MaintenancePolicy policy, ElisionFacts facts)
    {
        if (PolicyRules.ElidesByEvent(policy))
        {
            return "the event UNMAP alone (patch 7). "
                + (facts.HasForcedWriteBack || facts.Fate == PageFate.AnonymousLastMappingFreed
                    ? "The page's fate grants it, too"
                    : $"The page's fate, {facts.Fate}, grants none: a later reader needs the page");
        }

        return facts.HasForcedWriteBack ? "FEAT_S2FWB: whatever the guest did went through the caches"
            : facts.Fate == PageFate.AnonymousLastMappingFreed
                ? "the page is freed, and its next owner overwrites it through the caches"
                : "the guest has no uncached alias: whatever touches the page goes through the caches";
    }

    /// <summary>By which licence a dead VM's entries and pages are not maintained one by one.</summary>
    public static string OfRelease(MaintenancePolicy policy) => PolicyRules.ReleaseStyleOf(policy) switch
    {
        ReleaseStyle.WalkThenInvalidateVmid =>
            "one VMALLS12E1IS follows (patch 5). It holds while no PE has the VTTBR loaded, and for pages that are "
                + "freed",
        _ => "nothing is freed before the root is unlinked, the VMID invalidated and its DSB complete",
    };
}

using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>Why a part of a VM's memory leaves Stage-2.</summary>
public enum UnmapOperation : byte
{
    /// <summary>The host's notifier, or the monitor, takes a range of a live VM.</summary>
    NotifierRange,

    /// <summary>A slot is removed from a live VM.</summary>
    SlotRemoval,

    /// <summary>A table is replaced by a block that maps the same frames.</summary>
    BlockRetry,

    /// <summary>The VM is dead, and all of its memory goes.</summary>
    Release,
}

/// <summary>What is known about who reads and writes a page besides the CPUs through their caches.</summary>
public readonly struct ElisionFacts
{
    /// <param name="fate">What becomes of the page.</param>
    /// <param name="hasForcedWriteBack">FEAT_S2FWB is in use.</param>
    /// <param name="guestMayHaveUncachedAlias">
    /// The guest may have accessed the page as Device or Normal Non-cacheable, as it may with its MMU off.
    /// False is a claim: without FWB a guest's Stage-1 is its own affair, so only a monitor that saw every
    /// change of it can make it.
    /// </param>
    public ElisionFacts(PageFate fate, bool hasForcedWriteBack, bool guestMayHaveUncachedAlias)
    {
        Fate = fate;
        HasForcedWriteBack = hasForcedWriteBack;
        GuestMayHaveUncachedAlias = guestMayHaveUncachedAlias;
    }

    /// <summary>What becomes of the page.</summary>
    public PageFate Fate { get; }

    /// <summary>FEAT_S2FWB is in use.</summary>
    public bool HasForcedWriteBack { get; }

    /// <summary>The guest may have accessed the page past the caches.</summary>
    public bool GuestMayHaveUncachedAlias { get; }
}

/// <summary>
/// Which maintenance an unmapping may leave out. The one place where policies, events and fates meet; a pure
/// function, tested over its whole table.
/// </summary>
public static class Elision
{
    /// <summary>The flags for one unmapping under a policy.</summary>
    /// <param name="policy">The VM's policy.</param>
    /// <param name="operation">Why the memory leaves Stage-2.</param>
    /// <param name="why">The event, for <see cref="UnmapOperation.NotifierRange"/>; not looked at otherwise.</param>
    /// <param name="facts">The pages' fate and what can see them.</param>
    public static UnmapFlags For(
        MaintenancePolicy policy, UnmapOperation operation, NotifierEvent why, ElisionFacts facts)
    {
        if (operation == UnmapOperation.Release)
        {
            return ForRelease(policy, facts);
        }

        switch (operation)
        {
            case UnmapOperation.BlockRetry:
                // licence: the same frames are mapped again, at the same addresses and with the same memory type,
                // before the guest runs on; no reader goes past the caches who could not before. (Patch 6.)
                return PolicyRules.ElidesAtBlockRetry(policy) ? UnmapFlags.ElideCacheMaintenance : UnmapFlags.None;

            case UnmapOperation.NotifierRange when PolicyRules.ElidesByEvent(policy):
                // licence: none that the event could give. This is patch 7 as posted, kept to be measured and to
                // be caught: see PageFate for what goes wrong with every other fate than a freed page's.
                return why == NotifierEvent.Unmap ? UnmapFlags.ElideCacheMaintenance : UnmapFlags.None;

            default:
                return PolicyRules.DecidesByFate(policy) && MayElideCaches(operation, why, facts)
                    ? UnmapFlags.ElideCacheMaintenance
                    : UnmapFlags.None;
        }
    }

    /// <summary>The flags for the freezing of a template, whose pages stay in place and are read by many.</summary>
    public static UnmapFlags AtFreeze(ElisionFacts facts) =>
        // licence: that of any page that stays in place; a child reads through the caches or past them, as it likes.
        MayElideCaches(UnmapOperation.NotifierRange, NotifierEvent.ProtectionPage, facts)
            ? UnmapFlags.ElideCacheMaintenance
            : UnmapFlags.None;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static UnmapFlags ForRelease(MaintenancePolicy policy, ElisionFacts facts)
    {
        const UnmapFlags both = UnmapFlags.ElideCacheMaintenance | UnmapFlags.ElideTlbInvalidation;
        switch (PolicyRules.ReleaseStyleOf(policy))
        {
            case ReleaseStyle.WalkThenInvalidateVmid:
                // licence (TLB): one VMALLS12E1IS follows, and no PE has the VTTBR loaded in between.
                // licence (caches): the series gives none for pages that outlive the VM; sound for freed ones.
                return both;

            case ReleaseStyle.UnlinkInvalidateFree:
            case ReleaseStyle.UnlinkInvalidateFreeTables:
                // licence (TLB): the root is unlinked, the VMID invalidated and the DSB completed before anything is
                // freed. Both flags together mean that the leaves need not be visited at all; pages that another owner
                // reads later are unmapped first, as from a live VM.
                return MayElideCaches(UnmapOperation.Release, NotifierEvent.Unmap, facts) ? both : UnmapFlags.None;

            default:
                return UnmapFlags.None;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool MayElideCaches(UnmapOperation operation, NotifierEvent why, ElisionFacts facts)
    {
        // licence: with FEAT_S2FWB the guest's accesses are cacheable whatever its Stage-1 says, so the caches and
        // the PoC cannot disagree in a way that a coherent reader sees (DDI 0487 D8.5.5). A device that does not
        // snoop is served by its driver's own maintenance, as for any page of the host.
        if (facts.HasForcedWriteBack)
        {
            return true;
        }

        if (facts.Fate == PageFate.AnonymousLastMappingFreed)
        {
            // licence: the next owner overwrites every byte through a cacheable mapping before reading one, so neither
            // a dirty nor a stale clean line is ever read. Only events that free pages can mean it: with another one
            // the claim contradicts itself, and is not believed.
            return operation != UnmapOperation.NotifierRange || why is NotifierEvent.Unmap or NotifierEvent.Clear;
        }

        switch (facts.Fate)
        {
            case PageFate.FileBacked:
            case PageFate.StillMappedElsewhere:
            case PageFate.KeptByRemap:
            case PageFate.CopiedToNewFrame:
            case PageFate.StaysInPlace:
                // licence: all that ever touched the page, and all that will, go through the coherent caches.
                return !facts.GuestMayHaveUncachedAlias;

            default:
                // A device that does not snoop reads the PoC; and of an unknown fate nothing can be claimed.
                return false;
        }
    }
}

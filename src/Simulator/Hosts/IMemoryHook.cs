using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// The hook that patch 1 of the series changed (20191213182503.14460-2-maz@kernel.org), as the host's core sees it: an
/// architecture is told of a range, why the host changes it, and what becomes of its pages; it answers whether a flush
/// of the cores that run the guest is still owed. The core pays that once for all the ranges of one change, before it
/// makes the change: until then it frees nothing.
/// </summary>
/// <remarks>
/// arm64's <see cref="SimulatedVm"/> is one implementation; it flushes as it unmaps and never owes. The others are in
/// src/Architectures.
/// </remarks>
public interface IMemoryHook
{
    /// <summary>Whether the guest has memory: until <see cref="Release"/>.</summary>
    bool Exists { get; }

    /// <summary>What it may leave out.</summary>
    MaintenancePolicy Policy { get; }

    /// <summary>The PE that works for the guest now; calls may come from another each time.</summary>
    int Pe { get; set; }

    /// <summary>The largest leaf that it takes: 1 for 1 GB, 2 for 2 MB, 3 for 4 KB.</summary>
    int LargestLeaf { get; }

    /// <summary>Adds a slot of host memory, in which nothing is mapped yet; gives its number.</summary>
    /// <param name="start">First guest-physical address, a multiple of 4 KB like <paramref name="bytes"/>.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="fateAtRemoval">What becomes of its pages when the slot, or the guest, goes.</param>
    /// <param name="isReadOnly">Guest writes are refused.</param>
    int AddSlot(Ipa start, ulong bytes, PageFate fateAtRemoval, bool isReadOnly = false);

    /// <summary>Removes a slot of the live guest. Owes nothing.</summary>
    MemoryResult RemoveSlot(int number);

    /// <summary>
    /// The host begins to change a range: faults on it retry until <see cref="EndNotify"/>, one call for each of these.
    /// </summary>
    /// <param name="range">What, why, whether the call may block, and the pages' fate.</param>
    /// <param name="owesFlush">Cores may still use what was there: <see cref="FlushRemote"/> before the change.</param>
    MemoryResult BeginNotify(in NotifierRange range, out bool owesFlush);

    /// <summary>
    /// The host changes memory of the process that owns the guest, none of which is the guest's. True: the
    /// architecture asks for a flush all the same.
    /// </summary>
    bool OwesFlushElsewhere(NotifierEvent why);

    /// <summary>Flushes every core that runs the guest, and returns when all have.</summary>
    void FlushRemote();

    /// <summary>The host's change is done.</summary>
    MemoryResult EndNotify();

    /// <summary>A guest's fault, answered with a page that the host has.</summary>
    /// <param name="ipa">The faulting address.</param>
    /// <param name="page">The host's page, aligned to its size.</param>
    /// <param name="level">Its size as a level: 3 for 4 KB, 2 for 2 MB, 1 for 1 GB.</param>
    /// <param name="access">What the guest tried.</param>
    /// <param name="isWritable">Whether the host's own mapping is writable.</param>
    FaultResult MapHostPage(Ipa ipa, Pa page, int level, AccessKind access, bool isWritable);

    /// <summary>
    /// Whether an access of the guest goes through as things are; a core then holds the translation.
    /// </summary>
    bool IsMapped(Ipa ipa, AccessKind access);

    /// <summary>The guest is dead (the notifier's release callback): no vCPU runs, and everything goes.</summary>
    void Release();
}

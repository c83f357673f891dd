using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>What a VM's memory came to when it was released.</summary>
public readonly struct ReleaseReport
{
    internal ReleaseReport(
        MemoryResult result, ulong pages, ulong blocks, int chunks, ulong leakedFrames, bool vmidIsInvalidated)
    {
        Result = result;
        MappedPages = pages;
        MappedBlocks = blocks;
        Chunks = chunks;
        LeakedFrames = leakedFrames;
        VmidIsInvalidated = vmidIsInvalidated;
    }

    /// <summary>Whether there was anything to release.</summary>
    public MemoryResult Result { get; }

    /// <summary>Granule pages that were mapped.</summary>
    public ulong MappedPages { get; }

    /// <summary>Blocks of the lowest block level that were mapped.</summary>
    public ulong MappedBlocks { get; }

    /// <summary>Chunks that went back in the splice at the end; those emptied before went back by themselves.</summary>
    public int Chunks { get; }

    /// <summary>
    /// Frames that the walk should have freed and did not, under the policies that free one by one: a defect if
    /// not 0. The splice takes them back all the same.
    /// </summary>
    public ulong LeakedFrames { get; }

    /// <summary>
    /// Whether the whole VMID was invalidated, so that its number can be retired at once. Otherwise it is given up,
    /// and lies unused until the next rollover, as in Linux 5.5.
    /// </summary>
    public bool VmidIsInvalidated { get; }
}

// The VM is dead: the notifier's release callback, or the kill order.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>
    /// Gives everything back under the policy. Every vCPU is stopped, no PE has this VM's VTTBR_EL2 loaded, and no
    /// fault is under way. Afterwards nothing is left of slots, tables and frames.
    /// </summary>
    public ReleaseReport Release(ref TMachine machine)
    {
        if (!Exists)
        {
            return new ReleaseReport(MemoryResult.NoMemory, 0, 0, 0, 0, false);
        }

        ulong pages = MappedPages;
        ulong blocks = MappedBlocks;
        ulong leaked = 0;
        bool invalidated = false;
        MemoryResult result;
        switch (PolicyRules.ReleaseStyleOf(_policy))
        {
            case ReleaseStyle.UnlinkInvalidateFree:
                result = UnmapWhatIsReadLater(ref machine);
                _table.DestroyByOwner(ref machine);
                invalidated = true;
                break;

            case ReleaseStyle.UnlinkInvalidateFreeTables:
                result = UnmapWhatIsReadLater(ref machine);
                _table.Destroy(ref machine);
                invalidated = true;
                break;

            case ReleaseStyle.WalkThenInvalidateVmid:
                result = WalkAll(ref machine, true);
                invalidated = true;
                leaked = machine.Pool.CountUsed(in machine.Frames);
                break;

            default:
                result = WalkAll(ref machine, false);
                leaked = machine.Pool.CountUsed(in machine.Frames);
                break;
        }

        int chunks = machine.Pool.ReturnAll(ref machine.Frames);
        _slots.Clear();
        _invalidation = default;
        return new ReleaseReport(result, pages, blocks, chunks, leaked, invalidated);
    }

    private MemoryResult WalkAll(ref TMachine machine, bool asPosted)
    {
        RangeCursor cursor = _table.WholeRange();
        var sink = new FreeingSink<TFormat, TMachine>(machine);
        Stage2Result result = asPosted
            ? _table.DestroyAsPosted(ref machine, ref cursor, ref sink)
            : _table.DestroyEager(ref machine, ref cursor, UnmapFlags.None, ref sink);
        return FromStage2(result);
    }

    /// <summary>
    /// Slots whose pages outlive the VM and may be read past the caches: unmapped with maintenance, as from a live
    /// VM. Pool slots never need it, since their pages are freed and nothing else
    /// (<see cref="SlotOptions.IsSound"/>), so an ordinary VM's death does not look at a single leaf.
    /// </summary>
    private MemoryResult UnmapWhatIsReadLater(ref TMachine machine)
    {
        MemoryResult result = MemoryResult.Ok;
        for (int i = 0; i < _slots.End; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            if (slot.Slot.Backing == SlotBacking.Pool || !slot.Exists || slot.Slot.Type == MemoryType.Device)
            {
                continue;
            }

            UnmapFlags flags = Elision.ForRelease(_policy, Facts(ref machine, slot.Slot.FateAtRemoval));
            if ((flags & UnmapFlags.ElideCacheMaintenance) == 0)
            {
                Ipa next = slot.Start;
                MemoryResult unmapped = UnmapSpan(
                    ref machine, ref next, slot.End, flags, PartialBlock.TakeWhole, false);
                result = unmapped == MemoryResult.Ok ? result : unmapped;
            }
        }

        return result;
    }
}

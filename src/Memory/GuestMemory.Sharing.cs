using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// Templates and their children. A frozen memory never changes again; a child begins with its slots and its tables, and
// owns what it writes. Whose a page or a table is, its chunk's stamp says: nothing is counted but children (Offspring).
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>Whether the memory is a template's: nothing changes it, and it can be forked.</summary>
    public readonly bool IsFrozen => _isFrozen;

    /// <summary>Whether the memory was forked from a template's.</summary>
    public readonly bool IsFork => _table.IsFork;

    /// <summary>
    /// Makes the memory a template's, for good: no guest writes it any more, and all that was written is the same on
    /// both sides of the caches. Takes time by the pages that this VM owns. Chunks that it was promised and never took
    /// are promised no more. Every vCPU is stopped, no PE has this VM's VTTBR_EL2 loaded, none ever will, and no fault
    /// is under way.
    /// </summary>
    /// <returns>
    /// Ok; NoMemory; Frozen already; OutOfMemory for the tables that unmapping a private slot of a fork may take;
    /// NotShareable: under another policy than fate, with a slot that is the host's (its
    /// pages change behind the template's back) or that is logged, or while an invalidation is in progress.
    /// </returns>
    public MemoryResult Freeze(ref TMachine machine)
    {
        if (!CanChange)
        {
            return WhyUnchangeable;
        }

        if (_policy != MaintenancePolicy.Fate || _invalidation.InProgress != 0)
        {
            return MemoryResult.NotShareable;
        }

        for (int i = 0; i < _slots.End; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            if (slot.Exists && (slot.Slot.Backing == SlotBacking.Host || slot.IsLogged))
            {
                return MemoryResult.NotShareable;
            }
        }

        MemoryResult unmapped = UnmapPrivate(ref machine);
        if (unmapped != MemoryResult.Ok)
        {
            return unmapped;
        }

        _isFrozen = true;
        machine.Pool.RenounceRest(ref machine.Frames);
        UnmapFlags flags = Elision.AtFreeze(Facts(ref machine, PageFate.StaysInPlace));
        for (int i = 0; i < _slots.End; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            slot.OrdinaryLeaf = 0;
            if (slot.Exists && !slot.Slot.IsPrivate)
            {
                var cursor = new RangeCursor(slot.Start, slot.Bytes);
                if (_table.Freeze(ref machine, ref cursor, flags) != Stage2Result.Done)
                {
                    return MemoryResult.Defect;
                }
            }
        }

        return MemoryResult.Ok;
    }

    private MemoryResult UnmapPrivate(ref TMachine machine)
    {
        MemoryResult result = MemoryResult.Ok;
        for (int i = 0; i < _slots.End && result == MemoryResult.Ok; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            if (slot.Exists && slot.Slot.IsPrivate)
            {
                Ipa next = slot.Start;
                UnmapFlags flags = Elision.For(
                    _policy, UnmapOperation.SlotRemoval, default, Facts(ref machine, slot.Slot.FateAtRemoval));
                result = UnmapSpan(ref machine, ref next, slot.End, flags, PartialBlock.TakeWhole, false);
                machine.Pool.ForgetReservation(ref machine.Frames);
            }
        }

        return result;
    }

    /// <summary>
    /// Makes a child's memory out of a template's: a root of its own, the template's tables and pages below it, no page
    /// copied. Takes the same time for every size. The template stays until all its children were released
    /// (<see cref="Offspring"/>).
    /// </summary>
    /// <param name="machine">The child's machine; its <see cref="IMemoryMachine.Frames"/> holds nothing yet.</param>
    /// <param name="memory">Where the child's memory is to be: zeroed, or released.</param>
    /// <param name="template">A frozen memory.</param>
    /// <param name="vmid">The child's identifier now.</param>
    /// <param name="mostChunks">Chunks that the child may own at most, 1 at least. None is set aside for it.</param>
    /// <returns>
    /// Ok; NotShareable, of a memory that is not frozen, or onto one that exists; OutOfMemory, and then there is
    /// nothing; BadArgument.
    /// </returns>
    public static MemoryResult Fork(ref TMachine machine, ref GuestMemory<TFormat, TMachine> memory,
        ref GuestMemory<TFormat, TMachine> template, Vmid vmid, int mostChunks = int.MaxValue)
    {
        if (!template._isFrozen || !template.Exists || memory.Exists)
        {
            return MemoryResult.NotShareable;
        }

        ref VmFrames frames = ref machine.Frames;
        if (machine.Pool.Adopt(ref frames, TFormat.GranuleShift) != PoolResult.Ok
            || machine.Pool.Promise(ref frames, 0, mostChunks) != PoolResult.Ok)
        {
            return MemoryResult.BadArgument;
        }

        ulong first = ulong.MaxValue;
        ulong end = 0;
        for (int i = 0; i < template._slots.End; i++)
        {
            ref MemorySlot slot = ref template._slots[i];
            if (slot.Exists)
            {
                first = Smaller(first, slot.First);
                end = Larger(end, slot.First + slot.Bytes);
            }
        }

        memory._slots.CopyFrom(ref template._slots);
        Stage2Result result = PageTable<TFormat, TMachine>.Fork(ref machine, in template._table, vmid,
            new Ipa(end == 0 ? 0 : first), new Ipa(end), out memory._table);
        machine.Pool.ForgetReservation(ref frames);
        if (result != Stage2Result.Done)
        {
            memory._slots.Clear();
            machine.Pool.ReturnAll(ref frames);
            return FromStage2(result);
        }

        memory._isFrozen = false;
        memory._policy = template._policy;
        memory._guestMayHaveUncachedAlias = template._guestMayHaveUncachedAlias;
        return MemoryResult.Ok;
    }

    /// <summary>
    /// Puts a child's memory back to what its template's is: a death and a birth, under the same VMID. Every vCPU is
    /// stopped, no PE has the VTTBR_EL2 loaded, and no fault is under way.
    /// </summary>
    /// <returns>As <see cref="Fork"/>; NotShareable, of a memory that is no child's. OutOfMemory leaves no memory:
    /// another VM took what this one gave back.</returns>
    public MemoryResult Reset(ref TMachine machine, ref GuestMemory<TFormat, TMachine> template)
    {
        if (!IsFork || _isFrozen)
        {
            return MemoryResult.NotShareable;
        }

        Vmid vmid = Vmid;
        int mostChunks = machine.Frames.MostChunks;
        _ = Release(ref machine);
        return Fork(ref machine, ref this, ref template, vmid, mostChunks);
    }

    /// <summary>
    /// The ordinary write to a shared page, by one walk. False when it is something else: then nothing has happened.
    /// </summary>
    private bool TryCopyOnWrite(ref TMachine machine, ref MemorySlot slot, Ipa ipa, out FaultResult result)
    {
        if (_invalidation.InProgress != 0
            || !_table.FindSharedPage(ref machine, ipa, out Pa entry, out Pa shared))
        {
            result = FaultResult.Retry;
            return false;
        }

        result = CopyOnWrite(ref machine, ref slot, ipa, shared, entry);
        machine.Pool.ForgetReservation(ref machine.Frames);
        return true;
    }

    /// <summary>
    /// The guest writes to a page that is its template's: it gets a copy. The template's page does not change, so
    /// it may be copied before the break, and other vCPUs may read it meanwhile.
    /// </summary>
    /// <param name="shared">An address in the template's page.</param>
    /// <param name="entry">The page's entry, when it is known to lie in a table of this VM's; or zero.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private FaultResult CopyOnWrite(ref TMachine machine, ref MemorySlot slot, Ipa ipa, Pa shared, Pa entry)
    {
        ulong place = ipa.Value >> TFormat.GranuleShift;
        if (machine.Pool.AllocateData(ref machine.Frames, place, out Pa page, out _) != PoolResult.Ok)
        {
            return NoMemoryNow(ref machine);
        }

        // The first fetch asks, as for any new page: what the frame held before may be in an instruction cache.
        machine.CopyFrame(page, new Pa(shared.Value & ~(GranuleBytes - 1)), GranuleBytes);
        MakeVisible(ref machine, page, GranuleBytes, isExecuted: false);
        if (entry.Value != 0)
        {
            ulong leaf = slot.OrdinaryLeaf != 0 ? slot.OrdinaryLeaf : NoteOrdinaryLeaf(ref machine, ref slot);
            _table.BreakSharedPage(ref machine, entry, ipa, TFormat.Leaf(leaf, page));
        }
        else
        {
            LeafAttributes attributes = AttributesFor(ref machine, in slot, AccessKind.Write);
            Stage2Result result = _table.BreakShare(ref machine, AlignDown(ipa, GranuleBytes), page, attributes);
            if (result != Stage2Result.Done)
            {
                machine.Pool.FreeData(ref machine.Frames, page);
                return FromStage2ForFault(ref machine, result);
            }
        }

        LogWrite(ref slot, ipa, AccessKind.Write);
        return FaultResult.Mapped;
    }

    /// <summary>Whether memory belongs to the template that this memory was forked from.</summary>
    private readonly bool IsShared(ref TMachine machine, Pa memory) => _table.IsFork && machine.IsShared(memory);

    private readonly bool CanChange => Exists && !_isFrozen;

    private readonly MemoryResult WhyUnchangeable => Exists ? MemoryResult.Frozen : MemoryResult.NoMemory;
}

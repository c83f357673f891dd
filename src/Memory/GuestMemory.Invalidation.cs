using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>How far an invalidation that may not block has come. Starts as the default value.</summary>
public struct InvalidationCursor
{
    internal int Slot;
    internal ulong Next;
}

// The host takes a range away: begin, unmap, end. Faults on the range retry from begin to end.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>
    /// Table entries that one call examines for a caller who may not block: one level 3 table of the 4K granule.
    /// </summary>
    private const uint BatchEntries = 512;

    /// <summary>Invalidations that have begun and not ended.</summary>
    public readonly uint InvalidationsInProgress => _invalidation.InProgress;

    /// <summary>
    /// The whole of an invalidation in one call: begin, unmap, end. For a caller who waits.
    /// </summary>
    public MemoryResult UnmapRange(ref TMachine machine, in NotifierRange range)
    {
        InvalidationCursor cursor = default;
        MemoryResult result = BeginInvalidation(ref machine, in range, ref cursor);
        while (result == MemoryResult.Again)
        {
            result = ContinueInvalidation(ref machine, in range, ref cursor);
        }

        if (result is MemoryResult.Ok or MemoryResult.Defect)
        {
            EndInvalidation();
        }

        return result;
    }

    /// <summary>
    /// The host is about to change a range: from now on faults on it retry, and it is unmapped under the policy.
    /// Every Ok and Again is followed by exactly one <see cref="EndInvalidation"/>; after an error nothing has begun.
    /// </summary>
    /// <param name="machine">The VM's machine.</param>
    /// <param name="range">What, why, and what becomes of it.</param>
    /// <param name="cursor">Starts as the default value; <see cref="MemoryResult.Again"/> says where to go on.</param>
    public MemoryResult BeginInvalidation(
        ref TMachine machine, in NotifierRange range, ref InvalidationCursor cursor)
    {
        MemoryResult check = Check(in range);
        if (check == MemoryResult.Ok)
        {
            // Blocks that straddle an edge are split before anything is unmapped: only this can run out of memory.
            check = SplitAt(ref machine, range.Start);
        }

        if (check == MemoryResult.Ok && range.End < Geometry.IpaLimit)
        {
            check = SplitAt(ref machine, range.End);
        }

        if (check == MemoryResult.Ok && _table.IsFork)
        {
            check = OwnTables(ref machine, in range);
        }

        if (check != MemoryResult.Ok)
        {
            machine.Pool.ForgetReservation(ref machine.Frames);
            return check;
        }

        cursor = default;
        _invalidation.Begin(range.Start, range.End);
        return ContinueInvalidation(ref machine, in range, ref cursor);
    }

    /// <summary>
    /// Goes on with an invalidation that answered <see cref="MemoryResult.Again"/>. The lock may have been given up
    /// in between.
    /// </summary>
    public MemoryResult ContinueInvalidation(
        ref TMachine machine, in NotifierRange range, ref InvalidationCursor cursor)
    {
        if (!Exists)
        {
            // Released meanwhile: nothing is left to unmap.
            return MemoryResult.Ok;
        }

        UnmapFlags flags = Elision.For(
            _policy, UnmapOperation.NotifierRange, range.Event, Facts(ref machine, range.Fate));
        MemoryResult result = MemoryResult.Ok;
        while (cursor.Slot < _slots.End)
        {
            ref MemorySlot slot = ref _slots[cursor.Slot];
            ulong from = Larger(Larger(range.Start.Value, slot.First), cursor.Next);
            ulong to = Smaller(range.End.Value, slot.First + slot.Bytes);
            if (slot.Exists && from < to)
            {
                var next = new Ipa(from);
                PartialBlock partial = TakesWholeBlocks(in slot) ? PartialBlock.TakeWhole : PartialBlock.Split;
                result = UnmapSpan(ref machine, ref next, new Ipa(to), flags, partial, !range.MayBlock);
                cursor.Next = next.Value;
                if (result != MemoryResult.Ok)
                {
                    result = result == MemoryResult.Again ? result : MemoryResult.Defect;
                    break;
                }
            }

            cursor.Slot++;
            cursor.Next = 0;
        }

        machine.Pool.ForgetReservation(ref machine.Frames);
        return result;
    }

    /// <summary>A fork's tables that the invalidation will write are made its own first: only this can fail.</summary>
    private MemoryResult OwnTables(ref TMachine machine, in NotifierRange range)
    {
        for (int i = 0; i < _slots.End; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            ulong from = Larger(range.Start.Value, slot.First);
            ulong to = Smaller(range.End.Value, slot.First + slot.Bytes);
            if (slot.Exists && from < to
                && _table.OwnForUnmap(ref machine, new Ipa(from), new Ipa(to)) != Stage2Result.Done)
            {
                return MemoryResult.OutOfMemory;
            }
        }

        return MemoryResult.Ok;
    }

    /// <summary>
    /// The host's change is done: faults look pages up again. <see cref="MemoryResult.BadArgument"/> when no
    /// invalidation was in progress.
    /// </summary>
    public MemoryResult EndInvalidation() =>
        _invalidation.End() ? MemoryResult.Ok : MemoryResult.BadArgument;

    /// <summary>
    /// Clears the access flags of a range and tells whether any was set, as reclaim asks. TLBs are left alone.
    /// </summary>
    public MemoryResult Age(ref TMachine machine, Ipa start, ulong bytes, out bool young)
    {
        young = false;
        if (!CanChange)
        {
            return WhyUnchangeable;
        }

        var cursor = new RangeCursor(start, bytes);
        MaintenanceDebt debt = _table.Age(ref machine, ref cursor, out young);
        debt.Waive(DebtWaiver.AgeMayLag);
        _table.Settle(ref machine, ref debt);
        return FromStage2(cursor.Result);
    }

    /// <summary>Whether any leaf of a range is marked accessed; changes nothing.</summary>
    public MemoryResult IsYoung(ref TMachine machine, Ipa start, ulong bytes, out bool young)
    {
        young = false;
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        var cursor = new RangeCursor(start, bytes);
        young = _table.IsYoung(ref machine, ref cursor);
        return FromStage2(cursor.Result);
    }

    /// <summary>
    /// Unmaps one span by the policy's style, from <paramref name="next"/> on, which follows what was done.
    /// </summary>
    private MemoryResult UnmapSpan(
        ref TMachine machine, ref Ipa next, Ipa end, UnmapFlags flags, PartialBlock partial, bool isBounded)
    {
        uint budget = isBounded ? BatchEntries : RangeCursor.Unlimited;
        var cursor = new RangeCursor(next, end - next, budget);
        var sink = new FreeingSink<TFormat, TMachine>(machine);
        if (PolicyRules.RangeStyleOf(_policy) == RangeStyle.Eager)
        {
            _table.UnmapEager(ref machine, ref cursor, flags, partial, ref sink);
        }
        else
        {
            _table.UnmapSettled(ref machine, ref cursor, flags, partial, ref sink);
        }

        machine.Pool.ReturnEmptied(ref machine.Frames);
        next = cursor.Next;
        return FromStage2(cursor.Result);
    }

    private MemoryResult Check(in NotifierRange range)
    {
        if (!CanChange)
        {
            return WhyUnchangeable;
        }

        if (range.Event > NotifierEvent.Exclusive || range.Fate > PageFate.StaysInPlace)
        {
            return MemoryResult.BadArgument;
        }

        if (!range.Start.IsAlignedTo(GranuleBytes) || !range.End.IsAlignedTo(GranuleBytes))
        {
            return MemoryResult.Misaligned;
        }

        if (range.Start >= range.End || range.End > Geometry.IpaLimit)
        {
            return MemoryResult.OutOfRange;
        }

        bool isPoolsOwn = range.Event is NotifierEvent.Unmap or NotifierEvent.Clear
            && range.Fate is PageFate.Unknown or PageFate.AnonymousLastMappingFreed;
        for (int i = 0; i < _slots.End && !isPoolsOwn; i++)
        {
            ref MemorySlot slot = ref _slots[i];
            if (slot.Exists && slot.Slot.Backing == SlotBacking.Pool
                && range.Start < slot.End && slot.Start < range.End)
            {
                return MemoryResult.FateNeedsHostBacking;
            }
        }

        return MemoryResult.Ok;
    }

    /// <summary>
    /// Linux 5.5 clears a block whole when the range covers a part, and lets the rest fault in again. That keeps
    /// the contents only where a host holds the pages; a block out of the pool would lose the rest.
    /// </summary>
    private readonly bool TakesWholeBlocks(in MemorySlot slot) =>
        slot.Slot.Backing == SlotBacking.Host && PolicyRules.RangeStyleOf(_policy) == RangeStyle.Eager;

    /// <summary>Splits the block that straddles an address, if there is one and it is to be split.</summary>
    private MemoryResult SplitAt(ref TMachine machine, Ipa edge)
    {
        if (edge.IsAlignedTo(Stage2Geometry.LevelBytes<TFormat>(1)))
        {
            return MemoryResult.Ok;
        }

        int number = _slots.Find(edge);
        if (number == SlotTable.None || TakesWholeBlocks(in _slots[number]))
        {
            return MemoryResult.Ok;
        }

        Translation there = _table.Translate(ref machine, edge);
        if (!there.IsMapped || there.Level == PageLevel
            || edge.IsAlignedTo(Stage2Geometry.LevelBytes<TFormat>(there.Level)))
        {
            return MemoryResult.Ok;
        }

        return FromStage2(_table.SplitBlock(ref machine, edge, PageLevel));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Larger(ulong a, ulong b) => a > b ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Smaller(ulong a, ulong b) => a < b ? a : b;
}

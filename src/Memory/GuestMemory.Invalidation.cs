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

        if (result is not (MemoryResult.Ok or MemoryResult.Defect))
        {
            return result;
        }

        MemoryResult ended = EndInvalidation();
        return result == MemoryResult.Ok ? ended : result;
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
        for (int i = 0; i < _slots.End && check == MemoryResult.Ok; i++)
        {
            // Blocks that straddle an edge are split before anything is unmapped: only this can run out of memory.
            ref MemorySlot slot = ref _slots[i];
            Ipa from = new(Larger(range.Start.Value, slot.First));
            Ipa to = new(Smaller(range.End.Value, slot.First + slot.Bytes));
            if (slot.Exists && from < to)
            {
                check = FromStage2(_table.Isolate(ref machine, from, to, PartialOf(in slot)));
            }
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
                result = UnmapSpan(ref machine, ref next, new Ipa(to), flags, PartialOf(in slot), !range.MayBlock);
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
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        var cursor = new RangeCursor(start, bytes);
        Stage2Result result = _table.Age(ref machine, ref cursor, out MaintenanceDebt debt);
        young = debt.OwesInvalidation;
        debt.Waive(DebtWaiver.AgeMayLag);
        _table.Settle(ref machine, ref debt);
        return FromStage2(result);
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
        return FromStage2(_table.IsYoung(ref machine, ref cursor, out young));
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
        Stage2Result result = PolicyRules.RangeStyleOf(_policy) == RangeStyle.Eager
            ? _table.UnmapEager(ref machine, ref cursor, flags, partial, ref sink)
            : _table.Unmap(ref machine, ref cursor, flags, partial, ref sink);
        machine.Pool.ReturnEmptied(ref machine.Frames);
        next = cursor.Next;
        return FromStage2(result);
    }

    private MemoryResult Check(in NotifierRange range)
    {
        if (!Exists)
        {
            return MemoryResult.NoMemory;
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
    private readonly PartialBlock PartialOf(in MemorySlot slot) =>
        slot.Slot.Backing == SlotBacking.Host && PolicyRules.RangeStyleOf(_policy) == RangeStyle.Eager
            ? PartialBlock.TakeWhole
            : PartialBlock.Split;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Larger(ulong a, ulong b) => a > b ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Smaller(ulong a, ulong b) => a < b ? a : b;
}

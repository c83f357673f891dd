using System.Collections.Generic;
using Quietus.Oracle.Machines;

namespace Quietus.Oracle.Judging;

// What invalidation takes from TLBs: issued at one time, complete at the DSB, and not of what a walk could put back.
internal sealed partial class TlbModel
{
    /// <summary>An invalidation that a PE has issued and whose DSB is still to come.</summary>
    public readonly record struct PendingTlbi(
        TlbiKind Kind, bool LeavesExtraSlow, ushort Vmid, ulong Ipa, ulong Bytes, int LevelHint, uint Pes, ulong At)
    {
        public bool IsWhole => Kind >= TlbiKind.Vmid;

        /// <summary>Whether it is a form that is not shareable: it reaches the PE that issues it alone.</summary>
        public bool IsLocal(int pe) => Pes == 1U << pe;
    }

    private const int LastLevel = 3;

    private ulong _walkedTable;
    private uint _walkers;

    public void Issue(int pe, PendingTlbi operation) => _pending[pe].Add(operation with { At = clock.Tick() });

    /// <summary>
    /// A DSB ISH or SY of the PE: what it has issued is complete. A DSB NSH completes what reaches this PE alone.
    /// </summary>
    public void Complete(int pe, bool isLocal = false)
    {
        List<PendingTlbi> pending = _pending[pe];
        if (pending.Count == 0)
        {
            return;
        }

        List<PendingTlbi> broadcast = isLocal ? pending.FindAll(operation => !operation.IsLocal(pe)) : [];
        if (isLocal)
        {
            pending.RemoveAll(operation => !operation.IsLocal(pe));
        }

        for (int at = _tags.Count - 1; at >= 0; at--)
        {
            foreach (PendingTlbi operation in pending)
            {
                if (operation.Kind == TlbiKind.All || _tags[at].Vmid == operation.Vmid)
                {
                    Apply(pe, operation, _tags[at]);
                }
            }

            DropIfDone(at);
        }

        pending.Clear();
        pending.AddRange(broadcast);
        Compact();
    }

    /// <summary>
    /// Drops items that no PE may hold, unless an invalidation is under way that was issued before they went: what lies
    /// below them could be walked to meanwhile.
    /// </summary>
    private void Compact()
    {
        if (IsSettled)
        {
            foreach (TlbTag tag in _tags)
            {
                tag.Stale.Compact();
            }
        }
    }

    private void DropIfDone(int at)
    {
        TlbTag tag = _tags[at];
        bool isDone = tag.IsEmpty && (tag.Vm.IsReleased || (tag.Vm.Tags.Count > 1 && tag.Vm.Tag != tag));
        if (isDone)
        {
            _tags.RemoveAt(at);
            tag.Stale.Clear();
            _spare.Push(tag.Stale);
            tag.Stale = new StaleSet(pages.GranuleShift);
            if (tag.Vm.Tags.Count > 1)
            {
                tag.Vm.Tags.Remove(tag);
            }
        }
    }

    private static List<PendingTlbi>[] MakePending(int pes)
    {
        var pending = new List<PendingTlbi>[pes];
        for (int pe = 0; pe < pes; pe++)
        {
            pending[pe] = [];
        }

        return pending;
    }

    private void Apply(int pe, in PendingTlbi operation, TlbTag tag)
    {
        // The nXS forms do not wait for accesses with the XS attribute, and what maps those is not recorded.
        bool isEarly = features.EarlyCompletion && !operation.IsLocal(pe);
        if (operation.IsWhole && !operation.LeavesExtraSlow)
        {
            uint taken = isEarly
                ? tag.Pairs.Cover(operation.Pes, tag.WalkedSince(operation.At), clock.Now)
                : operation.Pes & ~tag.WalkedSince(operation.At);
            tag.MayHold &= ~taken;
            tag.TakeStage1(isEarly ? taken : operation.Pes, operation.At);
        }
        else if (operation.Kind == TlbiKind.Combined && !operation.LeavesExtraSlow && !isEarly)
        {
            tag.TakeStage1(operation.Pes, operation.At);
        }

        if (tag.Stale.Count != 0)
        {
            ApplyToItems(operation, tag, tag.WalkedSince(operation.At));
        }
    }

    private void ApplyToItems(in PendingTlbi operation, TlbTag tag, uint walked)
    {
        _walkedTable = ulong.MaxValue;
        if (operation.Kind == TlbiKind.Combined)
        {
            List<int> cleared = tag.Stale.Cleared;
            for (int at = cleared.Count - 1; at >= 0; at--)
            {
                ref StaleItem item = ref tag.Stale.Items[cleared[at]];
                ApplyTo(tag, cleared[at], operation, walked);
                if (item.CombinedPes == item.Stage2Pes)
                {
                    item.IsCleared = false;
                    cleared.RemoveAt(at);
                }
            }

            return;
        }

        if (!operation.IsWhole && operation.Bytes <= 1UL << pages.GranuleShift)
        {
            tag.Stale.FindOverlaps(LastLevel, operation.Ipa, 1, _overlaps);
            if (tag.Stale.Tables != 0 && _overlaps.Count > 1)
            {
                SortOverlaps(tag);
            }

            foreach (int number in _overlaps)
            {
                ApplyTo(tag, number, operation, walked);
            }

            return;
        }

        // Tables first, from the top: whether an item below can be cached again depends on them.
        for (int level = 0; level < LastLevel && tag.Stale.Tables != 0; level++)
        {
            ApplyTo(tag, operation, walked, level);
        }

        ApplyTo(tag, operation, walked, LastLevel);
    }

    private void SortOverlaps(TlbTag tag) =>
        _overlaps.Sort((one, other) => Order(tag, one).CompareTo(Order(tag, other)));

    private static int Order(TlbTag tag, int number) =>
        tag.Stale.Items[number] is { IsTable: true } item ? item.Level : LastLevel;

    /// <summary>To the tables that entries of a level lead to; with the last level, to leaves.</summary>
    private void ApplyTo(TlbTag tag, in PendingTlbi operation, uint walked, int level)
    {
        _walkedTable = ulong.MaxValue;
        for (int number = 0; number < tag.Stale.Count; number++)
        {
            if (Order(tag, number) == level)
            {
                ApplyTo(tag, number, operation, walked);
            }
        }
    }

    private void ApplyTo(TlbTag tag, int number, in PendingTlbi operation, uint walked)
    {
        ref StaleItem item = ref tag.Stale.Items[number];
        if (item.Pes != 0 && !(operation.LeavesExtraSlow && IsExtraSlow(item)))
        {
            ApplyTo(ref item, operation, walked == 0 ? 0 : walked & RefillersOf(tag, item, operation));
            tag.Stale.Took(number);
        }
    }

    private static bool IsExtraSlow(in StaleItem item) =>
        !item.IsTable && Descriptor.MayBeExtraSlow(item.Descriptor);

    /// <summary>
    /// The PEs that an invalidation, which a DSB completes, has taken an entry from. Under the erratum a second pair
    /// does so.
    /// </summary>
    private uint Taken(ref Pairs pairs, uint reached, uint refillers) =>
        features.EarlyCompletion ? pairs.Cover(reached, refillers, clock.Now) : reached & ~refillers;

    /// <summary>
    /// PEs that could cache an item again after an invalidation had reached them: a walk still could find what is no
    /// longer in the tables, in a table that is cut off, or beside the rest of its run.
    /// </summary>
    private uint RefillersOf(TlbTag tag, in StaleItem item, in PendingTlbi operation)
    {
        bool isUnseen = IsUnseen(item, operation.At);
        if (store.Find(item.Location) is not TablePage table)
        {
            return isUnseen ? uint.MaxValue : 0;
        }

        int index = (int)((item.Location - table.Address) >> 3);
        bool isThere = isUnseen || (item.IsContiguous && IsInRun(tag, table, index, item, operation.At));
        ulong tableIpa = item.Ipa - ((ulong)(uint)index << pages.LevelShift(item.Level));
        return table.IsLinkedAt(tag.Vm, tableIpa)
            ? isThere ? uint.MaxValue : 0
            : isThere || table.Entries[index] == item.Descriptor ? KnownWalkersOf(tag, table.Address, operation) : 0;
    }

    /// <summary>The table that they are in is settled when items ask.</summary>
    private uint KnownWalkersOf(TlbTag tag, ulong table, in PendingTlbi operation)
    {
        if (_walkedTable != table)
        {
            _walkedTable = table;
            _walkers = 0;
            foreach (ref readonly StaleItem item in tag.Stale.Items)
            {
                _walkers |= item.IsTable && item.Target == table ? WalkersBy(item, operation) : 0;
            }
        }

        return _walkers;
    }

    /// <summary>
    /// PEs that could walk to a table when an invalidation reached them, if it does not take their way there as well:
    /// another one does not come before it, unless its DSB did.
    /// </summary>
    private uint WalkersBy(in StaleItem item, in PendingTlbi operation) =>
        Covers(operation, item) ? item.Stage2Pes & ~item.Stage2Pairs.CoveredAt(clock.Now)
            : item.Stage2Pes | (item.ClearedAt > operation.At ? item.ClearedPes : 0);

    private static bool IsUnseen(in StaleItem item, ulong at) => item.SeenAt == 0 || item.SeenAt > at;

    /// <summary>
    /// Whether a leaf of an item's contiguous run is there, or could be when the invalidation was issued: a TLB may
    /// make one entry of the whole run out of any of them.
    /// </summary>
    private bool IsInRun(TlbTag tag, TablePage table, int index, in StaleItem item, ulong at)
    {
        int entries = 1 << Descriptor.RunShift(pages.GranuleShift, item.Level);
        int first = index & ~(entries - 1);
        for (int entry = first; entry < first + entries; entry++)
        {
            ulong now = table.Entries[entry];
            if (Descriptor.IsValid(now) && Descriptor.IsContiguous(now) && Descriptor.IsCacheable(now, item.Level))
            {
                return true;
            }
        }

        ulong start = table.Address + ((ulong)(uint)first << 3);
        foreach (ref readonly StaleItem other in tag.Stale.Items)
        {
            if (other.IsContiguous && other.Location - start < (ulong)(uint)entries << 3 && IsUnseen(other, at))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Covers(in PendingTlbi operation, in StaleItem item)
    {
        if (operation.IsWhole)
        {
            return true;
        }

        bool isCovered = operation.Ipa < item.Ipa + item.Bytes && item.Ipa < operation.Ipa + operation.Bytes;
        bool isOfLevel = item.IsTable
            ? operation.LevelHint == 0 && operation.Kind != TlbiKind.IpaLastLevel
            : operation.LevelHint == 0 || item.Level == operation.LevelHint;
        return isCovered && isOfLevel && operation.Kind != TlbiKind.Combined;
    }

    private void ApplyTo(ref StaleItem item, in PendingTlbi operation, uint refillers)
    {
        if (operation.Kind == TlbiKind.Combined)
        {
            bool isRefillable = item.ClearedAt > operation.At;
            if (!isRefillable)
            {
                item.CombinedPes &= ~Taken(ref item.CombinedPairs, operation.Pes, item.Stage2Pes | refillers);
            }

            return;
        }

        if (!Covers(operation, item))
        {
            return;
        }

        uint taken = Taken(ref item.Stage2Pairs, operation.Pes, refillers) & item.Stage2Pes;
        if (taken != 0)
        {
            item.Stage2Pes &= ~taken;
            item.ClearedPes = item.ClearedAt == clock.Now ? item.ClearedPes | taken : taken;
            item.ClearedAt = clock.Now;
        }

        if (operation.IsWhole)
        {
            item.CombinedPes &= ~Taken(ref item.CombinedPairs, operation.Pes, refillers);
        }
    }
}

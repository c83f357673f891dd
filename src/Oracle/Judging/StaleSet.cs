using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Quietus.Oracle.Judging;

/// <summary>
/// A tag's stale items, in the order in which they became so. Invariants: the index, where there is one, has every item
/// under its level and address; no item before <see cref="FirstUnseen"/> is unseen.
/// </summary>
/// <remarks>Most sets have a few items. Logging a block of 512 MB by 64K leaves thousands, hence the index.</remarks>
internal sealed class StaleSet(int granuleShift)
{
    private const int FewItems = 12;
    private const int ManyItems = 64;
    private const int Levels = 4;

    private readonly List<StaleItem> _items = [];
    private readonly Dictionary<ulong, int> _index = [];
    private readonly int[] _perLevel = new int[Levels];
    private int _contiguous;
    private bool _isIndexed;
    private int _dead;

    /// <summary>Items, those that no PE may hold any more included: they are dropped when they are many.</summary>
    public int Count => _items.Count;

    public bool IsEmpty => _items.Count == _dead;

    /// <summary>Items that PEs may hold inside combined entries, and not all of them as Stage-2 entries.</summary>
    public List<int> Cleared { get; } = [];

    /// <summary>Items that lead to tables.</summary>
    public int Tables { get; private set; }

    public int Unseen { get; private set; }

    public int FirstUnseen { get; private set; }

    public Span<StaleItem> Items => CollectionsMarshal.AsSpan(_items);

    public void Clear()
    {
        _items.Clear();
        _dead = 0;
        Recount();
    }

    public void Add(in StaleItem item)
    {
        int number = _items.Count;
        _items.Add(item);
        _perLevel[item.Level]++;
        _contiguous += item.IsContiguous ? 1 : 0;
        Tables += item.IsTable ? 1 : 0;
        if (item.SeenAt == 0)
        {
            FirstUnseen = Unseen == 0 ? number : FirstUnseen;
            Unseen++;
        }

        if (_isIndexed)
        {
            Index(number);
        }
    }

    /// <summary>An item's location was written again: walks may see what was there until that is visible.</summary>
    public void Unsee(int number, int writer)
    {
        ref StaleItem item = ref Items[number];
        if (item.SeenAt != 0)
        {
            FirstUnseen = Unseen == 0 ? number : Math.Min(FirstUnseen, number);
            Unseen++;
        }

        item.SeenAt = 0;
        item.Writer = writer;
        item.Observers = 0;
    }

    /// <summary>The writes of a PE are seen, and those that it has read where that counts.</summary>
    public void See(int pe, bool countsReads, ulong now)
    {
        Span<StaleItem> items = Items;
        int first = items.Length;
        for (int number = FirstUnseen; number < items.Length; number++)
        {
            ref StaleItem item = ref items[number];
            if (item.SeenAt != 0)
            {
                continue;
            }

            if (item.Writer == pe || (countsReads && (item.Observers >> pe & 1) != 0))
            {
                item.SeenAt = now;
                Unseen--;
                _dead += item.Pes == 0 ? 1 : 0;
            }
            else
            {
                first = Math.Min(first, number);
            }
        }

        FirstUnseen = first;
    }

    /// <summary>An invalidation took PEs from an item that some might hold.</summary>
    public void Took(int number)
    {
        ref StaleItem item = ref Items[number];
        if (item.Pes == 0)
        {
            _dead += item.SeenAt != 0 ? 1 : 0;
        }
        else if (item.Stage2Pes != item.CombinedPes && !item.IsCleared)
        {
            item.IsCleared = true;
            Cleared.Add(number);
        }
    }

    /// <summary>
    /// Drops what no PE may hold; what is unseen may still come to be held. A large set waits until that pays.
    /// </summary>
    public void Compact()
    {
        if (_dead == 0 || (Count > ManyItems && _dead < Count / 2))
        {
            return;
        }

        _dead = 0;
        _items.RemoveAll(static item => item.IsDead);
        Recount();
    }

    private void Recount()
    {
        Cleared.Clear();
        if (_isIndexed)
        {
            _index.Clear();
            _isIndexed = false;
        }

        _perLevel.AsSpan().Clear();
        _contiguous = 0;
        Tables = 0;
        Unseen = 0;
        FirstUnseen = 0;
        Span<StaleItem> items = Items;
        for (int number = 0; number < items.Length; number++)
        {
            _perLevel[items[number].Level]++;
            _contiguous += items[number].IsContiguous ? 1 : 0;
            Tables += items[number].IsTable ? 1 : 0;
            if (items[number].IsCleared)
            {
                Cleared.Add(number);
            }

            if (items[number].SeenAt == 0)
            {
                FirstUnseen = Unseen == 0 ? number : FirstUnseen;
                Unseen++;
            }
        }
    }

    /// <summary>What is in the tables again is not stale.</summary>
    public void Forget(int number)
    {
        ref StaleItem item = ref Items[number];
        if (item.IsDead)
        {
            return;
        }

        item.Stage2Pes = 0;
        item.CombinedPes = 0;
        _dead++;
        if (item.SeenAt == 0)
        {
            item.SeenAt = 1;
            Unseen--;
        }
    }

    /// <summary>
    /// Finds the items that map any of the addresses of an entry, contiguous runs included: their numbers, into a list.
    /// </summary>
    public void FindOverlaps(int level, ulong ipa, ulong bytes, List<int> found)
    {
        found.Clear();
        if (Count <= FewItems || _contiguous != 0 || HasBelow(level))
        {
            FindByLooking(ipa, bytes, found);
            return;
        }

        if (!_isIndexed)
        {
            _isIndexed = true;
            for (int number = 0; number < Count; number++)
            {
                Index(number);
            }
        }

        for (int above = level; above >= 0; above--)
        {
            if (_perLevel[above] != 0 && _index.TryGetValue(KeyOf(above, ipa), out int at))
            {
                for (; at >= 0; at = Items[at].Next)
                {
                    found.Add(at);
                }
            }
        }
    }

    private bool HasBelow(int level)
    {
        for (int below = level + 1; below < Levels; below++)
        {
            if (_perLevel[below] != 0)
            {
                return true;
            }
        }

        return false;
    }

    private void FindByLooking(ulong ipa, ulong bytes, List<int> found)
    {
        Span<StaleItem> items = Items;
        for (int number = 0; number < items.Length; number++)
        {
            (ulong start, ulong length) = RunOf(items[number]);
            if (start < ipa + bytes && ipa < start + length)
            {
                found.Add(number);
            }
        }
    }

    /// <summary>The addresses that a TLB's entry made of an item may stand for.</summary>
    public (ulong Start, ulong Bytes) RunOf(in StaleItem item)
    {
        if (!item.IsContiguous)
        {
            return (item.Ipa, item.Bytes);
        }

        ulong bytes = item.Bytes << Descriptor.RunShift(granuleShift, item.Level);
        return (item.Ipa & ~(bytes - 1), bytes);
    }

    private void Index(int number)
    {
        ref StaleItem item = ref Items[number];
        ref int head = ref CollectionsMarshal.GetValueRefOrAddDefault(
            _index, KeyOf(item.Level, item.Ipa), out bool exists);
        item.Next = exists ? head : -1;
        head = number;
    }

    private ulong KeyOf(int level, ulong ipa) =>
        (ipa >> PageMap.LevelShift(granuleShift, level) << 2) | (uint)level;
}

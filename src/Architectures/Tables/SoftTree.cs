using System;
using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>The shape of a tree whose levels need not be alike.</summary>
/// <param name="Shifts">log2 of the bytes that an entry maps, by level from the root's, 0, on.</param>
/// <param name="Bits">log2 of the entries of a table of each level.</param>
/// <param name="Table">The entry of a level that leads to a table of the next one.</param>
internal sealed record TreeShape(int[] Shifts, int[] Bits, Func<ulong, int, ulong> Table)
{
    internal int Last => Shifts.Length - 1;
}

/// <summary>
/// Tables as Linux 5.5 keeps them where they are not the engine's: unmapping clears entries and leaves tables where
/// they are, levels may differ in size, and no descriptor holds a count.
/// </summary>
/// <typeparam name="TFormat">How leaves look.</typeparam>
internal sealed class SoftTree<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    private readonly HookWorld _world;
    private readonly TreeShape _shape;
    private readonly int _rootPages;

    internal SoftTree(HookWorld world, TreeShape shape)
    {
        _world = world;
        _shape = shape;
        _rootPages = PagesOf(0);
        Begin();
    }

    /// <summary>Where an entry lies, what it is, and at which level.</summary>
    internal readonly record struct Place(ulong Address, ulong Entry, int Level);

    internal ulong Root { get; private set; }

    internal int Last => _shape.Last;

    /// <summary>Takes a root: an empty tree.</summary>
    internal void Begin() => Root = _world.Pages.Take(_rootPages);

    internal ulong BytesAt(int level) => 1UL << _shape.Shifts[level];

    /// <summary>The entry that a walk for an address ends at: a leaf, or an invalid one.</summary>
    internal Place Find(ulong gpa)
    {
        ulong table = Root;
        for (int level = 0; ; level++)
        {
            ulong address = EntryIn(table, gpa, level);
            ulong entry = _world.Pages[address];
            if (!TFormat.IsValid(entry) || level == _shape.Last || !IsTable(entry))
            {
                return new Place(address, entry, level);
            }

            table = TFormat.TableAddress(entry).Value;
        }
    }

    /// <summary>
    /// Maps a leaf at a level. A table in its way is unlinked with what is below it, and given back once it is flushed.
    /// </summary>
    /// <param name="replaced">Told of a table that was in the way.</param>
    internal ulong Map(ulong gpa, ulong frame, int level, LeafAttributes attributes, Action? replaced = null)
    {
        ulong table = Root;
        for (int at = 0; at < level; at++)
        {
            ulong address = EntryIn(table, gpa, at);
            ulong entry = _world.Pages[address];
            if (!TFormat.IsValid(entry) || !IsTable(entry))
            {
                ulong below = _world.Pages.Take(PagesOf(at + 1));
                if (TFormat.IsValid(entry))
                {
                    Split(below, entry, at + 1);
                }

                entry = _shape.Table(below, _shape.Bits[at + 1]);
                _world.Pages[address] = entry;
            }

            table = TFormat.TableAddress(entry).Value;
        }

        ulong leaf = EntryIn(table, gpa, level);
        ulong before = _world.Pages[leaf];
        if (TFormat.IsValid(before) && level < _shape.Last && IsTable(before))
        {
            Unlink(TFormat.TableAddress(before).Value, level + 1);
            replaced?.Invoke();
        }

        _world.Pages[leaf] = TFormat.Leaf(TFormat.LeafTemplate(attributes, LevelOfFormat(level), false), new Pa(frame));
        return leaf;
    }

    /// <summary>Makes a valid leaf invalid.</summary>
    /// <param name="gpa">What it maps, where flushes go by address.</param>
    internal void Clear(ulong address, ulong gpa = 0)
    {
        ulong entry = _world.Pages[address];
        _world.Meter.Add(HookOperation.Unlink);
        MayBeStale(entry, gpa);
        _world.Pages[address] = TFormat.Invalid;
    }

    /// <summary>Changes a leaf in place; whether it is another now.</summary>
    internal bool Update(ulong address, Func<ulong, ulong> change, ulong gpa = 0)
    {
        ulong before = _world.Pages[address];
        ulong after = change(before);
        if (after == before)
        {
            return false;
        }

        _world.Meter.Add(HookOperation.Write);
        if (TFormat.WithoutWrite(before) != before && TFormat.WithoutWrite(after) == after)
        {
            MayBeStale(before, gpa);
        }

        _world.Pages[address] = after;
        return true;
    }

    /// <summary>Counts a look at an entry, the first of this call.</summary>
    internal void Visit(ulong address)
    {
        if (_world.Pages.IsFirstLook(address))
        {
            _world.Meter.Add(HookOperation.Visit);
        }
    }

    /// <summary>
    /// The leaves that overlap a range, in order. Looks at every entry of the tables on the way, and at no table that
    /// is not there.
    /// </summary>
    internal IEnumerable<(ulong Gpa, Place Place)> LeavesIn(ulong start, ulong end, bool counts = true)
    {
        for (ulong gpa = start; gpa < end;)
        {
            Place place = Find(gpa);
            ulong bytes = BytesAt(place.Level);
            ulong first = gpa & ~(bytes - 1);
            if (counts)
            {
                Visit(place.Address);
            }

            if (TFormat.IsValid(place.Entry))
            {
                yield return (first, place);
            }

            gpa = first + bytes;
        }
    }

    /// <summary>
    /// Frees the tables that a range covers whole, once nothing is mapped there (kvm_mips_flush_gpa_pt).
    /// </summary>
    internal void DropTables(ulong start, ulong end) => DropTables(Root, 0, 0, start, end);

    /// <summary>
    /// Frees every table without a look at leaves of the last level; the entries of the other levels are read.
    /// </summary>
    /// <param name="looksAtLeaves">Every entry of every table is looked at, and valid ones are unlinked (x86).</param>
    internal void FreeAll(bool looksAtLeaves)
    {
        FreeBelow(Root, 0, looksAtLeaves);
        Root = 0;
    }

    private bool DropTables(ulong table, int level, ulong from, ulong start, ulong end)
    {
        ulong bytes = BytesAt(level);
        ulong limit = from + (bytes << _shape.Bits[level]);
        bool isCovered = start <= from && end >= limit;
        if (level == _shape.Last)
        {
            return isCovered;
        }

        ulong first = Math.Max(start, from) & ~(bytes - 1);
        for (ulong gpa = first; gpa < Math.Min(end, limit); gpa += bytes)
        {
            ulong address = EntryIn(table, gpa, level);
            ulong entry = _world.Pages[address];
            if (!TFormat.IsValid(entry))
            {
                continue;
            }

            ulong below = TFormat.TableAddress(entry).Value;
            if (DropTables(below, level + 1, gpa, start, end))
            {
                _world.Pages[address] = TFormat.Invalid;
                _world.Unlinked(below, PagesOf(level + 1));
            }
            else
            {
                isCovered = false;
            }
        }

        return isCovered;
    }

    private void FreeBelow(ulong table, int level, bool looksAtLeaves)
    {
        int entries = 1 << _shape.Bits[level];
        for (int index = 0; index < entries && (looksAtLeaves || level < _shape.Last); index++)
        {
            ulong address = table + ((ulong)(uint)index * sizeof(ulong));
            ulong entry = _world.Pages[address];
            Visit(address);
            if (!TFormat.IsValid(entry))
            {
                continue;
            }

            if (looksAtLeaves)
            {
                _world.Meter.Add(HookOperation.Unlink);
            }

            if (level < _shape.Last && IsTable(entry))
            {
                FreeBelow(TFormat.TableAddress(entry).Value, level + 1, looksAtLeaves);
            }
        }

        _world.Unlinked(table, PagesOf(level));
    }

    /// <summary>Unlinks a table that a leaf takes the place of.</summary>
    private void Unlink(ulong table, int level)
    {
        int entries = 1 << _shape.Bits[level];
        for (int index = 0; index < entries; index++)
        {
            ulong entry = _world.Pages[table + ((ulong)(uint)index * sizeof(ulong))];
            if (TFormat.IsValid(entry) && level < _shape.Last && IsTable(entry))
            {
                Unlink(TFormat.TableAddress(entry).Value, level + 1);
            }
        }

        _world.Unlinked(table, PagesOf(level));
    }

    /// <summary>Fills a table with what the leaf above it maps.</summary>
    private void Split(ulong table, ulong leaf, int level)
    {
        LeafAttributes attributes = TFormat.Attributes(leaf, false);
        ulong template = TFormat.LeafTemplate(attributes, LevelOfFormat(level), false);
        ulong frame = TFormat.OutputAddress(leaf, LevelOfFormat(level - 1)).Value;
        for (int index = 0; index < 1 << _shape.Bits[level]; index++)
        {
            ulong part = frame + ((ulong)(uint)index << _shape.Shifts[level]);
            _world.Pages[table + ((ulong)(uint)index * sizeof(ulong))] = TFormat.Leaf(template, new Pa(part));
        }
    }

    private void MayBeStale(ulong leaf, ulong gpa) =>
        _world.Guard?.MayBeStale(gpa, TFormat.OutputAddress(leaf, Stage2Geometry.LastLevel).Value, 1);

    /// <summary>Leaves of the tree's last level are a format's of its last.</summary>
    private int LevelOfFormat(int level) => Stage2Geometry.LastLevel - (_shape.Last - level);

    private static bool IsTable(ulong entry) => TFormat.IsTable(entry, 0);

    private ulong EntryIn(ulong table, ulong gpa, int level) =>
        table + (((gpa >> _shape.Shifts[level]) & ((1UL << _shape.Bits[level]) - 1)) * sizeof(ulong));

    /// <summary>4 KB pages that a table takes; a smaller table takes one.</summary>
    private int PagesOf(int level) => Math.Max(1, (sizeof(ulong) << _shape.Bits[level]) / (int)TablePages.PageBytes);
}

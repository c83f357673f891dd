using System;
using System.Collections.Generic;
using System.Linq;
using Shouldly;

namespace Quietus.Stage2.Tests;

/// <summary>
/// What a Stage-2 table is for, without tables: a sorted set of leaves. It knows sizes and overlaps, and nothing of
/// descriptors, walks or maintenance. Contiguous bits are not its business.
/// </summary>
internal sealed class Model<TFormat>(Stage2Geometry geometry)
    where TFormat : struct, IDescriptorFormat
{
    private readonly SortedDictionary<ulong, Leaf> _leaves = [];

    public IEnumerable<Leaf> Leaves => _leaves.Values;

    public Model<TFormat> Copy()
    {
        Model<TFormat> copy = new(geometry);
        foreach (Leaf leaf in _leaves.Values)
        {
            copy._leaves[leaf.Ipa] = leaf;
        }

        return copy;
    }

    private static ulong Bytes(int level) => Stage2Geometry.LevelBytes<TFormat>(level);

    /// <summary>The leaf around an address, or null.</summary>
    public Leaf? At(ulong ipa)
    {
        for (int level = geometry.StartLevel; level <= 3; level++)
        {
            if (_leaves.TryGetValue(ipa & ~(Bytes(level) - 1), out Leaf leaf) && leaf.Level == level)
            {
                return leaf;
            }
        }

        return null;
    }

    public List<Leaf> Overlapping(ulong start, ulong end) =>
        [.. _leaves.Values.Where(leaf => leaf.Ipa < end && leaf.End<TFormat>() > start)];

    public Stage2Result Map(ulong ipa, ulong output, int level, uint attributes)
    {
        if (At(ipa) is { } there && there.Level <= level)
        {
            if (there.Level < level)
            {
                return Stage2Result.BlockInTheWay;
            }

            if (there.Output != output)
            {
                return Stage2Result.AlreadyMapped;
            }
        }
        else if (Overlapping(ipa, ipa + Bytes(level)).Count != 0)
        {
            return Stage2Result.TableInTheWay;
        }

        _leaves[ipa] = new Leaf(ipa, output, level, attributes);
        return Stage2Result.Done;
    }

    public Stage2Result MapRange(ulong ipa, ulong output, ulong bytes, uint attributes, bool pagesOnly)
    {
        if (Overlapping(ipa, ipa + bytes).Count != 0)
        {
            return Stage2Result.AlreadyMapped;
        }

        while (bytes != 0)
        {
            int level = Enumerable.Range(geometry.StartLevel, 4 - geometry.StartLevel).First(candidate =>
                candidate == 3 || (!pagesOnly && TFormat.HasLeafAt(candidate)
                    && (ipa | output) % Bytes(candidate) == 0 && bytes >= Bytes(candidate)));
            _leaves[ipa] = new Leaf(ipa, output, level, attributes);
            ipa += Bytes(level);
            output += Bytes(level);
            bytes -= Bytes(level);
        }

        return Stage2Result.Done;
    }

    public List<Leaf> Unmap(ulong start, ulong end, bool splits)
    {
        if (splits)
        {
            Isolate(start, end);
        }

        List<Leaf> gone = Overlapping(start, end);
        gone.ForEach(leaf => _leaves.Remove(leaf.Ipa));
        return gone;
    }

    /// <summary>Changes the attributes of every leaf of a range; tells whether any differs now.</summary>
    public bool Update(ulong start, ulong end, bool splits, Func<uint, uint> change)
    {
        if (splits)
        {
            Isolate(start, end);
        }

        bool changed = false;
        foreach (Leaf leaf in Overlapping(start, end))
        {
            Leaf next = leaf with { Attributes = change(leaf.Attributes) };
            changed |= next != leaf;
            _leaves[leaf.Ipa] = next;
        }

        return changed;
    }

    public void Replace(ulong ipa, ulong output, uint attributes)
    {
        Leaf leaf = At(ipa).ShouldNotBeNull();
        _leaves[leaf.Ipa] = leaf with { Output = output, Attributes = attributes };
    }

    public void Split(ulong ipa, int toLevel)
    {
        while (At(ipa) is { } leaf && leaf.Level < toLevel)
        {
            _leaves.Remove(leaf.Ipa);
            int level = leaf.Level + 1;
            for (ulong offset = 0; offset < Bytes(leaf.Level); offset += Bytes(level))
            {
                _leaves[leaf.Ipa + offset] =
                    new Leaf(leaf.Ipa + offset, leaf.Output + offset, level, leaf.Attributes);
            }
        }
    }

    private void Isolate(ulong start, ulong end)
    {
        foreach (ulong edge in new[] { start, end })
        {
            while (At(edge) is { } leaf && leaf.Ipa != edge)
            {
                Split(edge, leaf.Level + 1);
            }
        }
    }
}

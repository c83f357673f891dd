using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>The structures that are not the engine's, each under random programs against a plain model.</summary>
public sealed class StructureTests
{
    private const ulong Page = 4096;

    [Fact]
    public void A_tree_of_64K_pages_does_what_the_model_does() =>
        Trees<PowerRadix>(PowerRadixHook.ShapeOf(16), [1, 2, 3], isBigEndian: true);

    [Fact]
    public void A_tree_of_power9_with_4K_pages_does_what_the_model_does() =>
        Trees<PowerRadix>(PowerRadixHook.ShapeOf(12), [1, 2, 3], isBigEndian: true);

    [Fact]
    public void A_tree_of_ept_that_keeps_its_tables_does_what_the_model_does() => Trees<Ept>(
        new TreeShape([39, 30, 21, 12], [9, 9, 9, 9], static (table, _) => Ept.Table(new Pa(table))),
        [1, 2, 3], isBigEndian: false);

    [Fact]
    public void The_gpa_table_of_mips_does_what_the_model_does() =>
        Trees<MipsPte>(MipsHook.Shape, [2], isBigEndian: false);

    // Groups of eight that fill up: the secondary group, and then another page's place.
    [Fact]
    public void A_hashed_table_and_its_chains_do_what_the_model_does()
    {
        Random random = new(20191213);
        HashedTable table = new(groups: 16);
        Dictionary<ulong, (ulong Frame, bool IsWritable)> model = [];
        for (int step = 0; step < 4000; step++)
        {
            ulong gpa = (ulong)random.Next(400) * Page;
            switch (random.Next(4))
            {
                case 0 when model.ContainsKey(gpa):
                    int[] chain = [.. table.ChainOf(gpa)];
                    chain.Length.ShouldBe(1);
                    table.MakeAbsent(chain[0]);
                    table.HasChain(gpa).ShouldBeFalse();
                    table[chain[0]].IsAbsent.ShouldBeTrue();
                    model.Remove(gpa);
                    break;

                case 1 when model.ContainsKey(gpa):
                    table.WriteProtect(table.ChainOf(gpa).Single());
                    model[gpa] = (model[gpa].Frame, false);
                    break;

                case 2 when model.ContainsKey(gpa):
                    table.Age(gpa);
                    table.Age(gpa).ShouldBeFalse();
                    break;

                default:
                    ulong frame = (ulong)random.Next(1 << 20) * Page;
                    table.Enter(gpa, frame, true);
                    model[gpa] = (frame, true);

                    // What it was entered instead of is gone, and its chain with it.
                    foreach (ulong lost in model.Keys.Where(page => !table.HasChain(page)).ToList())
                    {
                        table.Find(lost).ShouldBe(-1);
                        model.Remove(lost);
                    }

                    break;
            }

            if (step % 50 == 0)
            {
                Compare(table, model);
            }
        }

        Compare(table, model);
    }

    // ISA 3.0B, III 5.7.9: the secondary group is the complement of the primary one.
    [Fact]
    public void An_entry_lies_in_its_primary_group_or_in_the_complement()
    {
        HashedTable table = new(groups: 4);
        ulong gpa = 0x1234_5000;
        ulong hash = HashedTable.HashOf(HashedTable.VirtualAddressOf(gpa));
        hash.ShouldBe(0x1001UL ^ 0x2345UL);
        table.Enter(gpa, 0x8000, true);
        HashedTable.GroupOf(table.Find(gpa)).ShouldBe((int)(hash & 3));

        // Eight more with the same hash: the last goes to the other group, and says so.
        for (ulong i = 1; i <= 8; i++)
        {
            table.Enter(gpa + (i << 14), 0x8000, true);
        }

        int last = table.Find(gpa + (8UL << 14));
        HashedTable.GroupOf(last).ShouldBe((int)(~hash & 3));
        table[last].IsSecondary.ShouldBeTrue();
        (table.Raw(last * 2) >> 56).ShouldBe(table[last].First & 0xFF);
    }

    [Fact]
    public void Shadow_tlb_arrays_do_what_the_model_does()
    {
        Random random = new(20191213);
        TlbArrays arrays = new();
        for (int step = 0; step < 3000; step++)
        {
            bool isLarge = random.Next(4) == 0;
            ulong address = isLarge ? (ulong)random.Next(100) << 20 : (0x1000UL + (ulong)random.Next(2000)) << 12;
            ulong frame = isLarge ? (ulong)random.Next(1000) << 20 : (ulong)random.Next(1 << 20) << 12;
            uint size = isLarge ? TlbArrays.Size1M : TlbArrays.Size4K;
            arrays.Write(TlbEntry.For(address, frame, size, 1, 1, true));
            TlbPlace place = arrays.Find(address).ShouldNotBeNull();
            arrays[place].Frame.ShouldBe(frame);
            place.Array.ShouldBe(isLarge ? 1 : 0);

            // TLB0 is found by address: an entry is in its set.
            (isLarge || place.Index / TlbArrays.Ways0 == (int)((address >> 12) % 128)).ShouldBeTrue();
            List<TlbPlace> near = arrays.In(address, address + arrays[place].Bytes);
            near.ShouldContain(place);
            if (random.Next(3) == 0)
            {
                arrays.Invalidate(place);
                arrays.Find(address).ShouldBeNull();
            }
        }

        arrays.Valid().Count().ShouldBeLessThanOrEqualTo(TlbArrays.Count);
        arrays.Valid().Select(static valid => valid.Place).ShouldBeUnique();
        arrays.InvalidateAll();
        arrays.Valid().ShouldBeEmpty();
    }

    [Fact]
    public void A_root_tlb_keeps_pairs_until_the_guest_s_are_flushed()
    {
        RootTlb tlb = new();
        ulong valid = MipsPte.EntryLo(MipsPte.Leaf(
            MipsPte.LeafTemplate(LeafAttributes.GuestMemory, 3, false), new Pa(0x8000)));
        tlb.Refill(0x2000, 1, valid, 0);
        tlb.Refill(0x5000, 1, 0, valid);
        tlb.Refill(0x2000, 2, valid, valid);

        tlb.Of(1).Select(static entry => entry.Gpa).ShouldBe([0x2000UL, 0x5000UL]);
        tlb.Of(2).Select(static entry => entry.Gpa).ShouldBe([0x2000UL, 0x3000UL]);
        tlb.Flush(1);
        tlb.Of(1).ShouldBeEmpty();
        tlb.Of(2).Count().ShouldBe(2);
    }

    private static void Compare(HashedTable table, Dictionary<ulong, (ulong Frame, bool IsWritable)> model)
    {
        table.Chained.Order().ShouldBe(model.Keys.Order());
        foreach ((ulong gpa, (ulong frame, bool isWritable)) in model)
        {
            int index = table.Find(gpa);
            (table[index].Frame, table[index].IsWritable, table[index].IsValid).ShouldBe((frame, isWritable, true));
        }
    }

    private static void Trees<TFormat>(TreeShape shape, int[] levels, bool isBigEndian)
        where TFormat : struct, IDescriptorFormat
    {
        Random random = new(20191213);
        HookWorld world = new(new TablePages(1UL << 45, isBigEndian), new HookMeter(), null, 64);
        SoftTree<TFormat> tree = new(world, shape);
        SortedDictionary<ulong, (ulong Frame, ulong Bytes, bool IsWritable, bool IsYoung)> model = [];
        int last = shape.Last;
        for (int step = 0; step < 600; step++)
        {
            int level = levels[random.Next(levels.Length)];
            ulong bytes = tree.BytesAt(level);
            ulong start = ((ulong)random.Next(1 << 9) << 21 | (ulong)random.Next(64) << 16) & ~(bytes - 1);
            ulong end = start + (tree.BytesAt(last) * (ulong)random.Next(1, 200));
            switch (random.Next(5))
            {
                case 0:
                    foreach ((ulong gpa, SoftTree<TFormat>.Place place) in tree.LeavesIn(start, end).ToList())
                    {
                        tree.Clear(place.Address, gpa);
                        model.Remove(gpa).ShouldBeTrue();
                    }

                    model.Any(leaf => leaf.Key < end && leaf.Key + leaf.Value.Bytes > start).ShouldBeFalse();
                    break;

                case 1:
                    foreach ((ulong gpa, SoftTree<TFormat>.Place place) in tree.LeavesIn(start, end).ToList())
                    {
                        tree.Update(place.Address, TFormat.WithoutWrite, gpa).ShouldBe(model[gpa].IsWritable);
                        model[gpa] = model[gpa] with { IsWritable = false };
                    }

                    break;

                case 2:
                    foreach ((ulong gpa, SoftTree<TFormat>.Place place) in tree.LeavesIn(start, end).ToList())
                    {
                        tree.Update(place.Address, static leaf => TFormat.WithAccessed(leaf, false))
                            .ShouldBe(model[gpa].IsYoung);
                        model[gpa] = model[gpa] with { IsYoung = false };
                    }

                    break;

                default:
                    Map(tree, model, start, (ulong)random.Next(1 << 8) << 30, level);
                    break;
            }

            if (step % 20 == 0)
            {
                Compare(tree, model);
            }
        }

        Compare(tree, model);
        tree.FreeAll(looksAtLeaves: true);
        world.GiveBack();
        world.Pages.Count.ShouldBe(0);
    }

    /// <summary>Maps a leaf: over smaller ones, and inside a larger one, which is split level by level.</summary>
    private static void Map<TFormat>(
        SoftTree<TFormat> tree,
        SortedDictionary<ulong, (ulong Frame, ulong Bytes, bool IsWritable, bool IsYoung)> model,
        ulong gpa, ulong frame, int level)
        where TFormat : struct, IDescriptorFormat
    {
        tree.Map(gpa, frame, level, LeafAttributes.GuestMemory);
        ulong bytes = tree.BytesAt(level);
        foreach (ulong inside in model.Keys.Where(key => key >= gpa && key < gpa + bytes && model[key].Bytes <= bytes)
            .ToList())
        {
            model.Remove(inside);
        }

        for (int above = 0; above < level; above++)
        {
            ulong head = gpa & ~(tree.BytesAt(above) - 1);
            if (model.TryGetValue(head, out var large) && large.Bytes == tree.BytesAt(above))
            {
                model.Remove(head);
                ulong part = tree.BytesAt(above + 1);
                for (ulong at = 0; at < large.Bytes; at += part)
                {
                    model[head + at] = large with { Frame = large.Frame + at, Bytes = part };
                }
            }
        }

        model[gpa] = (frame, bytes, true, true);
    }

    private static void Compare<TFormat>(
        SoftTree<TFormat> tree,
        SortedDictionary<ulong, (ulong Frame, ulong Bytes, bool IsWritable, bool IsYoung)> model)
        where TFormat : struct, IDescriptorFormat
    {
        var leaves = tree.LeavesIn(0, 1UL << 31, counts: false).Select(leaf =>
        {
            LeafAttributes attributes = TFormat.Attributes(leaf.Place.Entry, false);
            return (leaf.Gpa, TFormat.OutputAddress(leaf.Place.Entry, 3).Value, tree.BytesAt(leaf.Place.Level),
                attributes.Write, attributes.Accessed);
        });
        leaves.ShouldBe(model.Select(static leaf =>
            (leaf.Key, leaf.Value.Frame, leaf.Value.Bytes, leaf.Value.IsWritable, leaf.Value.IsYoung)));
    }
}

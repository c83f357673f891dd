using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>The ways to end a table, and what each does to the machine.</summary>
public sealed class DestroyTests
{
    private const ulong Pa = 0x10_0000_0000;
    private const ulong TwoMegabytes = 0x20_0000;

    [Fact]
    public void Before_the_series_every_page_costs_its_invalidation_and_its_lines()
    {
        Rig<Arm<Granule4K>> rig = FourTables();
        RangeCursor cursor = rig.Table.WholeRange();
        ListSink<Arm<Granule4K>> sink = new() { Unlinked = [] };
        rig.Table.DestroyEager(ref rig.Machine, ref cursor, UnmapFlags.None, ref sink).ShouldBe(Stage2Result.Done);
        sink.Unlinked.Count.ShouldBe(2048);
        rig.World.Count(MachineOperation.CleanInvalidateToPoC).ShouldBe(2048);
        rig.World.Log.Where(e => e.Operation == MachineOperation.CleanInvalidateToPoC).Sum(e => (long)e.Value)
            .ShouldBe((long)(4 * TwoMegabytes));
        // The pages, their four tables, and the table above.
        rig.World.Count(MachineOperation.InvalidateIpa).ShouldBe(2048 + 5);
        rig.World.Count(MachineOperation.InvalidateVmid).ShouldBe(0);
        Gone(rig);
    }

    [Fact]
    public void Patch_5_as_posted_frees_tables_in_the_walk_and_invalidates_once_after_the_root_was_dropped()
    {
        Rig<Arm<Granule4K>> rig = FourTables();
        RangeCursor cursor = rig.Table.WholeRange();
        ListSink<Arm<Granule4K>> sink = new() { Unlinked = [] };
        rig.Table.DestroyAsPosted(ref rig.Machine, ref cursor, ref sink).ShouldBe(Stage2Result.Done);
        sink.Unlinked.Count.ShouldBe(2048);
        rig.World.Count(MachineOperation.CleanInvalidateToPoC).ShouldBe(0);
        rig.World.Count(MachineOperation.InvalidateIpa).ShouldBe(0);
        List<MachineOperation> order = [.. rig.World.Log.Select(e => e.Operation)];
        order.FindLastIndex(o => o == MachineOperation.ReturnTable).ShouldBe(order.Count - 6);
        order[^5..].ShouldBe(
            [.. Rig<Arm<Granule4K>>.InvalidationOfVmid().Select(e => e.Operation), MachineOperation.ReturnRoot]);
        Gone(rig);
    }

    [Fact]
    public void By_fate_the_one_invalidation_comes_first_and_no_leaf_is_looked_at()
    {
        Rig<Arm<Granule4K>> rig = FourTables();
        long reads = rig.World.Reads;
        rig.Table.Destroy(ref rig.Machine);
        rig.World.Log.Take(4).ShouldBe(Rig<Arm<Granule4K>>.InvalidationOfVmid());
        rig.World.Log.Skip(4).Select(e => e.Operation).ShouldBe(
            [.. Enumerable.Repeat(MachineOperation.ReturnTable, 5), MachineOperation.ReturnRoot]);
        // Two concatenated roots and one table of level 2; none of the four of level 3.
        (rig.World.Reads - reads).ShouldBe(1024 + 512);
        Gone(rig);
    }

    [Fact]
    public void By_owner_nothing_is_read_or_freed_and_the_one_invalidation_is_all()
    {
        Rig<Arm<Granule4K>> rig = FourTables();
        long reads = rig.World.Reads;
        rig.Table.DestroyByOwner(ref rig.Machine);
        rig.World.Log.ShouldBe(Rig<Arm<Granule4K>>.InvalidationOfVmid());
        rig.World.Reads.ShouldBe(reads);
        rig.Table.Exists.ShouldBeFalse();
        rig.Table.TableCount.ShouldBe(0UL);
        rig.Table.LeafCount(3).ShouldBe(0UL);
    }

    [Fact]
    public void A_concatenated_root_is_aligned_to_all_of_it_and_given_back_whole()
    {
        Rig<Arm<Granule4K>> rig = new(43);
        rig.Table.Geometry.RootTables.ShouldBe(16u);
        (rig.Table.Root.Value % 0x10000).ShouldBe(0UL);
        rig.Map((1UL << 43) - 0x1000, Pa).ShouldBe(Stage2Result.Done);
        rig.Translate((1UL << 43) - 1).Output.Value.ShouldBe(Pa + 0xFFF);
        rig.Table.Destroy(ref rig.Machine);
        rig.World.Log[^1].ShouldBe(new MachineEvent(MachineOperation.ReturnRoot, rig.World.Log[^1].Address, 16));
        Gone(rig);
    }

    private static void Gone(Rig<Arm<Granule4K>> rig)
    {
        rig.Table.Exists.ShouldBeFalse();
        rig.Table.TableCount.ShouldBe(0UL);
        for (int level = 0; level < 4; level++)
        {
            rig.Table.LeafCount(level).ShouldBe(0UL);
        }

        rig.World.TablesOut.ShouldBe(0);
    }

    private static Rig<Arm<Granule4K>> FourTables()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0x4000_0000, Pa, 4 * TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        return rig;
    }
}

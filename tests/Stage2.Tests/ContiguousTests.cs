using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>The contiguous bit: where it is set, and how it goes before one of its leaves is touched.</summary>
public sealed class ContiguousTests
{
    private const ulong Pa = 0x10_0000_0000;
    private const ulong Page = 0x1000;

    [Fact]
    public void Aligned_runs_that_lie_wholly_in_the_range_get_the_bit_and_no_others()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(8 * Page, Pa + (8 * Page), 40 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        Contiguous(rig).ShouldBe(Enumerable.Range(16, 32).Select(page => (ulong)page * Page));
        rig.Translate(16 * Page).Attributes.Contiguous.ShouldBeTrue();
        rig.Translate(8 * Page).Attributes.Contiguous.ShouldBeFalse();
    }

    [Fact]
    public void Runs_whose_output_is_not_aligned_alike_do_not_get_the_bit()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa + Page, 64 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        Contiguous(rig).ShouldBeEmpty();
    }

    [Fact]
    public void Blocks_make_runs_too()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 16 * 0x20_0000, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        Contiguous(rig).Count.ShouldBe(16);
        rig.Table.LeafCount(2).ShouldBe(16UL);
        rig.Unmap(0x20_0000, 0x20_0000).ShouldBe(Stage2Result.Done);
        Contiguous(rig).ShouldBeEmpty();
        rig.Audit().Count.ShouldBe(15);
    }

    [Fact]
    public void A_change_inside_a_run_breaks_all_of_it_invalidates_and_makes_it_single_first()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 16 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Unmap(3 * Page, Page, UnmapFlags.ElideCacheMaintenance).ShouldBe(Stage2Result.Done);
        List<MachineEvent> log = rig.World.Log;
        log.Take(16).ShouldAllBe(e => e.Operation == MachineOperation.WriteEntry && (e.Value & 1) == 0 && e.Value != 0);
        log.Skip(16).Take(4).ShouldBe(Rig<Arm<Granule4K>>.InvalidationOfVmid());
        log.Skip(20).Take(16).ShouldAllBe(e => e.Operation == MachineOperation.WriteEntry && (e.Value & 1) == 1
            && !Arm<Granule4K>.IsContiguous(e.Value));
        log[36].Operation.ShouldBe(MachineOperation.DsbInnerShareableStores);
        (log[37].Operation, log[37].Value & 1).ShouldBe((MachineOperation.WriteEntry, 0UL));
        rig.Translate(3 * Page).IsMapped.ShouldBeFalse();
        rig.Audit().Count.ShouldBe(15);
    }

    [Fact]
    public void Unmapping_a_whole_run_at_once_does_not_break_it_first()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 32 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Unmap(0, 16 * Page, UnmapFlags.ElideCacheMaintenance).ShouldBe(Stage2Result.Done);
        // No page is made again: what is written and valid is the count of the table.
        rig.World.Log.FindAll(e => e.Operation == MachineOperation.WriteEntry && (e.Value & 1) == 1).Count.ShouldBe(1);
        Contiguous(rig).Count.ShouldBe(16);
        rig.Audit();
    }

    // It invalidates leaf by leaf: what is left of the run would bring the leaves before it back into a TLB.
    [Fact]
    public void Unmapping_a_whole_run_eagerly_makes_it_single_before_its_first_leaf_goes()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 16 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.UnmapEager(0, 16 * Page).ShouldBe(Stage2Result.Done);
        List<MachineEvent> writes = rig.World.Log.FindAll(e => e.Operation == MachineOperation.WriteEntry);
        writes.Take(16).ShouldAllBe(e => (e.Value & 1) == 0 && e.Value != 0);
        writes.Skip(16).Take(16).ShouldAllBe(e => (e.Value & 1) == 1 && !Arm<Granule4K>.IsContiguous(e.Value));
        writes.Skip(32).Take(16).ShouldAllBe(e => e.Value == 0);
    }

    [Fact]
    public void Every_other_change_inside_a_run_ends_it()
    {
        LeafAttributes readOnly = LeafAttributes.ReadOnlyGuestMemory;
        Ending((ref Rig<Arm<Granule4K>> rig) => rig.UnmapEager(5 * Page, Page));
        Ending((ref Rig<Arm<Granule4K>> rig) => rig.Map(5 * Page, Pa + (5 * Page), 3, readOnly));
        Ending((ref Rig<Arm<Granule4K>> rig) => rig.Table.SplitBlock(ref rig.Machine, new Ipa(5 * Page), 3));
        Ending((ref Rig<Arm<Granule4K>> rig) =>
            rig.Table.Replace(ref rig.Machine, new Ipa(5 * Page), new Pa(Pa), readOnly,
            UnmapFlags.None, out _));
        Ending((ref Rig<Arm<Granule4K>> rig) =>
        {
            RangeCursor cursor = new(new Ipa(5 * Page), Page);
            Stage2Result result = rig.Table.WriteProtect(ref rig.Machine, ref cursor, PartialBlock.TakeWhole,
                out MaintenanceDebt debt);
            rig.Table.Settle(ref rig.Machine, ref debt);
            return result;
        });
        Ending((ref Rig<Arm<Granule4K>> rig) =>
        {
            RangeCursor cursor = new(new Ipa(5 * Page), Page);
            Stage2Result result = rig.Table.Age(ref rig.Machine, ref cursor, out MaintenanceDebt debt);
            rig.Table.Settle(ref rig.Machine, ref debt);
            return result;
        });
    }

    [Fact]
    public void Mapping_the_same_again_leaves_the_run_alone()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 16 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Map(5 * Page, Pa + (5 * Page)).ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldBeEmpty();
    }

    private delegate Stage2Result Change(ref Rig<Arm<Granule4K>> rig);

    private static void Ending(Change change)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 32 * Page, MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        change(ref rig).ShouldBe(Stage2Result.Done);
        Contiguous(rig).ShouldBe(Enumerable.Range(16, 16).Select(page => (ulong)page * Page));
        rig.Audit();
    }

    private static List<ulong> Contiguous(Rig<Arm<Granule4K>> rig) =>
        [.. rig.Leaves().Where(leaf => new LeafAttributes(leaf.Attributes).Contiguous).Select(leaf => leaf.Ipa)];
}

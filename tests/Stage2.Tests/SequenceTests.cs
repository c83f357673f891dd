using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>What is done to the machine, in order, for each kind of operation.</summary>
public sealed class SequenceTests
{
    private const ulong Ipa = 0x4020_0000;
    private const ulong Pa = 0x8_0000_0000;
    private const ulong Next = Ipa + 0x1000;
    private const ulong TwoMegabytes = 0x20_0000;

    private static MachineEvent StoresSeen => new(MachineOperation.DsbInnerShareableStores);

    // virt/kvm/arm/mmu.c of 5.5: kvm_set_pte (store, dsb ishst); __kvm_tlb_flush_vmid_ipa (dsb ishst, tlbi ipas2e1is,
    // dsb ish, tlbi vmalle1is, dsb ish, isb); kvm_flush_dcache_pte (dc civac on each line, dsb sy).
    [Fact]
    public void One_4K_page_is_unmapped_as_Linux_5_5_did()
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out ulong entry, out ulong parent);
        rig.UnmapEager(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldBe(
        [
            new(MachineOperation.WriteEntry, entry, 0),
            StoresSeen,
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa),
            new(MachineOperation.CleanInvalidateToPoC, Pa, 0x1000),
            new(MachineOperation.DsbFullSystem),
            new(MachineOperation.WriteEntry, parent, rig.World.Peek(parent)),
        ]);
        Arm<Granule4K>.TableCount(rig.World.Peek(parent)).ShouldBe(1);
    }

    [Theory]
    [InlineData(UnmapFlags.ElideCacheMaintenance, 6, 0)]
    [InlineData(UnmapFlags.ElideTlbInvalidation, 0, 2)]
    [InlineData(UnmapFlags.ElideCacheMaintenance | UnmapFlags.ElideTlbInvalidation, 0, 0)]
    public void Each_flag_takes_exactly_its_part_out_of_the_5_5_sequence(UnmapFlags flags, int tlb, int cache)
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out ulong entry, out ulong parent);
        rig.UnmapEager(Ipa, 0x1000, flags).ShouldBe(Stage2Result.Done);
        MachineEvent[] clean =
            [new(MachineOperation.CleanInvalidateToPoC, Pa, 0x1000), new(MachineOperation.DsbFullSystem)];
        rig.World.Log.ShouldBe(
        [
            new(MachineOperation.WriteEntry, entry, 0),
            StoresSeen,
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa).Take(tlb),
            .. clean.Take(cache),
            new(MachineOperation.WriteEntry, parent, rig.World.Peek(parent)),
        ]);
    }

    [Fact]
    public void A_block_is_unmapped_as_Linux_5_5_did_without_the_barrier_that_only_pages_had()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(Ipa, Pa, 2).ShouldBe(Stage2Result.Done);
        rig.Map(Ipa + TwoMegabytes, Pa, 2).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.UnmapEager(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        rig.World.Log.Skip(1).Take(8).ShouldBe(
        [
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa),
            new(MachineOperation.CleanInvalidateToPoC, Pa, TwoMegabytes),
            new(MachineOperation.DsbFullSystem),
        ]);
    }

    [Fact]
    public void Devices_and_forced_write_back_need_no_cache_maintenance()
    {
        Rig<Arm<Granule4K>> device = new();
        device.Map(Ipa, Pa, 3, LeafAttributes.DeviceMemory).ShouldBe(Stage2Result.Done);
        device.UnmapEager(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        device.Map(Ipa, Pa, 3, LeafAttributes.DeviceMemory).ShouldBe(Stage2Result.Done);
        device.Unmap(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        device.World.Count(MachineOperation.CleanInvalidateToPoC).ShouldBe(0);

        Rig<Arm<Granule4K>> forced = new(40, world => world.HasForcedWriteBack = true);
        forced.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        forced.UnmapEager(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        forced.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        forced.Unmap(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        forced.World.Count(MachineOperation.CleanInvalidateToPoC).ShouldBe(0);
        forced.World.Count(MachineOperation.InvalidateIpa).ShouldBeGreaterThan(0);
    }

    [Fact]
    public void An_empty_table_is_cleared_invalidated_and_freed_and_so_are_those_above_it()
    {
        Rig<Arm<Granule4K>> rig = new(48);
        rig.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        rig.Table.TableCount.ShouldBe(4UL);
        rig.World.Log.Clear();
        rig.UnmapEager(Ipa, 0x1000).ShouldBe(Stage2Result.Done);
        List<MachineOperation> after = [.. rig.World.Log.Skip(10).Select(e => e.Operation)];
        MachineOperation[] once =
        [
            MachineOperation.WriteEntry,
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(0).Select(e => e.Operation),
            MachineOperation.ReturnTable,
        ];
        after.ShouldBe([.. once, .. once, .. once]);
        rig.Audit().ShouldBeEmpty();
    }

    // The order that is always right: unlink, invalidate, DSB, only then free.
    [Fact]
    public void A_table_is_unmapped_by_one_write_and_one_invalidation_and_freed_only_after_it()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(Ipa, Pa, TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        RangeCursor cursor = new(new Ipa(Ipa), TwoMegabytes);
        ListSink<Arm<Granule4K>> sink = new() { Unlinked = [] };
        rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.ElideCacheMaintenance, PartialBlock.TakeWhole,
            ref sink).ShouldBe(Stage2Result.Done);
        sink.Unlinked.Count.ShouldBe(512);
        sink.Unlinked[511].ShouldBe((Ipa + 0x1F_F000, Pa + 0x1F_F000, 3));
        rig.World.Log.Select(e => e.Operation).ShouldBe(
        [
            // The entry that leads to the table, and the root's that leads to the emptied one above it.
            MachineOperation.WriteEntry,
            MachineOperation.WriteEntry,
            .. Rig<Arm<Granule4K>>.InvalidationOfVmid().Select(e => e.Operation),
            MachineOperation.WriteEntry,
            MachineOperation.ReturnTable,
            MachineOperation.ReturnTable,
        ]);
        rig.Audit().ShouldBeEmpty();
    }

    [Fact]
    public void With_range_invalidation_a_batch_costs_one_range_operation()
    {
        Rig<Arm<Granule4K>> rig = new(40, world => world.HasRangeInvalidation = true);
        rig.MapRange(Ipa, Pa, TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Unmap(Ipa, TwoMegabytes, UnmapFlags.ElideCacheMaintenance).ShouldBe(Stage2Result.Done);
        rig.World.Log.Where(e => e.Operation is not MachineOperation.WriteEntry and not MachineOperation.ReturnTable)
            .ShouldBe(
            [
                StoresSeen,
                new(MachineOperation.InvalidateIpaRange, Ipa, TwoMegabytes),
                new(MachineOperation.DsbInnerShareable),
                new(MachineOperation.InvalidateCombined, 7),
                new(MachineOperation.DsbInnerShareable),
                new(MachineOperation.Isb),
            ]);
    }

    // A guest that can still reach a page dirties its lines again.
    [Fact]
    public void A_batched_unmap_invalidates_the_TLB_before_it_cleans_any_page()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(Ipa, Pa, 16 * 0x1000, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Unmap(Ipa, 16 * 0x1000).ShouldBe(Stage2Result.Done);
        rig.World.Log.Select(e => e.Operation).Take(20).ShouldBe(
        [
            // The pages, and the two tables that they empty.
            .. Enumerable.Repeat(MachineOperation.WriteEntry, 18),
            MachineOperation.DsbInnerShareableStores,
            MachineOperation.InvalidateVmid,
        ]);
        rig.World.Log.Where(e => e.Operation is MachineOperation.CleanInvalidateToPoC or MachineOperation.DsbFullSystem)
            .ShouldBe(
            [
                new(MachineOperation.CleanInvalidateToPoC, Pa, 16 * 0x1000),
                new(MachineOperation.DsbFullSystem),
            ]);
        rig.World.Log.FindIndex(e => e.Operation == MachineOperation.CleanInvalidateToPoC).ShouldBeGreaterThan(
            rig.World.Log.FindIndex(e => e.Operation == MachineOperation.DsbInnerShareable));
        rig.Audit().ShouldBeEmpty();
    }

    [Fact]
    public void A_batched_unmap_with_both_elided_only_writes_entries_and_frees_tables()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Unmap(Ipa, 0x1000, UnmapFlags.ElideTlbInvalidation | UnmapFlags.ElideCacheMaintenance)
            .ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldAllBe(
            e => e.Operation == MachineOperation.WriteEntry || e.Operation == MachineOperation.ReturnTable);
        rig.World.Count(MachineOperation.ReturnTable).ShouldBe(2);
        rig.Audit().ShouldBeEmpty();
    }

    [Fact]
    public void A_mapped_page_is_written_and_made_visible_and_nothing_else()
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out _, out ulong parent);
        rig.World.Log.Clear();
        rig.Map(Next + 0x1000, Pa).ShouldBe(Stage2Result.Done);
        rig.World.Log.Select(e => e.Operation).ShouldBe(
            [MachineOperation.WriteEntry, MachineOperation.WriteEntry, MachineOperation.DsbInnerShareableStores]);
        rig.World.Log[1].Address.ShouldBe(parent);
    }

    [Fact]
    public void New_tables_are_complete_and_visible_before_anything_leads_to_them()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        rig.World.Log.Select(e => e.Operation).ShouldBe(
        [
            MachineOperation.TakeTable, MachineOperation.WriteEntry,
            MachineOperation.TakeTable, MachineOperation.WriteEntry,
            MachineOperation.DsbInnerShareableStores,
            MachineOperation.WriteEntry,
            MachineOperation.DsbInnerShareableStores,
        ]);
        rig.World.Log[5].Address.ShouldBeInRange(rig.Table.Root.Value, rig.Table.Root.Value + 0x1FFF);
    }

    [Fact]
    public void Permissions_are_changed_in_place_and_a_new_memory_type_by_break_before_make()
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out ulong entry, out _);
        rig.Map(Ipa, Pa, 3, LeafAttributes.ReadOnlyGuestMemory).ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldBe(
        [
            new(MachineOperation.WriteEntry, entry, rig.World.Peek(entry)),
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa),
        ]);
        rig.World.Log.Clear();
        rig.Map(Ipa, Pa, 3, LeafAttributes.DeviceMemory).ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldBe(
        [
            new(MachineOperation.WriteEntry, entry, 0),
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa),
            new(MachineOperation.WriteEntry, entry, rig.World.Peek(entry)),
            StoresSeen,
        ]);
        rig.World.Log.Clear();
        rig.Map(Ipa, Pa, 3, LeafAttributes.DeviceMemory).ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldBeEmpty();
    }

    [Fact]
    public void A_block_is_split_by_break_before_make()
    {
        Rig<Arm<Granule4K>> rig = new(40, world => world.HasLevelHint = true);
        rig.Map(Ipa, Pa, 2).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Table.SplitBlock(ref rig.Machine, new Ipa(Ipa), 3).ShouldBe(Stage2Result.Done);
        List<MachineEvent> ending = [.. rig.World.Log.Skip(1 + 512)];
        ending.Take(1).Select(e => e.Value).ShouldBe([0UL]);
        ending.Skip(1).Take(6).ShouldBe(Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa, hint: 2));
        ending.Skip(7).Select(e => e.Operation).ShouldBe([MachineOperation.WriteEntry, StoresSeen.Operation]);
        rig.Audit().Count.ShouldBe(512);
    }

    [Fact]
    public void A_machine_that_never_aborts_on_a_size_change_is_not_made_to_break()
    {
        Rig<Arm<Granule4K>> rig = new(40,
            world => world.BreakBeforeMakeSupport = BreakBeforeMakeSupport.Level2WithoutAbort);
        rig.Map(Ipa, Pa, 2).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        rig.Table.SplitBlock(ref rig.Machine, new Ipa(Ipa), 3).ShouldBe(Stage2Result.Done);
        rig.World.Log.Skip(1 + 512).Select(e => e.Operation).ShouldBe(
        [
            MachineOperation.DsbInnerShareableStores,
            MachineOperation.WriteEntry,
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa).Select(e => e.Operation),
        ]);
        rig.Audit().Count.ShouldBe(512);
    }

    [Fact]
    public void A_table_is_replaced_by_unlinking_it_invalidating_once_and_only_then_freeing()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(Ipa, Pa, TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.Map(Ipa + TwoMegabytes, Pa, 2).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        ListSink<Arm<Granule4K>> sink = new() { Unlinked = [] };
        rig.Table.ReplaceTableByBlock(ref rig.Machine, new Ipa(Ipa), new Pa(Pa + TwoMegabytes), 2,
            LeafAttributes.GuestMemory, UnmapFlags.ElideCacheMaintenance, ref sink).ShouldBe(Stage2Result.Done);
        rig.World.Log.Select(e => e.Operation).ShouldBe(
        [
            MachineOperation.WriteEntry,
            .. Rig<Arm<Granule4K>>.InvalidationOfVmid().Select(e => e.Operation),
            MachineOperation.ReturnTable,
            MachineOperation.WriteEntry,
            MachineOperation.DsbInnerShareableStores,
        ]);
        sink.Unlinked.Count.ShouldBe(512);
        rig.Translate(Ipa).Output.Value.ShouldBe(Pa + TwoMegabytes);
        rig.Audit().Count.ShouldBe(2);
    }

    [Theory]
    [InlineData(UnmapFlags.None, 512)]
    [InlineData(UnmapFlags.ElideCacheMaintenance, 0)]
    public void The_series_retry_unmaps_page_by_page_and_patch_6_elides_only_the_cleaning(UnmapFlags flags, int cleaned)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(Ipa, Pa, TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        NoSink sink = default;
        rig.Table.ReplaceTableByBlockEager(ref rig.Machine, new Ipa(Ipa), new Pa(Pa), 2, LeafAttributes.GuestMemory,
            flags, ref sink).ShouldBe(Stage2Result.Done);
        rig.World.Count(MachineOperation.CleanInvalidateToPoC).ShouldBe(cleaned);
        // 512 pages, the emptied table, and the one above it.
        rig.World.Count(MachineOperation.InvalidateIpa).ShouldBe(514);
        rig.Audit().ShouldBe([new Leaf(Ipa, Pa, 2, LeafAttributes.GuestMemory.Bits)]);
    }

    [Fact]
    public void Replacing_a_page_breaks_invalidates_cleans_the_old_and_makes_the_new()
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out ulong entry, out _);
        rig.Table.Replace(ref rig.Machine, new Ipa(Ipa), new Pa(Pa + 0x9000), LeafAttributes.GuestMemory,
            UnmapFlags.None, out Pa previous).ShouldBe(Stage2Result.Done);
        previous.Value.ShouldBe(Pa);
        rig.World.Log.ShouldBe(
        [
            new(MachineOperation.WriteEntry, entry, 0),
            .. Rig<Arm<Granule4K>>.InvalidationByIpa(Ipa),
            new(MachineOperation.CleanInvalidateToPoC, Pa, 0x1000),
            new(MachineOperation.DsbFullSystem),
            new(MachineOperation.WriteEntry, entry, rig.World.Peek(entry)),
            StoresSeen,
        ]);
        rig.Translate(Ipa).Output.Value.ShouldBe(Pa + 0x9000);
    }

    [Fact]
    public void Write_protection_of_a_table_is_in_place_and_owes_its_range()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(Ipa, Pa, TwoMegabytes, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        RangeCursor cursor = new(new Ipa(Ipa), TwoMegabytes);
        rig.Table.WriteProtect(ref rig.Machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt)
            .ShouldBe(Stage2Result.Done);
        rig.World.Log.ShouldAllBe(e => e.Operation == MachineOperation.WriteEntry);
        rig.World.Log.Count.ShouldBe(512);
        (debt.Start.Value, debt.End.Value, debt.LevelHint).ShouldBe((Ipa, Ipa + TwoMegabytes, 3));
        rig.Table.Settle(ref rig.Machine, ref debt);

        rig.World.Log.Clear();
        cursor = new RangeCursor(new Ipa(Ipa), TwoMegabytes);
        rig.Table.WriteProtect(ref rig.Machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt again)
            .ShouldBe(Stage2Result.Done);
        again.OwesInvalidation.ShouldBeFalse();
        rig.World.Log.ShouldBeEmpty();
    }

    [Fact]
    public void An_update_by_hardware_between_read_and_write_is_not_lost()
    {
        Rig<Arm<Granule4K>> rig = TwoPages(out ulong entry, out _);
        RangeCursor cursor = new(new Ipa(Ipa), 0x1000);
        rig.Table.Age(ref rig.Machine, ref cursor, out MaintenanceDebt aged).ShouldBe(Stage2Result.Done);
        aged.OwesInvalidation.ShouldBeTrue();
        aged.Waive(DebtWaiver.AgeMayLag);

        bool raced = false;
        rig.World.BeforeCompareExchange = address =>
        {
            if (!raced)
            {
                raced = true;
                rig.World.WriteByHardware(address, Arm<Granule4K>.WithAccessed(rig.World.Peek(address), true));
            }
        };
        cursor = new RangeCursor(new Ipa(Ipa), 0x1000);
        rig.Table.WriteProtect(ref rig.Machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt)
            .ShouldBe(Stage2Result.Done);
        rig.Table.Settle(ref rig.Machine, ref debt);
        raced.ShouldBeTrue();
        Arm<Granule4K>.Attributes(rig.World.Peek(entry), false).Bits.ShouldBe(LeafAttributes.ReadOnlyGuestMemory.Bits);
    }

    [Fact]
    public void Level_hints_are_given_only_where_the_machine_has_them()
    {
        foreach (bool hasHint in new[] { false, true })
        {
            Rig<Arm<Granule4K>> rig = new(40, world => world.HasLevelHint = hasHint);
            rig.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
            rig.Map(Next, Pa).ShouldBe(Stage2Result.Done);
            rig.Map(Ipa + TwoMegabytes, Pa).ShouldBe(Stage2Result.Done);
            rig.World.Log.Clear();
            rig.Unmap(Ipa, 0x1000, UnmapFlags.ElideCacheMaintenance).ShouldBe(Stage2Result.Done);
            rig.World.Log.Where(e => e.Operation == MachineOperation.InvalidateIpa)
                .ShouldBe([new MachineEvent(MachineOperation.InvalidateIpa, Ipa, hasHint ? 3u : 0u)]);

            // The last page takes its table along: walk caches must go too, and a hint would spare them.
            rig.World.Log.Clear();
            rig.Unmap(Next, 0x1000, UnmapFlags.ElideCacheMaintenance).ShouldBe(Stage2Result.Done);
            rig.World.Count(MachineOperation.ReturnTable).ShouldBe(1);
            rig.World.Log.Where(e => e.Operation == MachineOperation.InvalidateIpa)
                .ShouldBe([new MachineEvent(MachineOperation.InvalidateIpa, Next)]);
        }
    }

    /// <summary>Two pages in one table, so that unmapping one leaves the table.</summary>
    private static Rig<Arm<Granule4K>> TwoPages(out ulong entry, out ulong parent)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(Ipa, Pa).ShouldBe(Stage2Result.Done);
        entry = rig.World.Log.First(e => e.Operation == MachineOperation.WriteEntry).Address;
        parent = rig.World.Log.Where(e => e.Operation == MachineOperation.WriteEntry).ElementAt(1).Address;
        rig.Map(Next, Pa + 0x1000).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        return rig;
    }
}

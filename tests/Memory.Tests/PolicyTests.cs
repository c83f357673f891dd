using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Exactly what each policy issues, counted where it is issued.</summary>
public class PolicyTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;

    public static TheoryData<MaintenancePolicy> Policies => [.. Enum.GetValues<MaintenancePolicy>()];

    [Theory]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    [InlineData(MaintenancePolicy.Patch6)]
    [InlineData(MaintenancePolicy.Patch7)]
    public void Death_leaf_by_leaf_costs_64_lines_and_one_ipa_tlbi_with_vmalle1_for_each_page(MaintenancePolicy policy)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(policy, 8);
        ReleaseReport report = Measure(vm, out Counts counts);
        int pages = 2048;
        report.MappedPages.ShouldBe((ulong)pages);
        report.MappedBlocks.ShouldBe(0UL);
        report.LeakedFrames.ShouldBe(0UL);
        report.VmidIsInvalidated.ShouldBeFalse();
        counts.DcLines.ShouldBe(64 * pages);
        counts.DsbSystem.ShouldBe(pages);

        // Besides one for each page: one for each of the four level 3 tables and the level 2 table that emptied.
        const int tables = 5;
        counts.TlbiIpa.ShouldBe(pages + tables);
        counts.TlbiCombined.ShouldBe(pages + tables);
        counts.DsbInnerShareable.ShouldBe(2 * (pages + tables));
        counts.TlbiVmid.ShouldBe(0);
        counts.TlbiRange.ShouldBe(0);
        AllIsBack(vm);
    }

    [Theory]
    [InlineData(MaintenancePolicy.Patch5)]
    [InlineData(MaintenancePolicy.Series)]
    public void Death_as_posted_cleans_nothing_and_invalidates_the_vmid_once(MaintenancePolicy policy)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(policy, 8);
        ReleaseReport report = Measure(vm, out Counts counts);
        report.MappedPages.ShouldBe(2048UL);
        report.LeakedFrames.ShouldBe(0UL);
        report.VmidIsInvalidated.ShouldBeTrue();
        counts.DcLines.ShouldBe(0);
        counts.TlbiIpa.ShouldBe(0);
        counts.TlbiCombined.ShouldBe(0);
        counts.TlbiVmid.ShouldBe(1);
        counts.DsbInnerShareable.ShouldBe(1);
        counts.EntryWrites.ShouldBeGreaterThanOrEqualTo(2048);
        AllIsBack(vm);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(64)]
    public void Death_by_fate_invalidates_the_vmid_once_and_looks_at_no_entry_however_big_the_vm(int megabytes)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.Fate, (ulong)megabytes);
        ReleaseReport report = Measure(vm, out Counts counts);
        report.MappedPages.ShouldBe((ulong)megabytes * 256);
        report.VmidIsInvalidated.ShouldBeTrue();
        counts.DcLines.ShouldBe(0);
        counts.TlbiIpa.ShouldBe(0);
        counts.TlbiVmid.ShouldBe(1);
        counts.DsbInnerShareable.ShouldBe(1);
        counts.EntryReads.ShouldBe(0);
        counts.EntryWrites.ShouldBe(0);
        AllIsBack(vm);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(64)]
    public void Death_by_tables_reads_the_entries_that_lead_to_tables_and_no_leaf(int megabytes)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.TablesOnly, (ulong)megabytes);
        ulong tables = vm.Memory.TablePages;
        var used = new List<ulong>();
        vm.World.OnDsb = () => used.Add(vm.UsedFrames);
        ulong before = vm.UsedFrames;
        ReleaseReport report = Measure(vm, out Counts counts);
        used.ShouldBe([before]);
        report.MappedPages.ShouldBe((ulong)megabytes * 256);
        report.VmidIsInvalidated.ShouldBeTrue();
        counts.DcLines.ShouldBe(0);
        counts.TlbiIpa.ShouldBe(0);
        counts.TlbiVmid.ShouldBe(1);
        counts.DsbInnerShareable.ShouldBe(1);
        counts.EntryWrites.ShouldBe(0);

        // The level 3 tables, of which there is one for each 2 MB, are freed unread.
        ((ulong)counts.EntryReads).ShouldBeInRange(tables - 1, (tables - ((ulong)megabytes / 2)) * 512);
        AllIsBack(vm);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void Death_with_blocks_counts_blocks_and_brings_all_memory_back(MaintenancePolicy policy)
    {
        var world = new World(40);
        PoolUsage before = world.Pool.Usage;
        var vm = new Vm<Arm<Granule4K>>(world, policy);
        vm.AddRam(32 * Mb, PageSizing.Auto);
        for (ulong at = 0; at < 32 * Mb; at += 2 * Mb)
        {
            vm.Fault(Base + at + 0x3000).ShouldBe(FaultResult.Mapped);
        }

        vm.Memory.MappedBlocks.ShouldBe(16UL);
        ReleaseReport report = Measure(vm, out Counts counts);
        report.MappedBlocks.ShouldBe(16UL);
        report.MappedPages.ShouldBe(0UL);
        report.LeakedFrames.ShouldBe(0UL);
        bool leafByLeaf = PolicyRules.ReleaseStyleOf(policy) == ReleaseStyle.LeafByLeaf;
        counts.DcLines.ShouldBe(leafByLeaf ? 16L * 32768 : 0);
        counts.TlbiVmid.ShouldBe(leafByLeaf ? 0 : 1);
        AllIsBack(vm);
        world.Pool.Usage.DirtyChunks.ShouldBe(before.TotalChunks);
    }

    [Fact]
    public void Forced_write_back_leaves_no_cache_maintenance_to_anyone()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            var world = new World(8) { HasForcedWriteBack = true };
            var vm = new Vm<Arm<Granule4K>>(world, policy);
            vm.AddRam(4 * Mb);
            vm.Dirty(Base, 4 * Mb);
            vm.Unmap(Base, 2 * Mb, fate: PageFate.Unknown).ShouldBe(MemoryResult.Ok);
            vm.Release();
            world.Counts.DcLines.ShouldBe(0);
        }
    }

    [Theory]
    [InlineData(MaintenancePolicy.BeforeSeries, 64)]
    [InlineData(MaintenancePolicy.Patch5, 64)]
    [InlineData(MaintenancePolicy.Patch6, 64)]
    [InlineData(MaintenancePolicy.Patch7, 0)]
    [InlineData(MaintenancePolicy.Series, 0)]
    public void Unmapping_alive_is_eager_and_only_patch_7_spares_the_lines(MaintenancePolicy policy, int linesPerPage)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(policy, 4);
        vm.World.Counts = new Counts();
        vm.Unmap(Base, 4 * Mb).ShouldBe(MemoryResult.Ok);
        Counts counts = vm.World.Counts;
        counts.DcLines.ShouldBe(1024L * linesPerPage);
        counts.TlbiIpa.ShouldBe(1024 + 3);
        counts.TlbiCombined.ShouldBe(1024 + 3);
        counts.TlbiVmid.ShouldBe(0);
        vm.Memory.MappedPages.ShouldBe(0UL);
        vm.UsedFrames.ShouldBe(vm.Memory.TablePages);
    }

    [Fact]
    public void Other_events_than_unmap_are_maintained_under_patch_7()
    {
        foreach (MaintenancePolicy policy in new[] { MaintenancePolicy.Patch7, MaintenancePolicy.Series })
        {
            Vm<Arm<Granule4K>> vm = Dirty4K(policy, 2);
            vm.World.Counts = new Counts();
            vm.Unmap(Base, 2 * Mb, NotifierEvent.Clear).ShouldBe(MemoryResult.Ok);
            vm.World.Counts.DcLines.ShouldBe(512 * 64);
        }
    }

    [Theory]
    [InlineData(false, PageFate.AnonymousLastMappingFreed, 0, 0, 0, 1)]
    [InlineData(true, PageFate.AnonymousLastMappingFreed, 2, 1, 0, 0)]
    [InlineData(false, PageFate.Unknown, 64 * 1024, 0, 0, 1)]
    public void Unmapping_by_fate_settles_once_for_all_tables_of_a_table(
        bool rangeTlbi, PageFate fate, int linesOrRanges, int ranges, int ipas, int vmids)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.Fate, 4, slotMegabytes: 8);
        vm.Fault(Base + (6 * Mb)).ShouldBe(FaultResult.Mapped);
        vm.World.HasRangeInvalidation = rangeTlbi;
        vm.World.Counts = new Counts();
        vm.Unmap(Base, 4 * Mb, fate: fate).ShouldBe(MemoryResult.Ok);
        Counts counts = vm.World.Counts;
        counts.DcLines.ShouldBe(fate == PageFate.Unknown ? linesOrRanges : 0);
        counts.TlbiRange.ShouldBe(ranges);
        if (fate != PageFate.Unknown)
        {
            counts.TlbiIpa.ShouldBe(ipas);
            counts.TlbiVmid.ShouldBe(vmids);
        }

        (counts.TlbiRange + counts.TlbiVmid + counts.TlbiIpa).ShouldBeLessThanOrEqualTo(4);
        vm.Memory.MappedPages.ShouldBe(1UL);
    }

    [Fact]
    public void By_fate_no_frame_is_free_before_its_invalidation_is_complete()
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.Fate, 4);
        var used = new List<ulong>();
        vm.World.OnDsb = () => used.Add(vm.UsedFrames);
        ulong before = vm.UsedFrames;
        vm.Unmap(Base, 4 * Mb).ShouldBe(MemoryResult.Ok);
        used.ShouldNotBeEmpty();
        used.ShouldAllBe(frames => frames == before);
        vm.UsedFrames.ShouldBeLessThan(before - 1024);
    }

    [Fact]
    public void Eager_unmapping_frees_each_frame_after_its_own_invalidation()
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.BeforeSeries, 2);
        ulong before = vm.UsedFrames;
        ulong completed = 0;
        vm.World.OnDsb = () =>
        {
            // Two completions for each page; a page is free only after both.
            vm.UsedFrames.ShouldBeGreaterThanOrEqualTo(before - (completed / 2));
            completed++;
        };
        vm.Unmap(Base, 2 * Mb).ShouldBe(MemoryResult.Ok);
        completed.ShouldBeGreaterThanOrEqualTo(2UL * 512);
    }

    [Fact]
    public void The_sequence_of_one_eager_page_is_linux_5_5s()
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.BeforeSeries, 2);
        ulong page = vm.Translate(Base + 0x5000).Output.Value;
        vm.World.Log = [];
        vm.Unmap(Base + 0x5000, 4096).ShouldBe(MemoryResult.Ok);
        vm.World.Log.ShouldBe(
        [
            "dsb ishst", "dsb ishst", $"tlbi ipa {Base + 0x5000:x}", "dsb ish", "tlbi combined", "dsb ish", "isb",
            $"dc civac {page:x}+1000", "dsb sy",
        ]);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void Removing_a_slot_gives_its_frames_back_and_keeps_the_others(MaintenancePolicy policy)
    {
        var world = new World(16);
        var vm = new Vm<Arm<Granule4K>>(world, policy);
        int first = vm.AddRam(4 * Mb);
        vm.AddRam(2 * Mb, PageSizing.Auto, Base + (16 * Mb));
        vm.Dirty(Base, 4 * Mb);
        vm.Dirty(Base + (16 * Mb), 2 * Mb);
        world.Counts = new Counts();
        vm.Memory.RemoveSlot(ref vm.Machine, first).ShouldBe(MemoryResult.Ok);
        world.Counts.DcLines.ShouldBe(PolicyRules.DecidesByFate(policy) ? 0 : 1024 * 64);
        vm.Memory.MappedPages.ShouldBe(0UL);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.UsedFrames.ShouldBe(512 + vm.Memory.TablePages);
        vm.Fault(Base).ShouldBe(FaultResult.NoSlot);
        vm.Memory.RemoveSlot(ref vm.Machine, first).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Memory.RemoveSlot(ref vm.Machine, -1).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Memory.RemoveSlot(ref vm.Machine, 32).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Release().LeakedFrames.ShouldBe(0UL);
    }

    [Theory]
    [InlineData(MaintenancePolicy.BeforeSeries, 512 * 64)]
    [InlineData(MaintenancePolicy.Patch5, 512 * 64)]
    [InlineData(MaintenancePolicy.Patch7, 512 * 64)]
    [InlineData(MaintenancePolicy.Patch6, 0)]
    [InlineData(MaintenancePolicy.Series, 0)]
    [InlineData(MaintenancePolicy.TablesOnly, 0)]
    [InlineData(MaintenancePolicy.Fate, 0)]
    public void A_block_that_logging_split_comes_back_and_patch_6_spares_its_lines(
        MaintenancePolicy policy, int lines)
    {
        var world = new World(8);
        var vm = new Vm<Arm<Granule4K>>(world, policy);
        int slot = vm.AddRam(4 * Mb, PageSizing.Auto);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Write(Base + 0x1000, 42);
        var log = new Pinned<ulong>(64);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, log.Array).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe(512UL);
        vm.Memory.StopDirtyLog(slot).ShouldBe(MemoryResult.Ok);

        world.Counts = new Counts();
        vm.Fault(Base + 0x2000).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe(0UL);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        world.Counts.DcLines.ShouldBe(lines);
        if (PolicyRules.DecidesByFate(policy))
        {
            (world.Counts.TlbiIpa + world.Counts.TlbiVmid).ShouldBe(1);
        }
        else
        {
            world.Counts.TlbiIpa.ShouldBeGreaterThanOrEqualTo(512);
        }

        vm.Read(Base + 0x1000).ShouldBe(42UL);
        vm.Translate(Base + 0x5000).Attributes.Write.ShouldBeTrue();
        vm.Release().LeakedFrames.ShouldBe(0UL);
        AllIsBack(vm);
    }

    [Fact]
    public void A_hosts_pages_that_are_read_later_are_maintained_at_death_and_pool_pages_are_not()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            var world = new World(8);
            var vm = new Vm<Arm<Granule4K>>(world, policy);
            vm.AddRam(2 * Mb);
            vm.AddHost(64 * 1024, 0x1000_0000, PageFate.FileBacked);
            vm.AddHost(64 * 1024, 0x2000_0000, PageFate.AnonymousLastMappingFreed);
            vm.AddHost(64 * 1024, 0x3000_0000, PageFate.FileBacked, MemoryType.Device);
            vm.Dirty(Base, 2 * Mb);
            for (ulong at = 0; at < 0x5000; at += 4096)
            {
                vm.HostFault(0x1000_0000 + at, 0x9_0000_0000 + at).ShouldBe(FaultResult.Mapped);
                vm.HostFault(0x2000_0000 + at, 0x9_1000_0000 + at).ShouldBe(FaultResult.Mapped);
                vm.HostFault(0x3000_0000 + at, 0x0900_0000 + at).ShouldBe(FaultResult.Mapped);
            }

            world.Counts = new Counts();
            ReleaseReport report = vm.Release();
            report.Result.ShouldBe(MemoryResult.Ok);
            report.LeakedFrames.ShouldBe(0UL);
            report.MappedPages.ShouldBe(512UL + 15);
            world.Counts.DcLines.ShouldBe(PolicyRules.ReleaseStyleOf(policy) switch
            {
                ReleaseStyle.LeafByLeaf => 64 * (512 + 10),
                ReleaseStyle.WalkThenInvalidateVmid => 0,
                _ => 64 * 5,
            });
            AllIsBack(vm);
        }
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void Fifty_lives_in_a_row_cost_the_same_and_lose_nothing(MaintenancePolicy policy)
    {
        var world = new World(8);
        string? first = null;
        for (int life = 0; life < 50; life++)
        {
            var vm = new Vm<Arm<Granule4K>>(world, policy);
            vm.AddRam(4 * Mb, life % 2 == 0 ? PageSizing.Pages : PageSizing.Auto);
            vm.Dirty(Base, 4 * Mb);
            Measure(vm, out Counts counts);
            AllIsBack(vm);
            if (life % 2 == 0)
            {
                string cost = $"{counts.DcLines} {counts.TlbiIpa} {counts.TlbiVmid} {counts.EntryReads}"
                    + $" {counts.EntryWrites} {counts.DsbInnerShareable} {counts.DsbStores} {counts.DsbSystem}";
                first ??= cost;
                cost.ShouldBe(first);
            }
        }
    }

    [Fact]
    public void A_released_memory_answers_nothing_more_and_can_be_made_again()
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.Fate, 2);
        vm.Release().Result.ShouldBe(MemoryResult.Ok);
        vm.Release().Result.ShouldBe(MemoryResult.NoMemory);
        vm.Fault(Base).ShouldBe(FaultResult.NoMemory);
        vm.Unmap(Base, 4096).ShouldBe(MemoryResult.NoMemory);
        vm.Memory.AddSlot(new Ipa(0), 4096, SlotOptions.Ram(PageSizing.Pages), out _).ShouldBe(MemoryResult.NoMemory);
        vm.Memory.RemoveSlot(ref vm.Machine, 0).ShouldBe(MemoryResult.NoMemory);
        vm.Memory.Age(ref vm.Machine, new Ipa(Base), 4096, out _).ShouldBe(MemoryResult.NoMemory);
        vm.Translate(Base).IsMapped.ShouldBeFalse();
        Dirty4K(MaintenancePolicy.Series, 2, vm.World).Memory.MappedPages.ShouldBe(512UL);
    }

    [Fact]
    public void Policies_can_change_during_a_life_and_unknown_ones_are_refused()
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(MaintenancePolicy.BeforeSeries, 2);
        vm.Memory.Policy = (MaintenancePolicy)77;
        vm.Memory.Policy.ShouldBe(MaintenancePolicy.BeforeSeries);
        vm.Memory.Policy = MaintenancePolicy.Fate;
        vm.World.Counts = new Counts();
        vm.Release();
        vm.World.Counts.DcLines.ShouldBe(0);
        new Vm<Arm<Granule4K>>(vm.World, (MaintenancePolicy)7).Created.ShouldBe(MemoryResult.BadArgument);
    }

    private static Vm<Arm<Granule4K>> Dirty4K(
        MaintenancePolicy policy, ulong megabytes, World? world = null, ulong slotMegabytes = 0)
    {
        var vm = new Vm<Arm<Granule4K>>(world ?? new World((int)(megabytes / 2) + 4), policy);
        vm.Created.ShouldBe(MemoryResult.Ok);
        vm.AddRam((slotMegabytes == 0 ? megabytes : slotMegabytes) * Mb);
        vm.Dirty(Base, megabytes * Mb);
        vm.Memory.MappedPages.ShouldBe(megabytes * 256);
        return vm;
    }

    /// <summary>
    /// The one way in which a release can fail: there is nothing to release. It must claim no invalidation, so that the
    /// VMID is left alone until the next rollover (VmLife.End), and give no chunk back that is another VM's by now.
    /// </summary>
    [Theory]
    [MemberData(nameof(Policies))]
    public void What_is_released_already_is_an_error_that_issues_nothing_and_takes_nothing(MaintenancePolicy policy)
    {
        Vm<Arm<Granule4K>> vm = Dirty4K(policy, 8);
        Measure(vm, out _);
        PoolUsage before = vm.World.Pool.Usage;
        Counts issued = vm.World.Counts = new Counts();
        ReleaseReport again = vm.Release();
        again.Result.ShouldBe(MemoryResult.NoMemory);
        again.VmidIsInvalidated.ShouldBeFalse();
        again.LeakedFrames.ShouldBe(0UL);
        (issued.TlbiIpa + issued.TlbiRange + issued.TlbiCombined + issued.TlbiVmid + issued.TlbiAll).ShouldBe(0);
        (issued.DcLines + issued.EntryReads + issued.EntryWrites).ShouldBe(0);
        vm.World.Pool.Usage.ShouldBe(before);
    }

    private static ReleaseReport Measure(Vm<Arm<Granule4K>> vm, out Counts counts)
    {
        vm.World.Counts = new Counts();
        ReleaseReport report = vm.Release();
        counts = vm.World.Counts;
        report.Result.ShouldBe(MemoryResult.Ok);
        return report;
    }

    private static void AllIsBack(Vm<Arm<Granule4K>> vm)
    {
        PoolUsage usage = vm.World.Pool.Usage;
        usage.OwnedChunks.ShouldBe(0);
        (usage.CleanChunks + usage.DirtyChunks).ShouldBe(usage.TotalChunks);
        vm.World.Pool.RefusedFrees.ShouldBe(0UL);
        vm.Frames.ChunkCount.ShouldBe(0);
    }
}

using System;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Stage-2 faults: what they map, and what they refuse.</summary>
public class FaultTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;
    private const ulong HostBase = 0x1000_0000;
    private const ulong HostPage = 0x9_0000_0000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_first_touch_maps_one_zeroed_page_and_cleans_it_to_the_poc_before_it_is_visible(bool startsZero)
    {
        var world = new World(4, startsZero);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(4 * Mb);
        world.Counts = new Counts();
        world.Log = [];
        vm.Fault(Base + 0x1234).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe(1UL);
        Translation page = vm.Translate(Base + 0x1234);
        (page.Output.Value & 0xFFF).ShouldBe(0x234UL);
        page.Attributes.Read.ShouldBeTrue();
        page.Attributes.Write.ShouldBeTrue();
        page.Attributes.ExecuteNever.ShouldBeTrue();
        for (ulong word = 0; word < 4096; word += 8)
        {
            vm.Read(Base + 0x1000 + word).ShouldBe(0UL);
        }

        world.Counts.DcLines.ShouldBe(startsZero ? 0 : 64, "what is clean is at the PoC already");
        if (!startsZero)
        {
            world.Log[0].ShouldStartWith("dc civac");
            world.Log[1].ShouldBe("dsb sy");
        }

        world.Counts.TlbiIpa.ShouldBe(0);
        world.Counts.ZeroedBytes.ShouldBe(startsZero ? 0 : 3 * 4096, "the page, and two tables");
    }

    [Fact]
    public void The_level_in_the_syndrome_spares_a_walk_and_maps_the_same()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), MaintenancePolicy.Fate);
        vm.AddRam(8 * Mb, PageSizing.Auto);
        vm.AddRam(2 * Mb, PageSizing.Pages, Base + (8 * Mb));
        vm.Fault(Base + (8 * Mb)).ShouldBe(FaultResult.Mapped);
        vm.World.Counts = new Counts();
        vm.Fault(Base + (8 * Mb) + 0x1000).ShouldBe(FaultResult.Mapped);
        long reads = vm.World.Counts.EntryReads;
        vm.World.Counts = new Counts();
        vm.Fault(Base + (8 * Mb) + 0x2000, AccessKind.Write, 3).ShouldBe(FaultResult.Mapped);
        vm.World.Counts.EntryReads.ShouldBeLessThan(reads);
        vm.Memory.MappedPages.ShouldBe(3UL);
        vm.Fault(Base, AccessKind.Write, 2).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Fault(Base + (2 * Mb), AccessKind.Write, 3).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe(4UL, "a table was there, says the syndrome");
    }

    [Theory]
    [InlineData(PageSizing.Pages, 3)]
    [InlineData(PageSizing.Pages, 0)]
    [InlineData(PageSizing.Auto, 3)]
    [InlineData(PageSizing.Auto, 2)]
    public void A_level_that_is_out_of_date_changes_nothing_and_the_guest_tries_again(PageSizing sizing, int level)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), MaintenancePolicy.Fate);
        vm.AddRam(8 * Mb, sizing);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Write(Base, 77);
        ulong used = vm.UsedFrames;
        vm.Fault(Base, AccessKind.Write, level).ShouldBe(FaultResult.Retry);
        vm.Read(Base).ShouldBe(77UL);
        vm.UsedFrames.ShouldBe(used);
        vm.Fault(0x100, AccessKind.Write, level).ShouldBe(FaultResult.NoSlot);
        vm.World.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void Old_contents_never_reach_the_next_vm()
    {
        var world = new World(4);
        for (int life = 0; life < 6; life++)
        {
            var vm = new Vm<Arm<Granule4K>>(world, (MaintenancePolicy)life);
            vm.AddRam(4 * Mb, life % 2 == 0 ? PageSizing.Pages : PageSizing.Auto);
            for (ulong at = 0; at < 4 * Mb; at += 4096)
            {
                if (!vm.Translate(Base + at).IsMapped)
                {
                    vm.Fault(Base + at).ShouldBe(FaultResult.Mapped);
                }

                vm.Read(Base + at + 8).ShouldBe(0UL);
                vm.Write(Base + at + 8, 0xBAD);
            }

            vm.Release();
        }
    }

    [Fact]
    public void Addresses_outside_every_slot_and_writes_to_read_only_slots_are_the_callers()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb);
        var flash = new SlotOptions(
            SlotBacking.Pool, PageSizing.Pages, MemoryType.NormalWriteBack, true, PageFate.AnonymousLastMappingFreed);
        vm.Memory.AddSlot(new Ipa(0), Mb, flash, out _).ShouldBe(MemoryResult.Ok);
        foreach (ulong ipa in new[] { Base - 1, Base + (2 * Mb), 1UL << 36, ulong.MaxValue, Mb })
        {
            vm.Fault(ipa).ShouldBe(FaultResult.NoSlot);
            vm.Fault(ipa, AccessKind.Execute).ShouldBe(FaultResult.NoSlot);
        }

        vm.Fault(0x1000).ShouldBe(FaultResult.ReadOnly);
        vm.Fault(0x1000, AccessKind.Read).ShouldBe(FaultResult.Mapped);
        vm.Translate(0x1000).Attributes.Write.ShouldBeFalse();
        vm.Fault(0x1000).ShouldBe(FaultResult.ReadOnly);
        vm.Memory.MappedPages.ShouldBe(1UL);
    }

    [Fact]
    public void A_fault_on_a_mapped_page_changes_nothing()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Write(Base, 7);
        ulong used = vm.UsedFrames;
        vm.World.Counts = new Counts();
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Fault(Base, AccessKind.Read).ShouldBe(FaultResult.Mapped);
        vm.UsedFrames.ShouldBe(used);
        vm.World.Counts.EntryWrites.ShouldBe(0);
        vm.World.Counts.DcLines.ShouldBe(0);
        vm.Read(Base).ShouldBe(7UL);
    }

    [Theory]
    [InlineData(PageSizing.Pages, 1, 0)]
    [InlineData(PageSizing.Blocks, 0, 1)]
    [InlineData(PageSizing.Auto, 0, 1)]
    public void Sizing_decides_between_pages_and_blocks(PageSizing sizing, int pages, int blocks)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddRam(4 * Mb, sizing);
        vm.Fault(Base + (3 * Mb) + 0x5000).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe((ulong)pages);
        vm.Memory.MappedBlocks.ShouldBe((ulong)blocks);
        vm.Translate(Base + (3 * Mb) + 0x5000).IsMapped.ShouldBeTrue();
        vm.Translate(Base).IsMapped.ShouldBeFalse();
    }

    [Fact]
    public void Blocks_are_mapped_only_where_the_slot_holds_them_whole_and_no_page_is_there_yet()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(6), MaintenancePolicy.Fate);
        vm.AddRam(5 * Mb, PageSizing.Blocks, Base + Mb);
        vm.Fault(Base + Mb).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        vm.Fault(Base + (2 * Mb)).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Fault(Base + (5 * Mb)).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(2UL);
        vm.Unmap(Base + (2 * Mb), 4096).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + (2 * Mb)).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Memory.MappedPages.ShouldBe(1UL + 512);
    }

    [Theory]
    [InlineData(PageSizing.Auto, FaultResult.Mapped)]
    [InlineData(PageSizing.Blocks, FaultResult.OutOfMemory)]
    public void Without_a_whole_chunk_auto_falls_back_to_pages(PageSizing sizing, FaultResult expected)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        vm.AddRam(4 * Mb, sizing);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Fault(Base + (2 * Mb)).ShouldBe(expected);
        vm.Memory.MappedPages.ShouldBe(expected == FaultResult.Mapped ? 1UL : 0);
    }

    [Fact]
    public void Running_out_of_memory_is_an_answer_that_leaves_everything_as_it_was()
    {
        var world = new World(1);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(4 * Mb);
        ulong mapped = 0;
        FaultResult result;
        while ((result = vm.Fault(Base + (mapped * 4096))) == FaultResult.Mapped)
        {
            mapped++;
        }

        result.ShouldBe(FaultResult.OutOfMemory);
        vm.Memory.MappedPages.ShouldBe(mapped);
        vm.UsedFrames.ShouldBe(512UL);
        (mapped + vm.Memory.TablePages).ShouldBe(512UL);
        vm.Fault(Base + (mapped * 4096)).ShouldBe(FaultResult.OutOfMemory);

        // A page whose table cannot be had gives its frame back.
        vm.Unmap(Base, 4096).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + (3 * Mb)).ShouldBe(FaultResult.OutOfMemory);
        vm.UsedFrames.ShouldBe(511UL);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Release().LeakedFrames.ShouldBe(0UL);
    }

    [Fact]
    public void A_memory_that_cannot_be_built_holds_nothing()
    {
        var world = new World(1);
        VmFrames hog = FramePoolTests.Adopt(world, 12);
        world.Pool.AllocateWhole(ref hog, out _, out _).ShouldBe(PoolResult.Ok);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.Created.ShouldBe(MemoryResult.OutOfMemory);
        vm.Memory.Exists.ShouldBeFalse();
        vm.Fault(Base).ShouldBe(FaultResult.NoMemory);
    }

    [Theory]
    [InlineData(false, 4096)]
    [InlineData(true, 0)]
    public void Execution_is_permitted_at_the_first_fetch_with_instruction_cache_maintenance_unless_dic(
        bool dic, int icBytes)
    {
        var world = new World(4) { HasInstructionCacheCoherency = dic };
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        world.Counts.IcBytes.ShouldBe(0);
        vm.Translate(Base).Attributes.ExecuteNever.ShouldBe(!dic);
        vm.Fault(Base, AccessKind.Execute).ShouldBe(FaultResult.Mapped);
        world.Counts.IcBytes.ShouldBe(icBytes);
        vm.Translate(Base).Attributes.ExecuteNever.ShouldBeFalse();
        vm.Translate(Base).Attributes.Write.ShouldBeTrue();

        vm.Fault(Base + 0x1000, AccessKind.Execute).ShouldBe(FaultResult.Mapped);
        vm.Translate(Base + 0x1000).Attributes.ExecuteNever.ShouldBeFalse();
        world.Counts.IcBytes.ShouldBe(2 * icBytes);
    }

    [Fact]
    public void The_access_flag_is_set_again_after_aging_without_any_maintenance()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.BeforeSeries);
        vm.AddRam(2 * Mb);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.World.Counts = new Counts();
        vm.Memory.Age(ref vm.Machine, new Ipa(Base), 2 * Mb, out bool young).ShouldBe(MemoryResult.Ok);
        young.ShouldBeTrue();
        vm.Memory.IsYoung(ref vm.Machine, new Ipa(Base), 2 * Mb, out young).ShouldBe(MemoryResult.Ok);
        young.ShouldBeFalse();
        vm.Memory.Age(ref vm.Machine, new Ipa(Base), 2 * Mb, out young);
        young.ShouldBeFalse();
        vm.Fault(Base + 0x800, AccessKind.Read).ShouldBe(FaultResult.Mapped);
        vm.Translate(Base).Attributes.Accessed.ShouldBeTrue();
        vm.Memory.IsYoung(ref vm.Machine, new Ipa(Base), 2 * Mb, out young);
        young.ShouldBeTrue();
        vm.World.Counts.TlbiIpa.ShouldBe(0);
        vm.World.Counts.DcLines.ShouldBe(0);
        vm.Memory.Age(ref vm.Machine, new Ipa(Base + 1), 4096, out _).ShouldBe(MemoryResult.Misaligned);
        vm.Memory.Age(ref vm.Machine, new Ipa(1UL << 36), 4096, out _).ShouldBe(MemoryResult.OutOfRange);
    }

    [Fact]
    public void A_hosts_slot_asks_for_the_page_and_maps_what_it_gets()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(4 * Mb, HostBase, PageFate.FileBacked);
        vm.Fault(HostBase).ShouldBe(FaultResult.NeedsHostPage);
        ulong used = vm.UsedFrames;
        vm.World.Counts = new Counts();
        vm.HostFault(HostBase + 0x1010, HostPage).ShouldBe(FaultResult.Mapped);
        vm.World.Counts.DcLines.ShouldBe(64);
        vm.Translate(HostBase + 0x1010).Output.Value.ShouldBe(HostPage + 0x10);
        vm.HostFault(HostBase + (2 * Mb) + 0x1010, HostPage + (2 * Mb), 2).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        (vm.UsedFrames - used).ShouldBe(vm.Memory.TablePages - 1, "tables only");
        vm.Unmap(HostBase, 4 * Mb, NotifierEvent.Migrate, PageFate.CopiedToNewFrame).ShouldBe(MemoryResult.Ok);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        vm.World.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void A_hosts_page_that_does_not_fit_is_refused()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(4 * Mb, HostBase + Mb, PageFate.FileBacked);
        vm.HostFault(HostBase + Mb, HostPage + 1).ShouldBe(FaultResult.BadPage);
        vm.HostFault(HostBase + Mb, World.RamBase).ShouldBe(FaultResult.BadPage, "it is the pool's");
        vm.HostFault(HostBase + Mb, 1UL << 40).ShouldBe(FaultResult.BadPage);
        vm.HostFault(HostBase + Mb, HostPage, 2).ShouldBe(FaultResult.BadPage, "the block juts out of the slot");
        vm.HostFault(HostBase + (2 * Mb), HostPage, 4).ShouldBe(FaultResult.BadPage);
        vm.HostFault(HostBase + (2 * Mb), HostPage, 0).ShouldBe(FaultResult.BadPage);
        vm.HostFault(HostBase + (2 * Mb), HostPage, 3, AccessKind.Write, writable: false).ShouldBe(FaultResult.BadPage);
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(HostBase + Mb), AccessKind.Read, out FaultTicket empty);
        vm.Memory.CommitFault(ref vm.Machine, ref empty).ShouldBe(FaultResult.BadPage, "nothing was supplied");
        vm.Memory.MappedPages.ShouldBe(0UL);
    }

    [Fact]
    public void Copy_on_write_brings_another_page_by_break_before_make_and_cleans_it()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(2 * Mb, HostBase, PageFate.StillMappedElsewhere);
        vm.HostFault(HostBase, HostPage, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        vm.Translate(HostBase).Attributes.Write.ShouldBeFalse();
        vm.World.Log = [];
        vm.HostFault(HostBase, HostPage + 0x8000).ShouldBe(FaultResult.Mapped);
        vm.Translate(HostBase).Output.Value.ShouldBe(HostPage + 0x8000);
        vm.Translate(HostBase).Attributes.Write.ShouldBeTrue();
        vm.World.Log.ShouldContain($"dc civac {HostPage + 0x8000:x}+1000");
        vm.World.Log.ShouldContain($"tlbi ipa {HostBase:x}");

        // The same page, writable now: no cache maintenance, since it is a permission fault.
        vm.HostFault(HostBase + 0x1000, HostPage, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        vm.World.Counts = new Counts();
        vm.HostFault(HostBase + 0x1000, HostPage).ShouldBe(FaultResult.Mapped);
        vm.World.Counts.DcLines.ShouldBe(0);
        vm.Translate(HostBase + 0x1000).Attributes.Write.ShouldBeTrue();
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    public void A_block_of_the_same_memory_is_cleaned_before_it_replaces_the_pages(MaintenancePolicy policy)
    {
        // One page of the block was mapped, and cleaned. The others' contents may be in the caches only.
        var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
        vm.AddHost(2 * Mb, HostBase, PageFate.FileBacked);
        ulong page = HostBase + 0x1000;
        vm.HostFault(page, HostPage + 0x1000, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        vm.World.Log = [];
        vm.HostFault(page, HostPage, 2).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.World.Log[0].ShouldBe($"dc civac {HostPage:x}+200000");
        vm.World.Log[1].ShouldBe("dsb sy");
        vm.World.Log.Count(entry => entry == $"dc civac {HostPage:x}+200000").ShouldBe(1);

        // The whole block was cleaned then: permission for a page of it needs nothing more.
        vm.World.Counts = new Counts();
        vm.HostFault(page, HostPage + 0x1000, 3, AccessKind.Execute).ShouldBe(FaultResult.Mapped);
        vm.World.Counts.DcLines.ShouldBe(0);
    }

    [Fact]
    public void A_replaced_host_page_keeps_its_protection()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.BeforeSeries);
        vm.AddHost(2 * Mb, HostBase, PageFate.Unknown);
        vm.AddRam(2 * Mb);
        vm.HostFault(HostBase, HostPage, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase), new Pa(HostPage + 0x4000))
            .ShouldBe(MemoryResult.Ok);
        vm.Translate(HostBase).Output.Value.ShouldBe(HostPage + 0x4000);
        vm.Translate(HostBase).Attributes.Write.ShouldBeFalse();
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase + 0x1000), new Pa(HostPage))
            .ShouldBe(MemoryResult.NotMapped);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase), new Pa(HostPage + 4))
            .ShouldBe(MemoryResult.Misaligned);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase), new Pa(World.RamBase))
            .ShouldBe(MemoryResult.OutOfRange);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(Base), new Pa(HostPage)).ShouldBe(MemoryResult.NoSuchSlot);
    }

    [Fact]
    public void A_host_that_joins_its_pages_gets_a_block_and_one_that_splits_them_gets_pages()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
            vm.AddHost(4 * Mb, HostBase, PageFate.StaysInPlace);
            for (ulong at = 0; at < 2 * Mb; at += 4096)
            {
                vm.HostFault(HostBase + at, HostPage + at, 3, AccessKind.Read, writable: false);
            }

            vm.World.Counts = new Counts();
            vm.HostFault(HostBase + 0x5000, HostPage, 2).ShouldBe(FaultResult.Mapped);
            vm.Memory.MappedBlocks.ShouldBe(1UL);
            vm.Memory.MappedPages.ShouldBe(0UL);
            vm.World.Counts.DcLines.ShouldBe(PolicyRules.ElidesAtBlockRetry(policy) ? 0 : 512 * 64);

            // Copy-on-write of one page of a read-only block: of other memory, so the block goes.
            vm.Unmap(HostBase, 2 * Mb, NotifierEvent.ProtectionPage, PageFate.StaysInPlace).ShouldBe(MemoryResult.Ok);
            vm.HostFault(HostBase, HostPage, 2, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
            vm.HostFault(HostBase + 0x3000, HostPage + (8 * Mb)).ShouldBe(FaultResult.Mapped);
            vm.Memory.MappedBlocks.ShouldBe(0UL);
            vm.Translate(HostBase + 0x3000).Output.Value.ShouldBe(HostPage + (8 * Mb));

            // And of the same memory: the block is split, the rest stays.
            vm.HostFault(HostBase + (2 * Mb), HostPage, 2, AccessKind.Read, writable: false)
                .ShouldBe(FaultResult.Mapped);
            vm.HostFault(HostBase + (2 * Mb) + 0x3000, HostPage + 0x3000).ShouldBe(FaultResult.Mapped);
            vm.Translate(HostBase + (2 * Mb) + 0x3000).Attributes.Write.ShouldBeTrue();
            vm.Translate(HostBase + (2 * Mb) + 0x4000).Output.Value.ShouldBe(HostPage + 0x4000);
            vm.Translate(HostBase + (2 * Mb) + 0x4000).Attributes.Write.ShouldBeFalse();
        }
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate, 2 * 512 * 64)]
    [InlineData(MaintenancePolicy.Series, 512 * 64)]
    public void A_host_that_copied_its_pages_into_a_block_has_the_old_ones_maintained_by_fate(
        MaintenancePolicy policy, int lines)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
        vm.AddHost(2 * Mb, HostBase, PageFate.StaysInPlace);
        for (ulong at = 0; at < 2 * Mb; at += 4096)
        {
            ulong page = at == 0x7000 ? HostPage + (64 * Mb) : HostPage + at;
            vm.HostFault(HostBase + at, page, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        }

        vm.World.Counts = new Counts();
        vm.HostFault(HostBase + 0x5000, HostPage, 2).ShouldBe(FaultResult.Mapped);
        vm.World.Counts.DcLines.ShouldBe(lines, "and the block, one page of which was never cleaned, by each policy");
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Translate(HostBase + 0x7000).Output.Value.ShouldBe(HostPage + 0x7000);
    }

    [Fact]
    public void Device_slots_are_mapped_as_devices_never_executed_and_never_cleaned()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.BeforeSeries);
        vm.AddHost(0x1_0000, HostBase, PageFate.Unknown, MemoryType.Device);
        vm.Fault(HostBase, AccessKind.Execute).ShouldBe(FaultResult.NotExecutable);
        vm.HostFault(HostBase, 0x0900_0000).ShouldBe(FaultResult.Mapped);
        vm.Translate(HostBase).Attributes.Type.ShouldBe(MemoryType.Device);
        vm.Unmap(HostBase, 0x1_0000, fate: PageFate.Unknown).ShouldBe(MemoryResult.Ok);
        vm.World.Counts.DcLines.ShouldBe(0);
        vm.World.Counts.TlbiIpa.ShouldBeGreaterThan(0);
    }

    [Fact]
    public void Other_granules_map_pages_of_their_own_size()
    {
        MapsAndDies<Arm<Granule16K>>();
        MapsAndDies<Arm<Granule64K>>();
    }

    private static void MapsAndDies<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            var world = new World(8);
            var vm = new Vm<TFormat>(world, policy, ipaBits: 40);
            vm.Created.ShouldBe(MemoryResult.Ok);
            vm.AddRam(4 * Mb, PageSizing.Auto);
            vm.Dirty(Vm<TFormat>.RamStart, 4 * Mb);
            vm.Memory.MappedPages.ShouldBe(4 * Mb / Vm<TFormat>.Granule);
            vm.Memory.MappedBlocks.ShouldBe(0UL);
            vm.Unmap(Vm<TFormat>.RamStart, 2 * Mb).ShouldBe(MemoryResult.Ok);
            vm.Memory.MappedPages.ShouldBe(2 * Mb / Vm<TFormat>.Granule);
            vm.UsedFrames.ShouldBe(vm.Memory.MappedPages + vm.Memory.TablePages);
            vm.Release().LeakedFrames.ShouldBe(0UL);
            world.Pool.Usage.OwnedChunks.ShouldBe(0);
            world.Pool.RefusedFrees.ShouldBe(0UL);
        }
    }
}

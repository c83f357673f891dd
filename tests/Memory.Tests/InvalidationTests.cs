using System;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Notifier ranges against faults, in every order.</summary>
public class InvalidationTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;
    private const ulong HostBase = 0x1000_0000;

    [Fact]
    public void A_fault_is_dropped_when_an_invalidation_of_its_page_ran_since_its_look_up()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        Prepare(vm, Base + 0x1000, out FaultTicket ticket);
        ulong used = vm.UsedFrames;
        vm.Unmap(Base, 0x2000).ShouldBe(MemoryResult.Ok);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.Memory.MappedPages.ShouldBe(0UL);
        vm.UsedFrames.ShouldBe(used - 1, "its frame went back");
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
    }

    [Fact]
    public void Any_invalidation_that_ended_since_drops_the_fault_wherever_it_was()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        Prepare(vm, Base + 0x1000, out FaultTicket ticket);
        vm.Unmap(Base + Mb, 0x1000).ShouldBe(MemoryResult.Ok);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
    }

    [Theory]
    [InlineData(0x0FFFUL, true)]
    [InlineData(0x1000UL, false)]
    [InlineData(0x2FFFUL, false)]
    [InlineData(0x3000UL, true)]
    public void While_an_invalidation_is_in_progress_only_its_span_retries(ulong offset, bool maps)
    {
        Vm<Arm<Granule4K>> vm = Ram();
        NotifierRange range = Range(Base + 0x1000, Base + 0x3000);
        InvalidationCursor cursor = default;
        vm.Memory.BeginInvalidation(ref vm.Machine, in range, ref cursor).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + offset).ShouldBe(maps ? FaultResult.Mapped : FaultResult.Retry);
        vm.Memory.EndInvalidation().ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + offset).ShouldBe(FaultResult.Mapped);
        vm.Memory.EndInvalidation().ShouldBe(MemoryResult.BadArgument);
    }

    [Fact]
    public void Overlapping_invalidations_hold_their_common_span_until_the_last_ends()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        NotifierRange low = Range(Base, Base + 0x1000);
        NotifierRange high = Range(Base + 0x4000, Base + 0x5000);
        InvalidationCursor cursor = default;
        vm.Memory.BeginInvalidation(ref vm.Machine, in low, ref cursor);
        vm.Memory.BeginInvalidation(ref vm.Machine, in high, ref cursor);
        vm.Memory.InvalidationsInProgress.ShouldBe(2u);
        vm.Fault(Base + 0x2000).ShouldBe(FaultResult.Retry);
        vm.Memory.EndInvalidation();
        vm.Fault(Base + 0x4000).ShouldBe(FaultResult.Retry);
        vm.Memory.EndInvalidation();
        vm.Fault(Base + 0x4000).ShouldBe(FaultResult.Mapped);
    }

    [Fact]
    public void An_invalidation_during_zeroing_drops_the_fault_in_one_call_too()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        bool once = true;
        vm.World.OnZero = () =>
        {
            if (once)
            {
                once = false;
                vm.Unmap(Base + 0x1000, 0x1000).ShouldBe(MemoryResult.Ok);
            }
        };
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Retry);
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
        vm.UsedFrames.ShouldBe(vm.Memory.MappedPages + vm.Memory.TablePages);
    }

    [Fact]
    public void Two_vcpus_that_fault_on_one_page_map_it_once()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        Prepare(vm, Base, out FaultTicket first);
        Prepare(vm, Base, out FaultTicket second);
        Commit(vm, ref first).ShouldBe(FaultResult.Mapped);
        vm.Write(Base, 5);
        Commit(vm, ref second).ShouldBe(FaultResult.Retry);
        vm.Read(Base).ShouldBe(5UL);
        vm.Memory.MappedPages.ShouldBe(1UL);
        vm.UsedFrames.ShouldBe(1 + vm.Memory.TablePages);
    }

    [Fact]
    public void A_block_that_loses_to_a_page_goes_back_whole()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(6), MaintenancePolicy.Fate);
        int slot = vm.AddRam(4 * Mb, PageSizing.Auto);
        Prepare(vm, Base, out FaultTicket block);
        var log = new Pinned<ulong>(64);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, log.Array).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
        Commit(vm, ref block).ShouldBe(FaultResult.Retry);
        vm.UsedFrames.ShouldBe(1 + vm.Memory.TablePages);
        vm.Memory.StopDirtyLog(slot);
        Prepare(vm, Base + (2 * Mb), out block);
        Prepare(vm, Base + (2 * Mb), out FaultTicket other);
        Commit(vm, ref other).ShouldBe(FaultResult.Mapped);
        Commit(vm, ref block).ShouldBe(FaultResult.Retry);
        vm.UsedFrames.ShouldBe(1 + 512 + vm.Memory.TablePages);
    }

    [Fact]
    public void A_removed_slot_gives_the_frame_of_a_fault_under_way_back()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        ulong used = vm.UsedFrames;
        Prepare(vm, Base, out FaultTicket ticket);
        vm.Memory.RemoveSlot(ref vm.Machine, 0).ShouldBe(MemoryResult.Ok);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.UsedFrames.ShouldBe(used);
        vm.World.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void A_ticket_that_outlives_its_vm_maps_nothing_and_frees_nothing_twice()
    {
        Vm<Arm<Granule4K>> vm = Ram();
        Prepare(vm, Base, out FaultTicket ticket);
        vm.Release();
        Commit(vm, ref ticket).ShouldBe(FaultResult.NoMemory);
        Commit(vm, ref ticket).ShouldBe(FaultResult.NoMemory);
        vm.World.Pool.RefusedFrees.ShouldBe(0UL);
        vm.World.Pool.Usage.OwnedChunks.ShouldBe(0);
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    public void What_may_not_block_is_done_in_bounded_parts(MaintenancePolicy policy)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), policy);
        vm.AddRam(8 * Mb);
        vm.Dirty(Base, 8 * Mb);
        var range = new NotifierRange(
            new Ipa(Base), new Ipa(Base + (8 * Mb)), NotifierEvent.Unmap, false, PageFate.AnonymousLastMappingFreed);
        InvalidationCursor cursor = default;
        ulong before = vm.Memory.MappedPages;
        int calls = 1;
        MemoryResult result = vm.Memory.BeginInvalidation(ref vm.Machine, in range, ref cursor);
        while (result == MemoryResult.Again)
        {
            (before - vm.Memory.MappedPages).ShouldBeLessThanOrEqualTo(512UL);
            before = vm.Memory.MappedPages;
            vm.Fault(Base).ShouldBe(FaultResult.Retry, "the span stays closed in between");
            result = vm.Memory.ContinueInvalidation(ref vm.Machine, in range, ref cursor);
            calls++;
        }

        result.ShouldBe(MemoryResult.Ok);
        calls.ShouldBeGreaterThanOrEqualTo(4);
        vm.Memory.MappedPages.ShouldBe(0UL);
        vm.Memory.EndInvalidation().ShouldBe(MemoryResult.Ok);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
    }

    [Fact]
    public void A_release_in_the_middle_ends_an_invalidation()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), MaintenancePolicy.Fate);
        vm.AddRam(8 * Mb);
        vm.Dirty(Base, 8 * Mb);
        var range = new NotifierRange(
            new Ipa(Base), new Ipa(Base + (8 * Mb)), NotifierEvent.Unmap, false, PageFate.AnonymousLastMappingFreed);
        InvalidationCursor cursor = default;
        vm.Memory.BeginInvalidation(ref vm.Machine, in range, ref cursor).ShouldBe(MemoryResult.Again);
        vm.Release();
        vm.Memory.ContinueInvalidation(ref vm.Machine, in range, ref cursor).ShouldBe(MemoryResult.Ok);
        vm.World.Pool.Usage.OwnedChunks.ShouldBe(0);
    }

    [Theory]
    [InlineData(0x1001UL, 0x2000UL, MemoryResult.Misaligned)]
    [InlineData(0x1000UL, 0x2001UL, MemoryResult.Misaligned)]
    [InlineData(0x2000UL, 0x2000UL, MemoryResult.OutOfRange)]
    [InlineData(0x3000UL, 0x2000UL, MemoryResult.OutOfRange)]
    [InlineData(0x0UL, (1UL << 36) + 0x1000, MemoryResult.OutOfRange)]
    [InlineData(0x0UL, 1UL << 36, MemoryResult.Ok)]
    public void Hostile_ranges_are_refused_and_begin_nothing(ulong start, ulong end, MemoryResult expected)
    {
        Vm<Arm<Granule4K>> vm = Ram();
        NotifierRange range = Range(start, end);
        vm.Memory.UnmapRange(ref vm.Machine, in range).ShouldBe(expected);
        vm.Memory.InvalidationsInProgress.ShouldBe(0u);
        var odd = new NotifierRange(new Ipa(0), new Ipa(0x1000), (NotifierEvent)7, true, PageFate.Unknown);
        vm.Memory.UnmapRange(ref vm.Machine, in odd).ShouldBe(MemoryResult.BadArgument);
        odd = new NotifierRange(new Ipa(0), new Ipa(0x1000), NotifierEvent.Unmap, true, (PageFate)8);
        vm.Memory.UnmapRange(ref vm.Machine, in odd).ShouldBe(MemoryResult.BadArgument);
    }

    [Theory]
    [InlineData(NotifierEvent.ProtectionVma, PageFate.StaysInPlace)]
    [InlineData(NotifierEvent.Unmap, PageFate.FileBacked)]
    [InlineData(NotifierEvent.SoftDirty, PageFate.Unknown)]
    public void Pool_memory_cannot_have_another_life_than_this_vms(NotifierEvent why, PageFate fate)
    {
        Vm<Arm<Granule4K>> vm = Ram();
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Unmap(Base, 0x1000, why, fate).ShouldBe(MemoryResult.FateNeedsHostBacking);
        vm.Memory.MappedPages.ShouldBe(1UL);
        vm.Memory.InvalidationsInProgress.ShouldBe(0u);
    }

    [Fact]
    public void Every_event_unmaps_a_hosts_slot_under_every_policy()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
            vm.AddHost(2 * Mb, HostBase, PageFate.FileBacked);
            foreach (NotifierEvent why in Enum.GetValues<NotifierEvent>())
            {
                vm.HostFault(HostBase + 0x1000, 0x9_0000_0000).ShouldBe(FaultResult.Mapped);
                vm.World.Counts = new Counts();
                vm.Unmap(HostBase, 2 * Mb, why, PageFate.FileBacked).ShouldBe(MemoryResult.Ok);
                vm.Memory.MappedPages.ShouldBe(0UL);
                bool asPosted = PolicyRules.ElidesByEvent(policy) && why == NotifierEvent.Unmap;
                vm.World.Counts.DcLines.ShouldBe(asPosted ? 0 : 64);
            }
        }
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    public void Part_of_a_pool_block_goes_and_the_rest_keeps_its_contents(MaintenancePolicy policy)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
        vm.AddRam(4 * Mb, PageSizing.Auto);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Write(Base + 0x3000, 3);
        vm.Write(Base + 0x5000, 5);
        vm.Unmap(Base + 0x4000, 0x1000).ShouldBe(MemoryResult.Ok);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        vm.Memory.MappedPages.ShouldBe(511UL);
        vm.Read(Base + 0x3000).ShouldBe(3UL);
        vm.Read(Base + 0x5000).ShouldBe(5UL);
        vm.Translate(Base + 0x4000).IsMapped.ShouldBeFalse();
        vm.UsedFrames.ShouldBe(511 + vm.Memory.TablePages);
        vm.Release().LeakedFrames.ShouldBe(0UL);
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate, 511)]
    [InlineData(MaintenancePolicy.BeforeSeries, 0)]
    public void Part_of_a_hosts_block_splits_it_by_fate_and_takes_it_whole_as_linux_5_5_did(
        MaintenancePolicy policy, int left)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), policy);
        vm.AddHost(4 * Mb, HostBase, PageFate.FileBacked);
        vm.HostFault(HostBase, 0x9_0000_0000, 2).ShouldBe(FaultResult.Mapped);
        vm.Unmap(HostBase + 0x4000, 0x1000, NotifierEvent.ProtectionPage, PageFate.StaysInPlace)
            .ShouldBe(MemoryResult.Ok);
        vm.Memory.MappedPages.ShouldBe((ulong)left);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        vm.World.Counts.DcLines.ShouldBe((policy == MaintenancePolicy.Fate ? 64 : 32768) + 32768);
    }

    [Fact]
    public void A_split_without_a_table_page_is_refused_before_anything_is_unmapped()
    {
        var world = new World(2);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb, PageSizing.Auto);
        vm.AddRam(4 * Mb, PageSizing.Pages, Base + (4 * Mb));
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        ulong at = Base + (4 * Mb);
        while (vm.Fault(at) == FaultResult.Mapped)
        {
            at += 4096;
        }

        ulong pages = vm.Memory.MappedPages;
        vm.Unmap(Base + 0x1000, 6 * Mb).ShouldBe(MemoryResult.OutOfMemory);
        vm.Memory.MappedPages.ShouldBe(pages);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        vm.Memory.InvalidationsInProgress.ShouldBe(0u);
        vm.Unmap(Base, 2 * Mb).ShouldBe(MemoryResult.Ok);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
    }

    private static Vm<Arm<Granule4K>> Ram()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb);
        return vm;
    }

    private static NotifierRange Range(ulong start, ulong end) =>
        new(new Ipa(start), new Ipa(end), NotifierEvent.Unmap, true, PageFate.AnonymousLastMappingFreed);

    private static void Prepare(Vm<Arm<Granule4K>> vm, ulong ipa, out FaultTicket ticket)
    {
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(ipa), AccessKind.Write, out ticket)
            .ShouldBe(FaultResult.Prepared);
        vm.Memory.FillFault(ref vm.Machine, ref ticket);
    }

    private static FaultResult Commit(Vm<Arm<Granule4K>> vm, ref FaultTicket ticket) =>
        vm.Memory.CommitFault(ref vm.Machine, ref ticket);
}

using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>
/// A fault between its look-up and its commit, and an invalidation of a part of what the commit would map. What counts
/// is the extent of the leaf, not the address that was faulted on.
/// </summary>
public class FaultRaceTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;
    private const ulong HostBase = 0x1000_0000;
    private const ulong HostPage = 0x9_0000_0000;

    [Theory]
    [InlineData(0UL, 1UL, FaultResult.Retry)] // the host's block begins with the range
    [InlineData(1UL, 2UL, FaultResult.Retry)] // the range is its other half
    [InlineData(2UL, 3UL, FaultResult.Mapped)] // its neighbour
    [InlineData(1UL, 6UL, FaultResult.Retry)]
    public void A_hosts_block_waits_for_an_invalidation_of_any_part_of_it(ulong from, ulong to, FaultResult expected)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(8 * Mb, HostBase, PageFate.FileBacked);
        FaultTicket ticket = LookUp(vm, HostBase + 0x3000, 2);
        NotifierRange range = Host(HostBase + (from * Mb), HostBase + (to * Mb));
        Begin(vm, in range);
        Commit(vm, ref ticket).ShouldBe(expected);
        vm.Translate(HostBase + Mb).IsMapped.ShouldBe(expected == FaultResult.Mapped);
        vm.Memory.EndInvalidation().ShouldBe(MemoryResult.Ok);
    }

    [Fact]
    public void A_page_of_a_hosts_block_waits_for_its_own_range_only()
    {
        // While writes are logged a block is mapped by its page, and the page is all that counts.
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        int slot = vm.AddHost(4 * Mb, HostBase, PageFate.FileBacked);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(16).Array).ShouldBe(MemoryResult.Ok);
        FaultTicket ticket = LookUp(vm, HostBase + 0x3000, 2);
        NotifierRange range = Host(HostBase + Mb, HostBase + (2 * Mb));
        Begin(vm, in range);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedPages.ShouldBe(1UL);
    }

    [Fact]
    public void A_gigabyte_of_a_hosts_waits_for_an_invalidation_of_one_page_in_it()
    {
        const ulong Gb = 1024 * Mb;
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(Gb, 4 * Gb, PageFate.FileBacked);
        FaultTicket ticket = LookUp(vm, 4 * Gb, 1);
        NotifierRange range = Host((5 * Gb) - 4096, 5 * Gb);
        Begin(vm, in range);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.Memory.EndInvalidation();
        ticket = LookUp(vm, 4 * Gb, 1);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Mapped);
    }

    [Fact]
    public void A_hosts_block_with_levels_that_there_are_not_is_refused_and_not_retried()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(4 * Mb, HostBase, PageFate.FileBacked);
        NotifierRange range = Host(HostBase + Mb, HostBase + (2 * Mb));
        Begin(vm, in range);
        foreach (int level in new[] { -1, 0, 4, 255, 300 })
        {
            FaultTicket ticket = LookUp(vm, HostBase, level);
            Commit(vm, ref ticket).ShouldBe(FaultResult.BadPage);
        }
    }

    [Theory]
    [InlineData(PageSizing.Blocks, 2)]
    [InlineData(PageSizing.Pages, 3)]
    public void A_fault_that_another_vCPU_has_answered_with_the_last_memory_is_no_shortage(PageSizing sizing, int level)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        vm.AddRam(8 * Mb, sizing);
        ulong at = Base;
        FaultResult result;
        while ((result = vm.Fault(at)) == FaultResult.Mapped)
        {
            at += sizing == PageSizing.Blocks ? 2 * Mb : 4096;
        }

        // Two vCPUs met the same hole; the hardware told each where its walk had ended. The second one comes late.
        result.ShouldBe(FaultResult.OutOfMemory);
        vm.Fault(at, level: level).ShouldBe(FaultResult.OutOfMemory);
        vm.Fault(at - 4096, level: level).ShouldBe(FaultResult.Retry);
        vm.Translate(at - 4096).IsMapped.ShouldBeTrue();
    }

    [Fact]
    public void A_block_of_the_pools_waits_for_an_invalidation_of_any_part_of_it_and_goes_back()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddRam(4 * Mb, PageSizing.Auto);
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(Base), AccessKind.Write, out FaultTicket ticket)
            .ShouldBe(FaultResult.Prepared);
        vm.Memory.FillFault(ref vm.Machine, ref ticket);
        NotifierRange range = Pool(Base + Mb, Base + (2 * Mb));
        Begin(vm, in range);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        vm.UsedFrames.ShouldBe(vm.Memory.TablePages);
        vm.Memory.EndInvalidation();
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
    }

    [Fact]
    public void A_write_does_not_join_pages_to_a_block_while_a_part_of_it_is_being_invalidated()
    {
        // Logging dissolved the second block and is over. A bounded invalidation ends in its middle and has split it
        // there, so that nothing can fail later; the first batch has not come that far.
        var vm = new Vm<Arm<Granule4K>>(new World(8), MaintenancePolicy.Fate);
        int slot = vm.AddRam(4 * Mb, PageSizing.Auto);
        vm.Dirty(Base, 4 * Mb);
        ulong second = Base + (2 * Mb);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(16).Array).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Fault(second).ShouldBe(FaultResult.Mapped);
        vm.Memory.StopDirtyLog(slot).ShouldBe(MemoryResult.Ok);
        vm.Memory.MappedPages.ShouldBe(1024UL);

        var range = new NotifierRange(
            new Ipa(Base), new Ipa(second + Mb), NotifierEvent.Unmap, false, PageFate.AnonymousLastMappingFreed);
        InvalidationCursor cursor = default;
        vm.Memory.BeginInvalidation(ref vm.Machine, in range, ref cursor).ShouldBe(MemoryResult.Again);
        vm.Translate(second).IsMapped.ShouldBeTrue();
        vm.Fault(second + 0x1000).ShouldBe(FaultResult.Retry, "its own page is in the range");
        vm.Fault(second + Mb).ShouldBe(FaultResult.Mapped, "it is not, but its block would be");
        vm.Memory.MappedBlocks.ShouldBe(0UL);
        MemoryResult result = MemoryResult.Again;
        while (result == MemoryResult.Again)
        {
            result = vm.Memory.ContinueInvalidation(ref vm.Machine, in range, ref cursor);
        }

        result.ShouldBe(MemoryResult.Ok);
        vm.Memory.EndInvalidation();
        vm.Memory.MappedPages.ShouldBe(256UL);
        vm.UsedFrames.ShouldBe(256 + vm.Memory.TablePages);
    }

    [Fact]
    public void A_page_that_the_host_moves_drops_the_faults_that_looked_it_up_before()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        vm.AddHost(2 * Mb, HostBase, PageFate.StillMappedElsewhere);
        vm.HostFault(HostBase, HostPage, 3, AccessKind.Read, writable: false).ShouldBe(FaultResult.Mapped);
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(HostBase), AccessKind.Write, out FaultTicket ticket)
            .ShouldBe(FaultResult.NeedsHostPage);
        ticket.Supply(new Pa(HostPage), 3, true);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase), new Pa(HostPage + 0x4000))
            .ShouldBe(MemoryResult.Ok);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.Translate(HostBase).Output.Value.ShouldBe(HostPage + 0x4000);

        // Not mapped here, but a fault is on its way with what was there before.
        ticket = LookUp(vm, HostBase + 0x1000, 3);
        vm.Memory.ReplaceHostPage(ref vm.Machine, new Ipa(HostBase + 0x1000), new Pa(HostPage + 0x8000))
            .ShouldBe(MemoryResult.NotMapped);
        Commit(vm, ref ticket).ShouldBe(FaultResult.Retry);
        vm.Translate(HostBase + 0x1000).IsMapped.ShouldBeFalse();
    }

    [Theory]
    [InlineData(0UL, 1UL, 1UL, 2UL, false)]
    [InlineData(1UL, 2UL, 0UL, 1UL, false)]
    [InlineData(0UL, 2UL, 1UL, 3UL, true)]
    [InlineData(1UL, 3UL, 0UL, 2UL, true)]
    [InlineData(0UL, 9UL, 4UL, 5UL, true)]
    [InlineData(4UL, 5UL, 0UL, 9UL, true)]
    [InlineData(ulong.MaxValue - 1, ulong.MaxValue, 0UL, ulong.MaxValue, true)]
    public void Ranges_overlap_where_they_share_a_byte(ulong a, ulong b, ulong c, ulong d, bool expected)
    {
        InvalidationState.Overlap(a, b, c, d).ShouldBe(expected);
        InvalidationState.Overlap(c, d, a, b).ShouldBe(expected);
    }

    private static NotifierRange Host(ulong start, ulong end) =>
        new(new Ipa(start), new Ipa(end), NotifierEvent.Unmap, true, PageFate.FileBacked);

    private static NotifierRange Pool(ulong start, ulong end) =>
        new(new Ipa(start), new Ipa(end), NotifierEvent.Unmap, true, PageFate.AnonymousLastMappingFreed);

    private static void Begin(Vm<Arm<Granule4K>> vm, in NotifierRange range)
    {
        InvalidationCursor cursor = default;
        vm.Memory.BeginInvalidation(ref vm.Machine, in range, ref cursor).ShouldBe(MemoryResult.Ok);
    }

    private static FaultTicket LookUp(Vm<Arm<Granule4K>> vm, ulong ipa, int level)
    {
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(ipa), AccessKind.Write, out FaultTicket ticket)
            .ShouldBe(FaultResult.NeedsHostPage);
        ticket.Supply(new Pa(HostPage), level, true);
        return ticket;
    }

    private static FaultResult Commit(Vm<Arm<Granule4K>> vm, ref FaultTicket ticket) =>
        vm.Memory.CommitFault(ref vm.Machine, ref ticket);
}

using System;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Which pages were written, and nothing forgotten.</summary>
public class DirtyLogTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;

    [Theory]
    [InlineData(PageSizing.Pages)]
    [InlineData(PageSizing.Auto)]
    public void Exactly_the_pages_written_since_the_last_call_are_reported(PageSizing sizing)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), MaintenancePolicy.Fate);
        int slot = vm.AddRam(4 * Mb, sizing);
        vm.Dirty(Base, 4 * Mb);
        var log = new Pinned<ulong>(16);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, log.Array).ShouldBe(MemoryResult.Ok);
        Dirty(vm, slot).ShouldBeEmpty();
        vm.Translate(Base).Attributes.Write.ShouldBeFalse();

        Touch(vm, 3);
        Touch(vm, 700);
        vm.Fault(Base + (5 * 4096), AccessKind.Read).ShouldBe(FaultResult.Mapped);
        vm.Translate(Base + (3 * 4096)).Attributes.Write.ShouldBeTrue();
        vm.Translate(Base + (4 * 4096)).Attributes.Write.ShouldBeFalse();
        Dirty(vm, slot).ShouldBe([3, 700]);
        Dirty(vm, slot).ShouldBeEmpty();
        vm.Translate(Base + (3 * 4096)).Attributes.Write.ShouldBeFalse();
        Touch(vm, 3);
        Dirty(vm, slot).ShouldBe([3]);
        vm.Release().LeakedFrames.ShouldBe(0UL);
    }

    [Fact]
    public void A_page_first_mapped_by_a_read_is_dirty_only_once_it_is_written()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        int slot = vm.AddRam(2 * Mb, PageSizing.Auto);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(8).Array).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base, AccessKind.Read).ShouldBe(FaultResult.Mapped);
        vm.Memory.MappedBlocks.ShouldBe(0UL, "a logged slot is mapped by pages");
        vm.Translate(Base).Attributes.Write.ShouldBeFalse();
        Dirty(vm, slot).ShouldBeEmpty();
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
        Dirty(vm, slot).ShouldBe([0, 1]);
    }

    [Fact]
    public void Protection_is_settled_before_the_log_is_handed_out()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        int slot = vm.AddRam(2 * Mb);
        vm.Dirty(Base, 2 * Mb);
        vm.World.Counts = new Counts();
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(8).Array).ShouldBe(MemoryResult.Ok);
        (vm.World.Counts.TlbiVmid + vm.World.Counts.TlbiIpa).ShouldBeGreaterThan(0);
        vm.World.Counts.DsbInnerShareable.ShouldBeGreaterThan(0);
        Touch(vm, 9);
        vm.World.Counts = new Counts();
        Dirty(vm, slot).ShouldBe([9]);
        (vm.World.Counts.TlbiVmid + vm.World.Counts.TlbiIpa).ShouldBeGreaterThan(0);
        vm.World.Counts.DcLines.ShouldBe(0);
    }

    [Fact]
    public void Logs_that_are_too_small_twice_started_or_not_there_are_refused()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(4), MaintenancePolicy.Fate);
        int slot = vm.AddRam(2 * Mb);
        UnmanagedArray<ulong> log = new Pinned<ulong>(8).Array;
        ulong[] out8 = new ulong[8];
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(7).Array).ShouldBe(MemoryResult.BadArgument);
        vm.Memory.GetAndClearDirtyLog(ref vm.Machine, slot, out8).ShouldBe(MemoryResult.NotLogged);
        vm.Memory.StopDirtyLog(slot).ShouldBe(MemoryResult.NotLogged);
        vm.Memory.StartDirtyLog(ref vm.Machine, 5, log).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, log).ShouldBe(MemoryResult.Ok);
        vm.Memory.StartDirtyLog(ref vm.Machine, slot, log).ShouldBe(MemoryResult.BadArgument);
        vm.Memory.GetAndClearDirtyLog(ref vm.Machine, slot, new ulong[7]).ShouldBe(MemoryResult.BadArgument);
        vm.Memory.GetAndClearDirtyLog(ref vm.Machine, 99, out8).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Memory.StopDirtyLog(99).ShouldBe(MemoryResult.NoSuchSlot);
        vm.Memory.StopDirtyLog(slot).ShouldBe(MemoryResult.Ok);
        GuestMemory<Arm<Granule4K>, TestMachine>.DirtyLogWords(4096).ShouldBe(1UL);
        GuestMemory<Arm<Granule4K>, TestMachine>.DirtyLogWords(65 * 4096).ShouldBe(2UL);
    }

    [Fact]
    public void A_split_that_logging_needs_and_cannot_have_is_out_of_memory_and_changes_nothing()
    {
        var world = new World(2);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        int slot = vm.AddRam(2 * Mb, PageSizing.Auto);
        vm.AddRam(4 * Mb, PageSizing.Pages, Base + (4 * Mb));
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        ulong at = Base + (4 * Mb);
        while (vm.Fault(at) == FaultResult.Mapped)
        {
            at += 4096;
        }

        vm.Memory.StartDirtyLog(ref vm.Machine, slot, new Pinned<ulong>(8).Array).ShouldBe(MemoryResult.Ok);
        vm.Fault(Base).ShouldBe(FaultResult.OutOfMemory);
        vm.Memory.MappedBlocks.ShouldBe(1UL);
        Dirty(vm, slot).ShouldBeEmpty();
    }

    private static void Touch(Vm<Arm<Granule4K>> vm, ulong page)
    {
        ulong ipa = Base + (page * 4096);
        vm.Fault(ipa).ShouldBe(FaultResult.Mapped);
        vm.Write(ipa, page);
    }

    private static int[] Dirty(Vm<Arm<Granule4K>> vm, int slot)
    {
        vm.Memory.TryGetSlot(slot, out MemorySlot info).ShouldBeTrue();
        ulong[] words = new ulong[GuestMemory<Arm<Granule4K>, TestMachine>.DirtyLogWords(info.End - info.Start)];
        vm.Memory.GetAndClearDirtyLog(ref vm.Machine, slot, words).ShouldBe(MemoryResult.Ok);
        return [.. Enumerable.Range(0, words.Length * 64).Where(page => (words[page / 64] >> (page % 64) & 1) != 0)];
    }
}

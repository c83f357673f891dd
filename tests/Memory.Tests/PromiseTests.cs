using System;
using System.Runtime.CompilerServices;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>
/// Memory is promised when a VM is made: what one VM was promised, no other can take, and a VM within its own size
/// never finds the pool empty.
/// </summary>
public class PromiseTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;

    [Fact]
    public void A_VM_that_cannot_be_promised_its_memory_is_refused_when_it_is_made_and_not_when_it_runs()
    {
        var world = new World(8);
        var first = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 5);
        first.Created.ShouldBe(MemoryResult.Ok);
        world.Pool.Usage.AvailableChunks.ShouldBe(3);
        var second = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 4);
        second.Created.ShouldBe(MemoryResult.OutOfMemory);
        second.Memory.Exists.ShouldBeFalse();
        world.Pool.Usage.AvailableChunks.ShouldBe(3, "a refusal changes nothing");
        first.Release();
        world.Pool.Usage.AvailableChunks.ShouldBe(8);
        new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 8).Created.ShouldBe(MemoryResult.Ok);
    }

    [Fact]
    public void A_VM_without_a_promise_pays_for_the_end_of_the_pool_and_one_within_its_promise_does_not()
    {
        var world = new World(8);
        var promised = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 5);
        promised.AddRam(8 * Mb);
        var greedy = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        greedy.AddRam(64 * Mb);
        FillUp(greedy).ShouldBe(FaultResult.OutOfMemory);
        greedy.Frames.ChunkCount.ShouldBe(3);

        // All that was promised is still there, and what comes back is kept for the VM that gave it.
        promised.Dirty(Base, 8 * Mb);
        promised.Unmap(Base, 8 * Mb).ShouldBe(MemoryResult.Ok);
        FillUp(greedy).ShouldBe(FaultResult.OutOfMemory);
        greedy.Frames.ChunkCount.ShouldBe(3);
        promised.Dirty(Base, 8 * Mb);
        promised.Release().LeakedFrames.ShouldBe(0UL);
        greedy.Fault(NextFree(greedy)).ShouldBe(FaultResult.Mapped);
        world.Pool.Audit().IsSound.ShouldBeTrue();
        world.Pool.Audit(in greedy.Frames).IsSound.ShouldBeTrue();
    }

    [Fact]
    public void Beyond_its_promise_a_VM_takes_what_is_promised_to_no_other_up_to_its_limit()
    {
        var world = new World(8);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 2, most: 4);
        vm.AddRam(64 * Mb);
        FillUp(vm).ShouldBe(FaultResult.OutOfMemory);
        vm.Frames.ChunkCount.ShouldBe(4);
        world.Pool.Usage.AvailableChunks.ShouldBe(4);
        new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 3, most: 2).Created
            .ShouldBe(MemoryResult.BadArgument);
        new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: -1).Created.ShouldBe(MemoryResult.BadArgument);
        vm.Release();
        world.Pool.Usage.AvailableChunks.ShouldBe(8);
    }

    [Theory]
    [InlineData(PageSizing.Pages)]
    [InlineData(PageSizing.Blocks)]
    public void While_the_last_chunk_is_scrubbed_a_fault_is_taken_again_and_its_VM_not_stopped(PageSizing sizing)
    {
        var world = new World(3);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(64 * Mb, sizing);
        vm.Fault(Base).ShouldBe(FaultResult.Mapped);
        while (world.Pool.Usage.DirtyChunks > 1)
        {
            vm.Fault(NextFree(vm)).ShouldBe(FaultResult.Mapped);
        }

        ScrubJob job = default;
        job.TryBegin(ref vm.Machine).ShouldBeTrue();
        FillUp(vm).ShouldBe(FaultResult.Retry);
        vm.Fault(NextFree(vm)).ShouldBe(FaultResult.Retry);
        job.Abandon(ref vm.Machine);
        vm.Fault(NextFree(vm)).ShouldBe(FaultResult.Mapped);
        FillUp(vm).ShouldBe(FaultResult.OutOfMemory);
    }

    [Fact]
    public void A_chunk_that_is_scrubbed_is_kept_for_the_VM_that_it_is_promised_to()
    {
        var world = new World(2);
        var promised = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 1);
        promised.AddRam(2 * Mb);
        ScrubJob job = default;
        job.TryBegin(ref promised.Machine).ShouldBeTrue();
        promised.Fault(Base).ShouldBe(FaultResult.Mapped);
        job.Abandon(ref promised.Machine);
        promised.Release();

        promised = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, promise: 2);
        promised.AddRam(2 * Mb);
        job.TryBegin(ref promised.Machine).ShouldBeTrue();
        var other = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        other.Created.ShouldBe(MemoryResult.OutOfMemory, "the one that is being scrubbed is promised, too");
        FillUp(promised).ShouldBe(FaultResult.Retry);
        job.Abandon(ref promised.Machine);
        promised.Dirty(Base, 2 * Mb);
    }

    [Fact]
    public void The_last_chunk_faulted_on_by_two_vCPUs_serves_both()
    {
        var world = new World(2);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb, PageSizing.Blocks);
        Prepare(vm, Base, out FaultTicket first).ShouldBe(FaultResult.Prepared);
        Prepare(vm, Base + 0x1000, out _).ShouldBe(FaultResult.Retry, "the other may map what it asks for");
        Commit(vm, ref first).ShouldBe(FaultResult.Mapped);
        vm.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);

        // Or the other gives its chunk back.
        vm.Unmap(Base, 2 * Mb).ShouldBe(MemoryResult.Ok);
        vm.AddRam(2 * Mb, PageSizing.Blocks, Base + (2 * Mb));
        Prepare(vm, Base, out first).ShouldBe(FaultResult.Prepared);
        Prepare(vm, Base + (2 * Mb), out _).ShouldBe(FaultResult.Retry);
        vm.Memory.AbandonFault(ref vm.Machine, ref first);
        Prepare(vm, Base + (2 * Mb), out FaultTicket second).ShouldBe(FaultResult.Prepared);
        Commit(vm, ref second).ShouldBe(FaultResult.Mapped);
        Prepare(vm, Base, out _).ShouldBe(FaultResult.OutOfMemory, "nothing is on its way any more");
    }

    [Fact]
    public void A_block_is_filled_in_steps_that_leave_off_where_they_are_told()
    {
        var world = new World(2);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddRam(2 * Mb, PageSizing.Blocks);
        Prepare(vm, Base, out FaultTicket ticket).ShouldBe(FaultResult.Prepared);
        world.Counts = new Counts();
        vm.Memory.FillStep(ref vm.Machine, ref ticket).ShouldBeFalse();
        world.Counts.ZeroedBytes.ShouldBe((long)GuestMemory<Arm<Granule4K>, TestMachine>.FillStepBytes);
        vm.Memory.AbandonFault(ref vm.Machine, ref ticket);
        vm.UsedFrames.ShouldBe(vm.Memory.TablePages);

        Prepare(vm, Base, out ticket).ShouldBe(FaultResult.Prepared);
        world.Counts = new Counts();
        world.Write(World.RamBase + Mb, 7);
        world.Write(World.RamBase + (3 * Mb), 7);
        int steps = 1;
        while (!vm.Memory.FillStep(ref vm.Machine, ref ticket))
        {
            world.Counts.DsbSystem.ShouldBe(0);
            steps++;
        }

        steps.ShouldBe(128);
        world.Counts.ZeroedBytes.ShouldBe((long)(2 * Mb));
        world.Counts.DcLines.ShouldBe(32768);
        world.Counts.DsbSystem.ShouldBe(1, "complete before the leaf is there");
        Commit(vm, ref ticket).ShouldBe(FaultResult.Mapped);
        vm.Read(Base + Mb).ShouldBe(0UL);
    }

    [Theory]
    [InlineData(0UL, 16UL)]
    [InlineData(0UL, 1024UL)]
    [InlineData(1022UL, 34UL)]
    [InlineData(1UL, 7UL)]
    public void The_bound_is_enough_for_every_page_in_any_order_and_no_chunk_too_many(ulong startMb, ulong sizeMb)
    {
        foreach (PageSizing sizing in Enum.GetValues<PageSizing>())
        {
            IsEnough<Arm<Granule4K>>(startMb * Mb, sizeMb * Mb, sizing);
            IsEnough<Arm<Granule16K>>(startMb * Mb, sizeMb * Mb, sizing);
            IsEnough<Arm<Granule64K>>(startMb * Mb, sizeMb * Mb, sizing);
        }
    }

    [Theory]
    [InlineData(PageSizing.Pages, 64UL << 30, 64UL)] // 32,768 tables of level 3, and a few
    [InlineData(PageSizing.Auto, 64UL << 30, 64UL)]
    [InlineData(PageSizing.Blocks, 64UL << 30, 0UL)]
    [InlineData(PageSizing.Pages, 64UL << 20, 0UL)]
    public void Tables_take_a_five_hundredth_by_pages_and_next_to_nothing_by_blocks(
        PageSizing sizing, ulong bytes, ulong chunks)
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 44, out Stage2Geometry geometry).ShouldBeTrue();
        ulong bound = MemoryBound.Chunks<Arm<Granule4K>>(geometry, new Ipa(1UL << 30), bytes, sizing);
        (bound - (bytes >> FramePool.ChunkShift)).ShouldBe(chunks + 1);
    }

    [Fact]
    public void A_VM_that_lives_keeps_its_stamp_when_there_are_no_more()
    {
        var world = new World(4);
        LastStamp(ref world.Pool) = ulong.MaxValue / 2 - 2;
        var last = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        var witness = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        witness.AddRam(2 * Mb);
        witness.Fault(Base).ShouldBe(FaultResult.Mapped);
        new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate).Created.ShouldBe(MemoryResult.BadArgument);
        ulong frame = witness.Translate(Base).Output.Value;
        world.Pool.Owns(in witness.Frames, new Pa(frame)).ShouldBeTrue();
        world.Pool.Owns(in last.Frames, new Pa(frame)).ShouldBeFalse();
        world.Pool.FreeData(ref last.Frames, new Pa(frame));
        world.Pool.RefusedFrees.ShouldBe(1UL);
        witness.Release().LeakedFrames.ShouldBe(0UL);
        last.Release().LeakedFrames.ShouldBe(0UL);
        world.Pool.Usage.OwnedChunks.ShouldBe(0);
    }

    private static void IsEnough<TFormat>(ulong offset, ulong bytes, PageSizing sizing)
        where TFormat : struct, IDescriptorFormat
    {
        Stage2Geometry.TryCreate<TFormat>(36, 40, out Stage2Geometry geometry).ShouldBeTrue();
        var start = new Ipa(Vm<TFormat>.RamStart + offset);
        int bound = (int)MemoryBound.Chunks<TFormat>(geometry, start, bytes, sizing);
        var world = new World(bound, startsZero: true);
        var vm = new Vm<TFormat>(world, MaintenancePolicy.Fate, promise: bound, most: bound);
        vm.AddRam(bytes, sizing, start.Value);
        ulong pages = bytes / Vm<TFormat>.Granule;
        for (ulong i = 0; i < pages; i++)
        {
            // Another order than the addresses': 7,919 is prime, and no size here is a multiple of it.
            ulong at = start.Value + (i * 7919 % pages * Vm<TFormat>.Granule);
            vm.Fault(at).ShouldBe(FaultResult.Mapped);
        }

        vm.Memory.TablePages.ShouldBeLessThanOrEqualTo(MemoryBound.Tables<TFormat>(geometry, start, bytes, sizing));
        vm.Frames.ChunkCount.ShouldBeInRange(bound - 1, bound);
        vm.Release();
    }

    private static FaultResult FillUp(Vm<Arm<Granule4K>> vm)
    {
        FaultResult result = FaultResult.Mapped;
        for (ulong at = Base; result == FaultResult.Mapped; at += 4096)
        {
            result = vm.Translate(at).IsMapped ? FaultResult.Mapped : vm.Fault(at);
        }

        return result;
    }

    private static ulong NextFree(Vm<Arm<Granule4K>> vm)
    {
        ulong at = Base;
        while (vm.Translate(at).IsMapped)
        {
            at += 4096;
        }

        return at;
    }

    private static FaultResult Prepare(Vm<Arm<Granule4K>> vm, ulong ipa, out FaultTicket ticket) =>
        vm.Memory.PrepareFault(ref vm.Machine, new Ipa(ipa), AccessKind.Write, out ticket);

    private static FaultResult Commit(Vm<Arm<Granule4K>> vm, ref FaultTicket ticket) =>
        vm.Memory.CommitFault(ref vm.Machine, ref ticket);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_lastStamp")]
    private static extern ref ulong LastStamp(ref FramePool pool);
}

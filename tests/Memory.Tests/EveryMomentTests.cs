using System;
using System.Collections.Generic;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>
/// A VM ends at every moment of its life: at each call of the machine in create, fault, split, unmap and slot removal,
/// and with each chunk too few. Whatever it was at, all comes back, once, and the next VM runs.
/// </summary>
public class EveryMomentTests
{
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;
    private const ulong Mb = 1 << 20;
    private const int Chunks = 14;

    private sealed class Killed : Exception;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Killed_at_each_call_of_the_machine_it_gives_everything_back_and_the_next_one_runs(bool forcedWriteBack)
    {
        int calls = 0;
        var whole = new World(Chunks) { HasForcedWriteBack = forcedWriteBack, OnCall = () => calls++ };
        Live(new Vm<Arm<Granule4K>>(whole, MaintenancePolicy.Fate));
        calls.ShouldBeGreaterThan(500);

        // Filling a table is a thousand calls that look alike: every moment there, then every 29th.
        for (int moment = 0; moment < calls; moment += moment < 600 ? 1 : 29)
        {
            int left = moment;
            bool armed = true;
            var world = new World(Chunks) { HasForcedWriteBack = forcedWriteBack };
            world.OnCall = () =>
            {
                if (armed && left-- == 0)
                {
                    throw new Killed();
                }
            };
            Vm<Arm<Granule4K>>? vm = null;
            try
            {
                vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
                Live(vm);
            }
            catch (Killed)
            {
                // It is dead from here on.
            }

            armed = false;
            if (vm is not null)
            {
                vm.Release();
                EverythingIsBack(world);
                Live(new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate)).ShouldBeTrue();
            }
        }
    }

    [Fact]
    public void With_each_chunk_too_few_it_gives_everything_back_and_a_smaller_one_runs()
    {
        for (int chunks = 1; chunks <= Chunks; chunks++)
        {
            var world = new World(chunks);
            var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
            vm.Created.ShouldBe(MemoryResult.Ok);
            bool lived = Live(vm);
            lived.ShouldBe(chunks >= Needed(), $"{chunks} chunks");
            vm.Release();
            EverythingIsBack(world);
            var next = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
            next.AddRam(2 * Mb);
            next.Fault(Base).ShouldBe(FaultResult.Mapped);
            next.Read(Base).ShouldBe(0UL);
            next.Release();
            EverythingIsBack(world);
        }
    }

    [Fact]
    public void Blocks_that_go_leave_no_chunk_behind_in_whatever_order_they_came()
    {
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            var world = new World(24);
            var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
            vm.AddRam(40 * Mb, PageSizing.Blocks);
            var blocks = new List<ulong>();
            for (ulong at = 0; at < 20; at++)
            {
                blocks.Add(at);
            }

            random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(blocks));
            foreach (ulong block in blocks)
            {
                vm.Fault(Base + (block * 2 * Mb)).ShouldBe(FaultResult.Mapped);
            }

            ulong first = (ulong)random.Next(20);
            ulong count = 1 + (ulong)random.Next(20 - (int)first);
            vm.Unmap(Base + (first * 2 * Mb), count * 2 * Mb).ShouldBe(MemoryResult.Ok);
            vm.Memory.MappedBlocks.ShouldBe(20 - count);
            world.Pool.Usage.FreeChunks.ShouldBe(24 - 1 - 20 + (int)count);
            EveryChunkHasItsPlace(world, vm);
            vm.Unmap(Base, 40 * Mb).ShouldBe(MemoryResult.Ok);
            world.Pool.Usage.FreeChunks.ShouldBe(23);
            EveryChunkHasItsPlace(world, vm);
            vm.Release();
            EverythingIsBack(world);
        }
    }

    [Fact]
    public void A_scrubbed_chunk_is_zero_and_cleaned_by_steps_and_an_abandoned_one_is_dirty_still()
    {
        var world = new World(2);
        TestMachine machine = new(world, new VmRecord());
        ScrubJob job = default;
        job.TryBegin(ref machine).ShouldBeTrue();
        job.Zero(ref machine);
        job.Clean(ref machine).ShouldBeFalse();
        job.Abandon(ref machine);
        job.IsActive.ShouldBeFalse();
        world.Pool.Usage.DirtyChunks.ShouldBe(2);
        world.Counts = new Counts();
        job.TryBegin(ref machine).ShouldBeTrue();
        int steps = 0;
        do
        {
            world.Pool.Usage.ScrubbingChunks.ShouldBe(1);
            job.Zero(ref machine);
            steps++;
        }
        while (!job.Clean(ref machine));
        steps.ShouldBe((int)(FramePool.ChunkBytes / ScrubJob.StepBytes));
        world.Counts.ZeroedBytes.ShouldBe((long)FramePool.ChunkBytes);
        world.Counts.DcLines.ShouldBe((long)FramePool.ChunkBytes / 64);
        world.Counts.DsbSystem.ShouldBe(1);
        world.Pool.Usage.CleanChunks.ShouldBe(1);
        world.Pool.Audit().IsSound.ShouldBeTrue();
    }

    /// <summary>A life with everything in it; false when memory ran out on the way.</summary>
    private static bool Live(Vm<Arm<Granule4K>> vm)
    {
        int pages = vm.AddRam(4 * Mb);
        int blocks = vm.AddRam(8 * Mb, PageSizing.Blocks, Base + (16 * Mb));
        bool lived = true;
        for (ulong at = 0; at < 64 && lived; at++)
        {
            lived &= Touch(vm, Base + (at * 7919 % 1024 * 4096));
        }

        for (ulong at = 0; at < 4 && lived; at++)
        {
            lived &= Touch(vm, Base + ((16 + (2 * at)) * Mb));
        }

        lived = lived && vm.Unmap(Base + (18 * Mb) + 0x5000, 0x3000) == MemoryResult.Ok;
        lived = lived && vm.Unmap(Base + (20 * Mb), 2 * Mb) == MemoryResult.Ok;
        lived = lived && vm.Unmap(Base + 0x4000, Mb) == MemoryResult.Ok;
        lived = lived && Touch(vm, Base + 0x4000) && Touch(vm, Base + (20 * Mb));
        lived = lived && vm.Memory.RemoveSlot(ref vm.Machine, pages) == MemoryResult.Ok;
        return lived && vm.Memory.RemoveSlot(ref vm.Machine, blocks) == MemoryResult.Ok;
    }

    private static bool Touch(Vm<Arm<Granule4K>> vm, ulong ipa)
    {
        // The syndrome names a level for pages; of a block nothing is known.
        FaultResult result = vm.Fault(ipa, AccessKind.Write, ipa < Base + (16 * Mb) ? 3 : -1);
        if (result == FaultResult.OutOfMemory)
        {
            return false;
        }

        (result is FaultResult.Mapped or FaultResult.Retry).ShouldBeTrue();
        if (result == FaultResult.Mapped)
        {
            vm.Read(ipa + 8).ShouldBe(0UL, "no VM's bytes");
            vm.Write(ipa + 8, 0x5EC2E7);
        }

        return true;
    }

    /// <summary>The root and its tables, the pages' chunk, four blocks.</summary>
    private static int Needed()
    {
        for (int chunks = 1; ; chunks++)
        {
            if (Live(new Vm<Arm<Granule4K>>(new World(chunks), MaintenancePolicy.Fate)))
            {
                chunks.ShouldBeInRange(5, 7);
                return chunks;
            }
        }
    }

    private static void EveryChunkHasItsPlace(World world, Vm<Arm<Granule4K>> vm)
    {
        PoolAudit pool = world.Pool.Audit();
        PoolAudit own = world.Pool.Audit(in vm.Frames);
        pool.IsSound.ShouldBeTrue();
        own.IsSound.ShouldBeTrue();
        (pool.Chunks + own.Chunks).ShouldBe(world.Pool.Usage.TotalChunks);
    }

    private static void EverythingIsBack(World world)
    {
        PoolAudit audit = world.Pool.Audit();
        audit.IsSound.ShouldBeTrue();
        audit.Chunks.ShouldBe(world.Pool.Usage.TotalChunks);
        world.Pool.RefusedFrees.ShouldBe(0UL);
    }
}

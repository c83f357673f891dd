using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>The pool by hand: what is taken, what is refused, what comes back.</summary>
public class FramePoolTests
{
    private const ulong Chunk = FramePool.ChunkBytes;

    [Theory]
    [InlineData(0x4000_0000UL, 0x0060_0000UL, 3, 0UL)]
    [InlineData(0x4000_1000UL, 0x0060_0000UL, 2, 0x20_0000UL)]
    [InlineData(0x4000_1000UL, 0x001F_F000UL, 0, 0x1F_F000UL)]
    [InlineData(0x401F_F000UL, 0x0020_2000UL, 1, 0x2000UL)]
    [InlineData(0x4000_0000UL, 0UL, 0, 0UL)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 0xFFFUL, 0, 0xFFFUL)]
    public void A_range_is_clipped_to_whole_chunks_and_the_rest_is_counted(
        ulong start, ulong bytes, int chunks, ulong leftover)
    {
        FramePool pool = EmptyPool(8);
        PoolRange range = pool.AddRange(new Pa(start), bytes, false);
        range.Result.ShouldBe(PoolResult.Ok);
        range.Chunks.ShouldBe(chunks);
        range.LeftoverBytes.ShouldBe(leftover);
        pool.LeftoverBytes.ShouldBe(leftover);
        pool.Usage.DirtyChunks.ShouldBe(chunks);
    }

    [Fact]
    public void Ranges_that_wrap_or_overlap_are_refused_and_chunks_without_descriptors_are_left_over()
    {
        FramePool pool = EmptyPool(3);
        pool.AddRange(new Pa(0x4000_0000), 2 * Chunk, true).Chunks.ShouldBe(2);
        pool.AddRange(new Pa(0x4020_0000), 4 * Chunk, true).Result.ShouldBe(PoolResult.BadArgument);
        pool.AddRange(new Pa(ulong.MaxValue - 10), 20, true).Result.ShouldBe(PoolResult.BadArgument);
        PoolRange last = pool.AddRange(new Pa(0x8000_0000), 4 * Chunk, false);
        last.Chunks.ShouldBe(1);
        last.LeftoverBytes.ShouldBe(3 * Chunk);
        pool.Usage.CleanChunks.ShouldBe(2);
        pool.Usage.DirtyChunks.ShouldBe(1);
        pool.Usage.TotalChunks.ShouldBe(3);
    }

    [Fact]
    public void Bits_that_are_too_few_are_refused()
    {
        FramePool pool = default;
        pool.Initialize(new Pinned<Chunk>(2).Array, new Pinned<ulong>(47).Array).ShouldBe(PoolResult.BadArgument);
        FramePool.MetadataBytes(1).ShouldBe(32UL + 192);
    }

    [Fact]
    public void Reserved_chunks_are_never_handed_out()
    {
        var world = new World(4);
        world.Pool.Reserve(new Pa(World.RamBase + Chunk + 5), 1).ShouldBe(PoolResult.Ok);
        world.Pool.Reserve(new Pa(World.RamBase + (2 * Chunk) - 1), 2).ShouldBe(PoolResult.Ok);
        world.Pool.Usage.ReservedChunks.ShouldBe(2);
        VmFrames vm = Adopt(world, 12);
        var given = new List<ulong>();
        while (world.Pool.AllocateWhole(ref vm, out Pa block, out _) == PoolResult.Ok)
        {
            given.Add(block.Value);
        }

        given.Order().ShouldBe([World.RamBase, World.RamBase + (3 * Chunk)]);
        world.Pool.Reserve(new Pa(World.RamBase), 1).ShouldBe(PoolResult.BadArgument);
    }

    [Theory]
    [InlineData(12, 512)]
    [InlineData(14, 128)]
    [InlineData(16, 32)]
    public void A_chunk_gives_all_of_its_frames_once_and_returns_when_the_last_comes_back(int shift, int frames)
    {
        var world = new World(1);
        VmFrames vm = Adopt(world, shift);
        var given = new HashSet<ulong>();
        for (int i = 0; i < frames; i++)
        {
            world.Pool.AllocateData(ref vm, 0, out Pa frame, out _).ShouldBe(PoolResult.Ok);
            (frame.Value & ((1UL << shift) - 1)).ShouldBe(0UL);
            given.Add(frame.Value).ShouldBeTrue();
        }

        world.Pool.AllocateData(ref vm, 0, out _, out _).ShouldBe(PoolResult.OutOfMemory);
        world.Pool.CountUsed(in vm).ShouldBe((ulong)frames);
        foreach (ulong frame in given)
        {
            vm.ChunkCount.ShouldBe(1);
            world.Pool.FreeData(ref vm, new Pa(frame));
        }

        vm.ChunkCount.ShouldBe(0);
        world.Pool.Usage.DirtyChunks.ShouldBe(1);
        world.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void Wrong_frees_are_refused_counted_and_change_nothing()
    {
        var world = new World(4);
        VmFrames vm = Adopt(world, 12);
        VmFrames other = Adopt(world, 12);
        world.Pool.AllocateData(ref vm, 0, out Pa data, out _);
        world.Pool.AllocateTables(ref vm, 1, out Pa table, out _);
        world.Pool.AllocateWhole(ref vm, out Pa block, out _);
        world.Pool.AllocateData(ref vm, 0, out Pa kept, out _);

        world.Pool.FreeData(ref other, data);
        world.Pool.FreeWhole(ref other, block);
        world.Pool.FreeData(ref vm, new Pa(0x1000));
        world.Pool.FreeData(ref vm, new Pa(ulong.MaxValue));
        world.Pool.FreeData(ref vm, data + 8);
        world.Pool.FreeData(ref vm, table);
        world.Pool.FreeTable(ref vm, data);
        world.Pool.FreeTable(ref vm, block);
        world.Pool.FreeWhole(ref vm, new Pa(data.Value & ~(Chunk - 1)));
        world.Pool.FreeData(ref vm, kept + 4096);
        world.Pool.FreeData(ref vm, data);
        world.Pool.FreeData(ref vm, data);
        world.Pool.FreeWhole(ref vm, block);
        world.Pool.FreeWhole(ref vm, block);
        world.Pool.RefusedFrees.ShouldBe(12UL);
        world.Pool.CountUsed(in vm).ShouldBe(2UL);
    }

    [Fact]
    public void A_dead_vm_can_neither_free_nor_allocate()
    {
        var world = new World(2);
        VmFrames vm = Adopt(world, 12);
        world.Pool.AllocateData(ref vm, 0, out Pa data, out _);
        world.Pool.AllocateWhole(ref vm, out Pa block, out _);
        world.Pool.ReturnAll(ref vm).ShouldBe(2);
        world.Pool.FreeData(ref vm, data);
        world.Pool.FreeWhole(ref vm, block);
        world.Pool.AllocateData(ref vm, 0, out _, out _).ShouldBe(PoolResult.OutOfMemory);
        world.Pool.AllocateWhole(ref vm, out _, out _).ShouldBe(PoolResult.OutOfMemory);
        world.Pool.Owns(in vm, data).ShouldBeFalse();

        VmFrames next = Adopt(world, 12);
        world.Pool.FreeData(ref next, data);
        world.Pool.RefusedFrees.ShouldBe(3UL);
        world.Pool.Usage.DirtyChunks.ShouldBe(2);
    }

    [Theory]
    [InlineData(12)]
    [InlineData(14)]
    [InlineData(16)]
    public void Table_runs_are_contiguous_aligned_and_freed_one_by_one(int shift)
    {
        foreach (int count in new[] { 1, 2, 4, 8, 16 })
        {
            var world = new World(3);
            VmFrames vm = Adopt(world, shift);
            world.Pool.AllocateData(ref vm, 0, out Pa before, out _);
            world.Pool.AllocateTables(ref vm, count, out Pa first, out _).ShouldBe(PoolResult.Ok);
            first.IsAlignedTo((ulong)count << shift).ShouldBeTrue();
            for (int i = 0; i < 20; i++)
            {
                world.Pool.AllocateData(ref vm, 0, out Pa data, out _).ShouldBe(PoolResult.Ok);
                (data < first || data >= first + ((ulong)count << shift)).ShouldBeTrue();
            }

            for (int i = 0; i < count; i++)
            {
                world.Pool.FreeTable(ref vm, first + ((ulong)i << shift));
            }

            world.Pool.CountUsed(in vm).ShouldBe(21UL);
            world.Pool.AllocateTables(ref vm, 3, out _, out _).ShouldBe(PoolResult.BadArgument);
            world.Pool.AllocateTables(ref vm, 32, out _, out _).ShouldBe(PoolResult.BadArgument);
        }
    }

    [Fact]
    public void A_whole_chunk_can_come_back_frame_by_frame_after_a_split()
    {
        var world = new World(1);
        VmFrames vm = Adopt(world, 12);
        world.Pool.AllocateWhole(ref vm, out Pa block, out _);
        world.Pool.IsWhole(in vm, block + 0x1F_F000).ShouldBeTrue();
        for (ulong offset = 0; offset < Chunk; offset += 4096)
        {
            world.Pool.FreeData(ref vm, block + offset);
            world.Pool.IsWhole(in vm, block).ShouldBeFalse();
            world.Pool.FreeData(ref vm, block + offset);
        }

        world.Pool.RefusedFrees.ShouldBe(Chunk / 4096);
        world.Pool.Usage.DirtyChunks.ShouldBe(1);
    }

    [Fact]
    public void Zero_is_claimed_only_of_frames_that_nobody_had_since_the_chunk_was_clean()
    {
        var world = new World(2, startsZero: true);
        VmFrames vm = Adopt(world, 12);
        world.Pool.AllocateData(ref vm, 0, out Pa first, out bool isZero);
        isZero.ShouldBeTrue();
        world.Pool.AllocateData(ref vm, 0, out _, out isZero);
        isZero.ShouldBeTrue();
        world.Pool.FreeData(ref vm, first);
        world.Pool.AllocateData(ref vm, 0, out Pa again, out isZero);
        again.Value.ShouldBe(first.Value);
        isZero.ShouldBeFalse();
        world.Pool.AllocateWhole(ref vm, out Pa block, out isZero);
        isZero.ShouldBeTrue();
        world.Pool.FreeWhole(ref vm, block);
        world.Pool.AllocateWhole(ref vm, out _, out isZero);
        isZero.ShouldBeFalse();
    }

    [Fact]
    public void Scrubbed_chunks_are_clean_and_nobody_gets_one_meanwhile()
    {
        var world = new World(1);
        world.Pool.BeginScrub(out Pa chunk).ShouldBe(PoolResult.Ok);
        world.Pool.BeginScrub(out _).ShouldBe(PoolResult.OutOfMemory);
        VmFrames vm = Adopt(world, 12);
        world.Pool.AllocateData(ref vm, 0, out _, out _).ShouldBe(PoolResult.Busy);
        world.Pool.Usage.ScrubbingChunks.ShouldBe(1);
        world.Pool.EndScrub(chunk + Chunk);
        world.Pool.EndScrub(chunk);
        world.Pool.RefusedFrees.ShouldBe(1UL);
        world.Pool.EndScrub(chunk);
        world.Pool.RefusedFrees.ShouldBe(2UL);
        world.Pool.AllocateData(ref vm, 0, out _, out bool isZero).ShouldBe(PoolResult.Ok);
        isZero.ShouldBeTrue();
    }

    [Fact]
    public async Task What_is_free_stays_free_while_another_core_scrubs_it()
    {
        const int Chunks = 3;
        var world = new World(Chunks);
        Task scrubber = Task.Run(
            () =>
            {
                for (int i = 0; i < 300_000; i++)
                {
                    world.Pool.BeginScrub(out Pa chunk);
                    world.Pool.AbandonScrub(chunk);
                }
            },
            TestContext.Current.CancellationToken);
        int least = Chunks;
        int most = Chunks;
        while (!scrubber.IsCompleted)
        {
            int free = world.Pool.Usage.FreeChunks;
            least = Math.Min(least, free);
            most = Math.Max(most, free);
        }

        await scrubber;
        (least, most).ShouldBe((Chunks, Chunks));
    }

    [Fact]
    public void A_reservation_holds_though_chunks_empty_and_others_take_the_rest()
    {
        var world = new World(2);
        VmFrames vm = Adopt(world, 16);
        VmFrames other = Adopt(world, 16);
        world.Pool.AllocateData(ref vm, 0, out Pa only, out _);
        world.Pool.ReserveTables(ref vm, 32).ShouldBe(PoolResult.Ok);
        world.Pool.FreeData(ref vm, only);
        world.Pool.AllocateWhole(ref other, out _, out _).ShouldBe(PoolResult.OutOfMemory);
        for (int i = 0; i < 32; i++)
        {
            world.Pool.AllocateTables(ref vm, 1, out _, out _).ShouldBe(PoolResult.Ok);
        }

        world.Pool.ReserveTables(ref vm, 33).ShouldBe(PoolResult.OutOfMemory);
        world.Pool.ForgetReservation(ref vm);
        world.Pool.AllocateWhole(ref other, out _, out _).ShouldBe(PoolResult.Ok);
    }

    [Fact]
    public void Death_returns_everything_whatever_its_shape_and_stays_constant_in_work()
    {
        var world = new World(40);
        VmFrames vm = Adopt(world, 12);
        for (int i = 0; i < 5000; i++)
        {
            world.Pool.AllocateData(ref vm, 0, out _, out _).ShouldBe(PoolResult.Ok);
        }

        for (int i = 0; i < 9; i++)
        {
            world.Pool.AllocateWhole(ref vm, out _, out _).ShouldBe(PoolResult.Ok);
        }

        vm.ChunkCount.ShouldBe(10 + 9);
        world.Pool.Usage.OwnedChunks.ShouldBe(19);
        world.Pool.ReturnAll(ref vm).ShouldBe(19);
        world.Pool.Usage.OwnedChunks.ShouldBe(0);
        world.Pool.Usage.DirtyChunks.ShouldBe(40);

        VmFrames next = Adopt(world, 12);
        for (int i = 0; i < 40; i++)
        {
            world.Pool.AllocateWhole(ref next, out _, out _).ShouldBe(PoolResult.Ok);
        }
    }

    [Fact]
    public void Memory_in_several_ranges_is_told_apart()
    {
        FramePool pool = EmptyPool(4);
        pool.AddRange(new Pa(0x8000_0000), 2 * Chunk, false);
        pool.AddRange(new Pa(0x4000_0000), 2 * Chunk, false);
        VmFrames vm = default;
        pool.Adopt(ref vm, 12);
        var blocks = new List<Pa>();
        while (pool.AllocateWhole(ref vm, out Pa block, out _) == PoolResult.Ok)
        {
            blocks.Add(block);
        }

        blocks.Select(block => block.Value).Order()
            .ShouldBe([0x4000_0000UL, 0x4020_0000UL, 0x8000_0000UL, 0x8020_0000UL]);
        pool.Contains(new Pa(0x4040_0000)).ShouldBeFalse();
        pool.Contains(new Pa(0x403F_FFFF)).ShouldBeTrue();
        pool.Overlaps(new Pa(0), 0x4000_0000).ShouldBeFalse();
        pool.Overlaps(new Pa(0), 0x4000_0001).ShouldBeTrue();
        foreach (Pa block in blocks)
        {
            pool.FreeWhole(ref vm, block);
        }

        pool.Usage.DirtyChunks.ShouldBe(4);
    }

    internal static VmFrames Adopt(World world, int shift)
    {
        VmFrames frames = default;
        world.Pool.Adopt(ref frames, shift).ShouldBe(PoolResult.Ok);
        return frames;
    }

    private static FramePool EmptyPool(int descriptors)
    {
        FramePool pool = default;
        pool.Initialize(
            new Pinned<Chunk>(descriptors).Array, new Pinned<ulong>(descriptors * FramePool.WordsPerChunk).Array)
            .ShouldBe(PoolResult.Ok);
        return pool;
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>The pool against a plain model, under random programs of several VMs.</summary>
public class FramePoolModelTests
{
    private enum Kind
    {
        Data,
        Table,
        Whole,
    }

    [Theory]
    [InlineData(12)]
    [InlineData(14)]
    [InlineData(16)]
    public void Random_programs_agree_with_a_set_of_what_is_handed_out(int shift) =>
        Programs.Check(300, 300, program => Run(program, shift));

    private static void Run(uint[] program, int shift)
    {
        const int chunks = 6;
        var world = new World(chunks);
        ulong frameBytes = 1UL << shift;
        var vms = new VmFrames[3];
        var held = new Dictionary<ulong, Kind>[3];
        for (int vm = 0; vm < vms.Length; vm++)
        {
            world.Pool.Adopt(ref vms[vm], shift);
            held[vm] = [];
        }

        foreach (uint step in program)
        {
            var choices = new Choices(step);
            int vm = choices.Below(3);
            ref VmFrames frames = ref vms[vm];
            Dictionary<ulong, Kind> mine = held[vm];
            switch (choices.Below(10))
            {
                case 0:
                case 1:
                case 2:
                    int wanted = 1 + choices.Below(40);
                    for (int i = 0; i < wanted; i++)
                    {
                        PoolResult got = world.Pool.AllocateData(ref frames, step >> 3, out Pa data, out _);
                        Add(got, data, Kind.Data, frameBytes);
                    }

                    break;
                case 3:
                    int count = 1 << choices.Below(5);
                    PoolResult result = world.Pool.AllocateTables(ref frames, count, out Pa run, out _);
                    for (int i = 0; i < count; i++)
                    {
                        Add(result, run + ((ulong)i * frameBytes), Kind.Table, frameBytes);
                    }

                    break;
                case 4:
                    Add(world.Pool.AllocateWhole(ref frames, out Pa block, out _), block, Kind.Whole,
                        FramePool.ChunkBytes);
                    break;
                case 5:
                case 6:
                case 7:
                    int freed = 1 + choices.Below(60);
                    for (int i = 0; i < freed && mine.Count != 0; i++)
                    {
                        ulong frame = mine.Keys.ElementAt(choices.Below(mine.Count));
                        Free(frame, mine[frame], ref choices);
                    }

                    break;
                case 8:
                    // Another VM's, or no VM's, or freed twice: always refused.
                    ulong victim = World.RamBase
                        + ((ulong)choices.Below((int)(chunks * FramePool.ChunkBytes / frameBytes)) * frameBytes);
                    if (!mine.ContainsKey(victim) && !InWhole(mine, victim))
                    {
                        ulong before = world.Pool.RefusedFrees;
                        world.Pool.FreeData(ref frames, new Pa(victim));
                        world.Pool.FreeTable(ref frames, new Pa(victim));
                        world.Pool.RefusedFrees.ShouldBe(before + 2);
                    }

                    break;
                default:
                    world.Pool.ReturnAll(ref frames);
                    mine.Clear();
                    world.Pool.Adopt(ref frames, shift);
                    int promise = choices.Below(4);
                    int free = chunks - vms.Sum(any => any.ChunkCount) - vms.Sum(Owed);
                    world.Pool.Promise(ref frames, promise, promise + choices.Below(chunks))
                        .ShouldBe(promise <= free ? PoolResult.Ok : PoolResult.OutOfMemory);
                    break;
            }

            Audit();

            void Add(PoolResult result, Pa at, Kind kind, ulong bytes)
            {
                if (result == PoolResult.OutOfMemory)
                {
                    VmFrames own = vms[vm];
                    int free = chunks - vms.Sum(any => any.ChunkCount);
                    int kept = vms.Sum(Owed);
                    bool isPromised = own.ChunkCount < own.PromisedChunks;
                    (own.ChunkCount == own.MostChunks || (!isPromised && free == kept)).ShouldBeTrue();
                    return;
                }

                result.ShouldBe(PoolResult.Ok);
                at.IsAlignedTo(bytes).ShouldBeTrue();
                foreach (Dictionary<ulong, Kind> any in held)
                {
                    any.ContainsKey(at.Value).ShouldBeFalse();
                    InWhole(any, at.Value).ShouldBeFalse();
                }

                mine.Add(at.Value, kind);
            }

            void Free(ulong at, Kind kind, ref Choices choices)
            {
                ref VmFrames frames = ref vms[vm];
                mine.Remove(at);
                if (kind == Kind.Data)
                {
                    world.Pool.FreeData(ref frames, new Pa(at));
                }
                else if (kind == Kind.Table)
                {
                    world.Pool.FreeTable(ref frames, new Pa(at));
                }
                else if (choices.Maybe())
                {
                    world.Pool.FreeWhole(ref frames, new Pa(at));
                }
                else
                {
                    // Split: all but the first frame become frames of their own.
                    world.Pool.FreeData(ref frames, new Pa(at));
                    for (ulong offset = frameBytes; offset < FramePool.ChunkBytes; offset += frameBytes)
                    {
                        mine.Add(at + offset, Kind.Data);
                    }
                }
            }
        }

        void Audit()
        {
            int perChunk = (int)(FramePool.ChunkBytes / frameBytes);
            for (int i = 0; i < vms.Length; i++)
            {
                int frames = held[i].Values.Sum(kind => kind == Kind.Whole ? perChunk : 1);
                world.Pool.CountUsed(in vms[i]).ShouldBe((ulong)frames);
                int touched = held[i].Keys.Select(at => at >> FramePool.ChunkShift).Distinct().Count();
                vms[i].ChunkCount.ShouldBe(touched, "empty chunks return, and no more are held than are used");
            }

            world.Pool.Usage.OwnedChunks.ShouldBe(vms.Sum(any => any.ChunkCount));
            world.Pool.Usage.OwedChunks.ShouldBe(vms.Sum(Owed));
        }
    }

    /// <summary>Chunks that were promised to a VM and that it has not got.</summary>
    private static int Owed(VmFrames frames) => Math.Max(0, frames.PromisedChunks - frames.ChunkCount);

    private static bool InWhole(Dictionary<ulong, Kind> held, ulong at) =>
        held.TryGetValue(at & ~(FramePool.ChunkBytes - 1), out Kind kind) && kind == Kind.Whole;
}

using System.Numerics;
using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// Taking frames back, and finding out whose they are.
public partial struct FramePool
{
    /// <summary>
    /// Takes one frame of guest data back. No TLB may still hold a translation to it: the caller has
    /// invalidated and completed the DSB. A frame of a whole chunk may be given back by itself, too, after
    /// its block was split.
    /// </summary>
    public void FreeData(ref VmFrames frames, Pa frame)
    {
        Count(FreeChecked(ref frames, frame, isTable: false));
        ReturnEmptied(ref frames);
    }

    /// <summary>
    /// <see cref="FreeData"/> for what a leaf of the VM mapped, one after the other: the address is aligned, and may be
    /// another owner's, which is then left alone. What is refused is counted. Chunks that become empty wait for
    /// <see cref="ReturnEmptied"/>.
    /// </summary>
    /// <param name="frames">The VM.</param>
    /// <param name="frame">What the leaf mapped.</param>
    /// <param name="frameShift">The VM's, as a constant where the caller has one.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void FreeLeaf(ref VmFrames frames, Pa frame, int frameShift)
    {
        ulong offset = frame.Value - frames.RecentBase;
        if (offset >= ChunkBytes)
        {
            FreeLeafElsewhere(ref frames, frame);
            return;
        }

        int index = (int)(offset >> frameShift);
        ref ulong free = ref frames.RecentBits.At(index >> 6);
        ulong bit = 1UL << index;
        if (((free | Unsafe.Add(ref free, TableBits)) & bit) != 0)
        {
            RefusedFrees++;
            return;
        }

        free |= bit;
        ref Chunk chunk = ref frames.Recent.At(0);
        uint count = chunk.Free + 1U;
        chunk.Free = (ushort)count;
        uint frameCount = (uint)(ChunkBytes >> frameShift);
        if (count - 2 >= frameCount - 2)
        {
            FirstOrLastFreed(ref frames, 1);
        }
    }

    /// <summary>
    /// <see cref="FreeLeaf"/> for leaves in a row: 64 frames are checked and freed by one comparison and one store.
    /// </summary>
    /// <param name="frames">The VM.</param>
    /// <param name="first">What the first leaf mapped.</param>
    /// <param name="count">How many there are; their memory is in a row, too.</param>
    internal void FreeRun(ref VmFrames frames, Pa first, ulong count)
    {
        while (count != 0)
        {
            ulong offset = first.Value - frames.RecentBase;
            if (offset >= ChunkBytes)
            {
                PoolResult found = Remember(ref frames, first, isTable: false);
                if (found == PoolResult.Foreign)
                {
                    // Another owner's, as far as this chunk's room would reach.
                    ulong room = (ChunkBytes - (first.Value & (ChunkBytes - 1))) >> frames.FrameShift;
                    ulong skipped = count < room ? count : room;
                    first += skipped << frames.FrameShift;
                    count -= skipped;
                    continue;
                }

                offset = first.Value - frames.RecentBase;
            }

            int index = (int)(offset >> frames.FrameShift);
            int left = 64 - (index & 63);
            int inChunk = (int)(ChunkBytes >> frames.FrameShift) - index;
            left = left < inChunk ? left : inChunk;
            int taken = count < (ulong)(uint)left ? (int)count : left;
            ref ulong free = ref frames.RecentBits.At(index >> 6);
            ulong mask = (ulong.MaxValue >> (64 - taken)) << index;
            int freed = taken;
            if (((free | Unsafe.Add(ref free, TableBits)) & mask) != 0)
            {
                mask &= ~(free | Unsafe.Add(ref free, TableBits));
                freed = BitOperations.PopCount(mask);
                RefusedFrees += (uint)(taken - freed);
            }

            free |= mask;
            first += (ulong)(uint)taken << frames.FrameShift;
            count -= (ulong)(uint)taken;
            ref Chunk chunk = ref frames.Recent.At(0);
            int now = chunk.Free + freed;
            chunk.Free = (ushort)now;
            if (freed != 0 && (now == freed || now == chunk.FrameCount))
            {
                FirstOrLastFreed(ref frames, freed);
            }
        }
    }

    /// <summary>Takes one table page back, under the same condition as <see cref="FreeData"/>.</summary>
    public void FreeTable(ref VmFrames frames, Pa table)
    {
        Count(FreeChecked(ref frames, table, isTable: true));
        ReturnEmptied(ref frames);
    }

    /// <summary>Takes a whole chunk back that <see cref="AllocateWhole"/> gave, under the same condition.</summary>
    public void FreeWhole(ref VmFrames frames, Pa block)
    {
        Count(TryFreeWhole(ref frames, block));
        ReturnEmptied(ref frames);
    }

    /// <summary>
    /// <see cref="FreeWhole"/> for a block that may map another owner's memory. It waits for
    /// <see cref="ReturnEmptied"/>.
    /// Neighbours in memory are mostly neighbours on the VM's ring: they leave it together.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void FreeBlock(ref VmFrames frames, Pa block)
    {
        ulong offset = block.Value - _ranges[0].Start;
        if (offset < _ranges[0].End - _ranges[0].Start)
        {
            int number = (int)(offset >> ChunkShift);
            ref Chunk chunk = ref _chunks.At(number);
            if (chunk.Owner == (frames.Stamp | Chunk.WholeBit))
            {
                chunk.Owner = NoOwner;
                if (chunk.Previous == frames.Leaving.Last)
                {
                    frames.Leaving.Last = number;
                    frames.Leaving.Count++;
                }
                else if (chunk.Next == frames.Leaving.First)
                {
                    frames.Leaving.First = number;
                    frames.Leaving.Count++;
                }
                else
                {
                    BeginLeaving(ref frames, number);
                }

                return;
            }
        }

        FreeBlockElsewhere(ref frames, block);
    }

    /// <summary>Gives the pool the chunks that became empty: one splice, under the pool's lock once.</summary>
    internal void ReturnEmptied(ref VmFrames frames)
    {
        if (frames.Leaving.Count != 0)
        {
            BeginLeaving(ref frames, ChunkList.None);
        }

        if (frames.Emptied.Count != 0)
        {
            _lock.Enter();
            CountReturned(ref frames, frames.Emptied.Count);
            Splice(ref _dirty, ref frames.Emptied);
            _lock.Leave();
        }
    }

    /// <summary>Moves the chunks that leave the ring of full ones to the emptied, and begins with another.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void BeginLeaving(ref VmFrames frames, int number)
    {
        LeavingChunks leaving = frames.Leaving;
        if (leaving.Count != 0)
        {
            int before = _chunks.At(leaving.First).Previous;
            int after = _chunks.At(leaving.Last).Next;
            frames.Full.Count -= leaving.Count;
            if (frames.Full.Count == 0)
            {
                frames.Full = ChunkList.Empty;
            }
            else
            {
                _chunks.At(before).Next = after;
                _chunks.At(after).Previous = before;
                frames.Full.First = after;
            }

            _chunks.At(leaving.First).Previous = leaving.Last;
            _chunks.At(leaving.Last).Next = leaving.First;
            ChunkList ring = new() { First = leaving.First, Count = leaving.Count };
            Splice(ref frames.Emptied, ref ring);
        }

        frames.Leaving = LeavingChunks.From(number);
    }

    private void FreeBlockElsewhere(ref VmFrames frames, Pa block)
    {
        if (TryFreeWhole(ref frames, block) == PoolResult.WrongKind)
        {
            RefusedFrees++;
        }
    }

    /// <summary>Frees what any caller names, so the address is checked, too.</summary>
    private PoolResult FreeChecked(ref VmFrames frames, Pa address, bool isTable) =>
        address.IsAlignedTo(frames.FrameBytes) ? Free(ref frames, address, isTable) : PoolResult.Foreign;

    /// <summary>
    /// Frees a frame. Neighbours in a row lie in one chunk nearly always, so the last one is remembered; it is one
    /// of this VM's that is cut into frames, or <see cref="VmFrames.Nowhere"/>.
    /// </summary>
    private PoolResult Free(ref VmFrames frames, Pa address, bool isTable)
    {
        ulong offset = address.Value - frames.RecentBase;
        if (offset >= ChunkBytes)
        {
            PoolResult found = Remember(ref frames, address, isTable);
            if (found != PoolResult.Ok)
            {
                return found;
            }

            offset = address.Value - frames.RecentBase;
        }

        int index = (int)(offset >> frames.FrameShift);
        ref ulong free = ref frames.RecentBits.At(index >> 6);
        ref ulong tables = ref Unsafe.Add(ref free, TableBits);
        ulong bit = 1UL << index;
        if ((free & bit) != 0)
        {
            return PoolResult.NotAllocated;
        }

        if (((tables & bit) != 0) != isTable)
        {
            return PoolResult.WrongKind;
        }

        free |= bit;
        tables &= ~bit;
        ref Chunk chunk = ref frames.Recent.At(0);
        chunk.Free++;
        if (chunk.Free == 1 || chunk.Free == chunk.FrameCount)
        {
            FirstOrLastFreed(ref frames, 1);
        }

        return PoolResult.Ok;
    }

    /// <summary>The first leaf of a run that lies in another chunk, or another owner's memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FreeLeafElsewhere(ref VmFrames frames, Pa frame)
    {
        PoolResult result = Free(ref frames, frame, isTable: false);
        if (result != PoolResult.Foreign)
        {
            Count(result);
        }
    }

    /// <summary>Finds an address's chunk, and cuts it into frames if it was handed out whole.</summary>
    private PoolResult Remember(ref VmFrames frames, Pa address, bool isTable)
    {
        int number = ChunkOf(address.Value);
        if (number < 0 || frames.Stamp == 0)
        {
            return PoolResult.Foreign;
        }

        ref Chunk chunk = ref _chunks.At(number);
        if (chunk.Owner == (frames.Stamp | Chunk.WholeBit))
        {
            if (isTable)
            {
                return PoolResult.WrongKind;
            }

            CutIntoFrames(ref frames, ref chunk, number);
        }

        if (chunk.Owner != frames.Stamp)
        {
            return PoolResult.Foreign;
        }

        frames.RecentBase = chunk.Base;
        frames.RecentNumber = number;
        frames.Recent = _chunks.Slice(number, 1);
        frames.RecentBits = _bits.Slice(number * WordsPerChunk, WordsPerChunk);
        return PoolResult.Ok;
    }

    /// <summary>The recent chunk was full and has room again, or it has become empty.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FirstOrLastFreed(ref VmFrames frames, int freed)
    {
        int number = frames.RecentNumber;
        ref Chunk chunk = ref _chunks.At(number);
        if (chunk.Free == freed)
        {
            Unlink(ref frames.Full, number);
            PushFront(ref frames.Available, number);
        }

        if (chunk.Free == chunk.FrameCount)
        {
            ReturnOrKeep(ref frames, number);
        }
    }

    private PoolResult TryFreeWhole(ref VmFrames frames, Pa block)
    {
        int number = ChunkOf(block.Value);
        if (number < 0 || frames.Stamp == 0 || (block.Value & (ChunkBytes - 1)) != 0)
        {
            return PoolResult.Foreign;
        }

        ulong owner = _chunks.At(number).Owner;
        if (owner != (frames.Stamp | Chunk.WholeBit))
        {
            return owner == frames.Stamp ? PoolResult.WrongKind : PoolResult.Foreign;
        }

        MoveToEmptied(ref frames, ref frames.Full, number);
        return PoolResult.Ok;
    }

    private void ReturnOrKeep(ref VmFrames frames, int number)
    {
        if (frames.IsReserved)
        {
            frames.KeptEmpty = true;
            return;
        }

        frames.RecentBase = VmFrames.Nowhere;
        MoveToEmptied(ref frames, ref frames.Available, number);
    }

    /// <summary>The chunk has no owner from here on, whatever names it again.</summary>
    private readonly void MoveToEmptied(ref VmFrames frames, ref ChunkList from, int number)
    {
        Unlink(ref from, number);
        ref Chunk chunk = ref _chunks.At(number);
        chunk.State = ChunkState.Dirty;
        chunk.Owner = NoOwner;
        PushFront(ref frames.Emptied, number);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Count(PoolResult result)
    {
        if (result != PoolResult.Ok)
        {
            RefusedFrees++;
        }
    }

    /// <summary>Turns a whole chunk into one whose frames are all handed out, as guest data.</summary>
    private readonly void CutIntoFrames(ref VmFrames frames, ref Chunk chunk, int number)
    {
        ResetBits(number, 0, false);
        chunk.State = ChunkState.Frames;
        chunk.Owner = frames.Stamp;
    }
}

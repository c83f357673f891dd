using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// Handing frames out. A frame comes off its chunk's free list, or from what was never handed out.
public partial struct FramePool
{
    /// <summary>Hands out one frame for guest data.</summary>
    /// <param name="frames">The VM that gets it.</param>
    /// <param name="frame">Its address, aligned to the VM's frame size.</param>
    /// <param name="isZero">Every byte is known to be zero; else the caller zeroes it before a guest sees it.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public PoolResult AllocateData(ref VmFrames frames, out Pa frame, out bool isZero) =>
        Allocate(ref frames, Data, out frame, out isZero);

    /// <summary>
    /// Hands out <paramref name="count"/> table pages in a row, aligned to their own size, as concatenated
    /// roots need them (DDI 0487, D8 "Concatenated translation tables"). Each is freed by <see cref="FreeTable"/>.
    /// </summary>
    /// <param name="frames">The VM that gets them.</param>
    /// <param name="count">1, 2, 4, 8 or 16.</param>
    /// <param name="first">Address of the first one.</param>
    /// <param name="isZero">Every byte of all of them is known to be zero.</param>
    public PoolResult AllocateTables(ref VmFrames frames, int count, out Pa first, out bool isZero)
    {
        if (count == 1)
        {
            return Allocate(ref frames, Table, out first, out isZero);
        }

        first = default;
        isZero = false;
        if (count is not (2 or 4 or 8 or MaxRun))
        {
            return PoolResult.BadArgument;
        }

        // Runs come from untouched frames only: freed ones are not searched for neighbours. A VM asks once
        // in its life, and first of all.
        int number = frames.Available.First;
        if (number == ChunkList.None || !HasUntouchedRun(in _chunks[number], count))
        {
            number = TakeChunk(ref frames);
            if (number == ChunkList.None)
            {
                return PoolResult.OutOfMemory;
            }
        }

        ref Chunk chunk = ref _chunks[number];
        int aligned = (chunk.Untouched + count - 1) & -count;
        for (int frame = chunk.Untouched; frame < aligned; frame++)
        {
            Link(number, frame) = chunk.FreeHead;
            chunk.FreeHead = (ushort)frame;
        }

        for (int frame = aligned; frame < aligned + count; frame++)
        {
            Link(number, frame) = Table;
        }

        chunk.Untouched = (ushort)(aligned + count);
        chunk.Free -= (ushort)count;
        if (chunk.Free == 0)
        {
            MoveToFull(ref frames, number);
        }

        first = new Pa(chunk.Base + ((ulong)aligned << frames.FrameShift));
        isZero = chunk.WasClean;
        return PoolResult.Ok;
    }

    /// <summary>Hands out a whole chunk for a 2 MB block.</summary>
    public PoolResult AllocateWhole(ref VmFrames frames, out Pa block, out bool isZero)
    {
        block = default;
        isZero = false;
        int number = frames.Stamp == 0 ? ChunkList.None : TakeFromPool();
        if (number == ChunkList.None)
        {
            return PoolResult.OutOfMemory;
        }

        ref Chunk chunk = ref _chunks[number];
        isZero = chunk.State == ChunkState.FreeClean;
        chunk.State = ChunkState.Whole;
        chunk.Owner = frames.Stamp | Chunk.WholeBit;
        chunk.FrameCount = (ushort)(ChunkBytes >> frames.FrameShift);
        chunk.Free = 0;
        PushFront(ref frames.Full, number);
        block = new Pa(chunk.Base);
        return PoolResult.Ok;
    }

    /// <summary>
    /// Makes certain that the next <paramref name="count"/> allocations of single table pages succeed, without
    /// taking them yet: the VM's chunks have that many free frames, and none of those chunks returns to the
    /// pool before <see cref="ForgetReservation"/>. A reservation is a level to be reached, not a sum.
    /// </summary>
    public PoolResult ReserveTables(ref VmFrames frames, uint count)
    {
        uint free = 0;
        int number = frames.Available.First;
        for (int i = 0; i < frames.Available.Count && free < count; i++)
        {
            ref Chunk chunk = ref _chunks[number];
            free += chunk.Free;
            number = chunk.Next;
        }

        // Chunks taken before the pool ran out stay with the VM: they hold nothing, and its next frames come from them.
        while (free < count)
        {
            int taken = TakeChunk(ref frames);
            if (taken == ChunkList.None)
            {
                return PoolResult.OutOfMemory;
            }

            free += _chunks[taken].FrameCount;
        }

        frames.IsReserved = true;
        return PoolResult.Ok;
    }

    /// <summary>Ends a reservation: chunks that became empty meanwhile return to the pool.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ForgetReservation(ref VmFrames frames)
    {
        frames.IsReserved = false;
        if (frames.KeptEmpty)
        {
            ReturnEmpty(ref frames);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PoolResult Allocate(ref VmFrames frames, ushort kind, out Pa frame, out bool isZero)
    {
        int number = frames.Available.First;
        if (number == ChunkList.None)
        {
            number = TakeChunk(ref frames);
            if (number == ChunkList.None)
            {
                frame = default;
                isZero = false;
                return PoolResult.OutOfMemory;
            }
        }

        ref Chunk chunk = ref _chunks.At(number);
        int index = chunk.FreeHead;
        if (index != EndOfList)
        {
            ref ushort link = ref Link(number, index);
            chunk.FreeHead = link;
            link = kind;
            isZero = false;
        }
        else
        {
            index = chunk.Untouched;
            chunk.Untouched = (ushort)(index + 1);
            Link(number, index) = kind;
            isZero = chunk.WasClean;
        }

        frame = new Pa(chunk.Base + ((ulong)(uint)index << frames.FrameShift));
        int free = chunk.Free - 1;
        chunk.Free = (ushort)free;
        if (free == 0)
        {
            MoveToFull(ref frames, number);
        }

        return PoolResult.Ok;
    }

    private void ReturnEmpty(ref VmFrames frames)
    {
        frames.KeptEmpty = false;
        frames.RecentBase = VmFrames.Nowhere;
        int number = frames.Available.First;
        for (int left = frames.Available.Count; left != 0; left--)
        {
            int next = _chunks[number].Next;
            if (_chunks[number].Used == 0)
            {
                Unlink(ref frames.Available, number);
                ReturnChunk(number);
            }

            number = next;
        }
    }

    private static bool HasUntouchedRun(in Chunk chunk, int count) =>
        ((chunk.Untouched + count - 1) & -count) + count <= chunk.FrameCount;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void MoveToFull(ref VmFrames frames, int number)
    {
        Unlink(ref frames.Available, number);
        PushFront(ref frames.Full, number);
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// Handing frames out: a bit of the chunk's set of free ones.
public partial struct FramePool
{
    /// <summary>Hands out one frame for guest data.</summary>
    /// <param name="frames">The VM that gets it.</param>
    /// <param name="place">
    /// Where the guest will have it, in frames. The frame of the chunk with the same number is taken where it is free:
    /// so neighbours for the guest are neighbours in memory, in whatever order they were touched, and come back in
    /// runs.
    /// </param>
    /// <param name="frame">Its address, aligned to the VM's frame size.</param>
    /// <param name="isZero">Every byte is known to be zero, at the PoC too; else the caller zeroes it before a guest
    /// sees it.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public PoolResult AllocateData(ref VmFrames frames, ulong place, out Pa frame, out bool isZero)
    {
        int number = frames.Available.First;
        if (number == ChunkList.None)
        {
            number = TakeChunk(ref frames);
            if (number == ChunkList.None)
            {
                frame = default;
                isZero = false;
                return frames.Refusal;
            }
        }

        ref Chunk chunk = ref _chunks.At(number);
        int index = (int)place & (chunk.FrameCount - 1);
        ulong bit = 1UL << index;
        ref ulong free = ref Bits(number, FreeBits, index);
        ulong word = free;
        if ((word & bit) == 0)
        {
            index = FindFree(number, index);
            bit = 1UL << index;
            free = ref Bits(number, FreeBits, index);
            word = free;
        }

        free = word ^ bit;
        ref ulong zero = ref Unsafe.Add(ref free, ZeroBits - FreeBits);
        word = zero;
        isZero = (word & bit) != 0;
        zero = word & ~bit;
        frame = new Pa(chunk.Base + ((ulong)(uint)index << frames.FrameShift));
        int left = chunk.Free - 1;
        chunk.Free = (ushort)left;
        if (left == 0)
        {
            MoveToFull(ref frames, number);
        }

        return PoolResult.Ok;
    }

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
        first = default;
        isZero = false;
        if (count is not (1 or 2 or 4 or 8 or MaxRun))
        {
            return PoolResult.BadArgument;
        }

        // Only the first chunk is searched: a VM asks for a row once in its life, and first of all.
        int number = frames.Available.First;
        int index = number == ChunkList.None ? NoRow : FindRow(number, count);
        if (index == NoRow)
        {
            number = TakeChunk(ref frames);
            if (number == ChunkList.None)
            {
                return frames.Refusal;
            }

            index = FindRow(number, count);
        }

        ref Chunk chunk = ref _chunks[number];
        ref ulong zero = ref Bits(number, ZeroBits, index);
        ulong row = ((1UL << count) - 1) << index;
        isZero = (zero & row) == row;
        zero &= ~row;
        Bits(number, FreeBits, index) &= ~row;
        Bits(number, TableBits, index) |= row;
        chunk.Free -= (ushort)count;
        if (chunk.Free == 0)
        {
            MoveToFull(ref frames, number);
        }

        first = new Pa(chunk.Base + ((ulong)index << frames.FrameShift));
        return PoolResult.Ok;
    }

    /// <summary>Hands out a whole chunk for a 2 MB block.</summary>
    public PoolResult AllocateWhole(ref VmFrames frames, out Pa block, out bool isZero)
    {
        block = default;
        isZero = false;
        int number = TakeFromPool(ref frames);
        if (number == ChunkList.None)
        {
            return frames.Refusal;
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
                return frames.Refusal;
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

    /// <summary>The free frame that follows a number in a chunk that has one, or else the first.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly int FindFree(int number, int index)
    {
        ulong word = Bits(number, FreeBits, index) & (ulong.MaxValue << index);
        int at = index >> 6;
        while (word == 0)
        {
            at = (at + 1) & (WordsPerSet - 1);
            word = Bits(number, FreeBits, at << 6);
        }

        return (at << 6) + BitOperations.TrailingZeroCount(word);
    }

    /// <summary>
    /// The last free row of so many frames, aligned to its own length; <see cref="NoRow"/> when there is none. The
    /// last, since guests begin at the low end of their memory.
    /// </summary>
    private readonly int FindRow(int number, int count)
    {
        if (count == 1)
        {
            return FindLastFree(number);
        }

        for (int index = _chunks[number].FrameCount - count; index >= 0; index -= count)
        {
            ulong row = ((1UL << count) - 1) << index;
            if ((Bits(number, FreeBits, index) & row) == row)
            {
                return index;
            }
        }

        return NoRow;
    }

    private readonly int FindLastFree(int number)
    {
        int at = FramesPerChunk - 64;
        while (at != 0 && Bits(number, FreeBits, at) == 0)
        {
            at -= 64;
        }

        ulong word = Bits(number, FreeBits, at);
        return word == 0 ? NoRow : at + 63 - BitOperations.LeadingZeroCount(word);
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
                MoveToEmptied(ref frames, ref frames.Available, number);
            }

            number = next;
        }

        ReturnEmptied(ref frames);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void MoveToFull(ref VmFrames frames, int number)
    {
        Unlink(ref frames.Available, number);
        PushFront(ref frames.Full, number);
    }
}

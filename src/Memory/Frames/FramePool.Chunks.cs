using System.Runtime.CompilerServices;

namespace Quietus.Memory;

// Chunks on their rings: what VMs share is under the pool's lock.
public partial struct FramePool
{
    /// <summary>
    /// Gives the VM a chunk to cut into frames, in front of its list; -1 when there is none for it, and
    /// <see cref="VmFrames.Refusal"/> says why.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int TakeChunk(ref VmFrames frames)
    {
        int number = TakeFromPool(ref frames);
        if (number != ChunkList.None)
        {
            ref Chunk chunk = ref _chunks.At(number);
            bool isClean = chunk.State == ChunkState.FreeClean;
            chunk.State = ChunkState.Frames;
            chunk.Owner = frames.Stamp;
            chunk.FrameCount = (ushort)(ChunkBytes >> frames.FrameShift);
            chunk.Free = chunk.FrameCount;

            // What the last owner left there must not pass for handed out.
            ResetBits(number, chunk.FrameCount, isClean);
            PushFront(ref frames.Available, number);
        }

        return number;
    }

    /// <summary>A chunk's first frames are free, all zero or none; the others are guest data.</summary>
    private readonly void ResetBits(int number, int frames, bool isZero)
    {
        for (int at = 0; at < FramesPerChunk; at += 64)
        {
            ref ulong free = ref Bits(number, FreeBits, at);
            ulong bits = frames >= at + 64 ? ulong.MaxValue : frames > at ? (1UL << (frames - at)) - 1 : 0;
            free = bits;
            Unsafe.Add(ref free, ZeroBits - FreeBits) = isZero ? bits : 0;
            Unsafe.Add(ref free, TableBits - FreeBits) = 0;
        }
    }

    private readonly ulong SumUsed(ChunkList list)
    {
        ulong sum = 0;
        int number = list.First;
        for (int i = 0; i < list.Count; i++)
        {
            sum += (ulong)_chunks.At(number).Used;
            number = _chunks.At(number).Next;
        }

        return sum;
    }

    private readonly void PushFront(ref ChunkList list, int number)
    {
        PushBack(ref list, number);
        list.First = number;
    }

    private readonly void PushBack(ref ChunkList list, int number)
    {
        ref Chunk chunk = ref _chunks.At(number);
        if (list.First == ChunkList.None)
        {
            chunk.Next = number;
            chunk.Previous = number;
            list.First = number;
        }
        else
        {
            ref Chunk first = ref _chunks.At(list.First);
            chunk.Next = list.First;
            chunk.Previous = first.Previous;
            _chunks.At(first.Previous).Next = number;
            first.Previous = number;
        }

        list.Count++;
    }

    private readonly void Unlink(ref ChunkList list, int number)
    {
        ref Chunk chunk = ref _chunks.At(number);
        _chunks.At(chunk.Previous).Next = chunk.Next;
        _chunks.At(chunk.Next).Previous = chunk.Previous;
        list.Count--;
        if (list.First == number)
        {
            list.First = list.Count == 0 ? ChunkList.None : chunk.Next;
        }
    }

    /// <summary>Appends one ring to another by exchanging two pairs of links.</summary>
    private readonly void Splice(ref ChunkList onto, ref ChunkList from)
    {
        if (from.First == ChunkList.None)
        {
            return;
        }

        if (onto.First == ChunkList.None)
        {
            onto.First = from.First;
        }
        else
        {
            ref Chunk head = ref _chunks.At(onto.First);
            ref Chunk otherHead = ref _chunks.At(from.First);
            int tail = head.Previous;
            int otherTail = otherHead.Previous;
            _chunks.At(tail).Next = from.First;
            otherHead.Previous = tail;
            _chunks.At(otherTail).Next = onto.First;
            head.Previous = otherTail;
        }

        onto.Count += from.Count;
        from = ChunkList.Empty;
    }
}

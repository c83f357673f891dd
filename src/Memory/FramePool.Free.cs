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
    public PoolResult FreeData(ref VmFrames frames, Pa frame) => Counted(FreeChecked(ref frames, frame, Data));

    /// <summary>
    /// <see cref="FreeData"/> for what a leaf of the VM mapped, millions of times in a row: the address is aligned, and
    /// may be somebody else's, which is then left alone. What is refused is counted.
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

        uint index = (uint)(offset >> frameShift);
        ref ushort link = ref frames.RecentLinks.At((int)index);
        if (link != Data)
        {
            RefusedFrees++;
            return;
        }

        ref Chunk chunk = ref frames.Recent.At(0);
        link = chunk.FreeHead;
        chunk.FreeHead = (ushort)index;
        uint free = chunk.Free + 1U;
        chunk.Free = (ushort)free;
        uint frameCount = (uint)(ChunkBytes >> frameShift);
        if (free - 2 >= frameCount - 2)
        {
            FirstOrLastFreed(ref frames);
        }
    }

    /// <summary>Takes one table page back, under the same condition as <see cref="FreeData"/>.</summary>
    public PoolResult FreeTable(ref VmFrames frames, Pa table) => Counted(FreeChecked(ref frames, table, Table));

    /// <summary>Takes a whole chunk back that <see cref="AllocateWhole"/> gave, under the same condition.</summary>
    public PoolResult FreeWhole(ref VmFrames frames, Pa block) => Counted(TryFreeWhole(ref frames, block));

    /// <summary><see cref="FreeWhole"/> for a block that may map somebody else's memory.</summary>
    public PoolResult FreeWholeIfOwned(ref VmFrames frames, Pa block)
    {
        PoolResult result = TryFreeWhole(ref frames, block);
        return result == PoolResult.Foreign ? result : Counted(result);
    }

    /// <summary>Frees what any caller names, so the address is checked, too.</summary>
    private PoolResult FreeChecked(ref VmFrames frames, Pa address, ushort kind) =>
        address.IsAlignedTo(frames.FrameBytes) ? Free(ref frames, address, kind) : PoolResult.Foreign;

    /// <summary>
    /// Frees a frame. Neighbours in a row lie in one chunk nearly always, so the last one is remembered; it is one
    /// of this VM's that is cut into frames, or <see cref="VmFrames.Nowhere"/>.
    /// </summary>
    private PoolResult Free(ref VmFrames frames, Pa address, ushort kind)
    {
        ulong offset = address.Value - frames.RecentBase;
        if (offset >= ChunkBytes)
        {
            PoolResult found = Remember(ref frames, address, kind);
            if (found != PoolResult.Ok)
            {
                return found;
            }

            offset = address.Value - frames.RecentBase;
        }

        int index = (int)(offset >> frames.FrameShift);
        ref ushort link = ref frames.RecentLinks.At(index);
        if (link != kind)
        {
            return (link & (Table | Data)) == 0 ? PoolResult.NotAllocated : PoolResult.WrongKind;
        }

        ref Chunk chunk = ref frames.Recent.At(0);
        link = chunk.FreeHead;
        chunk.FreeHead = (ushort)index;
        chunk.Free++;
        if (chunk.Free == 1 || chunk.Free == chunk.FrameCount)
        {
            FirstOrLastFreed(ref frames);
        }

        return PoolResult.Ok;
    }

    /// <summary>The first leaf of a run that lies in another chunk, or somebody else's memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FreeLeafElsewhere(ref VmFrames frames, Pa frame)
    {
        PoolResult result = Free(ref frames, frame, Data);
        if (result != PoolResult.Foreign)
        {
            Counted(result);
        }
    }

    /// <summary>Finds an address's chunk, and cuts it into frames if it was handed out whole.</summary>
    private PoolResult Remember(ref VmFrames frames, Pa address, ushort kind)
    {
        int number = ChunkOf(address.Value);
        if (number < 0 || frames.Stamp == 0)
        {
            return PoolResult.Foreign;
        }

        ref Chunk chunk = ref _chunks[number];
        if (chunk.Owner == (frames.Stamp | Chunk.WholeBit))
        {
            if (kind == Table)
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
        frames.RecentLinks = _links.Slice(number * LinksPerChunk, LinksPerChunk);
        return PoolResult.Ok;
    }

    /// <summary>The recent chunk was full and has room again, or it has become empty.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void FirstOrLastFreed(ref VmFrames frames)
    {
        int number = frames.RecentNumber;
        ref Chunk chunk = ref _chunks[number];
        if (chunk.Free == 1)
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

        uint owner = _chunks[number].Owner;
        if (owner != (frames.Stamp | Chunk.WholeBit))
        {
            return owner == frames.Stamp ? PoolResult.WrongKind : PoolResult.Foreign;
        }

        Unlink(ref frames.Full, number);
        ReturnChunk(number);
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
        Unlink(ref frames.Available, number);
        ReturnChunk(number);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PoolResult Counted(PoolResult result)
    {
        if (result != PoolResult.Ok)
        {
            RefusedFrees++;
        }

        return result;
    }

    /// <summary>Turns a whole chunk into one whose frames are all handed out, as guest data.</summary>
    private readonly void CutIntoFrames(ref VmFrames frames, ref Chunk chunk, int number)
    {
        for (int frame = 0; frame < chunk.FrameCount; frame++)
        {
            Link(number, frame) = Data;
        }

        chunk.State = ChunkState.Frames;
        chunk.Owner = frames.Stamp;
        chunk.FreeHead = EndOfList;
        chunk.Untouched = chunk.FrameCount;
    }
}

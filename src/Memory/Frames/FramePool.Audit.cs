namespace Quietus.Memory;

// Whether every chunk is where it should be: for audits, not for paths that are measured. The lists are walked whole.
public partial struct FramePool
{
    /// <summary>
    /// Walks the pool's own lists. With the VMs' (<see cref="Audit(in VmFrames)"/>), what is reserved and what is being
    /// scrubbed, the sum is every chunk: then each is on exactly one list, since none can be on two sound rings. And no
    /// more is promised than is free.
    /// </summary>
    public PoolAudit Audit()
    {
        _lock.Enter();
        bool isSound = IsSound(_clean, NoOwner, ChunkState.FreeClean) && IsSound(_dirty, 0, ChunkState.Dirty);
        int chunks = _clean.Count + _dirty.Count;
        isSound &= _owed >= 0 && _owed <= chunks + _scrubbing;
        _lock.Leave();
        return new PoolAudit(isSound, chunks);
    }

    /// <summary>
    /// What a chunk is used as at this moment, for a map. <paramref name="stamp"/> is that of the VM that has it or had
    /// it last; where that VM is dead, the chunk is dirty, whatever the state says.
    /// </summary>
    /// <param name="number">0 up to the pool's number of chunks, exclusive.</param>
    /// <param name="stamp">0 where it has no owner.</param>
    public readonly ChunkState Look(int number, out ulong stamp)
    {
        ref Chunk chunk = ref _chunks[number];
        ChunkState state = chunk.State;
        stamp = state is ChunkState.Frames or ChunkState.Whole ? chunk.Owner & ~Chunk.WholeBit : 0;
        return state;
    }

    /// <summary>Walks a VM's lists. Locking: the VM's memory lock.</summary>
    public readonly PoolAudit Audit(in VmFrames frames) => new(
        frames.Stamp == 0
            || (IsSound(frames.Available, frames.Stamp, ChunkState.Frames)
                && IsSound(frames.Full, frames.Stamp, ChunkState.Frames)
                && IsSound(frames.Emptied, NoOwner, ChunkState.Dirty)
                && frames.Taken == frames.ChunkCount + frames.Emptied.Count),
        frames.ChunkCount);

    /// <summary>Whether a ring is one, and its chunks are its owner's; 0 is any owner that is dead.</summary>
    private readonly bool IsSound(ChunkList list, ulong owner, ChunkState state)
    {
        int number = list.First;
        for (int i = 0; i < list.Count; i++)
        {
            if ((uint)number >= (uint)_chunkCount)
            {
                return false;
            }

            ref Chunk chunk = ref _chunks[number];
            bool isReserved = chunk.State is ChunkState.Reserved or ChunkState.Scrubbing;
            bool isRight = owner == 0 || owner == NoOwner
                ? (owner == 0 && !isReserved && chunk.State != ChunkState.FreeClean) || chunk.State == state
                : (chunk.Owner & ~Chunk.WholeBit) == owner && chunk.State is ChunkState.Frames or ChunkState.Whole;
            if (!isRight || _chunks[chunk.Next].Previous != number || (i + 1 < list.Count && chunk.Next == list.First))
            {
                return false;
            }

            number = chunk.Next;
        }

        return number == list.First;
    }
}

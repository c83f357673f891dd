namespace Quietus.Memory;

// Which VM may take a chunk: what it was promised it can always have, and what is promised to others it cannot.
//
//      free chunks (clean, dirty, being scrubbed)
//     +---------------------------+------------------------------+
//     | owed: promised, not taken | available: to be promised,   |
//     | yet; each to one VM       | or to the VM that asks first |
//     +---------------------------+------------------------------+
//
// A chunk is owed until its VM takes it, and owed again when that VM gives it back. Everything is decided under the
// pool's lock, so a chunk that is being scrubbed is neither there nor gone: the answer is Busy.
public partial struct FramePool
{
    /// <summary>
    /// Sets aside what a VM needs, and bounds what it may have. Once in its life, before it takes anything.
    /// </summary>
    /// <param name="frames">The VM, adopted.</param>
    /// <param name="chunks">Chunks that it can have whatever other VMs do; 0 for none.</param>
    /// <param name="most">Chunks that it may have at most, those included.</param>
    /// <returns>
    /// <see cref="PoolResult.OutOfMemory"/> when so many are not free and promised to no other VM: nothing changed.
    /// </returns>
    public PoolResult Promise(ref VmFrames frames, int chunks, int most)
    {
        if (chunks < 0 || most < chunks || frames.Stamp == 0 || frames.Promised != 0 || frames.Taken != 0)
        {
            return PoolResult.BadArgument;
        }

        _lock.Enter();
        bool isThere = chunks <= _clean.Count + _dirty.Count + _scrubbing - _owed;
        _owed += isThere ? chunks : 0;
        _lock.Leave();
        if (!isThere)
        {
            return PoolResult.OutOfMemory;
        }

        frames.Promised = chunks;
        frames.Most = most;
        return PoolResult.Ok;
    }

    /// <summary>The VM takes no chunk any more: what is left of its promise, other VMs can be promised.</summary>
    public void RenounceRest(ref VmFrames frames)
    {
        _lock.Enter();
        _owed -= Outstanding(in frames);
        frames.Promised = frames.Promised < frames.Taken ? frames.Promised : frames.Taken;
        frames.Most = frames.Taken;
        _lock.Leave();
    }

    /// <summary>
    /// A free chunk, a clean one if there is one: its state still says which. -1 when there is none for this VM.
    /// </summary>
    private int TakeFromPool(ref VmFrames frames)
    {
        int number = ChunkList.None;
        _lock.Enter();
        frames.Refusal = Refuse(in frames);
        if (frames.Refusal == PoolResult.Ok)
        {
            bool clean = _clean.Count != 0;
            number = clean ? _clean.First : _dirty.First;
            Unlink(ref clean ? ref _clean : ref _dirty, number);
            // A chunk that came back by a splice still carries its old owner's state.
            _chunks.At(number).State = clean ? ChunkState.FreeClean : ChunkState.Dirty;
            _owed -= frames.Taken < frames.Promised ? 1 : 0;
            frames.Taken++;
        }

        _lock.Leave();
        return number;
    }

    /// <summary>Why a VM can have no chunk now; Ok when it can.</summary>
    private readonly PoolResult Refuse(in VmFrames frames)
    {
        int there = _clean.Count + _dirty.Count;
        int needed = frames.Taken < frames.Promised ? 1 : _owed + 1;
        return frames.Stamp == 0 || frames.Taken >= frames.Most || there + _scrubbing < needed
            ? PoolResult.OutOfMemory
            : there == 0 ? PoolResult.Busy : PoolResult.Ok;
    }

    /// <summary>Chunks went back from a VM that goes on. The lock is held.</summary>
    private void CountReturned(ref VmFrames frames, int count)
    {
        int before = Outstanding(in frames);
        frames.Taken -= count;
        _owed += Outstanding(in frames) - before;
    }

    /// <summary>All went back, and nothing more is promised. The lock is held.</summary>
    private void EndPromise(ref VmFrames frames)
    {
        _owed -= Outstanding(in frames);
        frames.Taken = 0;
        frames.Promised = 0;
    }

    /// <summary>What is left of a promise.</summary>
    private static int Outstanding(in VmFrames frames) =>
        frames.Promised > frames.Taken ? frames.Promised - frames.Taken : 0;
}

using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// Physical memory in chunks of 2 MB. VMs take chunks and cut them into frames for guest pages and tables,
/// or map them whole as blocks. A chunk that becomes empty returns; a VM that dies returns all of them in
/// one splice, whatever their number and contents.
/// </summary>
/// <remarks>
/// Invariants: a chunk is in exactly one state and on the list of that state; a frame is handed out at most
/// once; a frame is freed only by the VM that holds it (checked in every build, refused as an error value and
/// counted in <see cref="RefusedFrees"/>).
/// <para>
/// What becomes of a chunk's frames is in three sets of bits, one for each frame: free; free, and zero at the PoC; a
/// table page. A frame that is neither free nor a table is guest data. So a free is checked, and a whole run of frees
/// by one comparison for 64 frames.
/// </para>
/// <para>
/// Locking: a VM's frames are changed under that VM's memory lock. What VMs share, the chunk lists, has a
/// lock of its own, taken once per chunk and not per frame.
/// </para>
/// </remarks>
public partial struct FramePool
{
    /// <summary>log2 of a chunk's size.</summary>
    public const int ChunkShift = 21;

    /// <summary>Size of a chunk: 2 MB, a level 2 block of the 4K granule.</summary>
    public const ulong ChunkBytes = 1UL << ChunkShift;

    /// <summary>4K frames in a chunk: bits in each of its sets.</summary>
    public const int FramesPerChunk = 512;

    /// <summary>64-bit words of bits that each chunk needs: three sets.</summary>
    public const int WordsPerChunk = 3 * WordsPerSet;

    /// <summary>Ranges of memory (RAM banks) that can be added.</summary>
    public const int MaxRanges = 16;

    /// <summary>Most table pages that <see cref="AllocateTables"/> gives in one run: concatenated roots.</summary>
    public const int MaxRun = 16;

    /// <summary>The owner of a chunk that is no VM's: no stamp has this bit.</summary>
    private const ulong NoOwner = Chunk.WholeBit;

    private const int WordsPerSet = FramesPerChunk / 64;
    private const int FreeBits = 0;
    private const int ZeroBits = WordsPerSet;
    private const int TableBits = 2 * WordsPerSet;
    private const int NoRow = -1;

    private UnmanagedArray<Chunk> _chunks;
    private UnmanagedArray<ulong> _bits;
    private RangeArray _ranges;
    private int _rangeCount;
    private int _chunkCount;
    private ChunkList _clean;
    private ChunkList _dirty;
    private int _scrubbing;
    private int _reserved;
    private int _owed;
    private ulong _lastStamp;
    private BusyLock _lock;

    /// <summary>Frees that were refused since the start: each one is a defect of the caller.</summary>
    public ulong RefusedFrees { get; private set; }

    /// <summary>Bytes of added memory that could not be used, in all.</summary>
    public ulong LeftoverBytes { get; private set; }

    /// <summary>Bytes of metadata that a number of chunks needs: 32 for the descriptor, 192 for the bits.</summary>
    public static ulong MetadataBytes(ulong chunks) =>
        chunks * ((ulong)Unsafe.SizeOf<Chunk>() + (WordsPerChunk * sizeof(ulong)));

    /// <summary>Starts an empty pool over metadata handed in; its contents do not matter.</summary>
    /// <param name="chunks">One descriptor for each chunk that shall be managed.</param>
    /// <param name="bits"><see cref="WordsPerChunk"/> words for each of them.</param>
    public PoolResult Initialize(UnmanagedArray<Chunk> chunks, UnmanagedArray<ulong> bits)
    {
        if (bits.Count / WordsPerChunk < chunks.Count)
        {
            return PoolResult.BadArgument;
        }

        this = default;
        _chunks = chunks;
        _bits = bits;
        _clean = ChunkList.Empty;
        _dirty = ChunkList.Empty;
        return PoolResult.Ok;
    }

    /// <summary>
    /// Adds a range of RAM, clipped to whole chunks. Ranges are added at boot, before the first VM.
    /// </summary>
    /// <param name="start">First byte.</param>
    /// <param name="bytes">Length; the range must not wrap.</param>
    /// <param name="isZero">Every byte is known to be zero already, at the PoC too.</param>
    public PoolRange AddRange(Pa start, ulong bytes, bool isZero)
    {
        ulong end = start.Value + bytes;
        if (end < start.Value || _rangeCount == MaxRanges)
        {
            return new PoolRange(PoolResult.BadArgument, 0, 0);
        }

        ulong first = start.Value > ulong.MaxValue - (ChunkBytes - 1)
            ? end
            : (start.Value + ChunkBytes - 1) & ~(ChunkBytes - 1);
        ulong whole = first < end ? (end - first) >> ChunkShift : 0;
        ulong left = (ulong)(_chunks.Count - _chunkCount);
        int count = (int)(whole < left ? whole : left);
        for (int i = 0; i < _rangeCount; i++)
        {
            if (count != 0 && first < _ranges[i].End && _ranges[i].Start < first + ((ulong)count << ChunkShift))
            {
                return new PoolRange(PoolResult.BadArgument, 0, 0);
            }
        }

        ulong leftover = bytes - ((ulong)count << ChunkShift);
        LeftoverBytes += leftover;
        if (count == 0)
        {
            return new PoolRange(PoolResult.Ok, 0, leftover);
        }

        ref MemoryRange range = ref _ranges[_rangeCount];
        range.Start = first;
        range.End = first + ((ulong)count << ChunkShift);
        range.FirstChunk = _chunkCount;
        _rangeCount++;
        ref ChunkList list = ref isZero ? ref _clean : ref _dirty;
        for (int i = 0; i < count; i++)
        {
            int number = _chunkCount++;
            ref Chunk chunk = ref _chunks[number];
            chunk = default;
            chunk.Base = first + ((ulong)i << ChunkShift);
            chunk.Owner = NoOwner;
            chunk.State = isZero ? ChunkState.FreeClean : ChunkState.Dirty;
            PushBack(ref list, number);
        }

        return new PoolRange(PoolResult.Ok, count, leftover);
    }

    /// <summary>
    /// Takes every chunk that a range touches out of the pool for good: the hypervisor's image and stacks, a
    /// device tree, firmware. At boot, before a VM holds any of them.
    /// </summary>
    public PoolResult Reserve(Pa start, ulong bytes)
    {
        ulong end = start.Value + bytes;
        if (end < start.Value)
        {
            return PoolResult.BadArgument;
        }

        for (int i = 0; i < _rangeCount && bytes != 0; i++)
        {
            ulong from = start.Value > _ranges[i].Start ? start.Value : _ranges[i].Start;
            ulong to = end < _ranges[i].End ? end : _ranges[i].End;
            for (ulong at = from & ~(ChunkBytes - 1); at < to; at += ChunkBytes)
            {
                int number = ChunkOf(at);
                ref Chunk chunk = ref _chunks[number];
                if (chunk.State is ChunkState.Reserved)
                {
                    continue;
                }

                if (chunk.State is not (ChunkState.FreeClean or ChunkState.Dirty))
                {
                    return PoolResult.BadArgument;
                }

                Unlink(ref chunk.State == ChunkState.FreeClean ? ref _clean : ref _dirty, number);
                chunk.State = ChunkState.Reserved;
                _reserved++;
            }
        }

        return PoolResult.Ok;
    }

    /// <summary>What the pool holds now: one moment's counts, whatever other cores move meanwhile.</summary>
    public PoolUsage Usage
    {
        get
        {
            _lock.Enter();
            PoolUsage usage = new(_chunkCount, _clean.Count, _dirty.Count, _scrubbing, _reserved, _owed);
            _lock.Leave();
            return usage;
        }
    }

    /// <summary>
    /// Starts a VM's life: it holds nothing yet, nothing is promised to it, and it may have all. Each life has a stamp
    /// of its own. There are 2^63, one each nanosecond for 292 years; after the last, lives are refused and those that
    /// there are keep theirs.
    /// </summary>
    /// <param name="frames">The VM's own record.</param>
    /// <param name="frameShift">log2 of its frames, its tables' granule: 12 to 16.</param>
    public PoolResult Adopt(ref VmFrames frames, int frameShift)
    {
        if (frameShift is < 12 or > 16)
        {
            return PoolResult.BadArgument;
        }

        _lock.Enter();
        ulong stamp = _lastStamp == Chunk.WholeBit - 1 ? 0 : ++_lastStamp;
        _lock.Leave();
        if (stamp == 0)
        {
            return PoolResult.BadArgument;
        }

        frames.Stamp = stamp;
        frames.Promised = 0;
        frames.Most = int.MaxValue;
        frames.Taken = 0;
        frames.InFlight = 0;
        frames.Refusal = PoolResult.Ok;
        frames.Available = ChunkList.Empty;
        frames.Full = ChunkList.Empty;
        frames.Emptied = ChunkList.Empty;
        frames.Leaving = LeavingChunks.From(ChunkList.None);
        frames.FrameShift = (byte)frameShift;
        frames.IsReserved = false;
        frames.KeptEmpty = false;
        frames.RecentBase = VmFrames.Nowhere;
        return PoolResult.Ok;
    }

    /// <summary>Whether an address lies in a chunk that this VM holds.</summary>
    public readonly bool Owns(in VmFrames frames, Pa address)
    {
        int number = ChunkOf(address.Value);
        return number >= 0 && frames.Stamp != 0 && (_chunks[number].Owner & ~Chunk.WholeBit) == frames.Stamp;
    }

    /// <summary>Whether an address lies in a chunk that this VM, which holds some, does not.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsOthers(in VmFrames frames, Pa address)
    {
        int number = ChunkOf(address.Value);
        return number >= 0 && (_chunks.At(number).Owner & ~Chunk.WholeBit) != frames.Stamp;
    }

    /// <summary>
    /// Whether a frame is handed out to this VM and not given back: by itself, or in a chunk in one piece. For audits.
    /// </summary>
    public readonly bool IsHandedOut(in VmFrames frames, Pa frame)
    {
        int number = ChunkOf(frame.Value);
        if (number < 0 || frames.Stamp == 0 || _chunks[number].Owner != frames.Stamp)
        {
            return IsWhole(in frames, frame);
        }

        int index = (int)((frame.Value & (ChunkBytes - 1)) >> frames.FrameShift);
        return ((Bits(number, FreeBits, index) >> index) & 1) == 0;
    }

    /// <summary>Whether an address lies in memory that the pool manages, held by a VM or not.</summary>
    public readonly bool Contains(Pa address) => ChunkOf(address.Value) >= 0;

    /// <summary>Whether a range touches memory that the pool manages.</summary>
    public readonly bool Overlaps(Pa start, ulong bytes)
    {
        for (int i = 0; i < _rangeCount; i++)
        {
            if (start.Value < _ranges[i].End && _ranges[i].Start < start.Value + bytes)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Whether an address lies in a chunk that this VM holds in one piece, none of whose frames was given back.
    /// Its frames can then be mapped by one block again.
    /// </summary>
    public readonly bool IsWhole(in VmFrames frames, Pa address)
    {
        int number = ChunkOf(address.Value);
        return number >= 0 && frames.Stamp != 0 && _chunks[number].Owner == (frames.Stamp | Chunk.WholeBit);
    }

    /// <summary>
    /// Gives everything that a VM holds back at once: two splices, O(1) in the VM's size. The VM is dead:
    /// its VMID is invalidated and the DSB complete. <paramref name="frames"/> holds nothing afterwards.
    /// </summary>
    /// <returns>Chunks that went back.</returns>
    public int ReturnAll(ref VmFrames frames)
    {
        int count = frames.ChunkCount;
        _lock.Enter();
        Splice(ref _dirty, ref frames.Available);
        Splice(ref _dirty, ref frames.Full);
        Splice(ref _dirty, ref frames.Emptied);
        EndPromise(ref frames);
        _lock.Leave();
        frames.Stamp = 0;
        frames.InFlight = 0;
        frames.IsReserved = false;
        frames.KeptEmpty = false;
        frames.RecentBase = VmFrames.Nowhere;
        return count;
    }

    /// <summary>
    /// Frames that are handed out to a VM and not given back: 0 once all were. Walks the VM's chunks, so it is
    /// for audits, not for paths that are measured.
    /// </summary>
    public readonly ulong CountUsed(in VmFrames frames) => SumUsed(frames.Available) + SumUsed(frames.Full);

    /// <summary>
    /// Takes a dirty chunk out to be overwritten with zeroes while a PE is idle.
    /// </summary>
    public PoolResult BeginScrub(out Pa chunk)
    {
        chunk = default;
        _lock.Enter();
        int number = _dirty.First;
        if (number != ChunkList.None)
        {
            Unlink(ref _dirty, number);
            _chunks[number].State = ChunkState.Scrubbing;
            _chunks[number].Owner = NoOwner;
            _scrubbing++;
            chunk = new Pa(_chunks[number].Base);
        }

        _lock.Leave();
        return number == ChunkList.None ? PoolResult.OutOfMemory : PoolResult.Ok;
    }

    /// <summary>
    /// Puts a chunk that <see cref="BeginScrub"/> gave onto the clean list: every byte is zero now, and at the PoC
    /// where guests may go past the caches; the DSB is complete.
    /// </summary>
    public void EndScrub(Pa chunk) => LeaveScrub(chunk, ref _clean, ChunkState.FreeClean);

    /// <summary>Puts a chunk that <see cref="BeginScrub"/> gave back onto the dirty list.</summary>
    public void AbandonScrub(Pa chunk) => LeaveScrub(chunk, ref _dirty, ChunkState.Dirty);

    /// <summary>Whether any chunk waits to be scrubbed; it may have changed by the time it is read.</summary>
    public readonly bool HasDirty => Volatile.Read(in _dirty.Count) != 0;

    /// <summary>Whether any chunk is being scrubbed, likewise.</summary>
    public readonly bool IsScrubbing => Volatile.Read(in _scrubbing) != 0;

    private void LeaveScrub(Pa chunk, ref ChunkList onto, ChunkState state)
    {
        int number = ChunkOf(chunk.Value);
        if (number < 0 || _chunks[number].State != ChunkState.Scrubbing)
        {
            RefusedFrees++;
            return;
        }

        _lock.Enter();
        _chunks[number].State = state;
        _scrubbing--;
        PushFront(ref onto, number);
        _lock.Leave();
    }

    /// <summary>The chunk that an address lies in, or -1. The first range is nearly always the only one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int ChunkOf(ulong address)
    {
        ulong offset = address - _ranges[0].Start;
        return offset < _ranges[0].End - _ranges[0].Start ? (int)(offset >> ChunkShift) : ChunkOfOtherRange(address);
    }

    private readonly int ChunkOfOtherRange(ulong address)
    {
        for (int i = 1; i < _rangeCount; i++)
        {
            if (address >= _ranges[i].Start && address < _ranges[i].End)
            {
                return _ranges[i].FirstChunk + (int)((address - _ranges[i].Start) >> ChunkShift);
            }
        }

        return -1;
    }

    /// <summary>
    /// The word of one of a chunk's sets that has a frame's bit, which is 1 shifted by the frame's number. The chunk
    /// is on a list and the frame inside it, so neither is checked.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly ref ulong Bits(int chunk, int set, int frame) =>
        ref _bits.At((chunk * WordsPerChunk) + set + (frame >> 6));

    private struct MemoryRange
    {
        internal ulong Start;
        internal ulong End;
        internal int FirstChunk;
    }

    [InlineArray(MaxRanges)]
    private struct RangeArray
    {
        private MemoryRange _first;
    }
}

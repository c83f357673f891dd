using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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
/// A frame's link, 16 bits:
/// <code>
///   0x0000..0x01FF   free; the next free frame of the chunk      0x4000   handed out, guest data
///   0x3FFF           free; the last of its list                  0x8000   handed out, a table page
/// </code>
/// </para>
/// <para>
/// Locking: a VM's frames are changed under that VM's memory lock. What VMs share, the chunk lists, has a
/// lock of its own, taken once per chunk and not per frame.
/// </para>
/// </remarks>
public struct FramePool
{
    /// <summary>log2 of a chunk's size.</summary>
    public const int ChunkShift = 21;

    /// <summary>Size of a chunk: 2 MB, a level 2 block of the 4K granule.</summary>
    public const ulong ChunkBytes = 1UL << ChunkShift;

    /// <summary>Links per chunk: as many as 4K frames.</summary>
    public const int LinksPerChunk = 512;

    /// <summary>Ranges of memory (RAM banks) that can be added.</summary>
    public const int MaxRanges = 16;

    /// <summary>Most table pages that <see cref="AllocateTables"/> gives in one run: concatenated roots.</summary>
    public const int MaxRun = 16;

    /// <summary>The owner of a chunk that is nobody's: no VM's stamp has this bit.</summary>
    private const uint Nobody = Chunk.WholeBit;

    private const ushort EndOfList = 0x3FFF;
    private const ushort Data = 0x4000;
    private const ushort Table = 0x8000;

    private UnmanagedArray<Chunk> _chunks;
    private UnmanagedArray<ushort> _links;
    private RangeArray _ranges;
    private int _rangeCount;
    private int _chunkCount;
    private ChunkList _clean;
    private ChunkList _dirty;
    private int _scrubbing;
    private int _reserved;
    private uint _lastStamp;
    private BusyLock _lock;

    /// <summary>Frees that were refused since the start: each one is a defect of the caller.</summary>
    public ulong RefusedFrees { get; private set; }

    /// <summary>Bytes of added memory that could not be used, in all.</summary>
    public ulong LeftoverBytes { get; private set; }

    /// <summary>Bytes of metadata that a number of chunks needs: 32 for the descriptor, 1024 for the links.</summary>
    public static ulong MetadataBytes(ulong chunks) =>
        chunks * ((ulong)Unsafe.SizeOf<Chunk>() + (LinksPerChunk * sizeof(ushort)));

    /// <summary>Starts an empty pool over metadata handed in; its contents do not matter.</summary>
    /// <param name="chunks">One descriptor for each chunk that shall be managed.</param>
    /// <param name="links"><see cref="LinksPerChunk"/> links for each of them.</param>
    public PoolResult Initialize(UnmanagedArray<Chunk> chunks, UnmanagedArray<ushort> links)
    {
        if (links.Count / LinksPerChunk < chunks.Count)
        {
            return PoolResult.BadArgument;
        }

        this = default;
        _chunks = chunks;
        _links = links;
        _clean = ChunkList.Empty;
        _dirty = ChunkList.Empty;
        return PoolResult.Ok;
    }

    /// <summary>
    /// Adds a range of RAM, clipped to whole chunks. Ranges are added at boot, before the first VM.
    /// </summary>
    /// <param name="start">First byte.</param>
    /// <param name="bytes">Length; the range must not wrap.</param>
    /// <param name="isZero">Every byte is known to be zero already.</param>
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
            chunk.Owner = Nobody;
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

    /// <summary>What the pool holds now.</summary>
    public readonly PoolUsage Usage => new(_chunkCount, _clean.Count, _dirty.Count, _scrubbing, _reserved);

    /// <summary>Starts a VM's life: it holds nothing yet.</summary>
    /// <param name="frames">The VM's own record.</param>
    /// <param name="frameShift">log2 of its frames, its tables' granule: 12, 14 or 16, and what is between for formats to come.</param>
    public PoolResult Adopt(ref VmFrames frames, int frameShift)
    {
        if (frameShift is < 12 or > 16)
        {
            return PoolResult.BadArgument;
        }

        _lock.Enter();
        _lastStamp = _lastStamp == Chunk.WholeBit - 1 ? 1 : _lastStamp + 1;
        frames.Stamp = _lastStamp;
        _lock.Leave();
        frames.Available = ChunkList.Empty;
        frames.Full = ChunkList.Empty;
        frames.FrameShift = (byte)frameShift;
        frames.IsReserved = false;
        frames.KeptEmpty = false;
        frames.RecentBase = VmFrames.Nowhere;
        return PoolResult.Ok;
    }

    /// <summary>Hands out one frame for guest data.</summary>
    /// <param name="frames">The VM that gets it.</param>
    /// <param name="frame">Its address, aligned to the VM's frame size.</param>
    /// <param name="isZero">Every byte is known to be zero; otherwise the caller zeroes it before a guest sees it.</param>
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

    /// <summary>Whether an address lies in a chunk that this VM holds.</summary>
    public readonly bool Owns(in VmFrames frames, Pa address)
    {
        int number = ChunkOf(address.Value);
        return number >= 0 && frames.Stamp != 0 && (_chunks[number].Owner & ~Chunk.WholeBit) == frames.Stamp;
    }

    /// <summary>Whether an address lies in memory that the pool manages, whoever holds it.</summary>
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
        _lock.Leave();
        frames.Stamp = 0;
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
            _chunks[number].Owner = Nobody;
            _scrubbing++;
            chunk = new Pa(_chunks[number].Base);
        }

        _lock.Leave();
        return number == ChunkList.None ? PoolResult.OutOfMemory : PoolResult.Ok;
    }

    /// <summary>Puts a chunk that <see cref="BeginScrub"/> gave onto the clean list: every byte is zero now.</summary>
    public PoolResult EndScrub(Pa chunk)
    {
        int number = ChunkOf(chunk.Value);
        if (number < 0 || _chunks[number].State != ChunkState.Scrubbing)
        {
            return Counted(PoolResult.NotAllocated);
        }

        _lock.Enter();
        _chunks[number].State = ChunkState.FreeClean;
        _scrubbing--;
        PushFront(ref _clean, number);
        _lock.Leave();
        return PoolResult.Ok;
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

    /// <summary>Finds an address's chunk for <see cref="Free"/>, and cuts it into frames if it was handed out whole.</summary>
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PoolResult Counted(PoolResult result)
    {
        if (result != PoolResult.Ok)
        {
            RefusedFrees++;
        }

        return result;
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FrameOf(ulong address, int frameShift) => (int)((address & (ChunkBytes - 1)) >> frameShift);

    /// <summary>A frame's link. The chunk is on a list and the frame inside it, so neither is checked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly ref ushort Link(int chunk, int frame) => ref _links.At((chunk * LinksPerChunk) + frame);

    private static bool HasUntouchedRun(in Chunk chunk, int count) =>
        ((chunk.Untouched + count - 1) & -count) + count <= chunk.FrameCount;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void MoveToFull(ref VmFrames frames, int number)
    {
        Unlink(ref frames.Available, number);
        PushFront(ref frames.Full, number);
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

    /// <summary>Gives the VM a chunk to cut into frames, in front of its list; -1 when the pool is empty.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int TakeChunk(ref VmFrames frames)
    {
        int number = frames.Stamp == 0 ? ChunkList.None : TakeFromPool();
        if (number != ChunkList.None)
        {
            ref Chunk chunk = ref _chunks[number];
            chunk.WasClean = chunk.State == ChunkState.FreeClean;
            chunk.State = ChunkState.Frames;
            chunk.Owner = frames.Stamp;
            chunk.FreeHead = EndOfList;
            chunk.Untouched = 0;
            chunk.FrameCount = (ushort)(ChunkBytes >> frames.FrameShift);
            chunk.Free = chunk.FrameCount;

            // What the last owner left there must not pass for handed out.
            MemoryMarshal.CreateSpan(ref Link(number, 0), LinksPerChunk).Clear();
            PushFront(ref frames.Available, number);
        }

        return number;
    }

    /// <summary>A free chunk, a clean one if there is one. Its state still says which.</summary>
    private int TakeFromPool()
    {
        _lock.Enter();
        bool clean = _clean.Count != 0;
        int number = clean ? _clean.First : _dirty.First;
        if (number != ChunkList.None)
        {
            Unlink(ref clean ? ref _clean : ref _dirty, number);
            // A chunk that came back by a splice still carries its old owner's state.
            _chunks[number].State = clean ? ChunkState.FreeClean : ChunkState.Dirty;
        }

        _lock.Leave();
        return number;
    }

    private void ReturnChunk(int number)
    {
        _lock.Enter();
        _chunks[number].State = ChunkState.Dirty;
        _chunks[number].Owner = Nobody;
        PushFront(ref _dirty, number);
        _lock.Leave();
    }

    private readonly ulong SumUsed(ChunkList list)
    {
        ulong sum = 0;
        int number = list.First;
        for (int i = 0; i < list.Count; i++)
        {
            sum += (ulong)_chunks[number].Used;
            number = _chunks[number].Next;
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
        ref Chunk chunk = ref _chunks[number];
        if (list.First == ChunkList.None)
        {
            chunk.Next = number;
            chunk.Previous = number;
            list.First = number;
        }
        else
        {
            ref Chunk first = ref _chunks[list.First];
            chunk.Next = list.First;
            chunk.Previous = first.Previous;
            _chunks[first.Previous].Next = number;
            first.Previous = number;
        }

        list.Count++;
    }

    private readonly void Unlink(ref ChunkList list, int number)
    {
        ref Chunk chunk = ref _chunks[number];
        _chunks[chunk.Previous].Next = chunk.Next;
        _chunks[chunk.Next].Previous = chunk.Previous;
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
            ref Chunk head = ref _chunks[onto.First];
            ref Chunk otherHead = ref _chunks[from.First];
            int tail = head.Previous;
            int otherTail = otherHead.Previous;
            _chunks[tail].Next = from.First;
            otherHead.Previous = tail;
            _chunks[otherTail].Next = onto.First;
            head.Previous = otherTail;
        }

        onto.Count += from.Count;
        from = ChunkList.Empty;
    }

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

namespace Quietus.Memory;

/// <summary>
/// The physical memory that one VM holds: its chunks, those with free frames and those without. Filled by
/// <see cref="FramePool"/>; the fields are its own.
/// </summary>
/// <remarks>Locking: the VM's memory lock.</remarks>
public struct VmFrames
{
    /// <summary>No chunk's address, and more than a chunk away from any.</summary>
    internal const ulong Nowhere = 1UL << 63;

    internal ChunkList Available;
    internal ChunkList Full;

    /// <summary>Chunks that became empty in the operation that is under way, and go back at its end.</summary>
    internal ChunkList Emptied;

    /// <summary>Chunks on the ring of full ones that have no owner already, and leave it together.</summary>
    internal LeavingChunks Leaving;

    /// <summary>Names this VM's life among all that the pool ever served; 0 is no VM.</summary>
    internal ulong Stamp;

    /// <summary>Chunks that the VM has, or can have whatever other VMs do.</summary>
    internal int Promised;

    /// <summary>Most chunks that the VM may have, promised or not.</summary>
    internal int Most;

    /// <summary>Chunks taken and not given back, counted under the pool's lock.</summary>
    internal int Taken;

    /// <summary>Faults that have taken a page or block and neither mapped it nor given it back yet.</summary>
    internal int InFlight;

    /// <summary>Why the pool gave no chunk the last time.</summary>
    internal PoolResult Refusal;

    /// <summary>The chunk that the last frame was freed into: its address, or <see cref="Nowhere"/>.</summary>
    internal ulong RecentBase;

    internal UnmanagedArray<Chunk> Recent;
    internal UnmanagedArray<ulong> RecentBits;
    internal int RecentNumber;

    internal byte FrameShift;

    /// <summary>Table pages are promised, so empty chunks stay; see <see cref="FramePool.ReserveTables"/>.</summary>
    internal bool IsReserved;

    /// <summary>A chunk became empty under a reservation.</summary>
    internal bool KeptEmpty;

    /// <summary>Chunks that the VM holds.</summary>
    public readonly int ChunkCount => Available.Count + Full.Count;

    /// <summary>Chunks that the VM was promised; see <see cref="FramePool.Promise"/>.</summary>
    public readonly int PromisedChunks => Promised;

    /// <summary>Chunks that the VM may have at most.</summary>
    public readonly int MostChunks => Most;

    /// <summary>
    /// Whether a refusal may be over in a moment: the chunk is being scrubbed, or another fault of this VM may give one
    /// back, or map what this one asks for.
    /// </summary>
    internal readonly bool MayHaveMoreSoon => Refusal == PoolResult.Busy || InFlight != 0;

    /// <summary>Size of a frame in bytes: the granule of the VM's tables (4, 16 or 64 KB).</summary>
    public readonly ulong FrameBytes => 1UL << FrameShift;
}

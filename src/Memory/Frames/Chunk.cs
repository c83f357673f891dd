using System.Runtime.InteropServices;

namespace Quietus.Memory;

/// <summary>What a chunk is used as. Exactly one at a time.</summary>
public enum ChunkState : byte
{
    /// <summary>In the pool, and every byte is known to be zero; at the PoC, too.</summary>
    FreeClean,

    /// <summary>In the pool, with its last owner's bytes.</summary>
    Dirty,

    /// <summary>Out of the pool while it is being overwritten; see <see cref="FramePool.BeginScrub"/>.</summary>
    Scrubbing,

    /// <summary>A VM's, cut into frames.</summary>
    Frames,

    /// <summary>A VM's, handed out in one piece, for a 2 MB block.</summary>
    Whole,

    /// <summary>Never handed out: the hypervisor itself, firmware, devices.</summary>
    Reserved,
}

/// <summary>
/// Describes one chunk: 2 MB of physical memory, aligned. Chunks form doubly linked rings through
/// <c>Next</c> and <c>Previous</c>, so that a dead VM's whole list goes back in one splice.
/// </summary>
/// <remarks>
/// Its frames are in <see cref="FramePool"/>'s sets of bits.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct Chunk
{
    /// <summary>Physical address of the first byte.</summary>
    internal ulong Base;

    internal int Next;
    internal int Previous;

    /// <summary>
    /// The stamp of the VM that took it, with <see cref="WholeBit"/> while it is in one piece: one comparison
    /// tells both. After that VM's death the stamp stays and matches no VM, so the splice need not visit the chunk: no
    /// stamp is ever given twice.
    /// </summary>
    internal ulong Owner;

    /// <summary>Frames that can be handed out.</summary>
    internal ushort Free;

    internal ushort FrameCount;
    internal ChunkState State;

    /// <summary>In <see cref="Owner"/>: handed out in one piece.</summary>
    internal const ulong WholeBit = 1UL << 63;

    internal readonly int Used => FrameCount - Free;
}

/// <summary>A ring of chunks: the first one's number, or <see cref="None"/>, and how many there are.</summary>
internal struct ChunkList
{
    internal const int None = -1;

    internal int First;
    internal int Count;

    internal static ChunkList Empty => new() { First = None };
}

/// <summary>A part of a ring: from its first chunk to its last. No chunk's links name it while there is none.</summary>
internal struct LeavingChunks
{
    internal int First;
    internal int Last;
    internal int Count;

    internal static LeavingChunks From(int number) =>
        new() { First = number, Last = number, Count = number == ChunkList.None ? 0 : 1 };
}

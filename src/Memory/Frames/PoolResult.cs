namespace Quietus.Memory;

/// <summary>How a request to the frame pool ended.</summary>
public enum PoolResult : byte
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>
    /// No chunk is left for this VM: all are taken or promised to others, or it has as many as it may have.
    /// </summary>
    OutOfMemory,

    /// <summary>The chunk that it can have is being scrubbed: ask again in a moment.</summary>
    Busy,

    /// <summary>The frame is not handed out: freed twice, or never allocated. Nothing was changed.</summary>
    NotAllocated,

    /// <summary>The address is not this VM's, or not the pool's at all. Nothing was changed.</summary>
    Foreign,

    /// <summary>A table was freed as data, data as a table, or a frame as a whole chunk. Nothing was changed.</summary>
    WrongKind,

    /// <summary>Misaligned, overlapping, too many ranges, or sizes that do not fit together.</summary>
    BadArgument,
}

/// <summary>What a range of memory added to the pool came to.</summary>
public readonly struct PoolRange
{
    internal PoolRange(PoolResult result, int chunks, ulong leftoverBytes)
    {
        Result = result;
        Chunks = chunks;
        LeftoverBytes = leftoverBytes;
    }

    /// <summary>Whether the range was taken.</summary>
    public PoolResult Result { get; }

    /// <summary>Whole chunks that came out of it.</summary>
    public int Chunks { get; }

    /// <summary>Bytes at either end that do not fill a chunk, or for which no descriptor was left.</summary>
    public ulong LeftoverBytes { get; }
}

/// <summary>What the pool holds, counted.</summary>
public readonly struct PoolUsage
{
    internal PoolUsage(int total, int clean, int dirty, int scrubbing, int reserved, int owed)
    {
        OwedChunks = owed;
        TotalChunks = total;
        CleanChunks = clean;
        DirtyChunks = dirty;
        ScrubbingChunks = scrubbing;
        ReservedChunks = reserved;
    }

    /// <summary>Every chunk that was ever added.</summary>
    public int TotalChunks { get; }

    /// <summary>Free and known to be zero.</summary>
    public int CleanChunks { get; }

    /// <summary>Free, with old contents.</summary>
    public int DirtyChunks { get; }

    /// <summary>Being overwritten now.</summary>
    public int ScrubbingChunks { get; }

    /// <summary>Never handed out.</summary>
    public int ReservedChunks { get; }

    /// <summary>Free and promised to VMs that have not taken them yet.</summary>
    public int OwedChunks { get; }

    /// <summary>Free and promised to no VM: what another VM can be promised.</summary>
    public int AvailableChunks => FreeChunks - OwedChunks;

    /// <summary>No VM's, whatever is in them.</summary>
    public int FreeChunks => CleanChunks + DirtyChunks + ScrubbingChunks;

    /// <summary>Held by VMs.</summary>
    public int OwnedChunks => TotalChunks - CleanChunks - DirtyChunks - ScrubbingChunks - ReservedChunks;
}

/// <summary>What a walk over chunk lists found.</summary>
public readonly struct PoolAudit
{
    internal PoolAudit(bool isSound, int chunks)
    {
        IsSound = isSound;
        Chunks = chunks;
    }

    /// <summary>Each ring closes, after as many chunks as it says, and each chunk on it may be there.</summary>
    public bool IsSound { get; }

    /// <summary>Chunks on the rings.</summary>
    public int Chunks { get; }
}

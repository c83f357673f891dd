namespace Quietus.Oracle.Judging;

/// <summary>A descriptor that the tables no longer have, and that TLBs or walk caches may still hold.</summary>
internal struct StaleItem
{
    public ulong Location;
    public ulong Descriptor;
    public ulong Ipa;
    public ulong Bytes;

    /// <summary>The frame or table that it leads to.</summary>
    public ulong Target;

    /// <summary>The bytes there that it reaches: a leaf's own, or a table's.</summary>
    public ulong TargetBytes;

    /// <summary>When the overwriting write was seen by all walks; 0 until a DSB makes it so.</summary>
    public ulong SeenAt;

    /// <summary>When a Stage-2 invalidation last took PEs off, and which.</summary>
    public ulong ClearedAt;
    public uint ClearedPes;

    public int Level;
    public int Writer;

    /// <summary>PEs of which software read the overwriting write: their DSB, too, makes it seen.</summary>
    public uint Observers;

    /// <summary>PEs that may hold it as a Stage-2 entry.</summary>
    public uint Stage2Pes;

    /// <summary>PEs that may hold it inside an entry that combines both stages.</summary>
    public uint CombinedPes;

    /// <summary>Where the first TLBI; DSB may be early: the pairs that have covered it, of each kind.</summary>
    public Pairs Stage2Pairs;
    public Pairs CombinedPairs;

    public bool IsTable;

    /// <summary>One entry of a TLB may stand for the whole run that it is part of.</summary>
    public bool IsContiguous;

    /// <summary>It is in <see cref="StaleSet.Cleared"/>.</summary>
    internal bool IsCleared;

    /// <summary>What it leads to was given back.</summary>
    public bool Dangles;

    /// <summary>The next item of the same level and address; -1 for none.</summary>
    internal int Next;

    /// <summary>No PE may hold it, or come to hold it.</summary>
    public readonly bool IsDead => Pes == 0 && SeenAt != 0;

    public readonly uint Pes => Stage2Pes | CombinedPes;
}

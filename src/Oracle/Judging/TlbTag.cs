using System.Collections.Generic;

namespace Quietus.Oracle.Judging;

/// <summary>A descriptor that is no longer in memory, and that TLBs or walk caches may still hold.</summary>
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

    /// <summary>When the overwriting write was seen by all walks; 0 until the writer's DSB.</summary>
    public ulong SeenAt;

    /// <summary>When a Stage-2 invalidation last took PEs off.</summary>
    public ulong ClearedAt;

    public int Level;
    public int Writer;

    /// <summary>PEs that may hold it as a Stage-2 entry.</summary>
    public uint Stage2Pes;

    /// <summary>PEs that may hold it inside an entry that combines both stages.</summary>
    public uint CombinedPes;

    /// <summary>
    /// On a machine where the first TLBI; DSB may be early: how many have covered this, and when the last of them did.
    /// </summary>
    public byte Stage2Pairs;
    public byte CombinedPairs;
    public ulong Stage2PairAt;
    public ulong CombinedPairAt;

    public bool IsTable;

    /// <summary>What it leads to was given back.</summary>
    public bool Dangles;

    public readonly uint Pes => Stage2Pes | CombinedPes;
}

/// <summary>All that TLBs may hold of one VM under one VMID.</summary>
internal sealed class TlbTag(JudgedVm vm, ushort vmid)
{
    public JudgedVm Vm { get; } = vm;

    public ushort Vmid { get; } = vmid;

    /// <summary>PEs that have the VTTBR loaded now.</summary>
    public uint Loaded;

    /// <summary>
    /// PEs that may hold entries for what the tables say now: they had it loaded since the VMID was last invalidated.
    /// </summary>
    public uint MayHold;

    /// <summary>As of an item, for the whole VMID.</summary>
    public byte Pairs;
    public ulong PairAt;

    public List<StaleItem> Stale { get; } = [];

    public bool IsEmpty => MayHold == 0 && Loaded == 0 && Stale.Count == 0;
}

/// <summary>A table page.</summary>
internal sealed class TablePage(int entries)
{
    public ulong[] Entries { get; } = new ulong[entries];

    public ulong Address;

    /// <summary>The VM whose root leads here; null while it is not linked.</summary>
    public JudgedVm? Vm;

    public int Level;
    public ulong Ipa;

    /// <summary>Entries outside [Low, High] were not written since it was handed out.</summary>
    public int Low;
    public int High;
}

/// <summary>One life of a VM.</summary>
internal sealed class JudgedVm(int party, string name)
{
    public int Party { get; } = party;

    public string Name { get; } = name;

    public ulong Root;

    public int StartLevel;

    /// <summary>All its memory was given back.</summary>
    public bool IsReleased;

    /// <summary>A table that still was linked was given back.</summary>
    public bool Dangles;

    public TlbTag? Tag;

    /// <summary>Tables below one that was given back while it was linked.</summary>
    public List<(int Page, TablePage Table)> Orphans { get; } = [];
}

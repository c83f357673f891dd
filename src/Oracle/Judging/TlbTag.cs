using System.Collections.Generic;

namespace Quietus.Oracle.Judging;

/// <summary>
/// All that TLBs may hold of one VM under one VMID. A VM has one for each VMID that PEs may have entries under; each
/// knows every overwrite of its tables that is not seen yet.
/// </summary>
internal sealed class TlbTag(JudgedVm vm, int vmid, StaleSet stale, int pes)
{
    /// <summary>No VMID: no PE has entered the VM yet.</summary>
    public const int NoVmid = -1;

    private readonly ulong[] _unloadedAt = new ulong[pes];

    /// <summary>The vCPU that each PE runs, or ran last.</summary>
    private readonly byte[] _vcpus = new byte[pes];

    /// <summary>The vCPUs whose Stage-1 may have made what each PE holds, one bit each.</summary>
    private readonly byte[] _makers = new byte[pes];

    /// <summary>When each vCPU left each PE.</summary>
    private readonly ulong[] _leftAt = new ulong[pes * Judge.MostVcpus];

    private ulong _lastUnload;

    public JudgedVm Vm { get; } = vm;

    public int Vmid { get; set; } = vmid;

    /// <summary>PEs that have the VTTBR loaded now.</summary>
    public uint Loaded { get; private set; }

    /// <summary>
    /// PEs that may hold entries for what the tables say now: they had it loaded since the VMID was last invalidated.
    /// </summary>
    public uint MayHold;

    /// <summary>As of an item, for the whole VMID.</summary>
    public Pairs Pairs;

    public StaleSet Stale { get; set; } = stale;

    public bool IsEmpty => MayHold == 0 && Loaded == 0 && Stale.IsEmpty;

    public void Load(int pe, int vcpu, ulong now)
    {
        Unload(pe, now);
        Loaded |= 1U << pe;
        MayHold |= 1U << pe;
        _vcpus[pe] = (byte)vcpu;
        _makers[pe] |= (byte)(1 << vcpu);
    }

    public void Unload(int pe, ulong now)
    {
        if ((Loaded >> pe & 1) != 0)
        {
            Loaded &= ~(1U << pe);
            _unloadedAt[pe] = now;
            _leftAt[(pe * Judge.MostVcpus) + _vcpus[pe]] = now;
            _lastUnload = now;
        }
    }

    /// <summary>The vCPU that a PE runs, or ran last.</summary>
    public int VcpuOn(int pe) => _vcpus[pe];

    /// <summary>
    /// The vCPUs whose Stage-1 may have made what a PE holds, one bit each. ASIDs do not count: they are the guest's to
    /// choose, and an entry may be global.
    /// </summary>
    public uint MakersOn(int pe) => _makers[pe];

    /// <summary>
    /// Entries that carry Stage-1 are gone from some PEs, but for those that vCPUs made which have run since then.
    /// </summary>
    public void TakeStage1(uint from, ulong then)
    {
        for (int pe = 0; pe < _makers.Length; pe++)
        {
            if (_makers[pe] != 0 && (from >> pe & 1) != 0)
            {
                int kept = (Loaded >> pe & 1) != 0 ? 1 << _vcpus[pe] : 0;
                for (int vcpu = 0; vcpu < Judge.MostVcpus; vcpu++)
                {
                    kept |= _leftAt[(pe * Judge.MostVcpus) + vcpu] > then ? 1 << vcpu : 0;
                }

                _makers[pe] &= (byte)kept;
            }
        }
    }

    /// <summary>
    /// PEs that had the VTTBR loaded at some time since then: what they cached after an invalidation had reached them
    /// is there when it completes, whether they are still in or not.
    /// </summary>
    public uint WalkedSince(ulong then)
    {
        uint walked = Loaded;
        if (_lastUnload > then)
        {
            for (int pe = 0; pe < _unloadedAt.Length; pe++)
            {
                walked |= _unloadedAt[pe] > then ? 1U << pe : 0;
            }
        }

        return walked;
    }

    public bool HasStale(uint pes)
    {
        foreach (ref readonly StaleItem item in Stale.Items)
        {
            if ((item.Pes & pes) != 0)
            {
                return true;
            }
        }

        return false;
    }
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

    /// <summary>What the last PE entered with; null when none has.</summary>
    public TlbTag? Tag;

    /// <summary>All VMIDs under which TLBs may hold anything of it; at least one.</summary>
    public List<TlbTag> Tags { get; } = [];

    /// <summary>PEs that have it loaded, under whatever VMID.</summary>
    public uint Loaded
    {
        get
        {
            uint loaded = 0;
            foreach (TlbTag tag in Tags)
            {
                loaded |= tag.Loaded;
            }

            return loaded;
        }
    }

    /// <summary>PEs that may hold entries for what the tables say now.</summary>
    public uint MayHold
    {
        get
        {
            uint holders = 0;
            foreach (TlbTag tag in Tags)
            {
                holders |= tag.MayHold;
            }

            return holders;
        }
    }

    /// <summary>Pool frames that stale leaves lead to, or led to: to be asked after.</summary>
    public List<(ulong Frame, ulong Bytes)> Watch { get; } = [];

    /// <summary>At so many those that no stale leaf leads to any more are dropped.</summary>
    public int MostWatched = LeastWatched;

    public const int LeastWatched = 64;

    /// <summary>What was linked or mapped before its contents were visible.</summary>
    public List<Unpublished> Unpublished { get; } = [];

    /// <summary>Tables below one that was given back while it was linked.</summary>
    public List<(int Page, TablePage Table)> Orphans { get; } = [];
}

/// <summary>Memory that a PE wrote and that its DSB has not made visible.</summary>
internal readonly record struct Unpublished(ulong Address, int Pe, ulong At, bool IsTable);

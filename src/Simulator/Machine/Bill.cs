namespace Quietus.Simulator;

/// <summary>How often each operation was issued. Differences of two readings are what happened in between.</summary>
public readonly record struct OperationCounts
{
    /// <summary>TLBI IPAS2E1IS.</summary>
    public long TlbiIpa { get; init; }

    /// <summary>TLBI RIPAS2E1IS.</summary>
    public long TlbiRange { get; init; }

    /// <summary>TLBI VMALLE1IS.</summary>
    public long TlbiVmalle1 { get; init; }

    /// <summary>TLBI VMALLS12E1IS.</summary>
    public long TlbiVmid { get; init; }

    /// <summary>TLBI ALLE1IS.</summary>
    public long TlbiAll { get; init; }

    /// <summary>Stage-1 TLBIs that the host issued for its own processes.</summary>
    public long TlbiHost { get; init; }

    /// <summary>Lines cleaned, or cleaned and invalidated, to PoC.</summary>
    public long DcLines { get; init; }

    /// <summary>Of these, lines of memory of another socket.</summary>
    public long DcLinesRemote { get; init; }

    /// <summary>Of these, lines that a cache held dirty.</summary>
    public long DcLinesDirty { get; init; }

    /// <summary>Instruction cache lines invalidated.</summary>
    public long IcLines { get; init; }

    /// <summary>DSB ISHST.</summary>
    public long DsbStores { get; init; }

    /// <summary>DSB ISH.</summary>
    public long DsbInnerShareable { get; init; }

    /// <summary>DSB SY.</summary>
    public long DsbSystem { get; init; }

    /// <summary>All barriers of data.</summary>
    public long Dsb => DsbStores + DsbInnerShareable + DsbSystem;

    /// <summary>Table entries read.</summary>
    public long EntryReads { get; init; }

    /// <summary>Table entries written.</summary>
    public long EntryWrites { get; init; }

    /// <summary>Of these, valid entries made invalid.</summary>
    public long EntryUnlinks { get; init; }

    /// <summary>Table pages taken.</summary>
    public long TablesTaken { get; init; }

    /// <summary>Table pages given back one by one.</summary>
    public long TablesFreed { get; init; }

    /// <summary>4 KB units zeroed.</summary>
    public long PagesZeroed { get; init; }

    /// <summary>4 KB units copied.</summary>
    public long PagesCopied { get; init; }

    /// <summary>4 KB pages that the host freed.</summary>
    public long PagesFreed { get; init; }

    /// <summary>Huge pages that the host freed.</summary>
    public long BlocksFreed { get; init; }

    /// <summary>Guest faults answered.</summary>
    public long Faults { get; init; }

    /// <summary>Interrupts to other PEs.</summary>
    public long Ipis { get; init; }

    /// <summary>System calls and notifiers' callbacks.</summary>
    public long Calls { get; init; }

    /// <summary>VMs that ended.</summary>
    public long VmEnds { get; init; }

    /// <summary>Processes that ended.</summary>
    public long ProcessEnds { get; init; }

    /// <summary>Transparent huge pages that a process got.</summary>
    public long TransparentFilled { get; init; }

    /// <summary>Of the huge pages that the host freed, transparent ones.</summary>
    public long TransparentFreed { get; init; }

    /// <summary>4 KB pages that came into a file in memory.</summary>
    public long FileFilled { get; init; }

    /// <summary>Of the 4 KB pages that the host freed, those of a file in memory.</summary>
    public long FileFreed { get; init; }

    /// <summary>Of the huge pages that the host freed, those of a file in memory.</summary>
    public long FileBlocksFreed { get; init; }

    internal long Broadcasts => TlbiIpa + TlbiRange + TlbiVmalle1 + TlbiVmid + TlbiAll + TlbiHost;
}

/// <summary>Virtual time by what it went into, in picoseconds.</summary>
public readonly record struct TimeShares
{
    /// <summary>Data cache maintenance, and the DSB SY that complete it.</summary>
    public long CachePicoseconds { get; init; }

    /// <summary>TLB invalidation, and the DSB ISH that wait for it, for other senders' broadcasts too.</summary>
    public long TlbiPicoseconds { get; init; }

    /// <summary>Table entries read, written and unlinked, and the DSB ISHST after them.</summary>
    public long WalkPicoseconds { get; init; }

    /// <summary>Table pages given back.</summary>
    public long TableFreePicoseconds { get; init; }

    /// <summary>The host's freeing of the process's pages, and the process's end.</summary>
    public long HostFreePicoseconds { get; init; }

    /// <summary>Zeroing, faults, interrupts, system calls, instruction caches, the VM's end.</summary>
    public long OtherPicoseconds { get; init; }

    /// <summary>All of it.</summary>
    public long Picoseconds =>
        CachePicoseconds + TlbiPicoseconds + WalkPicoseconds + TableFreePicoseconds + HostFreePicoseconds
        + OtherPicoseconds;

    /// <summary>What operations take. The waiting for other senders' broadcasts comes on top.</summary>
    internal static TimeShares Of(in OperationCounts counts, Prices prices, long contentionPicoseconds = 0) => new()
    {
        CachePicoseconds = ((counts.DcLines - counts.DcLinesRemote) * prices.LineLocal)
            + (counts.DcLinesRemote * prices.LineRemote) + (counts.DcLinesDirty * prices.LineDirty)
            + (counts.DsbSystem * prices.CacheBarrier),
        TlbiPicoseconds = (counts.Broadcasts * prices.Broadcast) + (counts.DsbInnerShareable * prices.BroadcastWait)
            + contentionPicoseconds,
        WalkPicoseconds = (counts.EntryReads * prices.EntryRead) + (counts.EntryWrites * prices.EntryWrite)
            + (counts.EntryUnlinks * prices.EntryUnlink) + (counts.DsbStores * prices.StoreBarrier),
        TableFreePicoseconds = counts.TablesFreed * prices.TableFree,
        HostFreePicoseconds = (counts.PagesFreed * prices.PageFree) + (counts.BlocksFreed * prices.BlockFree)
            + (counts.TransparentFreed * prices.TransparentFree) + (counts.FileFreed * prices.FileFree)
            + (counts.FileBlocksFreed * prices.FileBlockFree) + (counts.ProcessEnds * prices.ProcessEnd),
        OtherPicoseconds = (counts.IcLines * prices.InstructionLine) + (counts.PagesZeroed * prices.PageZero)
            // An assumption: a copy reads as much as it writes, so it takes what zeroing two pages does.
            + (counts.PagesCopied * 2 * prices.PageZero)
            + (counts.Faults * prices.Fault) + (counts.Ipis * prices.Ipi) + (counts.Calls * prices.Call)
            + (counts.TransparentFilled * prices.TransparentFill) + (counts.FileFilled * prices.FileFill)
            + (counts.VmEnds * prices.VmEnd),
    };
}

/// <summary>What was issued, and what it cost: a reading of a PE's meter, or the difference of two.</summary>
/// <param name="Counts">How often.</param>
/// <param name="Time">How long.</param>
public readonly record struct Bill(OperationCounts Counts, TimeShares Time)
{
    /// <summary>
    /// The same operations on a machine that differs in its costs alone, where one PE sends at a time.
    /// </summary>
    public Bill At(MachinePreset machine) => this with { Time = TimeShares.Of(Counts, new Prices(machine)) };

    /// <summary>What happened between an earlier reading and a later one.</summary>
    public static Bill operator -(Bill later, Bill earlier) => new(
        new OperationCounts
        {
            TlbiIpa = later.Counts.TlbiIpa - earlier.Counts.TlbiIpa,
            TlbiRange = later.Counts.TlbiRange - earlier.Counts.TlbiRange,
            TlbiVmalle1 = later.Counts.TlbiVmalle1 - earlier.Counts.TlbiVmalle1,
            TlbiVmid = later.Counts.TlbiVmid - earlier.Counts.TlbiVmid,
            TlbiAll = later.Counts.TlbiAll - earlier.Counts.TlbiAll,
            TlbiHost = later.Counts.TlbiHost - earlier.Counts.TlbiHost,
            DcLines = later.Counts.DcLines - earlier.Counts.DcLines,
            DcLinesRemote = later.Counts.DcLinesRemote - earlier.Counts.DcLinesRemote,
            DcLinesDirty = later.Counts.DcLinesDirty - earlier.Counts.DcLinesDirty,
            IcLines = later.Counts.IcLines - earlier.Counts.IcLines,
            DsbStores = later.Counts.DsbStores - earlier.Counts.DsbStores,
            DsbInnerShareable = later.Counts.DsbInnerShareable - earlier.Counts.DsbInnerShareable,
            DsbSystem = later.Counts.DsbSystem - earlier.Counts.DsbSystem,
            EntryReads = later.Counts.EntryReads - earlier.Counts.EntryReads,
            EntryWrites = later.Counts.EntryWrites - earlier.Counts.EntryWrites,
            EntryUnlinks = later.Counts.EntryUnlinks - earlier.Counts.EntryUnlinks,
            TablesTaken = later.Counts.TablesTaken - earlier.Counts.TablesTaken,
            TablesFreed = later.Counts.TablesFreed - earlier.Counts.TablesFreed,
            PagesZeroed = later.Counts.PagesZeroed - earlier.Counts.PagesZeroed,
            PagesCopied = later.Counts.PagesCopied - earlier.Counts.PagesCopied,
            PagesFreed = later.Counts.PagesFreed - earlier.Counts.PagesFreed,
            BlocksFreed = later.Counts.BlocksFreed - earlier.Counts.BlocksFreed,
            Faults = later.Counts.Faults - earlier.Counts.Faults,
            Ipis = later.Counts.Ipis - earlier.Counts.Ipis,
            Calls = later.Counts.Calls - earlier.Counts.Calls,
            VmEnds = later.Counts.VmEnds - earlier.Counts.VmEnds,
            ProcessEnds = later.Counts.ProcessEnds - earlier.Counts.ProcessEnds,
            TransparentFilled = later.Counts.TransparentFilled - earlier.Counts.TransparentFilled,
            TransparentFreed = later.Counts.TransparentFreed - earlier.Counts.TransparentFreed,
            FileFilled = later.Counts.FileFilled - earlier.Counts.FileFilled,
            FileFreed = later.Counts.FileFreed - earlier.Counts.FileFreed,
            FileBlocksFreed = later.Counts.FileBlocksFreed - earlier.Counts.FileBlocksFreed,
        },
        new TimeShares
        {
            CachePicoseconds = later.Time.CachePicoseconds - earlier.Time.CachePicoseconds,
            TlbiPicoseconds = later.Time.TlbiPicoseconds - earlier.Time.TlbiPicoseconds,
            WalkPicoseconds = later.Time.WalkPicoseconds - earlier.Time.WalkPicoseconds,
            TableFreePicoseconds = later.Time.TableFreePicoseconds - earlier.Time.TableFreePicoseconds,
            HostFreePicoseconds = later.Time.HostFreePicoseconds - earlier.Time.HostFreePicoseconds,
            OtherPicoseconds = later.Time.OtherPicoseconds - earlier.Time.OtherPicoseconds,
        });
}

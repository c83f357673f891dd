namespace Quietus.Simulator;

/// <summary>
/// Counts what one PE issues. Costs are linear in the counts, so a time is worked out when it is asked for; only the
/// waiting for other senders' broadcasts is a time of its own.
/// </summary>
/// <remarks>
/// The fields are counted up on the hottest paths, so they are fields, and nothing else happens there.
/// </remarks>
internal sealed class Meter
{
    internal long TlbiIpa;
    internal long TlbiRange;
    internal long TlbiVmalle1;
    internal long TlbiVmid;
    internal long TlbiAll;
    internal long TlbiHost;
    internal long LinesLocal;
    internal long LinesRemote;
    internal long LinesDirty;
    internal long IcLines;
    internal long DsbStores;
    internal long DsbInnerShareable;
    internal long DsbSystem;
    internal long EntryReads;
    internal long EntryWrites;
    internal long EntryUnlinks;
    internal long TablesTaken;
    internal long TablesFreed;
    internal long PagesZeroed;
    internal long PagesCopied;
    internal long PagesFreed;
    internal long BlocksFreed;
    internal long Faults;
    internal long Ipis;
    internal long Calls;
    internal long VmEnds;
    internal long ProcessEnds;
    internal long TransparentFilled;
    internal long TransparentFreed;
    internal long FileFilled;
    internal long FileFreed;
    internal long FileBlocksFreed;

    /// <summary>Spent waiting until other PEs' broadcasts had left the interconnect.</summary>
    internal long ContentionPicoseconds;

    /// <summary>Spent doing nothing, until another PE was done.</summary>
    internal long IdlePicoseconds;

    private readonly Prices _prices;

    internal Meter(int pe, int socket, Prices prices)
    {
        Pe = pe;
        Socket = socket;
        _prices = prices;
    }

    internal int Pe { get; }

    internal int Socket { get; }

    internal long Broadcasts => TlbiIpa + TlbiRange + TlbiVmalle1 + TlbiVmid + TlbiAll + TlbiHost;

    /// <summary>Virtual time of this PE, in picoseconds.</summary>
    internal long Now => Read().Time.Picoseconds + IdlePicoseconds;

    internal Bill Read()
    {
        var counts = new OperationCounts
        {
            TlbiIpa = TlbiIpa,
            TlbiRange = TlbiRange,
            TlbiVmalle1 = TlbiVmalle1,
            TlbiVmid = TlbiVmid,
            TlbiAll = TlbiAll,
            TlbiHost = TlbiHost,
            DcLines = LinesLocal + LinesRemote,
            DcLinesRemote = LinesRemote,
            DcLinesDirty = LinesDirty,
            IcLines = IcLines,
            DsbStores = DsbStores,
            DsbInnerShareable = DsbInnerShareable,
            DsbSystem = DsbSystem,
            EntryReads = EntryReads,
            EntryWrites = EntryWrites,
            EntryUnlinks = EntryUnlinks,
            TablesTaken = TablesTaken,
            TablesFreed = TablesFreed,
            PagesZeroed = PagesZeroed,
            PagesCopied = PagesCopied,
            PagesFreed = PagesFreed,
            BlocksFreed = BlocksFreed,
            Faults = Faults,
            Ipis = Ipis,
            Calls = Calls,
            VmEnds = VmEnds,
            ProcessEnds = ProcessEnds,
            TransparentFilled = TransparentFilled,
            TransparentFreed = TransparentFreed,
            FileFilled = FileFilled,
            FileFreed = FileFreed,
            FileBlocksFreed = FileBlocksFreed,
        };
        return new Bill(counts, TimeShares.Of(counts, _prices, ContentionPicoseconds));
    }
}

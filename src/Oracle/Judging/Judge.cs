using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Recording;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

/// <summary>
/// Keeps the set of everything that the architecture permits TLBs, walk caches and caches to hold, event by event, and
/// throws a <see cref="ViolationException"/> where somebody may consume what is stale or not his.
/// </summary>
/// <remarks>docs/oracle.md is the model in words. One judge judges one program, on one thread.</remarks>
public sealed partial class Judge
{
    /// <summary>The party to whom bytes of before the program belong: nobody may see them.</summary>
    public const int Nobody = 0;

    /// <summary>The hypervisor and the host's kernel: their zeroes are everybody's.</summary>
    public const int Hypervisor = 1;

    private readonly MachineFeatures _features;
    private readonly int _granuleShift;
    private readonly List<string> _parties = ["nobody", "the hypervisor"];
    private readonly List<(ulong Start, ulong End, int First)> _memory = [];
    private readonly IEventListener? _listener;
    private PageState[] _pages = [];
    private TablePage?[] _tables = [];
    private int _pageCount;
    private ulong _sequence = 1;

    /// <param name="features">What the machine has.</param>
    /// <param name="granuleShift">12, 14 or 16.</param>
    /// <param name="pes">PEs, the monitor's own included; at most 32.</param>
    /// <param name="listener">Hears each event before it is judged.</param>
    public Judge(MachineFeatures features, int granuleShift, int pes, IEventListener? listener = null)
    {
        _listener = listener;
        listener?.Machine(features, granuleShift, pes);
        _features = features;
        _granuleShift = granuleShift;
        Reuse();
        _pendingTlbi = new List<PendingTlbi>[pes];
        _pendingCache = new List<PendingCache>[pes];
        for (int pe = 0; pe < pes; pe++)
        {
            _pendingTlbi[pe] = [];
            _pendingCache[pe] = [];
        }
    }

    /// <summary>Checked operations: events that were judged.</summary>
    public long Events { get; private set; }

    /// <summary>Rises with every write and barrier; <see cref="PageVersion.Sequence"/> is counted by it.</summary>
    internal ulong Sequence => _sequence;

    /// <summary>Adds a party, a VM or an object of the host's, to whom bytes can belong.</summary>
    public int AddParty(string name)
    {
        _listener?.Party(_parties.Count, name);
        return NewParty(name);
    }

    private int NewParty(string name)
    {
        _parties.Add(name);
        return _parties.Count - 1;
    }

    /// <summary>Adds memory. Pool memory is one VM's at a time, host memory is whose the host says.</summary>
    public void AddMemory(Pa start, ulong bytes, bool isPool, bool isZero)
    {
        _listener?.Memory(start, bytes, isPool, isZero);
        int first = _pageCount;
        int count = (int)(bytes >> _granuleShift);
        _memory.Add((start.Value, start.Value + bytes, first));
        _pageCount += count;
        if (_pageCount > _pages.Length)
        {
            System.Array.Resize(ref _pages, _pageCount);
            System.Array.Resize(ref _tables, _pageCount);
        }

        ulong version = Version.Of(_sequence, Hypervisor, isZero ? Hypervisor : Nobody);
        for (int page = first; page < first + count; page++)
        {
            ref PageState state = ref _pages[page];
            state = default;
            state.Latest = state.CoherentOldest = state.PocOldest = version;
            state.IsPool = isPool;
        }
    }

    private int PageOf(ulong address)
    {
        foreach ((ulong start, ulong end, int first) in _memory)
        {
            if (address - start < end - start)
            {
                return first + (int)((address - start) >> _granuleShift);
            }
        }

        return -1;
    }

    /// <summary>How many of an area's pages are memory: a descriptor may lead past the end.</summary>
    private int PagesWithin(ulong start, ulong bytes)
    {
        foreach ((ulong first, ulong end, _) in _memory)
        {
            if (start - first < end - first)
            {
                return PageCount(System.Math.Min(bytes, end - start));
            }
        }

        return 0;
    }

    private int PageCount(ulong bytes) => (int)(bytes >> _granuleShift);

    [DoesNotReturn]
    private static void Fail(ViolationKind kind, string consumer, string text) =>
        throw new ViolationException(new Violation(kind, consumer, text));

    [DoesNotReturn]
    private void Fail(ViolationKind kind, string consumer, string text, ulong seen, ulong expected) =>
        throw new ViolationException(
            new Violation(kind, consumer, text) { Seen = VersionOf(seen), Expected = VersionOf(expected) });

    private PageVersion VersionOf(ulong version) =>
        new(version >> (2 * Version.PartyBits), PartyOf(version), _parties[Version.Owner(version)]);

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    private static string Pes(uint mask)
    {
        var names = new List<string>();
        for (int pe = 0; pe < 32; pe++)
        {
            if ((mask >> pe & 1) != 0)
            {
                names.Add("PE " + pe.ToString(CultureInfo.InvariantCulture));
            }
        }

        return string.Join(" and ", names);
    }
}

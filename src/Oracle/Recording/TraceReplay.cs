using System;
using System.Collections.Generic;
using System.Globalization;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;
using Arbiter = Quietus.Oracle.Judging.Judge;

namespace Quietus.Oracle.Recording;

/// <summary>
/// Takes a trace's events to a judge. What a judge relies on (that pages exist, that numbers were given) is looked at
/// here first, since a file may say anything.
/// </summary>
internal sealed class TraceReplay(IEventListener? listener)
{
    private const int MostPes = 32;
    private const int MostPages = 1 << 18;
    private const int MostParties = 10_000;
    private const int MostAreas = 16;
    private const int MostCalls = 16;

    private readonly List<(ulong Start, ulong End)> _memory = [];
    private readonly List<JudgedVm?> _parties = [null, null];

    /// <summary>Entries that were read by a PE that is not named: it is the next one that software runs on.</summary>
    private readonly List<Pa> _reads = [];
    private MachineFeatures _features;
    private Arbiter? _judge;
    private bool _judges = true;
    private int _granuleShift;
    private int _pes;
    private ulong _pages;
    private int _calls;

    public long Events => _judge?.Events ?? 0;

    private ulong Granule => 1UL << _granuleShift;

    /// <summary>After a violation the rest is only read.</summary>
    public void StopJudging() => _judges = false;

    /// <summary>The trace is over.</summary>
    public void End(int line)
    {
        if (_judge is null)
        {
            throw new TraceFormatException(line, "the trace has no event");
        }

        if (_judges && _calls != 0)
        {
            throw new TraceFormatException(line, "the trace ends inside a call: what it did is not judged");
        }
    }

    public void Take(ref TraceLine line)
    {
        if (line.Word == "machine")
        {
            Machine(ref line);
            return;
        }

        if (_judge is null)
        {
            throw line.Wrong("the first event must be 'machine'");
        }

        switch (line.Word)
        {
            case "memory":
                Memory(ref line, _judge);
                break;
            case "party":
                Party(ref line, _judge);
                break;
            case "vm":
                Vm(ref line, _judge);
                break;
            case "take-tables" or "return-tables" or "read-entry" or "write-entry" or "walk-sets-access":
                Tables(ref line, _judge);
                break;
            case "call" or "return" or "load" or "unload" or "access" or "release":
                Lives(ref line, _judge);
                break;
            case "tlbi" or "dsb" or "maintain":
                Maintenance(ref line, _judge);
                break;
            case "own" or "write" or "read" or "fetch" or "guest-maintains" or "return-frames" or "copy-logged"
                or "unlogged" or "share" or "unshare":
                Pages(ref line, _judge);
                break;
            default:
                throw line.Wrong("an unknown event");
        }
    }

    private void Machine(ref TraceLine line)
    {
        if (_judge is not null)
        {
            throw line.Wrong("a second 'machine'");
        }

        _granuleShift = 12 + (2 * line.OneOf("granule", TraceFormat.Granules));
        _pes = line.Number32("pes", MostPes, 1);
        if (!TraceFormat.TryParseFeatures(line.Bare("features"), out MachineFeatures features))
        {
            throw line.Wrong("features are 'none', or names joined by commas, each once");
        }

        line.End();
        _features = features;
        _judge = new Arbiter(features, _granuleShift, _pes, listener);
    }

    private void Memory(ref TraceLine line, Arbiter judge)
    {
        ulong start = line.Number64("start", (1UL << 48) - Granule);
        ulong bytes = line.Number64("bytes", (1UL << 48) - start, Granule);
        bool isPool = line.OneOf("kind", "host", "pool") == 1;
        bool isZero = line.OneOf("contents", "old", "zero") == 1;
        line.End();
        Align(line, start | bytes);
        _pages += bytes >> _granuleShift;
        if (_pages > MostPages || _memory.Count == MostAreas)
        {
            throw line.Wrong(string.Create(
                CultureInfo.InvariantCulture, $"a trace has at most {MostPages} pages in {MostAreas} areas"));
        }

        foreach ((ulong first, ulong end) in _memory)
        {
            if (start < end && first < start + bytes)
            {
                throw line.Wrong("this memory is there already");
            }
        }

        _memory.Add((start, start + bytes));
        if (_judges)
        {
            judge.AddMemory(new Pa(start), bytes, isPool, isZero);
        }
    }

    private void Party(ref TraceLine line, Arbiter judge)
    {
        NextParty(ref line);
        string name = line.Text("name");
        line.End();
        _parties.Add(null);
        if (_judges)
        {
            judge.AddParty(name);
        }
    }

    private void Vm(ref TraceLine line, Arbiter judge)
    {
        NextParty(ref line);
        string name = line.Text("name");
        ulong root = line.Number64("root", ulong.MaxValue);
        uint tables = (uint)line.Number32("tables", 16, 1);
        int level = line.Number32("level", 3, _granuleShift == 12 ? 0 : 1);
        line.End();
        Inside(line, root, tables * Granule);
        if (!_judges)
        {
            _parties.Add(new JudgedVm(_parties.Count, name));
            return;
        }

        for (uint i = 0; i < tables; i++)
        {
            if (!judge.IsSpareTable(new Pa(root + (i * Granule))))
            {
                throw line.Wrong("the root must be tables that were taken and belong to no VM");
            }
        }

        _parties.Add(judge.AddVm(name, new Pa(root), tables, level));
    }

    private void Tables(ref TraceLine line, Arbiter judge)
    {
        int pe = line.Word is "take-tables" or "write-entry" ? Pe(ref line) : Arbiter.AnyPe;
        if (line.Word is "take-tables" or "return-tables")
        {
            bool isTaken = line.Word == "take-tables";
            var first = new Pa(line.Number64("first", ulong.MaxValue));
            uint count = (uint)line.Number32("count", 16, 1);
            line.End();
            Inside(line, first.Value, count * Granule);
            if (!_judges)
            {
                return;
            }

            if (!isTaken)
            {
                judge.ReturnTables(first, count);
                return;
            }

            judge.TakeTables(pe, first, count);
            return;
        }

        var entry = new Pa(line.Number64("at", ulong.MaxValue));
        ulong value = line.Word == "write-entry" ? line.Number64("value", ulong.MaxValue) : 0;
        pe = line.Word == "read-entry" ? line.LastNumber32("pe", _pes - 1) : pe;
        line.End();
        if (entry.Value % sizeof(ulong) != 0)
        {
            throw line.Wrong("an entry lies at a multiple of 8");
        }

        if (_judges && line.Word == "walk-sets-access")
        {
            if (!judge.TrySetAccessFlag(entry))
            {
                throw line.Wrong("no PE can set the access flag there");
            }
        }
        else if (_judges && line.Word == "read-entry")
        {
            judge.ReadEntry(pe, entry);
            if (pe < 0)
            {
                _reads.Add(entry);
            }
        }
        else if (_judges)
        {
            AttributeReads(judge, pe);
            judge.WriteEntry(pe, entry, value);
        }
    }

    private void Lives(ref TraceLine line, Arbiter judge)
    {
        int pe = line.Word is "load" or "unload" or "access" ? Pe(ref line) : 0;
        JudgedVm? vm = line.Word is "return" or "access"
            ? null : VmOf(ref line, mayBeNone: line.Word == "call");
        var vmid = new Vmid(line.Word == "load" ? (ushort)line.Number32("vmid", ushort.MaxValue) : (ushort)0);
        int vcpu = line.Word == "load" ? Math.Max(0, line.LastNumber32("vcpu", Arbiter.MostVcpus - 1)) : 0;
        line.End();
        _calls += line.Word switch { "call" => 1, "return" => -1, _ => 0 };
        if (_calls is < 0 or > MostCalls)
        {
            throw line.Wrong(_calls < 0 ? "a return from no call" : "calls within calls within calls");
        }

        if (!_judges)
        {
            return;
        }

        switch (line.Word)
        {
            case "call":
                judge.BeginCall(vm);
                break;
            case "return":
                judge.EndCall();
                break;
            case "load":
                judge.Load(pe, vm!, vmid, vcpu);
                break;
            case "access":
                if (!judge.TryAccess(pe))
                {
                    throw line.Wrong("no guest runs on this PE");
                }

                break;
            case "unload":
                judge.Unload(pe, vm!);
                break;
            default:
                judge.Release(vm!);
                break;
        }
    }

    private void Maintenance(ref TraceLine line, Arbiter judge)
    {
        int pe = Pe(ref line);
        if (line.Word == "dsb")
        {
            var barrier = (BarrierKind)line.OneOf("op", TraceFormat.Barriers);
            line.End();
            if (_judges)
            {
                AttributeReads(judge, pe);
                judge.Complete(pe, barrier);
            }

            return;
        }

        if (line.Word == "maintain")
        {
            var operation = (CacheKind)line.OneOf("op", TraceFormat.CacheOperations);
            ulong start = line.Number64("start", ulong.MaxValue);
            ulong length = line.Number64("bytes", 1UL << 48, 1);
            line.End();
            Contained(line, start, length);
            if (_judges)
            {
                judge.Maintain(pe, operation, new Pa(start), length);
            }

            return;
        }

        int operationNumber = line.OneOf("op", TraceFormat.Invalidations);
        int kinds = TraceFormat.Invalidations.Length / 2;
        var kind = (TlbiKind)(operationNumber % kinds);
        bool leavesExtraSlow = operationNumber >= kinds;
        var vmid = new Vmid((ushort)line.Number32("vmid", ushort.MaxValue));
        ulong ipa = line.Number64("ipa", (1UL << 52) - 1);
        ulong bytes = line.Number64("bytes", 1UL << 52);
        int hint = line.Number32("level", 3);
        uint reaches = (uint)line.Number64("reaches", uint.MaxValue);
        line.End();
        RequireFeatures(line, kind, bytes, leavesExtraSlow);
        if (_judges)
        {
            AttributeReads(judge, pe);
            judge.Invalidate(pe, kind, vmid, new Ipa(ipa), bytes, hint, reaches, leavesExtraSlow);
        }
    }

    /// <summary>A trace that lies about its machine says nothing of it.</summary>
    private void RequireFeatures(in TraceLine line, TlbiKind kind, ulong bytes, bool leavesExtraSlow)
    {
        bool isRange = kind <= TlbiKind.IpaLastLevel && bytes > Granule;
        string? missing = isRange && !_features.RangeInvalidation ? "tlbirange: bytes are those of a range"
            : leavesExtraSlow && !_features.ExtraSlow ? "xs: the operation is an nXS form"
            : null;
        if (missing is not null)
        {
            throw line.Beyond($"the machine has no feature {missing}");
        }
    }

    private void AttributeReads(Arbiter judge, int pe)
    {
        foreach (Pa entry in _reads)
        {
            judge.Observe(pe, entry);
        }

        _reads.Clear();
    }

    private void Pages(ref TraceLine line, Arbiter judge)
    {
        bool isRange = line.Word is "own" or "write" or "return-frames" or "share" or "unshare";
        ulong start = line.Number64(isRange ? "start" : "page", ulong.MaxValue);
        ulong bytes = isRange ? line.Number64("bytes", 1UL << 48, Granule) : Granule;
        int writer = line.Word == "write" ? line.Number32("writer", _parties.Count - 1) : 0;
        int owner = line.Word is "write" or "own" ? line.Number32("owner", _parties.Count - 1) : 0;
        var kind = (CacheKind)(line.Word == "guest-maintains" ? line.OneOf("op", TraceFormat.CacheOperations) : 0);
        bool hasReader = line.Word is "read" or "fetch" or "unlogged";
        string reader = hasReader ? line.Text("reader") : string.Empty;
        string what = hasReader ? line.Text("what") : string.Empty;
        bool isCached = line.Word is "write" or "read" && line.OneOf("path", "uncached", "cached") == 1;
        int pe = line.Word == "write" ? line.LastNumber32("pe", _pes - 1) : Arbiter.AnyPe;
        line.End();
        Inside(line, start, bytes);
        if (!_judges)
        {
            return;
        }

        var page = new Pa(start);
        switch (line.Word)
        {
            case "own":
                judge.Own(page, bytes, owner);
                break;
            case "write":
                judge.Write(page, bytes, writer, owner, isCached, pe);
                break;
            case "share" or "unshare":
                judge.Share(page, bytes, line.Word == "share");
                break;
            case "read":
                judge.Consume(page, reader, what, isCached);
                break;
            case "fetch":
                judge.Fetch(page, reader, what);
                break;
            case "copy-logged":
                judge.CopyLogged(page);
                break;
            case "unlogged":
                judge.CheckUnlogged(page, reader, what);
                break;
            case "guest-maintains":
                judge.GuestMaintains(page, kind);
                break;
            default:
                judge.ReturnFrames(page, bytes);
                break;
        }
    }

    private int Pe(ref TraceLine line) => line.Number32("pe", _pes - 1);

    private void NextParty(ref TraceLine line)
    {
        if (line.Number32("number", MostParties) != _parties.Count)
        {
            throw line.Wrong(string.Create(
                CultureInfo.InvariantCulture, $"parties are numbered in order: {_parties.Count} is next"));
        }
    }

    private JudgedVm? VmOf(ref TraceLine line, bool mayBeNone)
    {
        int number = line.Number32("vm", _parties.Count - 1);
        return _parties[number] is JudgedVm vm ? vm
            : mayBeNone && number == 0 ? null
            : throw line.Wrong("vm is the number of no VM");
    }

    /// <summary>Whole pages, all of them memory.</summary>
    private void Inside(in TraceLine line, ulong start, ulong bytes)
    {
        Align(line, start | bytes);
        Contained(line, start, bytes);
    }

    private void Contained(in TraceLine line, ulong start, ulong bytes)
    {
        foreach ((ulong first, ulong end) in _memory)
        {
            if (start >= first && start < end && bytes <= end - start)
            {
                return;
            }
        }

        throw line.Wrong("there is no memory at these addresses");
    }

    private void Align(in TraceLine line, ulong address)
    {
        if ((address & (Granule - 1)) != 0)
        {
            throw line.Wrong("addresses and sizes must be multiples of the granule");
        }
    }
}

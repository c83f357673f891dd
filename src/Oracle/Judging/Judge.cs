using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Recording;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

/// <summary>
/// Hears, event by event, what happens on a machine, and throws a <see cref="ViolationException"/> where a reader, a
/// walk or a fetch may come to what is stale or not its own. It hands each event to the models of what the architecture
/// permits: <see cref="TableModel"/>, <see cref="TlbModel"/>, <see cref="CacheModel"/>.
/// </summary>
/// <remarks>docs/oracle.md is the model in words. One judge judges one program, on one thread.</remarks>
public sealed partial class Judge
{
    /// <summary>The party to whom bytes of before the program belong: no reader may see them.</summary>
    public const int NoOwner = 0;

    /// <summary>The hypervisor and the host's kernel: any reader may see their zeroes.</summary>
    public const int Hypervisor = 1;

    /// <summary>vCPUs of a VM that are told apart.</summary>
    public const int MostVcpus = 8;

    /// <summary>An event whose PE is not known, or makes no difference.</summary>
    internal const int AnyPe = -1;

    private readonly List<string> _parties = ["no owner", "the hypervisor"];
    private readonly IEventListener? _listener;
    private readonly Clock _clock;
    private readonly PageMap _pages;
    private readonly TableStore _store;
    private readonly CallLog _calls;
    private readonly TlbModel _tlbs;
    private readonly CacheModel _caches;
    private readonly TableModel _tables;

    /// <param name="features">What the machine has.</param>
    /// <param name="granuleShift">12, 14 or 16.</param>
    /// <param name="pes">PEs, the monitor's own included; at most 32.</param>
    /// <param name="listener">Hears each event before it is judged.</param>
    public Judge(MachineFeatures features, int granuleShift, int pes, IEventListener? listener = null)
    {
        _listener = listener;
        listener?.Machine(features, granuleShift, pes);
        _clock = new Clock(pes);
        _pages = new PageMap(granuleShift);
        _store = new TableStore(_pages);
        _calls = new CallLog(_pages);
        _tlbs = new TlbModel(features, pes, _pages, _clock, _store);
        _caches = new CacheModel(features, pes, _pages, _clock, _parties);
        _tables = new TableModel(_pages, _clock, _store, _tlbs, _caches, _calls);
        Reuse();
    }

    /// <summary>Checked operations: events that were judged.</summary>
    public long Events { get; private set; }

    /// <summary>Rises with every write and barrier; <see cref="PageVersion.Sequence"/> is counted by it.</summary>
    internal ulong Sequence => _clock.Now;

    /// <summary>Adds a party, a VM or an object of the host's, to whom bytes can belong.</summary>
    public int AddParty(string name)
    {
        _listener?.Party(_parties.Count, name);
        _parties.Add(name);
        return _parties.Count - 1;
    }

    /// <summary>Adds memory. Pool memory is one VM's at a time, host memory is whose the host says.</summary>
    public void AddMemory(Pa start, ulong bytes, bool isPool, bool isZero)
    {
        _listener?.Memory(start, bytes, isPool, isZero);
        int first = _pages.Add(start.Value, bytes, isPool);
        _store.Grow();
        _caches.Add(first, _pages.Count - first, isZero);
    }

    /// <summary>Says whose a page of the host's is from now on.</summary>
    public void Own(Pa start, ulong bytes, int owner)
    {
        _listener?.Own(start, bytes, owner);
        foreach (ref PageUse use in _pages.Uses(_pages.Of(start.Value), _pages.PagesIn(bytes)))
        {
            use.Owner = (ushort)owner;
        }
    }

    /// <summary>
    /// Declares pages shared, or no longer: frames that several VMs map, which none may write, and tables that several
    /// tables lead to. What is not declared is refused.
    /// </summary>
    public void Share(Pa start, ulong bytes, bool isShared)
    {
        _listener?.Share(start, bytes, isShared);
        Events++;
        _tables.Share(start.Value, bytes, isShared);
    }

    /// <summary>What was declared shared goes back, tables and all: no VM may have any of it.</summary>
    public void ReturnShared(Pa start, ulong bytes)
    {
        if (_tables.FindLinked(start.Value, bytes) is JudgedVm sharer)
        {
            Broken.Fail(ViolationKind.TableFreedInUse, "a table walk",
                $"the memory of a table is freed that is linked in {sharer.Name}'s tables");
        }

        ReturnFrames(start, bytes);
    }

    /// <summary>Table pages were handed out, zeroed.</summary>
    public void TakeTables(int pe, Pa first, uint count)
    {
        _listener?.TakeTables(pe, first, count);
        Events += 1 + count;
        _tables.Take(pe, first.Value, count);
    }

    /// <summary>Table pages are given back: nothing may lead to them any more.</summary>
    public void ReturnTables(Pa first, uint count)
    {
        _listener?.ReturnTables(first, count);
        Events++;
        _tables.Return(first.Value, count);
    }

    /// <summary>
    /// A PE's table walk sets the access flag of a leaf (FEAT_HAFDBS, VTCR_EL2.HA), if some PE walks here and it is
    /// clear. Nothing is cached of a leaf without it, so nothing becomes stale.
    /// </summary>
    public bool TrySetAccessFlag(Pa entry)
    {
        if (!_tables.MaySetAccessFlag(entry.Value))
        {
            return false;
        }

        _listener?.SetAccessFlag(entry);
        Events++;
        _tables.SetAccessFlag(entry.Value);
        return true;
    }

    /// <summary>Software on a PE reads an entry: it must be one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ReadEntry(int pe, Pa entry)
    {
        _listener?.ReadEntry(pe, entry);
        Events++;
        _tables.Read(pe, entry.Value);
    }

    /// <summary>Software wrote an entry.</summary>
    public void WriteEntry(int pe, Pa entry, ulong value)
    {
        _listener?.WriteEntry(pe, entry, value);
        Events++;
        _tables.Write(pe, entry.Value, value);
    }

    /// <summary>TLB invalidation is issued; see <see cref="Complete"/>.</summary>
    /// <param name="pes">The PEs that it reaches: all of them for the Inner Shareable forms.</param>
    /// <param name="leavesExtraSlow">An nXS form (FEAT_XS).</param>
    public void Invalidate(
        int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes, bool leavesExtraSlow = false)
    {
        _listener?.Invalidate(pe, kind, vmid, ipa, bytes, levelHint, pes, leavesExtraSlow);
        Events++;
        _tlbs.Issue(pe, new TlbModel.PendingTlbi(
            kind, leavesExtraSlow, vmid.Value, ipa.Value, bytes, levelHint, pes, 0));
    }

    /// <summary>A barrier: writes of the PE are seen; with more than stores, its invalidations are complete.</summary>
    public void Complete(int pe, BarrierKind kind)
    {
        _listener?.Complete(pe, kind);
        Events++;
        if (kind == BarrierKind.NonShareable)
        {
            // What other PEs see, it does not wait for.
            _tlbs.Complete(pe, isLocal: true);
            return;
        }

        _clock.Barrier(pe);
        _tlbs.See(pe, kind != BarrierKind.InnerShareableStores);
        if (kind != BarrierKind.InnerShareableStores)
        {
            _tlbs.Complete(pe);
        }

        _caches.Complete(pe, kind);
    }

    /// <summary>Frames went back to where they are given out: no PE may reach them, no table map them.</summary>
    public void ReturnFrames(Pa start, ulong bytes)
    {
        _listener?.ReturnFrames(start, bytes);
        Events++;
        foreach (ref PageUse use in _pages.Uses(_pages.Of(start.Value), _pages.PagesIn(bytes)))
        {
            if (use.Mappings != 0)
            {
                Broken.Fail(ViolationKind.FrameFreedInUse, "a guest",
                    "a frame is freed that a VM still has mapped, and it may be given to another one");
            }

            use.IsShared = false;
        }

        _tlbs.Freed(start.Value, bytes, isTable: false);
    }

    /// <summary>Whole pages are written, through the caches or past them.</summary>
    /// <param name="writer">The party that writes.</param>
    /// <param name="owner">Whose bytes they are.</param>
    /// <param name="isCached">False: Device or Non-cacheable, or a device that does not snoop.</param>
    /// <param name="pe">The hypervisor's PE that writes; the others see it after that PE's DSB.</param>
    public void Write(Pa start, ulong bytes, int writer, int owner, bool isCached, int pe = AnyPe)
    {
        _listener?.Write(start, bytes, writer, owner, isCached, pe);
        Events++;
        _caches.Write(_pages.Of(start.Value), _pages.PagesIn(bytes), writer, owner, isCached, pe);
    }

    /// <summary>A page is read: every version that the reader may see must be right.</summary>
    /// <param name="reader">Who reads, in words; the same for the same kind of reader.</param>
    /// <param name="where">What is read, in words.</param>
    /// <param name="isCached">Whether through the caches.</param>
    public void Consume(Pa page, string reader, string where, bool isCached)
    {
        _listener?.Consume(page, reader, where, isCached);
        Events++;
        _caches.Consume(_pages.Of(page.Value), reader, where, isCached);
    }

    /// <summary>
    /// A page whose writes are logged is copied, as migration does: a later write must be in the next log.
    /// </summary>
    public void CopyLogged(Pa page)
    {
        _listener?.CopyLogged(page);
        Events++;
        _caches.CopyLogged(_pages.Of(page.Value));
    }

    /// <summary>A dirty log says that a page was not written since the last one: it is what was copied.</summary>
    /// <param name="reader">Who goes by the log, in words.</param>
    /// <param name="where">What page it is, in words.</param>
    public void CheckUnlogged(Pa page, string reader, string where)
    {
        _listener?.CheckUnlogged(page, reader, where);
        Events++;
        _caches.CheckUnlogged(_pages.Of(page.Value), reader, where);
    }

    /// <summary>A guest fetches instructions from a page.</summary>
    public void Fetch(Pa page, string reader, string where)
    {
        _listener?.Fetch(page, reader, where);
        Events++;
        _caches.Fetch(_pages.Of(page.Value), reader, where);
    }

    /// <summary>Cache maintenance was issued by a PE; it completes at a DSB of that PE.</summary>
    public void Maintain(int pe, CacheKind kind, Pa start, ulong bytes)
    {
        _listener?.Maintain(pe, kind, start, bytes);
        Events++;
        _caches.Issue(pe, kind, start.Value, bytes);
    }

    /// <summary>A guest's own maintenance of its page, complete.</summary>
    public void GuestMaintains(Pa page, CacheKind kind)
    {
        _listener?.GuestMaintains(page, kind);
        Events++;
        _caches.GuestMaintains(_pages.Of(page.Value), kind);
    }

    /// <summary>Whether a cache may hold a dirty line: a careful guest cleans before it goes uncached.</summary>
    public bool MayBeDirty(Pa page) => _caches.MayBeDirty(_pages.Of(page.Value));

    /// <summary>Whose the page is.</summary>
    public int OwnerOf(Pa page) => _pages.Use(_pages.Of(page.Value)).Owner;

    /// <summary>Who wrote the page last.</summary>
    public int LastWriter(Pa page) => _caches.LastWriter(_pages.Of(page.Value));
}

using System.Collections.Generic;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

// Caches: who may see which version of a page, and what maintenance makes of that.
public sealed partial class Judge
{
    private readonly List<PendingCache>[] _pendingCache;

    private readonly record struct PendingCache(CacheKind Kind, int First, int Count, ulong At);

    /// <summary>Somebody writes a whole page, through the caches or past them.</summary>
    /// <param name="writer">The party that writes.</param>
    /// <param name="owner">Whose bytes they are.</param>
    /// <param name="isCached">False: Device or Non-cacheable, or a device that does not snoop.</param>
    public void Write(Pa start, ulong bytes, int writer, int owner, bool isCached)
    {
        _listener?.Write(start, bytes, writer, owner, isCached);
        WritePages(start, bytes, writer, owner, isCached);
    }

    private void WritePages(Pa start, ulong bytes, int writer, int owner, bool isCached)
    {
        Events++;
        int page = PageOf(start.Value);
        for (int left = PageCount(bytes); left > 0 && page >= 0; left--, page++)
        {
            ref PageState state = ref _pages[page];
            ulong version = Version.Of(++_sequence, writer, owner);
            state.Latest = version;
            state.Copied = writer == Hypervisor ? 0 : state.Copied;
            if (isCached)
            {
                // The line is this version or, written back, so is memory: a coherent reader sees nothing else.
                state.CoherentOldest = version;
                state.DirtyOldest = version;
                state.GuestRisked = 0;
            }
            else
            {
                // A line that was there, or is filled before the write, stays as it was.
                state.PocOldest = version;
                if (state.DirtyOldest != 0)
                {
                    state.PocOldest = state.DirtyOldest;
                    state.GuestRisked = state.GuestRisked != 0 ? state.GuestRisked : state.DirtyOldest;
                }
            }
        }
    }

    /// <summary>Somebody reads a page: every version that it may see must be right.</summary>
    /// <param name="reader">Who reads, in words; the same for the same kind of reader.</param>
    /// <param name="where">What is read, in words.</param>
    /// <param name="isCached">Whether through the caches.</param>
    public void Consume(Pa page, string reader, string where, bool isCached)
    {
        _listener?.Consume(page, reader, where, isCached);
        Events++;
        ref PageState state = ref _pages[PageOf(page.Value)];
        ulong oldest = isCached ? state.CoherentOldest : state.PocOldest;
        string path = isCached ? "through the caches" : "past the caches";
        Check(state, oldest, reader, where, path);
        Check(state, state.Latest, reader, where, path);
    }

    /// <summary>
    /// Somebody copies a page whose writes are logged, as migration does: a later write must be in the next log.
    /// </summary>
    public void CopyLogged(Pa page)
    {
        _listener?.CopyLogged(page);
        Events++;
        ref PageState state = ref _pages[PageOf(page.Value)];
        state.Copied = state.Latest;
    }

    /// <summary>A dirty log says that a page was not written since the last one: it is what was copied.</summary>
    /// <param name="reader">Who goes by the log, in words.</param>
    /// <param name="where">What page it is, in words.</param>
    public void CheckUnlogged(Pa page, string reader, string where)
    {
        _listener?.CheckUnlogged(page, reader, where);
        Events++;
        ref PageState state = ref _pages[PageOf(page.Value)];
        if (state.Copied != 0 && state.Copied != state.Latest)
        {
            Fail(ViolationKind.LostUpdate, reader,
                $"{reader} copied {where}, {PartyOf(state.Latest)} wrote it after that, and no dirty log has it: "
                + "the copy stays old", state.Copied, state.Latest);
        }
    }

    /// <summary>A guest fetches instructions from a page.</summary>
    public void Fetch(Pa page, string reader, string where)
    {
        _listener?.Fetch(page, reader, where);
        Events++;
        ref PageState state = ref _pages[PageOf(page.Value)];
        Check(state, state.CoherentOldest, reader, where, "as instructions");
        if (_features.InstructionCacheCoherency)
        {
            return;
        }

        if (state.InstructionOldest != 0 && state.InstructionOldest < state.InstructionBaseline)
        {
            Fail(ViolationKind.StaleInstructions, reader,
                $"{reader} fetches {where}, and an instruction cache may still hold what "
                + $"{PartyOf(state.InstructionOldest)} had there: nobody invalidated it since",
                state.InstructionOldest, state.InstructionBaseline);
        }

        state.InstructionOldest = state.InstructionOldest != 0 ? state.InstructionOldest : state.Latest;
    }

    /// <summary>Cache maintenance was issued by a PE; it completes at a DSB of that PE.</summary>
    public void Maintain(int pe, CacheKind kind, Pa start, ulong bytes)
    {
        _listener?.Maintain(pe, kind, start, bytes);
        Events++;
        int first = PageOf(start.Value);
        ulong within = start.Value & ((1UL << _granuleShift) - 1);

        // Only pages that are covered to the last line: the others keep a line that nobody maintained.
        if (first >= 0)
        {
            int skip = within != 0 ? 1 : 0;
            int count = (int)((within + bytes) >> _granuleShift) - skip;
            if (count > 0)
            {
                _pendingCache[pe].Add(new PendingCache(kind, first + skip, count, _sequence));
            }
        }
    }

    /// <summary>Says whose a page of the host's is from now on.</summary>
    public void Own(Pa start, ulong bytes, int owner)
    {
        _listener?.Own(start, bytes, owner);
        int page = PageOf(start.Value);
        for (int left = PageCount(bytes); left > 0; left--, page++)
        {
            _pages[page].Owner = (ushort)owner;
        }
    }

    /// <summary>Whether a cache may hold a dirty line: a careful guest cleans before it goes uncached.</summary>
    public bool MayBeDirty(Pa page) => _pages[PageOf(page.Value)].DirtyOldest != 0;

    /// <summary>Whose the page is.</summary>
    public int OwnerOf(Pa page) => _pages[PageOf(page.Value)].Owner;

    /// <summary>Who wrote the page last.</summary>
    public int LastWriter(Pa page) => Version.Writer(_pages[PageOf(page.Value)].Latest);

    /// <summary>A guest's own maintenance of its page, complete.</summary>
    public void GuestMaintains(Pa page, CacheKind kind)
    {
        _listener?.GuestMaintains(page, kind);
        Events++;
        ApplyCache(new PendingCache(kind, PageOf(page.Value), 1, ulong.MaxValue));
    }

    private void CompleteCaches(int pe, BarrierKind kind)
    {
        List<PendingCache> pending = _pendingCache[pe];
        if (pending.Count == 0 || kind == BarrierKind.InnerShareableStores)
        {
            return;
        }

        // DC to the PoC completes for observers outside the Inner Shareable domain at a DSB SY only.
        foreach (PendingCache operation in pending)
        {
            if (kind == BarrierKind.FullSystem || operation.Kind == CacheKind.Instruction)
            {
                ApplyCache(operation);
            }
        }

        if (kind == BarrierKind.FullSystem)
        {
            pending.Clear();
        }
        else
        {
            pending.RemoveAll(operation => operation.Kind == CacheKind.Instruction);
        }
    }

    private void ApplyCache(PendingCache operation)
    {
        for (int page = operation.First; page < operation.First + operation.Count; page++)
        {
            ref PageState state = ref _pages[page];
            if (operation.Kind == CacheKind.Instruction)
            {
                state.InstructionOldest = 0;
                continue;
            }

            // A write that came after the operation may be dirty again.
            if (state.Latest >> (2 * Version.PartyBits) > operation.At)
            {
                continue;
            }

            if (state.CoherentOldest == state.Latest)
            {
                state.PocOldest = state.Latest;
            }

            state.DirtyOldest = 0;
            if (operation.Kind == CacheKind.CleanInvalidate)
            {
                state.CoherentOldest = state.PocOldest;
            }
        }
    }

    /// <summary>What everybody must see from now on: the page changed hands.</summary>
    private static void RaiseBaseline(ref PageState state) =>
        state.Baseline = state.GuestRisked != 0 ? state.GuestRisked : state.Latest;

    private void Check(in PageState state, ulong version, string reader, string where, string path)
    {
        int owner = Version.Owner(version);
        if (owner != state.Owner && owner != Hypervisor)
        {
            Fail(ViolationKind.ForeignData, reader,
                $"{reader} reads {where} {path} and may see bytes of {_parties[owner]}, which it must never see",
                version, state.Latest);
        }

        if (version < state.Baseline)
        {
            Fail(ViolationKind.StaleData, reader,
                $"{reader} reads {where} {path} and may see what {PartyOf(version)} wrote before, "
                + $"not what {PartyOf(state.Latest)} wrote last",
                version, state.Latest);
        }
    }

    private string PartyOf(ulong version) => _parties[Version.Writer(version)];
}

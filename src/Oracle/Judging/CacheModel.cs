using System;
using System.Collections.Generic;
using Quietus.Oracle.Machines;

namespace Quietus.Oracle.Judging;

/// <summary>
/// What caches and memory may hold of each page: who may see which version of it, and what maintenance makes of that.
/// Invariant: of a page, no reader can see a version older than the oldest that its <see cref="PageState"/> has for
/// that kind of reader.
/// </summary>
internal sealed class CacheModel(
    MachineFeatures features, int pes, PageMap pages, Clock clock, List<string> parties)
{
    private readonly List<PendingCache>[] _pending = MakePending(pes);
    private PageState[] _states = [];

    private readonly record struct PendingCache(CacheKind Kind, int First, int Count, ulong At);

    public bool IsSettled
    {
        get
        {
            foreach (List<PendingCache> pending in _pending)
            {
                if (pending.Count != 0)
                {
                    return false;
                }
            }

            return true;
        }
    }

    public void Reuse(PageState[] left) => _states = left;

    public PageState[] Leave() => _states;

    public ref readonly PageState StateOf(int page) => ref _states[page];

    public void Add(int first, int count, bool isZero)
    {
        if (first + count > _states.Length)
        {
            Array.Resize(ref _states, first + count);
        }

        ulong version = Version.Of(clock.Now, Judge.Hypervisor, isZero ? Judge.Hypervisor : Judge.NoOwner);
        _states.AsSpan(first, count).Fill(
            new PageState { Latest = version, CoherentOldest = version, PocOldest = version });
    }

    /// <summary>Whole pages are written, through the caches or past them.</summary>
    /// <param name="pe">The hypervisor's PE whose DSB makes it visible; -1 where it is visible.</param>
    public void Write(int page, int count, int writer, int owner, bool isCached, int pe)
    {
        foreach (ref PageUse use in pages.Uses(page, count))
        {
            use.WriterPe = (byte)(pe + 1);
        }

        foreach (ref PageState state in _states.AsSpan(page, count))
        {
            ulong version = Version.Of(clock.Tick(), writer, owner);
            state.Latest = version;
            if (writer == Judge.Hypervisor)
            {
                state.Copied = 0;
            }

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

    /// <summary>Whether what a PE of the hypervisor wrote there is not visible to the others, and since when.</summary>
    public bool IsUnpublished(int page, out int pe, out ulong at)
    {
        ref PageUse use = ref pages.Use(page);
        pe = use.WriterPe - 1;
        at = 0;
        if (pe < 0)
        {
            return false;
        }

        at = Version.Sequence(_states[page].Latest);
        if (!clock.IsVisible(pe, at))
        {
            return true;
        }

        use.WriterPe = 0;
        return false;
    }

    /// <summary>A party reads a page: every version that it may see must be right.</summary>
    public void Consume(int page, string reader, string where, bool isCached)
    {
        ref PageState state = ref _states[page];
        ulong oldest = isCached ? state.CoherentOldest : state.PocOldest;
        string path = isCached ? "through the caches" : "past the caches";
        Check(page, oldest, reader, where, path);
        Check(page, state.Latest, reader, where, path);
    }

    public void CopyLogged(int page) => _states[page].Copied = _states[page].Latest;

    /// <summary>A dirty log says that a page was not written since the last one: it is what was copied.</summary>
    public void CheckUnlogged(int page, string reader, string where)
    {
        ref PageState state = ref _states[page];
        if (state.Copied != 0 && state.Copied != state.Latest)
        {
            Fail(ViolationKind.LostUpdate, reader,
                $"{reader} copied {where}, {PartyOf(state.Latest)} wrote it after that, and no dirty log has it: "
                + "the copy stays old", state.Copied, state.Latest);
        }
    }

    /// <summary>A guest fetches instructions from a page.</summary>
    public void Fetch(int page, string reader, string where)
    {
        ref PageState state = ref _states[page];
        Check(page, state.CoherentOldest, reader, where, "as instructions");
        if (features.InstructionCacheCoherency)
        {
            return;
        }

        if (state.InstructionOldest != 0 && state.InstructionOldest < state.InstructionBaseline)
        {
            Fail(ViolationKind.StaleInstructions, reader,
                $"{reader} fetches {where}, and an instruction cache may still hold what "
                + $"{PartyOf(state.InstructionOldest)} had there: nothing invalidated it since",
                state.InstructionOldest, state.InstructionBaseline);
        }

        state.InstructionOldest = state.InstructionOldest != 0 ? state.InstructionOldest : state.Latest;
    }

    /// <summary>Cache maintenance was issued by a PE; it completes at a DSB of that PE.</summary>
    public void Issue(int pe, CacheKind kind, ulong start, ulong bytes)
    {
        int first = pages.Of(start);
        ulong within = start & ((1UL << pages.GranuleShift) - 1);

        // Only pages that are covered to the last line: the others keep a line that was not maintained.
        if (first >= 0)
        {
            int skip = within != 0 ? 1 : 0;
            int count = pages.PagesIn(within + bytes) - skip;
            if (count > 0)
            {
                _pending[pe].Add(new PendingCache(kind, first + skip, count, clock.Now));
            }
        }
    }

    public bool MayBeDirty(int page) => _states[page].DirtyOldest != 0;

    public int LastWriter(int page) => Version.Writer(_states[page].Latest);

    /// <summary>A guest's own maintenance of its page, complete.</summary>
    public void GuestMaintains(int page, CacheKind kind) => Apply(new PendingCache(kind, page, 1, ulong.MaxValue));

    public void Complete(int pe, BarrierKind kind)
    {
        List<PendingCache> pending = _pending[pe];
        if (pending.Count == 0 || kind == BarrierKind.InnerShareableStores)
        {
            return;
        }

        // DC to the PoC completes for observers outside the Inner Shareable domain at a DSB SY only.
        foreach (PendingCache operation in pending)
        {
            if (kind == BarrierKind.FullSystem || operation.Kind == CacheKind.Instruction)
            {
                Apply(operation);
            }
        }

        if (kind == BarrierKind.FullSystem)
        {
            pending.Clear();
        }
        else
        {
            pending.RemoveAll(static operation => operation.Kind == CacheKind.Instruction);
        }
    }

    /// <summary>The page changed hands: what every reader must see from now on.</summary>
    public void RaiseBaseline(int page)
    {
        ref PageState state = ref _states[page];
        state.Baseline = state.GuestRisked != 0 ? state.GuestRisked : state.Latest;
    }

    /// <summary>A page is another VM's from now on: what was copied of the last one's counts no more.</summary>
    public void ForgetCopy(int page) => _states[page].Copied = 0;

    /// <summary>A leaf that lets a guest fetch was made: from now on fetches see at least this.</summary>
    public void RaiseInstructionBaseline(int page) => _states[page].InstructionBaseline = _states[page].Latest;

    private void Apply(PendingCache operation)
    {
        foreach (ref PageState state in _states.AsSpan(operation.First, operation.Count))
        {
            if (operation.Kind == CacheKind.Instruction)
            {
                state.InstructionOldest = 0;
                continue;
            }

            // A write that came after the operation may be dirty again.
            if (Version.Sequence(state.Latest) > operation.At)
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

    private void Check(int page, ulong version, string reader, string where, string path)
    {
        ref PageState state = ref _states[page];
        int owner = Version.Owner(version);
        if (owner != pages.Use(page).Owner && owner != Judge.Hypervisor)
        {
            Fail(ViolationKind.ForeignData, reader,
                $"{reader} reads {where} {path} and may see bytes of {parties[owner]}, which it must never see",
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

    private void Fail(ViolationKind kind, string consumer, string text, ulong seen, ulong expected) =>
        throw new ViolationException(
            new Violation(kind, consumer, text) { Seen = VersionOf(seen), Expected = VersionOf(expected) });

    private PageVersion VersionOf(ulong version) =>
        new(Version.Sequence(version), PartyOf(version), parties[Version.Owner(version)]);

    private string PartyOf(ulong version) => parties[Version.Writer(version)];

    private static List<PendingCache>[] MakePending(int pes)
    {
        var pending = new List<PendingCache>[pes];
        for (int pe = 0; pe < pes; pe++)
        {
            pending[pe] = [];
        }

        return pending;
    }
}

using System.Collections.Generic;

namespace Quietus.Oracle.Judging;

/// <summary>
/// The calls into the memory layer that have not returned, the innermost last, and what each has changed: that is
/// judged when it returns. Invariant: a call notes a page before its first change of it.
/// </summary>
internal sealed class CallLog(PageMap pages)
{
    private readonly Stack<CallRecord> _calls = new();
    private readonly Stack<CallRecord> _spare = new();
    private int _last;

    public bool IsEmpty => _calls.Count == 0;

    /// <summary>The number of the innermost call; 0 for none.</summary>
    public int Number => Innermost?.Number ?? 0;

    /// <summary>The innermost call.</summary>
    public CallRecord? Innermost { get; private set; }

    public void Begin(JudgedVm? vm)
    {
        CallRecord call = _spare.TryPop(out CallRecord? spare) ? spare : new CallRecord();
        call.Number = ++_last;
        call.Vm = vm;
        call.MadeAt = 0;
        call.Touched.Clear();
        _calls.Push(call);
        Innermost = call;
    }

    /// <summary>The innermost call returned. What it says is good until the next one begins.</summary>
    public CallRecord End()
    {
        CallRecord call = _calls.Pop();
        _spare.Push(call);
        Innermost = _calls.Count != 0 ? _calls.Peek() : null;
        return call;
    }

    /// <summary>A leaf was made, which is to be visible when the call returns.</summary>
    public void Made(int pe, JudgedVm vm, ulong now)
    {
        if (Innermost is { } call)
        {
            (call.MadePe, call.MadeFor, call.MadeAt) = (pe, vm, now);
        }
    }

    /// <summary>The leaves that map some pages change by one each.</summary>
    public void Count(int page, int count, int change, bool wasExecutable)
    {
        CallRecord? call = Innermost;
        foreach (ref PageUse use in pages.Uses(page, count))
        {
            if (call is not null && use.Call != call.Number)
            {
                use.Call = call.Number;
                use.WasExecutable = wasExecutable;
                call.Touch(page, use.Mappings);
            }

            use.Mappings = (ushort)(use.Mappings + change);
            page++;
        }
    }
}

/// <summary>One call.</summary>
internal sealed class CallRecord
{
    public int Number;
    public JudgedVm? Vm;

    /// <summary>When the last leaf was made, by which PE and for which VM; 0 for never.</summary>
    public ulong MadeAt;
    public int MadePe;
    public JudgedVm? MadeFor;

    /// <summary>Pages that changed, with the mappings that each had before.</summary>
    public List<(int First, int Count, ushort Before)> Touched { get; } = [];

    public void Touch(int page, ushort before)
    {
        int last = Touched.Count - 1;
        if (last >= 0 && Touched[last].First + Touched[last].Count == page && Touched[last].Before == before)
        {
            Touched[last] = Touched[last] with { Count = Touched[last].Count + 1 };
            return;
        }

        Touched.Add((page, 1, before));
    }
}

using System.Collections.Generic;

namespace Quietus.Traces;

/// <summary>
/// A VM that a trace has. What tells VMs apart is the address of their Stage-2 (<c>pgt=</c> in a probe), else their
/// process (record-tgid); where the trace has neither, all of it is taken for one VM.
/// </summary>
public sealed class TracedVm
{
    private readonly HashSet<int> _threads = [];

    /// <summary>Its process; a thread of it where the trace has none, and 0 where that could be any.</summary>
    public int Process { get; internal init; }

    /// <summary>Threads of the host that mapped its memory.</summary>
    public int Threads => _threads.Count;

    /// <summary>Pages and blocks that were mapped.</summary>
    public long Maps { get; private set; }

    /// <summary>The line of the first map.</summary>
    public long FirstLine { get; internal init; }

    /// <summary>Whether its Stage-2 is destroyed in the trace.</summary>
    public bool Dies { get; internal set; }

    internal void AddMap(int thread)
    {
        Maps++;
        _threads.Add(thread);
    }
}

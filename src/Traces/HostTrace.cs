using System.Collections.Generic;

namespace Quietus.Traces;

/// <summary>One VM's life and death on a KVM host, as a trace has it.</summary>
public sealed class HostTrace
{
    /// <summary>What was done to the VM's Stage-2, in order.</summary>
    public required IReadOnlyList<TraceOperation> Operations { get; init; }

    /// <summary>What the kernel issued for maps and changes of permissions.</summary>
    public required TracedMaintenance Mapping { get; init; }

    /// <summary>What the kernel issued while it unmapped ranges of the live VM.</summary>
    public required TracedMaintenance Unmapping { get; init; }

    /// <summary>What the kernel issued when the VM died.</summary>
    public required TracedMaintenance Death { get; init; }

    /// <summary>
    /// What belongs to none of these: the cleaning of all that was mapped when the guest switched its caches on, for
    /// one.
    /// </summary>
    public required TracedMaintenance Other { get; init; }

    /// <summary>Guest faults, those on emulated devices included.</summary>
    public required long GuestFaults { get; init; }

    /// <summary>Time spent unmapping ranges of the live VM, as the time stamps have it, in nanoseconds.</summary>
    public required long UnmapNanoseconds { get; init; }

    /// <summary>From the beginning of the release to the last event of it, in nanoseconds.</summary>
    public required long DeathNanoseconds { get; init; }

    /// <summary>What was read, and what was left out.</summary>
    public required TraceCounts Counts { get; init; }
}

/// <summary>What a trace's lines were.</summary>
public sealed class TraceCounts
{
    /// <summary>All lines.</summary>
    public long Lines { get; internal set; }

    /// <summary>Events that say something about Stage-2.</summary>
    public long Used { get; internal set; }

    /// <summary>Events of other kinds.</summary>
    public long OtherEvents => Others.Total;

    /// <summary>Those by name, the most frequent first; <see cref="UnnamedEvents"/> are not in it.</summary>
    public IReadOnlyList<OtherEvent> OtherNames => Others.Named;

    /// <summary>Events of other kinds that came after too many names to keep.</summary>
    public long UnnamedEvents => Others.Unnamed;

    /// <summary>Lines of call chains.</summary>
    public long StackLines { get; internal set; }

    /// <summary>Events whose time stamp is none: the trace's clock counted something else.</summary>
    public long Clockless { get; internal set; }

    /// <summary>Whether an event is in it that only KVM/x86 has.</summary>
    public bool IsX86 { get; internal set; }

    /// <summary>Memory faults of a guest of KVM/x86.</summary>
    public long X86Faults { get; internal set; }

    /// <summary>Faults of guests of KVM/arm64, of all VMs.</summary>
    internal long GuestFaults { get; set; }

    /// <summary>Ends of VMs and of processes that have one.</summary>
    internal long Ends { get; set; }

    /// <summary>Whether a line is perf script's.</summary>
    internal bool IsPerfScript { get; set; }

    /// <summary>Lines that are no event, no comment, and not empty.</summary>
    public long Foreign { get; internal set; }

    /// <summary>The first of those lines, from 1; 0 when there are none.</summary>
    public long FirstForeign { get; internal set; }

    /// <summary>Events that the kernel dropped: the ring buffer was too small, or its reader too slow.</summary>
    public long Lost { get; internal set; }

    /// <summary>Whether the last line had no end: it may be cut anywhere, so it was left out.</summary>
    public bool LastLineIsCut { get; internal set; }

    internal OtherEvents Others { get; } = new();
}

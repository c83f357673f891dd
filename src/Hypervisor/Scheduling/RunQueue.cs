namespace Quietus.Hypervisor.Scheduling;

/// <summary>
/// One core's share of the scheduler: its current vCPU, those that wait for it, those that it will wake.
/// </summary>
/// <remarks>Invariant of the pointers: see <see cref="SchedulerEntry"/>; a queue is never moved.</remarks>
public unsafe struct RunQueue
{
    /// <summary>What the core runs; null when it is idle.</summary>
    internal SchedulerEntry* Current;

    /// <summary>Woken in this round, with ticks left in it: they go first.</summary>
    internal RunList Woken;

    /// <summary>
    /// The others that have ticks left in this round, and those that have had theirs: see the two below.
    /// </summary>
    internal RunList Even;
    internal RunList Odd;

    /// <summary>Which of the two is which changes with each round.</summary>
    internal bool IsOdd;

    /// <summary>When its blocked vCPUs are to be woken.</summary>
    internal ExpiryHeap Expiries;

    /// <summary>The core's round.</summary>
    internal ulong Round;

    /// <summary>When the current vCPU was last charged for its time.</summary>
    internal ulong ChargedAt;

    /// <summary>vCPUs on the three lists, and those of them that may use another core.</summary>
    internal int Waiting;
    internal int Movable;

    /// <summary>Ticks in which it ran some vCPU.</summary>
    internal ulong BusyTicks;

    /// <summary>vCPUs that it took from other cores.</summary>
    internal ulong Stolen;

    /// <summary>Nothing of it runs or waits.</summary>
    internal readonly bool IsEmpty => Current == null && Waiting == 0;

    /// <summary>Those that have ticks left in this round, but for the woken ones.</summary>
    internal static RunList* Active(RunQueue* queue) => queue->IsOdd ? &queue->Odd : &queue->Even;

    /// <summary>Those that have had their ticks: they begin anew in the next round.</summary>
    internal static RunList* Expired(RunQueue* queue) => queue->IsOdd ? &queue->Even : &queue->Odd;
}

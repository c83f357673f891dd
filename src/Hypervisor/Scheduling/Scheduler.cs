using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Scheduling;

/// <summary>
/// Which vCPU runs where: distributed weighted round-robin (Li, Baumberger, Hahn: "Efficient and Scalable
/// Multiprocessor Fair Scheduling Using Distributed Weighted Round-Robin", PPoPP 2009). docs/scheduler.md says why, and
/// what it promises.
/// </summary>
/// <remarks>
/// <para>In each round a vCPU may run for as many ticks as its weight says. Each core goes through its own vCPUs,
/// round after round; before it begins a round that no core has begun yet, it helps the cores that are behind, by
/// taking over vCPUs that wait there. So no core is more than one round ahead of another that has vCPUs to give, and
/// shares are fair over the whole machine although each core has a queue of its own.</para>
/// <code>
///              Wake                       Pick
///   Blocked ---------->  Runnable  ------------------->  Running
///      ^                    ^                              |  |
///      |                    +------------------------------+  |
///      |                       Yield: its time is over        |
///      +------------------------------------------------------+
///                              TryBlock
/// </code>
/// <para>A vCPU is in exactly one place: on one list of one core, the current one of one core, or blocked, and only
/// then perhaps among one core's expiries. Every member but <see cref="Tick"/> takes constant time, or looks once at
/// each core, or is logarithmic in the number of expiries; <see cref="Pick"/> may go through a list for a vCPU that
/// is allowed to move, where only some are. All need the caller's one lock. Time is in ticks of the system
/// counter.</para>
/// Invariant of the pointers: the queues are the caller's, as many as it says, and like entries never moved.
/// </remarks>
public unsafe partial struct Scheduler
{
    /// <summary>No core.</summary>
    public const int None = -1;

    /// <summary>Every core.</summary>
    public const ulong AllCores = ulong.MaxValue;

    /// <summary>The longest debt: rounds that a vCPU sits out at most for running on beyond its time.</summary>
    private const long MostDebt = 8;

    private RunQueue* _queues;
    private int _count;
    private ulong _ticksPerWeight;

    /// <summary>The greatest round of any core.</summary>
    private ulong _highest;

    /// <summary>Cores that have nothing to run, as bits.</summary>
    private ulong _idle;

    /// <summary>Cores that take part, as bits.</summary>
    private ulong _online;

    /// <summary>Runnable vCPUs of all cores, and those of them that may use more than one.</summary>
    private int _waiting;
    private int _movable;

    /// <summary>Sets the scheduler up. The queues are all zero.</summary>
    /// <param name="queues">One for each core.</param>
    /// <param name="count">How many cores, up to 64.</param>
    /// <param name="ticksPerWeight">Ticks of one round for a weight of 1.</param>
    public void Initialize(RunQueue* queues, int count, ulong ticksPerWeight)
    {
        _queues = queues;
        _count = count;
        _ticksPerWeight = ticksPerWeight == 0 ? 1 : ticksPerWeight;
    }

    /// <summary>How many vCPUs wait for a core.</summary>
    public readonly int Waiting => _waiting;

    /// <summary>Cores that have nothing to run, as bits.</summary>
    public readonly ulong IdleCores => _idle;

    /// <summary>The current vCPU of a core, or null.</summary>
    public readonly SchedulerEntry* CurrentOf(int core) => _queues[core].Current;

    /// <summary>vCPUs that wait for a core.</summary>
    public readonly int WaitingOn(int core) => _queues[core].Waiting;

    /// <summary>Cores that take part, as bits.</summary>
    public readonly ulong OnlineCores => _online;

    /// <summary>Ticks in which a core has run some vCPU.</summary>
    public readonly ulong BusyTicks(int core, ulong now) =>
        _queues[core].BusyTicks + (_queues[core].Current != null ? now - _queues[core].ChargedAt : 0);

    /// <summary>vCPUs that a core has taken from others.</summary>
    public readonly ulong StolenBy(int core) => _queues[core].Stolen;

    /// <summary>Ticks that a vCPU has run.</summary>
    public readonly ulong RanTicks(SchedulerEntry* entry, ulong now) =>
        entry->RanTicks + (entry->StateSet == RunState.Running ? now - _queues[entry->CoreIndex].ChargedAt : 0);

    /// <summary>Ticks that a vCPU was runnable and did not run: stolen time (Arm DEN 0057).</summary>
    public static ulong WaitedTicks(SchedulerEntry* entry, ulong now) =>
        entry->WaitedTicks + (entry->StateSet == RunState.Runnable ? now - entry->Since : 0);

    /// <summary>The core takes part from now on: it is idle.</summary>
    public void AddCore(int core)
    {
        _queues[core].Round = _highest;
        _online |= 1UL << core;
        _idle |= 1UL << core;
    }

    /// <summary>The core is not idle, for it has something else to do: it gets a vCPU when it picks one.</summary>
    public void SetAside(int core) => _idle &= ~(1UL << core);

    /// <summary>Makes a vCPU known: a blocked one.</summary>
    /// <param name="entry">All zero, or removed.</param>
    /// <param name="owner">The vCPU.</param>
    /// <param name="weight">Its weight; what is out of bounds counts as the nearest one.</param>
    /// <param name="cores">The cores that it may use, as bits; without an online one among them it may use all.</param>
    /// <param name="now">The system counter.</param>
    public void Add(SchedulerEntry* entry, void* owner, uint weight, ulong cores, ulong now)
    {
        *entry = default;
        entry->Owner = owner;
        entry->WeightSet = weight < SchedulerEntry.LeastWeight ? SchedulerEntry.LeastWeight
            : weight > SchedulerEntry.GreatestWeight ? SchedulerEntry.GreatestWeight
            : weight;
        entry->Cores = (cores & _online) == 0 ? _online : cores & _online;
        entry->CoreIndex = FirstOf(entry->Cores);
        entry->Round = _highest;
        entry->Left = Budget(entry);
        entry->Since = now;
    }

    /// <summary>
    /// An event for a vCPU. A blocked one becomes runnable: on an idle core if there is one that it may use, its last
    /// one first, else on its last one.
    /// </summary>
    /// <returns>
    /// The core that must be kicked: it was idle, or its vCPU has to look at the event or make room;
    /// <see cref="None"/> when none needs to.
    /// </returns>
    public int Wake(SchedulerEntry* entry, ulong now)
    {
        if (entry->StateSet != RunState.Blocked)
        {
            return entry->StateSet == RunState.Running ? entry->CoreIndex : None; // one that has ended stays ended
        }

        if (entry->Expiry.IsLinked)
        {
            _queues[entry->CoreIndex].Expiries.Remove(&entry->Expiry);
        }

        int core = ChooseCore(entry);
        RunQueue* queue = _queues + core;
        if (queue->IsEmpty && queue->Round < _highest)
        {
            queue->Round = _highest; // it has had nothing to do: nothing is owed to it
        }

        entry->CoreIndex = core;
        Refill(entry, queue->Round);
        SetState(entry, RunState.Runnable, now);
        bool goesFirst = entry->Round <= queue->Round;
        Enqueue(queue, entry, goesFirst ? &queue->Woken : RunQueue.Expired(queue), atFront: false);
        if ((_idle & (1UL << core)) != 0)
        {
            _idle &= ~(1UL << core);
            return core;
        }

        return goesFirst && queue->Current != null && IsBetterPlaced(entry, queue, now) ? core : None;
    }

    /// <summary>
    /// Whether the current vCPU's time in this round is over and another waits for a core; or a blocked one's moment
    /// has come and no idle core could take it. On the core itself, without the lock: none but it writes what
    /// its current vCPU has left, and the rest may be otherwise a moment later. Then it is only picked again.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsOver(int core, ulong now)
    {
        RunQueue* queue = _queues + core;
        if (LeftNow(queue, now) <= 0)
        {
            return Volatile.Read(in _waiting) != 0;
        }

        ExpiryNode* first = queue->Expiries.FirstNow;
        SchedulerEntry* entry = first == null || first->When > now ? null : first->Entry;
        return entry != null && (Volatile.Read(in _idle) & entry->Cores) == 0;
    }

    /// <summary>When the first blocked vCPU of a core is to be woken; the greatest value for never.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly ulong NextExpiry(int core) => _queues[core].Expiries.NextWhen;

    /// <summary>
    /// Whether the current vCPU should make room: its time in this round is over, or one that was woken has used less
    /// of its own.
    /// </summary>
    public readonly bool MustYield(int core, ulong now)
    {
        RunQueue* queue = _queues + core;
        return queue->Current == null
            || LeftNow(queue, now) <= 0
            || (queue->Woken.First != null && IsBetterPlaced(queue->Woken.First, queue, now));
    }

    /// <summary>
    /// The current vCPU stops running and stays runnable. The caller picks the next one.
    /// </summary>
    /// <param name="core">Its core.</param>
    /// <param name="now">The system counter.</param>
    /// <param name="toBack">It lets the others of its round go first.</param>
    /// <returns>An idle core that can take it over, and must be kicked; or <see cref="None"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Yield(int core, ulong now, bool toBack)
    {
        RunQueue* queue = _queues + core;
        SchedulerEntry* entry = Stop(queue, now);
        SetState(entry, RunState.Runnable, now);
        if (entry->Left > 0)
        {
            Enqueue(queue, entry, RunQueue.Active(queue), atFront: !toBack);
        }
        else
        {
            Enqueue(queue, entry, ListAfter(queue, entry), atFront: false);
        }

        ulong idle = _idle & entry->Cores;
        if (idle == 0)
        {
            return None;
        }

        // The next one that yields has another core kicked.
        int other = FirstOf(idle);
        _idle &= ~(1UL << other);
        return other;
    }

    /// <summary>
    /// The current vCPU has nothing to do until it is woken, or until a moment has come. False, and nothing has
    /// changed: there is an event that it has not looked at.
    /// </summary>
    /// <param name="core">Its core.</param>
    /// <param name="now">The system counter.</param>
    /// <param name="until">When to wake it at the latest; the greatest value for never.</param>
    /// <param name="attention">
    /// What a waker sets before it calls <see cref="Wake"/>, and the vCPU clears before it looks for events.
    /// </param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryBlock(int core, ulong now, ulong until, ref uint attention)
    {
        if (Volatile.Read(ref attention) != 0)
        {
            return false;
        }

        RunQueue* queue = _queues + core;
        SchedulerEntry* entry = Stop(queue, now);
        SetState(entry, RunState.Blocked, now);
        if (until != ulong.MaxValue)
        {
            entry->Expiry.When = until;
            entry->Expiry.Entry = entry;
            queue->Expiries.Add(&entry->Expiry);
        }

        return true;
    }

    /// <summary>Whether no vCPU waits, so that a core that has none is idle.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryIdle(int core)
    {
        if (_waiting != 0)
        {
            return false;
        }

        _idle |= 1UL << core;
        return true;
    }

    /// <summary>
    /// Chooses the next vCPU for a core that has none. Null: the core is idle, until a <see cref="Wake"/> returns it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public SchedulerEntry* Pick(int core, ulong now)
    {
        RunQueue* queue = _queues + core;
        SchedulerEntry* next = FirstOfRound(queue);
        next = next != null ? next : ChooseAnother(queue, core);
        if (next == null)
        {
            _idle |= 1UL << core;
            return null;
        }

        _idle &= ~(1UL << core);
        Dequeue(_queues + next->CoreIndex, next);
        next->CoreIndex = core;
        next->Turns++;
        SetState(next, RunState.Running, now);
        queue->Current = next;
        queue->ChargedAt = now;
        return next;
    }

    /// <summary>
    /// Wakes the vCPUs of a core whose moments have come.
    /// </summary>
    /// <returns>The cores that must be kicked, as bits; this one may be among them.</returns>
    public ulong Tick(int core, ulong now)
    {
        ulong kick = 0;
        while (_queues[core].Expiries.NextWhen <= now)
        {
            int kicked = Wake(_queues[core].Expiries.First->Entry, now);
            kick |= kicked != None ? 1UL << kicked : 0;
        }

        return kick;
    }

    /// <summary>
    /// When the core has to look again: its current vCPU's time is over, where it has a limit, or a blocked one is to
    /// be woken; the greatest value for never.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly ulong NextEvent(int core, bool isLimited)
    {
        RunQueue* queue = _queues + core;
        ulong expiry = queue->Expiries.NextWhen;
        if (queue->Current == null || !isLimited)
        {
            return expiry;
        }

        ulong end = queue->ChargedAt + (queue->Current->Left > 0 ? (ulong)queue->Current->Left : 0);
        return end < expiry ? end : expiry;
    }

    /// <summary>
    /// Takes a vCPU off whatever it hangs on: its VM ends, or is frozen. False: a core runs it, which must let go of it
    /// first. It must be added again before it can be woken.
    /// </summary>
    public bool Remove(SchedulerEntry* entry)
    {
        if (entry->StateSet == RunState.Running)
        {
            return false;
        }

        if (entry->List != null)
        {
            Dequeue(_queues + entry->CoreIndex, entry);
        }

        if (entry->Expiry.IsLinked)
        {
            _queues[entry->CoreIndex].Expiries.Remove(&entry->Expiry);
        }

        entry->StateSet = RunState.Ended;
        return true;
    }

    /// <summary>
    /// The current vCPU is removed: its core has none. Nothing is written to it afterwards, so that its memory may be
    /// another's once it <see cref="SchedulerEntry.HasEnded"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void End(int core, ulong now)
    {
        RunQueue* queue = _queues + core;
        SchedulerEntry* entry = queue->Current;
        queue->BusyTicks += now - queue->ChargedAt;
        queue->Current = null;
        Volatile.Write(ref Unsafe.As<RunState, byte>(ref entry->StateSet), (byte)RunState.Ended);
    }

    private readonly long Budget(SchedulerEntry* entry) => (long)(_ticksPerWeight * entry->WeightSet);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int ChooseCore(SchedulerEntry* entry)
    {
        ulong idle = _idle & entry->Cores;
        return (idle & (1UL << entry->CoreIndex)) != 0 || idle == 0
            ? entry->CoreIndex
            : FirstOf(idle);
    }

    /// <summary>The first one of some cores. Core 0 comes last: it has the monitor's work, too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FirstOf(ulong cores) => BitOperations.TrailingZeroCount(cores & ~1UL) & 63;

    /// <summary>
    /// A vCPU that comes to a queue after a sleep. From the rounds that it slept through it gets no more than the
    /// ticks of one, less its debt.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Refill(SchedulerEntry* entry, ulong round)
    {
        if (entry->Round < round)
        {
            long budget = Budget(entry);
            ulong passed = round - entry->Round;
            long owed = budget * (passed > MostDebt ? MostDebt + 1 : (long)passed);
            entry->Left = entry->Left + owed < budget ? entry->Left + owed : budget;
            entry->Round = round;
        }

        if (entry->Left <= 0)
        {
            NextRound(entry, round);
        }
    }

    /// <summary>It has used its ticks up, and gets those of its next round, which is not before the queue's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void NextRound(SchedulerEntry* entry, ulong round)
    {
        long budget = Budget(entry);
        long least = -budget * MostDebt;
        entry->Left = (entry->Left < least ? least : entry->Left) + budget;
        entry->Round = entry->Round + 1 > round ? entry->Round + 1 : round;
    }

    /// <summary>
    /// Gives a vCPU that has used its ticks up those of its next round. One that came from a core that was behind may
    /// still be owed this one.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly RunList* ListAfter(RunQueue* queue, SchedulerEntry* entry)
    {
        NextRound(entry, queue->Round);
        return entry->Round > queue->Round ? RunQueue.Expired(queue) : RunQueue.Active(queue);
    }

    /// <summary>What the current vCPU has left of its round.</summary>
    private static long LeftNow(RunQueue* queue, ulong now) => queue->Current->Left - (long)(now - queue->ChargedAt);

    /// <summary>
    /// Whether a runnable vCPU has used less of its round than the current one, as parts of their weights.
    /// </summary>
    private static bool IsBetterPlaced(SchedulerEntry* entry, RunQueue* queue, ulong now) =>
        entry->Left * queue->Current->WeightSet > LeftNow(queue, now) * entry->WeightSet;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetState(SchedulerEntry* entry, RunState state, ulong now)
    {
        if (entry->StateSet == RunState.Runnable)
        {
            entry->WaitedTicks += now - entry->Since;
        }

        entry->StateSet = state;
        entry->Since = now;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static SchedulerEntry* Stop(RunQueue* queue, ulong now)
    {
        SchedulerEntry* entry = queue->Current;
        ulong ran = now - queue->ChargedAt;
        entry->Left -= (long)ran;
        entry->RanTicks += ran;
        queue->BusyTicks += ran;
        queue->ChargedAt = now;
        queue->Current = null;
        return entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Enqueue(RunQueue* queue, SchedulerEntry* entry, RunList* list, bool atFront)
    {
        if (atFront)
        {
            RunList.Prepend(list, entry);
        }
        else
        {
            RunList.Append(list, entry);
        }

        int movable = entry->CanMove ? 1 : 0;
        _waiting++;
        _movable += movable;
        queue->Waiting++;
        queue->Movable += movable;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Dequeue(RunQueue* queue, SchedulerEntry* entry)
    {
        RunList.Unlink(entry);
        int movable = entry->CanMove ? 1 : 0;
        _waiting--;
        _movable -= movable;
        queue->Waiting--;
        queue->Movable -= movable;
    }
}

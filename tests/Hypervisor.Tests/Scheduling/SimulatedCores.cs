using System;
using System.Collections.Generic;
using Quietus.Hypervisor.Scheduling;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>
/// Cores that run vCPUs under the scheduler as the image's do, in a time of their own: a tick is a microsecond, a usual
/// weight runs for a millisecond in each round, and a kick takes a microsecond to arrive.
/// </summary>
/// <remarks>Invariant of the pointers: they are the rig's, which lives as long as this.</remarks>
internal sealed unsafe class SimulatedCores : IDisposable
{
    public const ulong Microsecond = 1;
    public const ulong Millisecond = 1000 * Microsecond;
    public const ulong Second = 1000 * Millisecond;

    private readonly ulong[] _kicks;
    private readonly ulong[] _bursts;
    private readonly ulong[] _ranAtBurst;
    private readonly ulong[] _wokenAt;
    private readonly ulong[] _waitsSince;

    public SimulatedCores(int cores, int count)
    {
        Rig = new SchedulerRig(cores, count);
        _kicks = new ulong[cores];
        _bursts = new ulong[count];
        _ranAtBurst = new ulong[count];
        _wokenAt = new ulong[count];
        _waitsSince = new ulong[count];
        Array.Fill(_kicks, ulong.MaxValue);
        Array.Fill(_bursts, ulong.MaxValue);
    }

    public SchedulerRig Rig { get; }

    public ulong Now { get; private set; }

    /// <summary>How long a vCPU runs before it blocks, and for how long then; asked at each wake-up.</summary>
    public Func<int, (ulong Run, ulong Sleep)> Behave { get; set; } = _ => (ulong.MaxValue, 0);

    /// <summary>From each wake-up to the first tick in the guest.</summary>
    public Dictionary<int, List<ulong>> Latencies { get; } = [];

    /// <summary>The longest that any vCPU has been runnable without a core.</summary>
    public ulong LongestWait { get; private set; }

    public bool Audits { get; set; }

    private readonly Dictionary<int, ulong> _sleeps = [];

    public void Start(int index, uint weight = SchedulerEntry.UsualWeight, ulong cores = Scheduler.AllCores)
    {
        Rig.Add(index, weight, cores);
        Wake(index);
    }

    public void Wake(int index)
    {
        SchedulerEntry* entry = Rig.Entry(index);
        if (entry->State == RunState.Blocked)
        {
            Begin(index);
        }

        Kick(Rig.Scheduler.Wake(entry, Now));
    }

    public void RunUntil(ulong end)
    {
        while (true)
        {
            int next = -1;
            ulong at = ulong.MaxValue;
            for (int core = 0; core < Rig.Cores; core++)
            {
                ulong when = NextOf(core);
                if (when < at)
                {
                    at = when;
                    next = core;
                }
            }

            if (at > end)
            {
                Now = end;
                return;
            }

            Now = Math.Max(Now, at);
            Step(next);
            if (Audits)
            {
                ulong kicked = 0;
                for (int core = 0; core < Rig.Cores; core++)
                {
                    kicked |= _kicks[core] != ulong.MaxValue ? 1UL << core : 0;
                }

                SchedulerAudit.Check(Rig, kicked);
            }
        }
    }

    /// <summary>Time in the guest so far.</summary>
    public ulong Ran(int index)
    {
        SchedulerEntry* entry = Rig.Entry(index);
        return entry->RanTicks + (entry->State == RunState.Running ? Now - Rig.Queue(entry->Core)->ChargedAt : 0);
    }

    public void Dispose() => Rig.Dispose();

    private void Begin(int index)
    {
        (ulong run, ulong sleep) = Behave(index);
        _bursts[index] = run;
        _sleeps[index] = sleep;
        _ranAtBurst[index] = Rig.Entry(index)->RanTicks;
        _wokenAt[index] = Now;
        _waitsSince[index] = Now;
    }

    private ulong NextOf(int core)
    {
        ulong when = Math.Min(Rig.Scheduler.NextEvent(core, isLimited: true), _kicks[core]);
        SchedulerEntry* current = Rig.Scheduler.CurrentOf(core);
        return current == null ? when : Math.Min(when, BurstEnd(core, Rig.IndexOf(current)));
    }

    private ulong BurstEnd(int core, int index)
    {
        if (_bursts[index] == ulong.MaxValue)
        {
            return ulong.MaxValue;
        }

        return Rig.Queue(core)->ChargedAt + _bursts[index] - (Rig.Entry(index)->RanTicks - _ranAtBurst[index]);
    }

    private void Step(int core)
    {
        if (_kicks[core] <= Now)
        {
            _kicks[core] = ulong.MaxValue;
        }

        NoteWakes(core);
        ulong kicks = Rig.Scheduler.Tick(core, Now);
        for (int other = 0; other < Rig.Cores; other++)
        {
            if (other != core && ((kicks >> other) & 1) != 0)
            {
                Kick(other);
            }
        }

        SchedulerEntry* current = Rig.Scheduler.CurrentOf(core);
        if (current != null && BurstEnd(core, Rig.IndexOf(current)) <= Now)
        {
            uint attention = 0;
            ulong sleep = _sleeps[Rig.IndexOf(current)];
            Rig.Scheduler.TryBlock(core, Now, sleep == ulong.MaxValue ? sleep : Now + sleep, ref attention);
        }
        else if (current != null && Rig.Scheduler.MustYield(core, Now))
        {
            _waitsSince[Rig.IndexOf(current)] = Now;
            Kick(Rig.Scheduler.Yield(core, Now, toBack: false));
        }

        if (Rig.Scheduler.CurrentOf(core) == null)
        {
            SchedulerEntry* next = Rig.Scheduler.Pick(core, Now);
            if (next != null)
            {
                NoteTurn(Rig.IndexOf(next));
            }
        }
    }

    /// <summary>Whom Tick is about to wake begins a new burst.</summary>
    private void NoteWakes(int core)
    {
        for (int i = 0; i < Rig.Count; i++)
        {
            SchedulerEntry* entry = Rig.Entry(i);
            if (entry->State == RunState.Blocked && entry->Expiry.IsLinked && entry->Core == core
                && entry->Expiry.When <= Now)
            {
                Begin(i);
            }
        }
    }

    private void NoteTurn(int index)
    {
        LongestWait = Math.Max(LongestWait, Now - _waitsSince[index]);
        if (_wokenAt[index] != ulong.MaxValue)
        {
            if (!Latencies.TryGetValue(index, out List<ulong>? latencies))
            {
                Latencies.Add(index, latencies = []);
            }

            latencies.Add(Now - _wokenAt[index]);
            _wokenAt[index] = ulong.MaxValue;
        }
    }

    private void Kick(int core)
    {
        if (core != Scheduler.None)
        {
            _kicks[core] = Math.Min(_kicks[core], Now + Microsecond);
        }
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Scheduling;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// The scheduler on this machine: its lock, the cores' timers, and the kicks that make a core look. docs/scheduler.md.
/// </summary>
/// <remarks>
/// <para>As long as there are no more vCPUs than cores beside the monitor's, each finds an idle core and keeps it: no
/// slice ends, WFI does not trap. Beyond that the machine is <see cref="IsCrowded"/>: they take turns, and core 0 is
/// one more for them whenever the monitor has nothing to do. It chooses none while it has, so that no order waits.
/// </para>
/// <para>A vCPU is saved before it goes back to the scheduler, so that whichever core picks it next finds all of it in
/// memory. The lock comes after every lock of a VM; nothing else is taken under it.</para>
/// Invariant of the pointers: the queues are boot memory; a vCPU lies in a slot that lives until it has been removed.
/// </remarks>
internal static unsafe class Dispatcher
{
    /// <summary>A weight of 1 is so many microseconds of each round.</summary>
    private const ulong MicrosecondsPerWeight = 10;

    /// <summary>A VM that may not use every core counts as so many vCPUs more: two of them may share one.</summary>
    private const int Pinned = 1 << 16;

    private static SpinLock _lock;
    private static Scheduler _scheduler;

    /// <summary>Cores beside core 0.</summary>
    private static int _cores;
    private static int _vcpus;
    private static uint _isCrowded;

    /// <summary>
    /// Ticks of a microsecond. A sleep that is to end sooner is none: two switches would take longer, and their price
    /// is another vCPU's, too.
    /// </summary>
    private static ulong _shortestSleep;

    /// <summary>
    /// There are more vCPUs than cores beside core 0, or some that may not use all cores: they take turns.
    /// </summary>
    internal static bool IsCrowded
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _isCrowded) != 0;
    }

    /// <summary>The cores that run vCPUs, as bits.</summary>
    internal static ulong CoreSet
    {
        get
        {
            _lock.Enter();
            ulong cores = _scheduler.OnlineCores;
            _lock.Leave();
            return cores;
        }
    }

    /// <summary>Makes the queues. Before any other core comes up.</summary>
    internal static bool Initialize()
    {
        int count = Platform.Description.CpuCount;
        RunQueue* queues = (RunQueue*)Platform.Memory.Take((ulong)count * (ulong)sizeof(RunQueue), 64);
        if (queues == null)
        {
            return false;
        }

        GuestTraps.SetWaits(trap: false);
        ulong frequency = Instructions.ReadCounterFrequency();
        _shortestSleep = frequency / 1_000_000;
        _scheduler.Initialize(queues, count, frequency * MicrosecondsPerWeight / 1_000_000);
        return true;
    }

    /// <summary>The calling core runs vCPUs from now on.</summary>
    internal static void AddCore(Core* core)
    {
        core->TimerAt = ulong.MaxValue;
        core->MonitorAt = ulong.MaxValue;
        _lock.Enter();
        _scheduler.AddCore((int)core->Index);
        if (core->Index == 0)
        {
            _scheduler.SetAside(0);
        }
        else
        {
            _cores++;
        }

        _lock.Leave();
    }

    /// <summary>Whether a core may have a vCPU to choose, or to wake: core 0 may have none.</summary>
    internal static bool HasVcpus(Core* core) =>
        IsCrowded || _scheduler.NextExpiry((int)core->Index) != ulong.MaxValue;

    /// <summary>Core 0's monitor is to look around at a moment; the greatest value for none.</summary>
    internal static void SetMonitorTimer(Core* core, ulong when)
    {
        core->MonitorAt = when;
        if (when < core->TimerAt || !HasVcpus(core))
        {
            WriteTimer(core, when);
        }
    }

    /// <summary>The VM's vCPUs take part: those that are on run, the others wait to be turned on.</summary>
    internal static void Admit(Vm* vm)
    {
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            Vcpu* vcpu = vm->VcpuAt(i);
            _scheduler.Add(&vcpu->Turn, vcpu, vm->Options.Weight, vm->Options.Cores, now);
        }

        _lock.Leave();
        vm->Admitted = vm->Options.VcpuCount + (vm->Options.Cores != 0 ? Pinned : 0);
        Count(vm->Admitted);
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            if (vm->Power.StateOf(i) != Devices.VcpuPowerState.Off)
            {
                Wake(vm->VcpuAt(i));
            }
        }
    }

    /// <summary>The VM's vCPUs have all been removed, if they took part.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Withdraw(Vm* vm)
    {
        int admitted = vm->Admitted;
        if (admitted != 0)
        {
            vm->Admitted = 0;
            Count(-admitted);
        }
    }

    /// <summary>
    /// Takes a vCPU of a VM that must leave off whatever queue it is on. False: a core runs it, and will kick the
    /// monitor's when it has let go.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryRemove(Vcpu* vcpu) =>
        vcpu->Turn.HasEnded || (vcpu->Turn.State != RunState.Running && TryTakeOff(vcpu));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryTakeOff(Vcpu* vcpu)
    {
        _lock.Enter();
        bool isRemoved = _scheduler.Remove(&vcpu->Turn);
        _lock.Leave();
        return isRemoved;
    }

    /// <summary>
    /// There is something for a vCPU to look at: its core is made to look, or it gets one.
    /// </summary>
    internal static void Wake(Vcpu* vcpu)
    {
        _lock.Enter();
        int core = _scheduler.Wake(&vcpu->Turn, Instructions.ReadCounter());
        _lock.Leave();
        Kick(core);
    }

    /// <summary>
    /// A core that has no vCPU has been made to look: wakes those whose moments have come, and chooses.
    /// </summary>
    internal static void Look(Core* core)
    {
        int index = (int)core->Index;
        core->MustSchedule = false;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        ulong kicks = _scheduler.Tick(index, now);
        if (index == 0 && !IsCrowded)
        {
            SetTimer(core);
            _lock.Leave();
        }
        else
        {
            Choose(core, index, now);
        }

        KickOthers(core, kicks);
    }

    /// <summary>
    /// Whether the time of the core's vCPU, which is loaded, is up and another waits, or one is to be woken here: all
    /// else that there is to look at is looked at when it has been saved (<see cref="Yield"/>).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsTimeUp(Core* core) =>
        IsCrowded && _scheduler.IsOver((int)core->Index, Instructions.ReadCounter());

    /// <summary>
    /// Whether the core's vCPU, which is loaded, has to make room. Wakes those whose moments have come.
    /// </summary>
    internal static bool MustYield(Core* core)
    {
        int index = (int)core->Index;
        core->MustSchedule = false;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        ulong kicks = _scheduler.Tick(index, now);
        bool must = IsCrowded && ((kicks & (1UL << index)) != 0 || _scheduler.MustYield(index, now));
        if (must && _scheduler.Waiting == 0)
        {
            // None waits: it begins its next round at once.
            BeginNext(index, now);
            must = false;
        }

        if (!must)
        {
            SetTimer(core); // else for the next one
        }

        _lock.Leave();
        KickOthers(core, kicks);
        if (!must)
        {
            Instructions.WriteHcr(GuestTraps.Hcr);
        }

        return must;
    }

    /// <summary>
    /// The core's vCPU has been saved, and is blocked until an event or a moment, unless there was an event or the
    /// moment is near. The core gets its next one.
    /// </summary>
    internal static void Leave(Core* core, Vcpu* vcpu, bool blocks, ulong until)
    {
        int index = (int)core->Index;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        int kicked = Scheduler.None;
        if (!blocks || until <= now + _shortestSleep || !_scheduler.TryBlock(index, now, until, ref vcpu->Attention))
        {
            kicked = _scheduler.Yield(index, now, toBack: false);
        }

        Choose(core, index, now);
        if (kicked != Scheduler.None)
        {
            Kick(kicked);
        }
    }

    /// <summary>
    /// The core's vCPU has been saved, and makes room. The core gets its next one, after those whose moments have come
    /// have been woken.
    /// </summary>
    internal static void Yield(Core* core, bool toBack)
    {
        int index = (int)core->Index;
        core->MustSchedule = false;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        int kicked = _scheduler.Yield(index, now, toBack);
        ulong kicks = _scheduler.NextExpiry(index) <= now ? _scheduler.Tick(index, now) : 0;
        SchedulerEntry* next = core->IsMonitorWanted ? Postpone(core) : _scheduler.Pick(index, now);
        SetTimer(core);
        _lock.Leave();
        core->Vcpu = next == null ? null : (Vcpu*)next->Owner;
        if (kicked != Scheduler.None)
        {
            kicks |= 1UL << kicked;
        }

        if (kicks != 0)
        {
            KickOthers(core, kicks);
        }
    }

    /// <summary>
    /// The core's vCPU has been unloaded for good: its VM ends, or is frozen. The core gets its next one, and the
    /// monitor's hears of it.
    /// </summary>
    internal static void End(Core* core)
    {
        int index = (int)core->Index;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        _scheduler.End(index, now);
        Choose(core, index, now);
        Platform.CoreAt(0)->Kick();
    }

    /// <summary>Gives a core its next vCPU, if there is one, sets its timer, and leaves the lock.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Choose(Core* core, int index, ulong now)
    {
        SchedulerEntry* next = null;
        if (!_scheduler.TryIdle(index))
        {
            next = core->IsMonitorWanted ? Postpone(core) : Pick(index, now);
        }

        SetTimer(core);
        _lock.Leave();
        core->Vcpu = next == null ? null : (Vcpu*)next->Owner;
    }

    /// <summary>
    /// What a VM's vCPUs have run, and what they waited for a core while they could have: sums, in ticks.
    /// </summary>
    internal static void ReadTimes(Vm* vm, out ulong ran, out ulong waited)
    {
        ran = 0;
        waited = 0;
        _lock.Enter();
        ulong now = Instructions.ReadCounter();
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            SchedulerEntry* entry = &vm->VcpuAt(i)->Turn;
            ran += _scheduler.RanTicks(entry, now);
            waited += Scheduler.WaitedTicks(entry, now);
        }

        _lock.Leave();
    }

    /// <summary>What a core does now, and has done since the boot.</summary>
    internal static CoreFigures ReadCore(int index)
    {
        CoreFigures figures = default;
        _lock.Enter();
        SchedulerEntry* current = _scheduler.CurrentOf(index);
        if (current != null)
        {
            var vcpu = (Vcpu*)current->Owner;
            figures.Vm = vcpu->Vm->Id;
            figures.Vcpu = vcpu->Index;
        }

        figures.Waiting = _scheduler.WaitingOn(index);
        figures.BusyTicks = _scheduler.BusyTicks(index, Instructions.ReadCounter());
        figures.Taken = _scheduler.StolenBy(index);
        _lock.Leave();
        return figures;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static SchedulerEntry* Pick(int core, ulong now) => _scheduler.Pick(core, now);

    /// <summary>
    /// The monitor comes first: what is chosen now would be running, and a kill of it would wait for this very core.
    /// Until the choice is made up for the core is not idle, and others take what waits here.
    /// </summary>
    private static SchedulerEntry* Postpone(Core* core)
    {
        core->MustSchedule = true;
        return null;
    }

    /// <summary>A core's vCPU begins its next round.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void BeginNext(int core, ulong now)
    {
        int idle = _scheduler.Yield(core, now, toBack: false);
        Pick(core, now);
        if (idle != Scheduler.None)
        {
            _scheduler.TryIdle(idle); // it is not needed
        }
    }

    /// <summary>Makes every core beside core 0 look that has nothing to run.</summary>
    internal static void KickIdle()
    {
        _lock.Enter();
        ulong idle = _scheduler.IdleCores & ~1UL;
        _lock.Leave();
        for (; idle != 0; idle &= idle - 1)
        {
            Platform.CoreAt(BitOperations.TrailingZeroCount(idle))->Kick();
        }
    }

    /// <summary>On the monitor's core.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Count(int vcpus)
    {
        _vcpus += vcpus;
        uint isCrowded = _vcpus > _cores ? 1u : 0u;
        if (isCrowded != _isCrowded)
        {
            Turn(isCrowded);
        }
    }

    /// <summary>Has vCPUs take turns, or leaves each its core.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Turn(uint isCrowded)
    {
        GuestTraps.SetWaits(trap: isCrowded != 0);
        Volatile.Write(ref _isCrowded, isCrowded);
        if (isCrowded == 0)
        {
            _lock.Enter();
            _scheduler.SetAside(0);
            _lock.Leave();
        }

        // An idle core takes over what waits on core 0.
        for (int i = 0; i < Platform.CoreCount; i++)
        {
            Kick(i);
        }
    }

    /// <summary>The core's timer, for what it has to do next by itself. The lock is held.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetTimer(Core* core)
    {
        ulong when = _scheduler.NextEvent((int)core->Index, IsCrowded);
        when = core->MonitorAt < when ? core->MonitorAt : when;
        if (when != core->TimerAt)
        {
            WriteTimer(core, when);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteTimer(Core* core, ulong when)
    {
        core->TimerAt = when;
        if (when == ulong.MaxValue)
        {
            Instructions.StopHypervisorTimer();
        }
        else
        {
            Instructions.SetHypervisorTimer(when);
        }
    }

    private static void KickOthers(Core* self, ulong cores)
    {
        for (ulong left = cores & ~(1UL << (int)self->Index); left != 0; left &= left - 1)
        {
            Kick(BitOperations.TrailingZeroCount(left));
        }
    }

    /// <summary>Makes a core look at its queue, and at its vCPU's orders.</summary>
    private static void Kick(int index)
    {
        if (index == Scheduler.None)
        {
            return;
        }

        Core* core = Platform.CoreAt(index);
        core->MustSchedule = true;
        if (core != Core.Current)
        {
            core->Kick();
        }
        else if (core->Vcpu != null)
        {
            core->Vcpu->NeedsAttention = true;
        }
    }
}

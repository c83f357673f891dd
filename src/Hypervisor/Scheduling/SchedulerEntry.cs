using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Scheduling;

/// <summary>
/// What the scheduler knows of one vCPU, and the links by which it hangs on a queue. It lies in the vCPU, so that no
/// queue ever needs memory. The scheduler alone writes it, under its caller's lock.
/// </summary>
/// <remarks>
/// Invariant of the pointers: a linked entry lives, unmoved, until <see cref="Scheduler.Remove"/> has taken it off.
/// </remarks>
public unsafe struct SchedulerEntry
{
    /// <summary>Weights that can be given: shares of busy vCPUs are as their weights.</summary>
    public const uint LeastWeight = 10;

    /// <summary>The greatest.</summary>
    public const uint GreatestWeight = 1000;

    /// <summary>What a vCPU has that was given none.</summary>
    public const uint UsualWeight = 100;

    /// <summary>The vCPU that this lies in.</summary>
    public void* Owner;

    internal SchedulerEntry* Next;
    internal SchedulerEntry* Previous;

    /// <summary>The list that it hangs on; null unless it is runnable.</summary>
    internal RunList* List;

    /// <summary>Its place among the expiries of its core; used only while it is blocked.</summary>
    internal ExpiryNode Expiry;

    /// <summary>The cores that it may run on, as bits.</summary>
    internal ulong Cores;

    /// <summary>The round that it is in: see <see cref="Scheduler"/>.</summary>
    internal ulong Round;

    /// <summary>Ticks that it may still run in its round; a debt when it ran on beyond them.</summary>
    internal long Left;

    /// <summary>When it came into its state.</summary>
    internal ulong Since;

    /// <summary>Ticks that it has run, up to its last change of state.</summary>
    public ulong RanTicks;

    /// <summary>Ticks that it was runnable and did not run, up to its last change of state.</summary>
    public ulong WaitedTicks;

    /// <summary>How often it was given a core.</summary>
    public ulong Turns;

    internal uint WeightSet;

    /// <summary>The core that it is on, or was on last.</summary>
    internal int CoreIndex;

    internal RunState StateSet;

    /// <summary>Its state.</summary>
    public readonly RunState State => StateSet;

    /// <summary>
    /// It has been removed, and no core writes it any more. Can be asked without the scheduler's lock.
    /// </summary>
    public readonly bool HasEnded =>
        (RunState)Volatile.Read(in Unsafe.As<RunState, byte>(ref Unsafe.AsRef(in StateSet))) == RunState.Ended;

    /// <summary>The core that runs it or queues it, or, of a blocked one, did so last.</summary>
    public readonly int Core => CoreIndex;

    /// <summary>Its weight.</summary>
    public readonly uint Weight => WeightSet;

    internal readonly bool MayUse(int core) => ((Cores >> core) & 1) != 0;

    /// <summary>It may use more than one core.</summary>
    internal readonly bool CanMove
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Cores & (Cores - 1)) != 0;
    }
}

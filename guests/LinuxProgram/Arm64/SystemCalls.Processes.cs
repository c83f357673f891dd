using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Number = Quietus.LinuxProgram.SystemCallNumber;

namespace Quietus.LinuxProgram;

// Processes, signals and who one is. Invariant: as in SystemCalls.cs.
internal static unsafe partial class SystemCalls
{
    private const ulong SignalSetBytes = 8;

    /// <summary>
    /// A child that has this process's memory and a stack of its own, begins in <c>job_child</c>, and holds this
    /// process up until it executes a program or exits (CLONE_VM, CLONE_VFORK). Costs no copy of a page.
    /// </summary>
    /// <param name="stack">The stack's upper end, aligned to 16.</param>
    internal static long Spawn(void* stack) => SpawnChild(0x100 | 0x4000 | 17, (ulong)stack);

    internal static long Execute(byte* path, byte** arguments, byte** environment) =>
        Call(Number.Execute, (ulong)path, (ulong)arguments, (ulong)environment);

    internal static long NewSession() => Call(Number.NewSession);

    /// <summary>A signal for a process, or with its sign changed for a group.</summary>
    internal static long Signal(int process, int signal) => Call(Number.Kill, (ulong)process, (ulong)signal);

    /// <summary>The end of a child, if one has ended: 0 when none has, below 0 when there is none.</summary>
    internal static long WaitIfEnded(int process, out int status)
    {
        const ulong WithoutWaiting = 1; // WNOHANG
        int ended = 0;
        long result = Call(Number.Wait, (ulong)process, (ulong)&ended, WithoutWaiting);
        status = ended;
        return result;
    }

    /// <summary>Which signals wait: bit n - 1 for signal n. None can come to SIGKILL and SIGSTOP.</summary>
    internal static long BlockSignals(ulong set)
    {
        const ulong SetMask = 2; // SIG_SETMASK
        return Call(Number.SignalMask, SetMask, (ulong)&set, 0, SignalSetBytes);
    }

    /// <summary>A descriptor that can be read when a child has ended; SIGCHLD has to be blocked.</summary>
    internal static long ChildEndings()
    {
        ulong set = 1UL << 16;
        return Call(Number.SignalDescriptor, ulong.MaxValue, (ulong)&set, SignalSetBytes, CloseOnExec | WithoutWaiting);
    }

    internal static long SetUser(uint user) => Call(Number.SetUser, user);

    /// <summary>The group, and no other.</summary>
    internal static long SetGroup(uint group)
    {
        long result = Call(Number.SetGroups, 1, (ulong)&group);
        return result < 0 ? result : Call(Number.SetGroup, group);
    }

    internal static void SetFileMask(uint mask) => Call(Number.SetFileMask, mask);

    /// <summary>
    /// This process runs before every ordinary one that does not wait; its children do not (SCHED_RR with
    /// SCHED_RESET_ON_FORK).
    /// </summary>
    internal static long RunSoon()
    {
        const ulong RoundRobin = 2 | 0x4000_0000;
        int priority = 1;
        return Call(Number.SetScheduler, 0, RoundRobin, (ulong)&priority);
    }

    /// <summary>Sets the wall clock.</summary>
    internal static long SetClock(ulong nanoseconds)
    {
        const ulong PerSecond = 1_000_000_000;
        ulong* time = stackalloc ulong[2];
        time[0] = nanoseconds / PerSecond;
        time[1] = nanoseconds % PerSecond;
        return Call(Number.SetClock, 0, (ulong)time);
    }

    internal static long SetHostName(ReadOnlySpan<byte> name) =>
        Call(Number.SetHostName, Address(name), (ulong)name.Length);

    [RuntimeImport("*", "spawn_child"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern long SpawnChild(ulong flags, ulong stack);
}

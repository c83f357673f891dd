using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// How soon a core that sleeps runs again: after its timer's deadline, and after another core's interrupt.
/// </summary>
internal static class Naps
{
    private const int Count = 500;
    private const int WakingInterrupt = 1;

    /// <summary>A nap takes half a millisecond to two and a half: it has no period in common with others.</summary>
    private const ulong LeastMicroseconds = 500;
    private const ulong MicrosecondsMask = 2047;

    private static Samples _timer;
    private static Samples _wake;
    private static int _wakes;

    /// <summary>When the other core was called; 0 when it has answered.</summary>
    private static ulong _calledAt;
    private static bool _listens;

    /// <summary>The boot core's part: it sleeps, and calls the second core in between, if there is one.</summary>
    internal static void Run()
    {
        Interrupts.Initialize();
        RandomNumbers random = new(7);
        bool calls = Board.CpuCount > 1;
        ulong awake = 0;
        ulong woke = Clock.Now;
        for (int nap = 0; nap < Count || (calls && Volatile.Read(ref _wakes) < Count);)
        {
            ulong microseconds = LeastMicroseconds + (random.Next() & MicrosecondsMask);
            VirtualTimer.Start(Instructions.ReadCounterFrequency() * microseconds / 1_000_000, 0);
            awake += nap == 0 ? 0 : Clock.Now - woke;
            while (!VirtualTimer.HasFired)
            {
                Instructions.WaitForInterrupt();
            }

            woke = Clock.Now;
            if (nap < Count)
            {
                _timer[nap++] = (uint)(woke - VirtualTimer.Deadline);
            }

            Instructions.UnmaskInterrupts();
            Instructions.Synchronize();
            Instructions.MaskInterrupts();
            VirtualTimer.Stop();
            if (calls && Volatile.Read(ref _listens) && Volatile.Read(ref _calledAt) == 0)
            {
                Volatile.Write(ref _calledAt, Clock.Now);
                Interrupts.Send(1, WakingInterrupt);
            }
        }

        Sort(ref _timer);
        Report.TimerLateness(Clock.Nanoseconds(_timer[Count * 99 / 100]));
        Report.TimerLatest(Clock.Nanoseconds(_timer[Count - 1]));
        Report.Awake(Clock.Nanoseconds(awake) * 1000 / (Count - 1));
        if (calls)
        {
            Sort(ref _wake);
            Report.WakeLateness(Clock.Nanoseconds(_wake[Count * 99 / 100]));
            Report.WakeLatest(Clock.Nanoseconds(_wake[Count - 1]));
        }
    }

    /// <summary>The second core's part: sleeps until it is called. A third one would have nothing to do.</summary>
    internal static void Answer(int cpu)
    {
        Interrupts.InitializeCpu(cpu);
        Volatile.Write(ref _listens, true);
        while (cpu == 1)
        {
            Instructions.WaitForInterrupt();
            ulong now = Clock.Now;
            ulong called = Volatile.Read(ref _calledAt);
            Instructions.UnmaskInterrupts();
            Instructions.Synchronize();
            Instructions.MaskInterrupts();
            if (called != 0 && _wakes < Count)
            {
                _wake[_wakes] = (uint)(now - called);
                Volatile.Write(ref _wakes, _wakes + 1);
                Volatile.Write(ref _calledAt, 0);
            }
        }
    }

    private static void Sort(ref Samples samples)
    {
        for (int i = 1; i < Count; i++)
        {
            uint value = samples[i];
            int at = i;
            for (; at > 0 && samples[at - 1] > value; at--)
            {
                samples[at] = samples[at - 1];
            }

            samples[at] = value;
        }
    }

    [InlineArray(Count)]
    private struct Samples
    {
        private uint _first;
    }
}

namespace Quietus.Probe.Linux;

/// <summary>CLOCK_MONOTONIC, in nanoseconds. Reading it takes a system call, 50 to 300 ns on most machines.</summary>
/// <remarks>Invariant: the kernel writes two words, seconds and nanoseconds.</remarks>
internal static unsafe class Clock
{
    private const ulong PerSecond = 1_000_000_000;

    internal static ulong Now()
    {
        ulong* time = stackalloc ulong[2];
        SystemCalls.ReadClock(time);
        return (time[0] * PerSecond) + time[1];
    }

    /// <summary>Waits at least so long; below a second.</summary>
    internal static void Sleep(ulong nanoseconds) => SystemCalls.Sleep(nanoseconds);
}

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Instructions and time between two moments on one core. PMCCNTR_EL0 where there is a PMU: under QEMU's
/// <c>-icount shift=0</c> it advances by one for each instruction of the machine. Without a PMU the system counter in
/// nanoseconds stands in, which is the same under icount, at the counter's resolution.
/// </summary>
internal struct Stopwatch
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private ulong _startCount;
    private ulong _startTime;

    /// <summary>Whether the PMU counts, or the system counter does; the monitor's <c>machine</c> tells.</summary>
    internal static bool IsExact => CpuFeatures.CycleCounter;

    internal static Stopwatch Start() => new() { _startTime = Instructions.ReadCounter(), _startCount = Count() };

    /// <summary>Instructions since the start.</summary>
    internal readonly ulong Elapsed => Count() - _startCount;

    /// <summary>Nanoseconds since the start, at the system counter's resolution.</summary>
    internal readonly ulong ElapsedNanoseconds => ToNanoseconds(Instructions.ReadCounter() - _startTime);

    /// <summary>The system counter in nanoseconds: the only one that all cores share.</summary>
    internal static ulong Now => ToNanoseconds(Instructions.ReadCounter());

    /// <summary>The counter itself, for callers that want only a difference of instructions.</summary>
    internal static ulong Count() =>
        CpuFeatures.CycleCounter ? Instructions.ReadCycleCounter() : ToNanoseconds(Instructions.ReadCounter());

    /// <summary>A time of up to some seconds in ticks of the system counter, at least one.</summary>
    internal static ulong ToTicks(ulong nanoseconds) =>
        (nanoseconds * Instructions.ReadCounterFrequency() / NanosecondsPerSecond) + 1;

    private static ulong ToNanoseconds(ulong ticks)
    {
        ulong frequency = Instructions.ReadCounterFrequency();
        return (ticks / frequency * NanosecondsPerSecond) + (ticks % frequency * NanosecondsPerSecond / frequency);
    }
}

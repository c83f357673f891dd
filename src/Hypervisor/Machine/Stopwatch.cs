namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Ticks and time between two moments on one core. A tick is PMCCNTR_EL0's where there is a PMU: a cycle, or, under
/// QEMU's <c>-icount shift=0</c>, an instruction of the machine. Without a PMU it is a nanosecond of the system
/// counter.
/// </summary>
internal struct Stopwatch
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private const ulong KnownInstructions = 65;
    private const int Rehearsals = 4;

    private ulong _startCount;
    private ulong _startTime;

    /// <summary>Whether the PMU counts, or the system counter does; the monitor's <c>machine</c> tells.</summary>
    internal static bool IsExact => CpuFeatures.CycleCounter;

    /// <summary>
    /// Whether a tick is an instruction. Figures are called <c>instructions</c> then, and <c>ticks</c> otherwise.
    /// </summary>
    internal static bool CountsInstructions { get; private set; }

    /// <summary>
    /// Finds out what a tick is. Once, when the boot core's counter is on. A core's cycles, or a host's time under QEMU
    /// without icount, do not come to so many four times in a row.
    /// </summary>
    internal static void Rehearse()
    {
        int right = 0;
        for (int i = 0; i < Rehearsals && CpuFeatures.CycleCounter; i++)
        {
            right += Instructions.Count65Instructions() == KnownInstructions ? 1 : 0;
        }

        CountsInstructions = right == Rehearsals;
    }

    internal static Stopwatch Start() => new() { _startTime = Instructions.ReadCounter(), _startCount = Count() };

    /// <summary>Ticks since the start.</summary>
    internal readonly ulong Elapsed => Count() - _startCount;

    /// <summary>
    /// Ticks until a moment that another core noted. Its cycle counter is another one, so the moment is of the counter
    /// that all share: where a tick is an instruction or a nanosecond, it can be told from that, to 16 of them on
    /// QEMU. Elsewhere it is now.
    /// </summary>
    /// <param name="count">CNTPCT_EL0 at that moment, after the start.</param>
    internal readonly ulong ElapsedAt(ulong count) =>
        CountsInstructions || !IsExact ? ToNanoseconds(count - _startTime) : Elapsed;

    /// <summary>Nanoseconds since the start, at the system counter's resolution.</summary>
    internal readonly ulong ElapsedNanoseconds => ToNanoseconds(Instructions.ReadCounter() - _startTime);

    /// <summary>The system counter in nanoseconds: the only one that all cores share.</summary>
    internal static ulong Now => ToNanoseconds(Instructions.ReadCounter());

    /// <summary>The counter itself, for callers that want only a difference of ticks.</summary>
    internal static ulong Count() =>
        CpuFeatures.CycleCounter ? Instructions.ReadCycleCounter() : ToNanoseconds(Instructions.ReadCounter());

    /// <summary>A time of up to some seconds in ticks of the system counter, at least one.</summary>
    internal static ulong ToTicks(ulong nanoseconds) =>
        (nanoseconds * Instructions.ReadCounterFrequency() / NanosecondsPerSecond) + 1;

    /// <summary>A count of the system counter's in nanoseconds.</summary>
    internal static ulong ToNanoseconds(ulong ticks)
    {
        ulong frequency = Instructions.ReadCounterFrequency();
        return (ticks / frequency * NanosecondsPerSecond) + (ticks % frequency * NanosecondsPerSecond / frequency);
    }
}

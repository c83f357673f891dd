namespace Quietus.Filler.Machine;

/// <summary>Virtual time: CNTVCT_EL0 at CNTFRQ_EL0.</summary>
internal static class Clock
{
    private const ulong NanosecondsInSecond = 1_000_000_000;

    /// <summary>The counter, in ticks.</summary>
    internal static ulong Now => Instructions.ReadCounter();

    /// <summary>Ticks in so many milliseconds.</summary>
    internal static ulong Milliseconds(ulong count) => Instructions.ReadCounterFrequency() * count / 1000;

    /// <summary>Ticks in so many microseconds.</summary>
    internal static ulong Microseconds(ulong count) => Instructions.ReadCounterFrequency() * count / 1_000_000;

    /// <summary>Nanoseconds in so many ticks.</summary>
    internal static ulong Nanoseconds(ulong ticks)
    {
        ulong frequency = Instructions.ReadCounterFrequency();
        return (ticks / frequency * NanosecondsInSecond) + (ticks % frequency * NanosecondsInSecond / frequency);
    }
}

using System.Runtime;
using System.Runtime.CompilerServices;

namespace Quietus.KvmProbe.Linux;

/// <summary>What passed between two moments.</summary>
/// <param name="Instructions">
/// INST_RETIRED (DDI 0487, PMU event 0x08) of processor 0 through perf_event_open. Under QEMU's <c>-icount shift=0</c>
/// it is the number of instructions that all processors executed; time in which all of them wait is not in it.
/// </param>
/// <param name="Nanoseconds">CNTVCT_EL0, at its resolution. Time in which all cores wait is in it.</param>
internal readonly struct Cost(ulong instructions, ulong nanoseconds)
{
    internal readonly ulong Instructions = instructions;
    internal readonly ulong Nanoseconds = nanoseconds;
}

/// <summary>Counts instructions and time from its start.</summary>
/// <remarks>Invariant: the attributes are a struct perf_event_attr of 64 bytes, its first published size.</remarks>
internal unsafe struct Stopwatch
{
    private const int AttributeBytes = 64;
    private const ulong RetiredInstructions = 1; // PERF_COUNT_HW_INSTRUCTIONS of PERF_TYPE_HARDWARE, which is 0
    private const ulong Pinned = 1 << 2;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private static int counter = -1;

    private ulong startInstructions;
    private ulong startTicks;

    /// <summary>Makes the counter of instructions.</summary>
    internal static void SetUp()
    {
        ulong* attributes = stackalloc ulong[AttributeBytes / sizeof(ulong)];
        for (int i = 0; i < AttributeBytes / sizeof(ulong); i++)
        {
            attributes[i] = 0;
        }

        attributes[0] = (ulong)AttributeBytes << 32;
        attributes[1] = RetiredInstructions;
        attributes[5] = Pinned;
        counter = (int)Failure.Checked(
            SystemCalls.OpenCounter(attributes, 0), "counting instructions (perf_event_open)"u8);
    }

    internal static Stopwatch Start()
    {
        Stopwatch watch = default;
        watch.startTicks = ReadCounter();
        watch.startInstructions = Count();
        return watch;
    }

    internal readonly Cost Stop()
    {
        ulong instructions = Count() - startInstructions;
        ulong ticks = ReadCounter() - startTicks;
        ulong frequency = ReadCounterFrequency();
        return new Cost(
            instructions,
            (ticks / frequency * NanosecondsPerSecond) + (ticks % frequency * NanosecondsPerSecond / frequency));
    }

    private static ulong Count()
    {
        ulong count = 0;
        long got = SystemCalls.Read(counter, &count, sizeof(ulong));
        if (got != sizeof(ulong))
        {
            // A pinned counter that has lost its place in the PMU reads as the end of the file.
            Failure.Stop("reading the counter of instructions"u8, default, got);
        }

        return count;
    }

    [RuntimeImport("*", "read_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong ReadCounter();

    [RuntimeImport("*", "read_counter_frequency"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong ReadCounterFrequency();
}

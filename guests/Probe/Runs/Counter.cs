using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>
/// Instructions by perf_event_open: of this process in user and kernel mode; or of a whole processor, which on QEMU
/// under -icount is the whole machine. Where the kernel refuses, there are no figures and no error.
/// </summary>
/// <remarks>Invariant: the attributes are a struct perf_event_attr of 64 bytes, its first published size.</remarks>
internal unsafe struct Counter
{
    private const int Words = 8;
    private const ulong RetiredInstructions = 1; // PERF_COUNT_HW_INSTRUCTIONS of PERF_TYPE_HARDWARE, which is 0
    private const ulong Pinned = 1 << 2;

    private int descriptor;

    internal static Counter Open(bool ofProcessor)
    {
        ulong* attributes = stackalloc ulong[Words];
        for (int i = 0; i < Words; i++)
        {
            attributes[i] = 0;
        }

        attributes[0] = (ulong)(Words * sizeof(ulong)) << 32;
        attributes[1] = RetiredInstructions;
        attributes[5] = Pinned;
        return new Counter
        {
            descriptor = (int)(ofProcessor
                ? SystemCalls.OpenCounter(attributes, Processors.First)
                : SystemCalls.OpenOwnCounter(attributes)),
        };
    }

    /// <summary>Since it was opened; 0 where there is none.</summary>
    internal readonly ulong Read()
    {
        ulong value = 0;
        return descriptor >= 0 && SystemCalls.Read(descriptor, &value, sizeof(ulong)) == sizeof(ulong) ? value : 0;
    }
}

using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// Computes for ever, on every core that takes part, and tells every 100 ms of its time how many units of work are done
/// since it began: what share of a machine the guest has had. A unit is the same instructions each time.
/// </summary>
internal static class Work
{
    private const ulong Period = 100;

    private static Counters _done;

    /// <summary>Never returns. The boot core tells.</summary>
    internal static void Run(int cpu)
    {
        ulong page = Instructions.SecondaryStart() & ~((1UL << FreeMemory.PageShift) - 1);
        ulong period = Clock.Milliseconds(Period);
        ulong next = Clock.Now + period;
        for (ulong done = 1; ; done++)
        {
            _ = Instructions.PageOr(page);
            Volatile.Write(ref _done[cpu], done);
            if (cpu == 0 && Clock.Now >= next)
            {
                next += period;
                Report.Worked(Sum());
            }
        }
    }

    private static ulong Sum()
    {
        ulong sum = 0;
        for (int cpu = 0; cpu < Board.CpuCount; cpu++)
        {
            sum += Volatile.Read(ref _done[cpu]);
        }

        return sum;
    }

    [InlineArray(Board.MaximumCpus)]
    private struct Counters
    {
        private ulong _first;
    }
}

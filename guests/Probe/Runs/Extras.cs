using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>What a death does to another VM that works meanwhile.</summary>
internal struct Neighbour
{
    internal PageKind Pages;
    internal Way Way;
    internal ulong Bytes;

    /// <summary>Rounds in a second, while nothing dies and while a VM does; medians.</summary>
    internal ulong QuietRate;
    internal ulong Rate;

    /// <summary>How long the order took beside it, in nanoseconds.</summary>
    internal ulong Order;

    /// <summary>The longest round, in nanoseconds; medians of each run's.</summary>
    internal ulong QuietLongest;
    internal ulong Longest;
}

/// <summary>Several VMs killed at once, that have as much memory together as one has alone.</summary>
internal struct Together
{
    internal PageKind Pages;
    internal ulong Bytes;
    internal int Vms;
    internal ulong Nanoseconds;
}

/// <summary>What is measured beside single lives, at the largest size.</summary>
/// <remarks>Invariant: the tables have room for so many; what comes after is left out.</remarks>
internal static unsafe class Extras
{
    private const int Most = 64;
    private const ulong Second = 1_000_000_000;
    private const ulong Quiet = 30_000_000;

    private static Neighbour* neighbours;
    private static Together* together;

    internal static int NeighbourCount { get; private set; }

    internal static int TogetherCount { get; private set; }

    internal static Neighbour NeighbourAt(int index) => neighbours[index];

    internal static Together TogetherAt(int index) => together[index];

    internal static void SetUp()
    {
        neighbours = (Neighbour*)Problem.Checked(
            SystemCalls.MapMemory((ulong)(Most * sizeof(Neighbour)), 3, 0x22, -1), "mapping memory for results"u8);
        together = (Together*)Problem.Checked(
            SystemCalls.MapMemory((ulong)(Most * sizeof(Together)), 3, 0x22, -1), "mapping memory for results"u8);
    }

    /// <summary>Lets a VM die beside the neighbour, as often as a row has runs.</summary>
    internal static void RunBeside(in LifePlan plan, int runs)
    {
        if (NeighbourCount == Most)
        {
            return;
        }

        ulong* rates = stackalloc ulong[Samples.MostRuns];
        ulong* quietRates = stackalloc ulong[Samples.MostRuns];
        ulong* longest = stackalloc ulong[Samples.MostRuns];
        ulong* quietLongest = stackalloc ulong[Samples.MostRuns];
        ulong* orders = stackalloc ulong[Samples.MostRuns];
        int child = Children.BeginNeighbour();
        for (int run = 0; run < runs; run++)
        {
            Clock.Sleep(Quiet);
            Board.LongestRound = 0;
            ulong rounds = Board.Rounds;
            ulong start = Clock.Now();
            Clock.Sleep(Quiet);
            ulong passed = Clock.Now() - start;
            quietRates[run] = (Board.Rounds - rounds) * Second / passed;
            quietLongest[run] = Board.LongestRound;

            Place place = Children.Run(plan);
            ulong window = place[Figure.Order];
            rates[run] = window == 0 ? 0 : place.NeighbourRounds * Second / window;
            longest[run] = place.NeighbourLongest;
            orders[run] = window;
        }

        Children.EndNeighbour(child);
        neighbours[NeighbourCount++] = new Neighbour
        {
            Pages = plan.Pages,
            Way = plan.Way,
            Bytes = plan.Bytes,
            QuietRate = Median(quietRates, runs),
            Rate = Median(rates, runs),
            Order = Median(orders, runs),
            QuietLongest = Median(quietLongest, runs),
            Longest = Median(longest, runs),
        };
    }

    /// <summary>Kills so many VMs at once, each with its part of the memory, as often as a row has runs.</summary>
    internal static void RunTogether(in LifePlan plan, int vms, int runs)
    {
        ulong unit = plan.Pages == PageKind.Huge1G ? 1UL << 30 : Area.BlockBytes;
        LifePlan part = plan;
        part.Bytes = plan.Bytes / (ulong)vms / unit * unit;
        if (TogetherCount == Most || part.Bytes < Area.BlockBytes * 2)
        {
            return;
        }

        ulong* times = stackalloc ulong[Samples.MostRuns];
        for (int run = 0; run < runs; run++)
        {
            times[run] = Children.RunTogether(part, vms);
        }

        together[TogetherCount++] = new Together
        {
            Pages = plan.Pages, Bytes = plan.Bytes, Vms = vms, Nanoseconds = Median(times, runs),
        };
    }

    /// <summary>Sorts them and takes the one in the middle, the lower one of two.</summary>
    private static ulong Median(ulong* values, int count)
    {
        for (int i = 1; i < count; i++)
        {
            ulong value = values[i];
            int at = i;
            while (at > 0 && values[at - 1] > value)
            {
                values[at] = values[at - 1];
                at--;
            }

            values[at] = value;
        }

        return values[(count - 1) / 2];
    }
}

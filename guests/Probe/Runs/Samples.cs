using System;
using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>What a row is of.</summary>
internal struct RowKey
{
    internal PageKind Pages;
    internal ulong Bytes;
    internal Way Way;
    internal ulong TransparentBytes;
}

/// <summary>Every measurement of every row, and what can be said of them.</summary>
/// <remarks>
/// Invariant: the memory holds <see cref="MostRows"/> rows of <see cref="Figures.Count"/> figures of <see
/// cref="MostRuns"/>
/// values, and as many keys; pages that are not written are not there.
/// </remarks>
internal static unsafe class Samples
{
    internal const int MostRows = 512;
    internal const int MostRuns = 100;

    private static ulong* values;
    private static RowKey* keys;

    /// <summary>Rows that there are.</summary>
    internal static int Count { get; private set; }

    /// <summary>Measurements of each row.</summary>
    internal static int Runs { get; private set; }

    internal static void SetUp(int runs)
    {
        Runs = runs;
        values = (ulong*)Room((ulong)MostRows * Figures.Count * MostRuns * sizeof(ulong));
        keys = (RowKey*)Room((ulong)(MostRows * sizeof(RowKey)));
    }

    internal static int AddRow(in RowKey key)
    {
        if (Count == MostRows)
        {
            Problem.BadUsage("too many rows: take fewer sizes, pages or ways"u8, default);
        }

        keys[Count] = key;
        return Count++;
    }

    internal static ref RowKey Key(int row) => ref keys[row];

    internal static ulong Get(int row, Figure figure, int run) => *Address(row, figure, run);

    internal static void Set(int row, Figure figure, int run, ulong value) => *Address(row, figure, run) = value;

    /// <summary>Whether the figure was measured at all.</summary>
    internal static bool Has(int row, Figure figure)
    {
        for (int run = 0; run < Runs; run++)
        {
            if (Get(row, figure, run) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The median of what was measured, the lower one of two; 0 where nothing was.</summary>
    internal static ulong Median(int row, Figure figure) => Quantile(row, figure, 2);

    /// <summary>How far apart the quartiles are, in thousandths of the median.</summary>
    internal static ulong Spread(int row, Figure figure)
    {
        ulong median = Median(row, figure);
        return median == 0 ? 0 : (Quantile(row, figure, 3) - Quantile(row, figure, 1)) * 1000 / median;
    }

    private static ulong Quantile(int row, Figure figure, int quarter)
    {
        ulong* sorted = stackalloc ulong[MostRuns];
        int count = 0;
        for (int run = 0; run < Runs; run++)
        {
            ulong value = Get(row, figure, run);
            if (value == 0)
            {
                continue;
            }

            int at = count++;
            while (at > 0 && sorted[at - 1] > value)
            {
                sorted[at] = sorted[at - 1];
                at--;
            }

            sorted[at] = value;
        }

        return count == 0 ? 0 : sorted[(count - 1) * quarter / 4];
    }

    private static ulong* Address(int row, Figure figure, int run) =>
        values + ((((ulong)row * Figures.Count) + (ulong)figure) * MostRuns) + (ulong)run;

    private static ulong Room(ulong bytes) => Problem.Checked(
        SystemCalls.MapMemory(bytes, 3, 0x4022, -1), "mapping memory for results"u8); // private, no reserve
}

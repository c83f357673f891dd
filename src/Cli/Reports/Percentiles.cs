using System.Collections.Generic;
using System.Linq;

namespace Quietus.Cli.Reports;

/// <summary>Percentiles of figures, each of them one of the figures (nearest rank).</summary>
/// <param name="Count">How many figures there are: one at least.</param>
internal sealed record Percentiles(int Count, double P50, double P90, double P99, double Maximum)
{
    /// <summary>Of figures in any order, one at least.</summary>
    public static Percentiles Of(IEnumerable<double> figures)
    {
        double[] sorted = [.. figures.Order()];
        return new(sorted.Length, At(50), At(90), At(99), sorted[^1]);

        double At(int percent) => sorted[(int)NearestRank(sorted.Length, percent) - 1];
    }

    /// <summary>Which of so many sorted figures a percentile is, from 1.</summary>
    /// <param name="count">1 and more.</param>
    /// <param name="percent">1 to 100.</param>
    public static long NearestRank(long count, int percent) => ((count * percent) + 99) / 100;
}

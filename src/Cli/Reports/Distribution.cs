using System.Collections.Generic;
using System.Linq;

namespace Quietus.Cli.Reports;

/// <summary>
/// Figures without their order: each different one, and how often it came. That is all that percentiles take, so the
/// distributions of parts, put together, give the percentiles of the whole to the last digit.
/// </summary>
/// <param name="Values">Each figure once, the smallest first.</param>
/// <param name="Counts">How often it came, in the same order.</param>
internal sealed record Distribution(IReadOnlyList<long> Values, IReadOnlyList<long> Counts)
{
    /// <summary>How many figures there are.</summary>
    public long Count => Counts.Sum();

    /// <summary>The largest; null where there is none.</summary>
    public long? Maximum => Values.Count == 0 ? null : Values[^1];

    /// <summary>All figures added up.</summary>
    public long Sum => Values.Zip(Counts, (value, count) => value * count).Sum();

    /// <summary>Whether every figure came at least once, none has two places, and they are in order.</summary>
    public bool IsWellFormed => Values.Count == Counts.Count && Counts.All(count => count > 0)
        && Values.Zip(Values.Skip(1)).All(pair => pair.First < pair.Second);

    /// <summary>Of figures as they came.</summary>
    public static Distribution Of(IEnumerable<long> figures) => Of(figures.Select(figure => (figure, 1L)));

    /// <summary>Of all figures of several.</summary>
    public static Distribution Join(IEnumerable<Distribution> parts) =>
        Of(parts.SelectMany(part => part.Values.Zip(part.Counts)));

    /// <summary>The smallest figure that so many per cent of them do not exceed; null where there is none.</summary>
    /// <param name="percent">1 to 100.</param>
    public long? Rank(int percent)
    {
        long left = Percentiles.NearestRank(Count, percent);
        for (int i = 0; i < Values.Count; i++)
        {
            left -= Counts[i];
            if (left <= 0)
            {
                return Values[i];
            }
        }

        return null;
    }

    private static Distribution Of(IEnumerable<(long Value, long Count)> figures)
    {
        IGrouping<long, long>[] groups =
        [
            .. figures.GroupBy(figure => figure.Value, figure => figure.Count).OrderBy(group => group.Key),
        ];
        return new([.. groups.Select(group => group.Key)], [.. groups.Select(group => group.Sum())]);
    }
}

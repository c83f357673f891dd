using System;
using System.Linq;
using Quietus.Cli.Reports;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Reports;

/// <summary>Percentiles of parts, put together, are the whole's.</summary>
public sealed class DistributionTests
{
    [Fact]
    public void Parts_put_together_have_the_ranks_of_all_their_figures()
    {
        var random = new Random(1);
        for (int round = 0; round < 200; round++)
        {
            long[] figures = [.. Enumerable.Range(0, random.Next(1, 300)).Select(_ => (long)random.Next(40))];
            int cut = random.Next(figures.Length + 1);
            Distribution joined = Distribution.Join(
                [Distribution.Of(figures[..cut]), Distribution.Of(figures[cut..])]);
            joined.IsWellFormed.ShouldBeTrue();
            joined.Count.ShouldBe(figures.Length);
            joined.Sum.ShouldBe(figures.Sum());
            joined.Maximum.ShouldBe(figures.Max());
            Percentiles percentiles = Percentiles.Of(figures.Select(figure => (double)figure));
            foreach ((int percent, double expected) in (ReadOnlySpan<(int, double)>)[
                (50, percentiles.P50), (90, percentiles.P90), (99, percentiles.P99), (100, percentiles.Maximum)])
            {
                // By its meaning: the smallest figure that so many per cent do not exceed.
                long rank = figures.Order().First(
                    figure => figures.Count(other => other <= figure) * 100 >= percent * figures.Length);
                joined.Rank(percent).ShouldBe(rank);
                expected.ShouldBe(rank);
            }
        }
    }

    [Fact]
    public void Of_nothing_there_is_no_rank_and_what_is_no_distribution_is_told()
    {
        Distribution none = Distribution.Of(Array.Empty<long>());
        none.Rank(50).ShouldBeNull();
        none.Maximum.ShouldBeNull();
        new Distribution([1, 2], [1]).IsWellFormed.ShouldBeFalse();
        new Distribution([2, 1], [1, 1]).IsWellFormed.ShouldBeFalse();
        new Distribution([1, 1], [1, 1]).IsWellFormed.ShouldBeFalse();
        new Distribution([1], [0]).IsWellFormed.ShouldBeFalse();
    }
}

using System;
using System.Linq;
using Quietus.Cli.Probe;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Probe;

/// <summary>The solver of a calibration: no step away from what it found makes the misses smaller.</summary>
public sealed class BoundedLeastSquaresTests
{
    [Fact]
    public void A_sum_of_known_parts_is_taken_apart()
    {
        double[] found = BoundedLeastSquares.Solve(
            [[1, 0, 0], [1, 2, 0], [1, 5, 3], [1, 1, 7]], [2, 8, 38, 47], Unknowns(0, 10, 1));
        found.ShouldBe([2, 3, 7 - (8.0 / 7)], 2);
    }

    [Fact]
    public void What_no_row_depends_on_stays_where_it_was()
    {
        BoundedLeastSquares.Solve([[1, 0], [2, 0]], [3, 6], Unknowns(0, 42)).ShouldBe([3, 42], 1e-6);
    }

    [Fact]
    public void Of_two_that_only_their_sum_is_known_of_the_one_with_the_longer_step_moves()
    {
        double[] found = BoundedLeastSquares.Solve(
            [[1, 1], [2, 2]], [10, 20], [new FitUnknown(5, 5, 100), new FitUnknown(0, 1, 100)]);
        found.Sum().ShouldBe(10, 1e-6);
        found[0].ShouldBeGreaterThan(9.5);
    }

    [Fact]
    public void No_unknown_leaves_its_bounds_and_none_within_them_is_better()
    {
        var random = new Random(5);
        for (int round = 0; round < 200; round++)
        {
            int count = random.Next(1, 9);
            FitUnknown[] unknowns =
            [
                .. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 10)
                    .Select(start => new FitUnknown(start, Math.Max(start, 1), 12)),
            ];
            double[][] rows =
            [
                .. Enumerable.Range(0, random.Next(1, 15)).Select(_ => (double[])
                [
                    .. Enumerable.Range(0, count)
                        .Select(_ => random.Next(3) == 0 ? 0 : Math.Pow(10, random.Next(-4, 3))),
                ]),
            ];
            double[] targets = [.. rows.Select(_ => (random.NextDouble() * 4) - 1)];
            double[] found = BoundedLeastSquares.Solve(rows, targets, unknowns);
            double least = Miss(found);
            for (int i = 0; i < count; i++)
            {
                found[i].ShouldBeInRange(0, 12);
                foreach (double step in new[] { -1, -1e-2, 1e-2, 1 })
                {
                    double[] other = [.. found];
                    other[i] = Math.Clamp(other[i] + step, 0, 12);
                    Miss(other).ShouldBeGreaterThan(least - (1e-6 * (1 + least)));
                }
            }

            double Miss(double[] at) => rows.Zip(targets, (row, target) => Math.Pow(
                target - row.Zip(at, (unit, value) => unit * value).Sum(), 2)).Sum();
        }
    }

    private static FitUnknown[] Unknowns(params double[] starts) =>
        [.. starts.Select(start => new FitUnknown(start, Math.Max(start, 1), 1000))];
}

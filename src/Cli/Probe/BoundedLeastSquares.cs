using System;
using System.Linq;

namespace Quietus.Cli.Probe;

/// <summary>One unknown of a least-squares fit.</summary>
/// <param name="Start">Its value before the fit.</param>
/// <param name="Scale">What counts as one step away from it.</param>
/// <param name="Most">Its bound; the other is 0.</param>
internal readonly record struct FitUnknown(double Start, double Scale, double Most);

/// <summary>
/// Least squares within bounds, by an active set (Lawson and Hanson, "Solving Least Squares Problems", chapter 23, with
/// a bound at either end). A pull to the start, too weak to be seen where a row depends on an unknown, chooses one of
/// the solutions where the rows leave several.
/// </summary>
internal static class BoundedLeastSquares
{
    private const double Pull = 1e-10;
    private const double Small = 1e-12;

    /// <summary>Steps: each frees or binds one unknown, and few are bound twice.</summary>
    private const int StepsOfEach = 50;

    /// <summary>The unknowns that make each row's sum come nearest to its target.</summary>
    /// <param name="rows">For each row what one unit of each unknown adds to it.</param>
    /// <param name="targets">What each row should come to.</param>
    /// <param name="unknowns">The unknowns, with their bounds.</param>
    public static double[] Solve(double[][] rows, double[] targets, FitUnknown[] unknowns)
    {
        // In steps away from the start, so that the pull is the same for each.
        int count = unknowns.Length;
        double[] low = [.. unknowns.Select(one => -one.Start / one.Scale)];
        double[] high = [.. unknowns.Select(one => (one.Most - one.Start) / one.Scale)];
        double[,] square = new double[count, count];
        double[] pull = new double[count];
        for (int row = 0; row < rows.Length; row++)
        {
            double rest = targets[row] - rows[row].Zip(unknowns, (unit, one) => unit * one.Start).Sum();
            for (int i = 0; i < count; i++)
            {
                double own = rows[row][i] * unknowns[i].Scale;
                pull[i] += own * rest;
                for (int j = 0; j < count; j++)
                {
                    square[i, j] += own * rows[row][j] * unknowns[j].Scale;
                }
            }
        }

        for (int i = 0; i < count; i++)
        {
            square[i, i] += Pull;
        }

        double[] steps = Descend(square, pull, low, high);
        return [.. unknowns.Select((one, i) => Math.Clamp(one.Start + (steps[i] * one.Scale), 0, one.Most))];
    }

    private static double[] Descend(double[,] square, double[] pull, double[] low, double[] high)
    {
        int count = pull.Length;
        double[] at = new double[count];
        bool[] isFree = new bool[count];
        for (int step = 0; step < count * StepsOfEach; step++)
        {
            // Of those that are bound (or untouched) the one that gains most by leaving.
            int best = -1;
            double gain = Small;
            for (int i = 0; i < count; i++)
            {
                double slope = Slope(square, pull, at, i);
                double worth = isFree[i] || (slope > 0 ? at[i] >= high[i] : at[i] <= low[i])
                    ? 0
                    : slope * slope / square[i, i];
                (best, gain) = worth > gain ? (i, worth) : (best, gain);
            }

            if (best < 0)
            {
                return at;
            }

            isFree[best] = true;
            while (!MoveTo(SolveFree(square, pull, at, isFree), at, isFree, low, high))
            {
            }
        }

        return at;
    }

    private static double Slope(double[,] square, double[] pull, double[] at, int i)
    {
        double slope = pull[i];
        for (int j = 0; j < at.Length; j++)
        {
            slope -= square[i, j] * at[j];
        }

        return slope;
    }

    /// <summary>Goes to a point as far as the bounds let it; false where one stopped it, which is bound now.</summary>
    private static bool MoveTo(double[] target, double[] at, bool[] isFree, double[] low, double[] high)
    {
        double part = 1;
        int stopped = -1;
        for (int i = 0; i < at.Length; i++)
        {
            if (isFree[i] && (target[i] < low[i] || target[i] > high[i]))
            {
                double bound = target[i] < low[i] ? low[i] : high[i];
                double within = (bound - at[i]) / (target[i] - at[i]);
                (part, stopped) = within < part ? (within, i) : (part, stopped);
            }
        }

        for (int i = 0; i < at.Length; i++)
        {
            at[i] = isFree[i] ? Math.Clamp(at[i] + (part * (target[i] - at[i])), low[i], high[i]) : at[i];
        }

        if (stopped < 0)
        {
            return true;
        }

        at[stopped] = target[stopped] < low[stopped] ? low[stopped] : high[stopped];
        isFree[stopped] = false;
        return false;
    }

    /// <summary>
    /// The best point with the bound ones where they are: Gaussian elimination of a positive definite matrix.
    /// </summary>
    private static double[] SolveFree(double[,] square, double[] pull, double[] at, bool[] isFree)
    {
        int[] free = [.. Enumerable.Range(0, at.Length).Where(i => isFree[i])];
        double[][] lines =
        [
            .. free.Select(i => (double[])
            [
                .. free.Select(j => square[i, j]),
                pull[i] - Enumerable.Range(0, at.Length).Where(j => !isFree[j]).Sum(j => square[i, j] * at[j]),
            ]),
        ];
        for (int pivot = 0; pivot < free.Length; pivot++)
        {
            for (int line = pivot + 1; line < free.Length; line++)
            {
                double times = lines[line][pivot] / lines[pivot][pivot];
                for (int i = pivot; i <= free.Length; i++)
                {
                    lines[line][i] -= times * lines[pivot][i];
                }
            }
        }

        double[] point = [.. at];
        for (int line = free.Length - 1; line >= 0; line--)
        {
            double rest = lines[line][free.Length];
            for (int i = line + 1; i < free.Length; i++)
            {
                rest -= lines[line][i] * point[free[i]];
            }

            point[free[line]] = rest / lines[line][line];
        }

        return point;
    }
}

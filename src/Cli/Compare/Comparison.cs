using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Compare;

/// <summary>How a figure has changed.</summary>
internal enum Verdict
{
    /// <summary>Not at all.</summary>
    Same,

    /// <summary>By less than the limit, or within what runs of one version differ by.</summary>
    Within,

    /// <summary>Less is better, and it is less.</summary>
    Better,

    /// <summary>A regression.</summary>
    Worse,
}

/// <summary>What several runs measured of one figure: with one run, three times the same.</summary>
internal readonly record struct Measured(double Median, double Least, double Most)
{
    public static Measured Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        double median = (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        return new Measured(median, sorted[0], sorted[^1]);
    }
}

/// <summary>One figure of one row, before and after.</summary>
/// <param name="Row">What it is of.</param>
/// <param name="Figure">The JSON's key.</param>
/// <param name="Ratio">After to before, of the medians; null where it was 0 and is not.</param>
internal sealed record FigureChange(
    string Row, string Figure, Measured Before, Measured After, double? Ratio, Verdict Verdict)
{
    /// <summary>The smallest and the largest ratio of any two runs; null where there is none.</summary>
    public (double Least, double Most)? Spread => Before.Least > 0
        ? (After.Least / Before.Most, After.Most / Before.Least)
        : null;

    /// <summary>How bad a change is: the most first.</summary>
    public double Weight => Math.Abs(Math.Log(Math.Max(Ratio ?? double.PositiveInfinity, 1e-9)));
}

/// <summary>Two results of one kind, row by row.</summary>
internal sealed record Comparison
{
    /// <summary>What differs between two runs of the same work, and says nothing about it.</summary>
    private static readonly string[] _ownOfRun =
    [
        "command", "qemu_command", "image_sha256", "hypervisor_version", "frames", "jobs", "timeout_seconds", "trace",
    ];

    public required IReadOnlyList<ComparedRun> Before { get; init; }

    public required IReadOnlyList<ComparedRun> After { get; init; }

    /// <summary>From which growth on a figure has regressed, in per cent.</summary>
    public required double Limit { get; init; }

    /// <summary>The figures that were asked for; empty for all.</summary>
    public required IReadOnlyList<string> Figures { get; init; }

    public required IReadOnlyList<FigureChange> Changes { get; init; }

    /// <summary>Rows and figures that stand in one result only.</summary>
    public required IReadOnlyList<string> OnlyBefore { get; init; }

    public required IReadOnlyList<string> OnlyAfter { get; init; }

    /// <summary>What a reader has to know before the figures are believed.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    public string Schema => Before[0].Schema;

    public IEnumerable<FigureChange> Regressions => Changes.Where(change => change.Verdict == Verdict.Worse);

    /// <summary>Compares runs of one schema.</summary>
    /// <exception cref="CliException">They are of several schemas, or have no row in common.</exception>
    public static Comparison Of(
        IReadOnlyList<ComparedRun> before, IReadOnlyList<ComparedRun> after, double limit,
        IReadOnlyList<string> figures)
    {
        ComparedRun first = before[0];
        if (before.Concat(after).FirstOrDefault(run => run.Schema != first.Schema) is { } other)
        {
            throw CliException.Usage(
                $"'{first.File}' is {first.Schema} and '{other.File}' is {other.Schema}",
                "compare two results of one kind");
        }

        Dictionary<(string, string), Measured> old = Measure(before);
        Dictionary<(string, string), Measured> now = Measure(after);
        string[] known =
            [.. old.Keys.Concat(now.Keys).Select(key => key.Item2).Distinct().Order(StringComparer.Ordinal)];
        if (figures.FirstOrDefault(figure => !known.Contains(figure)) is { } unknown)
        {
            throw CliException.Usage(
                $"no row has a figure '{unknown}'", "--figures takes " + string.Join(", ", known));
        }

        bool IsWanted((string Row, string Figure) key) => figures.Count == 0 || figures.Contains(key.Figure);
        FigureChange[] changes =
        [
            .. old.Where(pair => IsWanted(pair.Key) && now.ContainsKey(pair.Key)).Select(pair =>
                Judge(pair.Key.Item1, pair.Key.Item2, pair.Value, now[pair.Key], limit)),
        ];
        return changes.Length == 0
            ? throw CliException.Usage(
                $"no row of '{first.File}' is in '{after[0].File}'", "compare two results of the same cases")
            : new Comparison
            {
                Before = before,
                After = after,
                Limit = limit,
                Figures = figures,
                Changes = changes,
                OnlyBefore = OnlyIn(old, now, IsWanted),
                OnlyAfter = OnlyIn(now, old, IsWanted),
                Notes = [.. NotesOf(before, after)],
            };
    }

    private static FigureChange Judge(string row, string figure, Measured before, Measured after, double limit)
    {
        double? ratio = before.Median != 0 ? after.Median / before.Median : after.Median == 0 ? 1 : null;
        bool isMoreBetter = ComparedArray.IsMoreBetter(figure);
        double growth = ratio is not double known ? double.PositiveInfinity : (known - 1) * 100;
        double loss = Math.Round(isMoreBetter ? -growth : growth, 6);

        // Where each has several runs, a change is one when no run of the one is like a run of the other.
        bool areApart = after.Least > before.Most || after.Most < before.Least;
        Verdict verdict = before == after ? Verdict.Same
            : !areApart || Math.Abs(loss) <= limit ? Verdict.Within
            : loss > 0 ? Verdict.Worse
            : Verdict.Better;
        return new FigureChange(row, figure, before, after, ratio, verdict);
    }

    private static Dictionary<(string, string), Measured> Measure(IReadOnlyList<ComparedRun> runs) => runs
        .SelectMany(run => run.Rows)
        .SelectMany(row => row.Value, (row, figure) => (row.Key, Figure: figure.Key, figure.Value))
        .GroupBy(item => (item.Key, item.Figure), item => item.Value)
        .ToDictionary(group => group.Key, Measured.Of);

    /// <summary>A row that stands in one alone, by its name; of a row in both, the figures.</summary>
    private static string[] OnlyIn(
        Dictionary<(string Row, string Figure), Measured> here, Dictionary<(string Row, string Figure), Measured> there,
        Func<(string Row, string Figure), bool> isWanted)
    {
        HashSet<string> rows = [.. there.Keys.Select(key => key.Row)];
        return
        [
            .. here.Keys.Where(key => isWanted(key) && !there.ContainsKey(key))
                .Select(key => rows.Contains(key.Row) ? $"{key.Row}: {key.Figure}" : key.Row).Distinct(),
        ];
    }

    private static IEnumerable<string> NotesOf(IReadOnlyList<ComparedRun> before, IReadOnlyList<ComparedRun> after)
    {
        foreach (ComparedRun run in before.Concat(after).Where(run => !run.IsComplete))
        {
            yield return $"'{run.File}' did not come to its end";
        }

        JsonObject one = before[0].Config;
        foreach (ComparedRun run in before.Skip(1).Concat(after))
        {
            string[] keys =
            [
                .. one.Select(pair => pair.Key).Union(run.Config.Select(pair => pair.Key)).Except(_ownOfRun)
                    .Where(key => !JsonNode.DeepEquals(one[key], run.Config[key])),
            ];
            if (keys.Length > 0)
            {
                yield return $"'{before[0].File}' and '{run.File}' were made in different ways: their config differs "
                    + "in " + string.Join(", ", keys);
            }
        }
    }
}

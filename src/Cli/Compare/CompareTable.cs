using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Compare;

/// <summary>A comparison for people: what changed by more than the limit, and one sentence for the rest.</summary>
internal static class CompareTable
{
    /// <summary>Names of rows in one note; JSON has all.</summary>
    private const int MostNames = 6;

    public static string NameOf(Verdict verdict) => verdict switch
    {
        Verdict.Same => "same",
        Verdict.Within => "within",
        Verdict.Better => "better",
        _ => "worse",
    };

    /// <summary>Writes the whole result; as Markdown it is what a pull request's check shows.</summary>
    public static void Write(TextWriter writer, Comparison comparison)
    {
        FigureChange[] changes =
        [
            .. comparison.Changes.Where(change => change.Verdict is Verdict.Worse or Verdict.Better)
                .OrderByDescending(change => change.Verdict).ThenByDescending(change => change.Weight),
        ];
        TextTable.WriteTitle(writer, Summary(comparison));
        if (writer is MarkdownWriter)
        {
            WriteTable(writer, comparison, [.. changes.Where(IsWorse)], isOneTable: true);
            WriteFolded(writer, comparison, [.. changes.Where(change => !IsWorse(change))]);
        }
        else
        {
            WriteTable(writer, comparison, changes, isOneTable: false);
        }

        foreach (string note in Notes(comparison))
        {
            TextTable.WriteNote(writer, note);
        }
    }

    private static bool IsWorse(FigureChange change) => change.Verdict == Verdict.Worse;

    private static string Summary(Comparison comparison)
    {
        int worse = comparison.Regressions.Count();
        int better = comparison.Changes.Count(change => change.Verdict == Verdict.Better);
        return (worse == 0 ? "No regression" : Counted.Of(worse, "regression"))
            + string.Create(CultureInfo.InvariantCulture, $": {worse} worse and {better} better by more than ")
            + string.Create(CultureInfo.InvariantCulture, $"{comparison.Limit:0.###} %, ")
            + Counted.Of(comparison.Changes.Count - worse - better, "figure") + " as before or within it, in "
            + Counted.Of(comparison.Changes.Select(change => change.Row).Distinct().Count(), "row")
            + $" of {comparison.Schema}";
    }

    private static IEnumerable<string> Notes(Comparison comparison)
    {
        foreach (string note in comparison.Notes)
        {
            yield return "Note: " + note + ".";
        }

        if (Names(comparison.OnlyBefore) is { } gone)
        {
            yield return "Only before, and not compared: " + gone + ".";
        }

        if (Names(comparison.OnlyAfter) is { } come)
        {
            yield return "Only after, and not compared: " + come + ".";
        }
    }

    private static string? Names(IReadOnlyList<string> names) => names.Count == 0
        ? null
        : string.Join("; ", names.Take(MostNames))
            + (names.Count > MostNames ? "; and " + Counted.Of(names.Count - MostNames, "other") : string.Empty);

    /// <summary>A table for each row; or one for all, whose first column is the row.</summary>
    private static void WriteTable(
        TextWriter writer, Comparison comparison, FigureChange[] changes, bool isOneTable)
    {
        bool hasSpread = comparison.Before.Count + comparison.After.Count > 2;
        TextColumn<FigureChange>[] columns =
        [
            new("figure", 26, true, change => change.Figure),
            new("before", 13, false, change => Number(change.Before.Median)),
            new("after", 13, false, change => Number(change.After.Median)),
            new("ratio", 7, false, change => Ratio(change.Ratio)),
            .. hasSpread
                ? (TextColumn<FigureChange>[])
                [
                    new("spread", 9, false, change => change.Spread is var (least, most)
                        ? $"{Ratio(least)}-{Ratio(most)}"
                        : "-"),
                ]
                : [],
            new("change", 6, true, change => NameOf(change.Verdict)),
        ];
        if (isOneTable)
        {
            if (changes.Length > 0)
            {
                TextTable.Write(writer, [new("row", 20, true, change => change.Row), .. columns], changes);
                writer.WriteLine();
            }

            return;
        }

        foreach (IGrouping<string, FigureChange> row in changes.GroupBy(change => change.Row))
        {
            writer.WriteLine();
            writer.WriteLine(row.Key);
            TextTable.Write(writer, columns, row);
        }

        writer.WriteLine();
    }

    private static void WriteFolded(TextWriter writer, Comparison comparison, FigureChange[] changes)
    {
        if (changes.Length > 0)
        {
            writer.WriteLine($"<details><summary>{Counted.Of(changes.Length, "figure")} got better</summary>\n");
            WriteTable(writer, comparison, changes, isOneTable: true);
            writer.WriteLine("</details>\n");
        }
    }

    private static string Number(double value) =>
        value.ToString(Math.Abs(value) >= 1000 ? "N0" : "0.###", CultureInfo.InvariantCulture);

    private static string Ratio(double? ratio) => ratio is double known
        ? known.ToString(known < 100 ? "0.00" : "N0", CultureInfo.InvariantCulture)
        : "new";
}

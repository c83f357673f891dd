using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Compare;

/// <summary>A comparison for programs.</summary>
internal sealed record CompareDocument(
    CompareConfiguration Config,
    int Regressions,
    IEnumerable<CompareEntry> Rows,
    IEnumerable<string> OnlyBefore,
    IEnumerable<string> OnlyAfter,
    IEnumerable<string> Notes) : Document(Name)
{
    public const string Name = "quietus.compare/1";

    public static CompareDocument Of(Comparison comparison) => new(
        new CompareConfiguration(
            comparison.Before.Select(run => run.File), comparison.After.Select(run => run.File), comparison.Schema,
            comparison.Limit, comparison.Figures),
        comparison.Regressions.Count(),
        comparison.Changes.Select(CompareEntry.Of),
        comparison.OnlyBefore,
        comparison.OnlyAfter,
        comparison.Notes);
}

/// <summary>All that it takes to repeat it.</summary>
internal sealed record CompareConfiguration(
    IEnumerable<string> Before,
    IEnumerable<string> After,
    string Compared,
    double FailAbovePercent,
    IEnumerable<string> Figures);

/// <summary>One figure of one row. Its unit is the end of its name.</summary>
internal sealed record CompareEntry(
    string Row,
    string Figure,
    double Before,
    double BeforeMin,
    double BeforeMax,
    double After,
    double AfterMin,
    double AfterMax,
    double? Ratio,
    double? RatioMin,
    double? RatioMax,
    string Verdict)
{
    public static CompareEntry Of(FigureChange change) => new(
        change.Row,
        change.Figure,
        change.Before.Median,
        change.Before.Least,
        change.Before.Most,
        change.After.Median,
        change.After.Least,
        change.After.Most,
        Document.Rounded(change.Ratio),
        Document.Rounded(change.Spread?.Least),
        Document.Rounded(change.Spread?.Most),
        CompareTable.NameOf(change.Verdict));
}

using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Reports;
using Quietus.Oracle.Recording;

namespace Quietus.Cli.Check;

/// <summary>The verdicts on a folder of traces, for programs.</summary>
internal sealed record LitmusDocument(
    IReadOnlyDictionary<string, int> Totals,
    IEnumerable<LitmusEntry> Traces) : Document("quietus.litmus/1")
{
    public static LitmusDocument Of(IReadOnlyList<LitmusRow> rows) => new(
        Enum.GetValues<LitmusResult>().ToDictionary(Key, result => rows.Count(row => row.Result == result)),
        rows.Select(LitmusEntry.Of));

    /// <summary>The word of a result, as a key.</summary>
    public static string Key(LitmusResult result) => CheckLitmus.Word(result).Replace(' ', '_');
}

internal sealed record LitmusEntry(
    string Name,
    string Head,
    string Result,
    string Outcome)
{
    public static LitmusEntry Of(LitmusRow row) => new(
        row.Name,
        row.Head,
        LitmusDocument.Key(row.Result),
        row.Outcome);
}

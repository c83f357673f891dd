using System;
using System.CommandLine;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>The options that say where a verb's result goes, besides the table on stdout.</summary>
internal sealed class OutputOptions
{
    /// <param name="schema">The JSON document's, for the help.</param>
    /// <param name="hasReport">Whether the verb draws one.</param>
    public OutputOptions(string schema, bool hasReport = true)
    {
        Json = Values.Text("--json", "file", $"Write the result as JSON ({schema})");
        Report = hasReport ? Values.Text("--report", "file.html", "Write a self-contained HTML report") : null;
    }

    public Value<string?> Json { get; }

    public Value<string?> Csv { get; } = Values.Text("--csv", "file", "Write the rows as CSV, by the JSON's keys");

    public Value<string?> Markdown { get; } = Values.Text("--markdown", "file", "Write the tables as Markdown");

    public Value<string?>? Report { get; }

    /// <summary>All of them; <c>-</c> is stdout for each, instead of the table.</summary>
    public Value<string?>[] All => Report is null ? [Json, Csv, Markdown] : [Json, Csv, Markdown, Report];

    public void AddTo(Command command)
    {
        foreach (Value<string?> option in All)
        {
            command.Add(option);
        }
    }

    /// <summary>Where the result goes. A usage error where it cannot go there: before the work, not after it.</summary>
    public Outputs Read(ParseResult result)
    {
        ResultFile.Check([.. All
            .Select(option => (option.Name, Path: option.Of(result)))
            .Where(output => output.Path is not null)
            .Select(output => (output.Name, output.Path!))]);
        return new Outputs(Json.Of(result), Csv.Of(result), Markdown.Of(result), Report?.Of(result));
    }
}

/// <summary>Where a result goes: paths, <c>-</c> for stdout, or null.</summary>
internal sealed record Outputs(string? Json, string? Csv, string? Markdown, string? Report)
{
    /// <summary>Writes the result everywhere that was asked for.</summary>
    /// <param name="rows">The name of the document's array that CSV is made of.</param>
    /// <param name="json">Writes the document.</param>
    /// <param name="table">Writes the tables for people.</param>
    /// <param name="report">Makes the report; asked only where one is wanted.</param>
    public void Write(string rows, Action<Stream> json, Action<TextWriter> table, Func<string>? report = null)
    {
        if (!new[] { Json, Csv, Markdown, Report }.Any(ResultFile.IsStandardOutput))
        {
            table(Console.Out);
        }

        if (Json is not null)
        {
            ResultFile.Write(Json, json);
        }

        if (Csv is not null)
        {
            ResultFile.Write(Csv, stream => CsvTable.Write(stream, rows, json));
        }

        if (Markdown is not null)
        {
            ResultFile.Write(Markdown, stream =>
            {
                using var writer = new MarkdownWriter(stream);
                table(writer);
            });
        }

        if (Report is not null && report is not null)
        {
            string page = report();
            ResultFile.Write(Report, stream =>
            {
                using var writer = new StreamWriter(stream);
                writer.Write(page);
            });
        }
    }
}

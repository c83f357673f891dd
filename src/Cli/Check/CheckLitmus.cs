using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Recording;

namespace Quietus.Cli.Check;

/// <summary><c>quietus check --litmus DIR</c>: traces whose verdict is known, against the oracle's own.</summary>
internal static class CheckLitmus
{
    private const string End = ".trace";

    private static readonly Option<string?> _folder = new("--litmus")
    {
        Description = "Judge a folder of traces against the verdicts in their heads",
        HelpName = "dir",
    };

    public static void AddTo(Command command)
    {
        command.Add(_folder);
    }

    /// <summary>Judges the folder that was asked for; null where none was.</summary>
    public static int? Run(ParseResult result, CancellationToken cancellation)
    {
        if (result.GetValue(_folder) is not string folder)
        {
            return null;
        }

        OptionResult? other = result.CommandResult.Children.OfType<OptionResult>()
            .FirstOrDefault(option => !option.Implicit && option.Option != _folder && option.Option != CheckVerb.Json);
        if (other is not null)
        {
            throw CliException.Usage(
                $"{other.Option.Name} says nothing to --litmus", "beside --litmus only --json does");
        }

        try
        {
            List<LitmusRow> rows = [.. Files(folder).Select(file => Judge(file, cancellation))];
            Write(rows, CheckVerb.Json.Of(result));
            return rows.Exists(row => row.Result == LitmusResult.Unsound) ? ExitCode.Failed : ExitCode.Ok;
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("interrupted: not all of the folder was judged, and there is no table");
            return ExitCode.Interrupted;
        }
    }

    private static string[] Files(string folder)
    {
        try
        {
            string[] files = Directory.GetFiles(folder, "*" + End);
            Array.Sort(files, StringComparer.Ordinal);
            return files.Length != 0 ? files : throw CliException.Usage(
                Printable.Line($"'{folder}' has no file that ends in {End}"), "give a folder of traces with verdicts");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw CliException.Usage(
                Printable.Line($"'{folder}' cannot be read: {error.Message}"), "give a folder of traces with verdicts");
        }
    }

    private static LitmusRow Judge(string file, CancellationToken cancellation)
    {
        try
        {
            using FileStream trace = File.OpenRead(file);
            return Litmus.Judge(Path.GetFileNameWithoutExtension(file), trace, cancellation);
        }
        catch (TraceFormatException error)
        {
            throw CliException.Usage(
                Printable.Line($"'{file}', {error.Message}"),
                "nothing is said of the folder; docs/oracle-traces.md has the format of traces and heads");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage(
                Printable.Line($"'{file}' cannot be read: {error.Message}"), "nothing is said of the folder");
        }
    }

    private static void Write(List<LitmusRow> rows, string? json)
    {
        if (json == "-")
        {
            using Stream output = Console.OpenStandardOutput();
            LitmusDocument.Of(rows).Write(output);
            return;
        }

        if (json is not null)
        {
            ResultFile.Write(json, file => LitmusDocument.Of(rows).Write(file));
        }

        int width = rows.Max(row => row.Name.Length);
        TextTable.Write(
            Console.Out,
            [
                new TextColumn<LitmusRow>("result", 15, true, row => Word(row.Result)),
                new TextColumn<LitmusRow>("trace", Math.Min(width, 38), true, row => Printable.Line(row.Name)),
                new TextColumn<LitmusRow>("the oracle says", 24, true, row => Printable.Line(row.Outcome)),
            ],
            rows);
        Console.WriteLine(string.Join(", ", Enum.GetValues<LitmusResult>().Select(
            result => $"{rows.Count(row => row.Result == result)} {Word(result)}")));
    }

    internal static string Word(LitmusResult result) => result switch
    {
        LitmusResult.Agree => "agree",
        LitmusResult.Stricter => "stricter",
        LitmusResult.Unsound => "unsound",
        _ => "not expressible",
    };
}

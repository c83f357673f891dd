using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Compare;

/// <summary><c>quietus compare</c>: two results of one kind, and exit code 1 where a figure got worse.</summary>
internal static class CompareVerb
{
    private static readonly Argument<string> _before = new("before")
    {
        Description = "JSON document of the version before; several runs of it with commas",
        HelpName = "before.json",
    };

    private static readonly Argument<string> _after = new("after")
    {
        Description = "JSON document of the version after; several runs of it with commas",
        HelpName = "after.json",
    };

    private static readonly Value<double> _limit = new(
        "--fail-above", "percent", "From which growth of a figure on it is a regression", ReadPercent, "5%");

    private static readonly Value<IReadOnlyList<string>> _figures = Values.List(
        "--figures", "names", "Which figures, by the JSON's keys; all where it is not given", text => text);

    private static readonly OutputOptions _outputs = new(CompareDocument.Name, hasReport: false);

    public static Command Make()
    {
        var command = new Command("compare", "Compare two results, and fail where a figure got worse")
        {
            _before, _after, _limit, _figures,
        };
        _outputs.AddTo(command);
        command.SetAction((result, _) => Task.FromResult(Run(result)));
        return command;
    }

    private static int Run(ParseResult result)
    {
        Outputs outputs = _outputs.Read(result);
        var comparison = Comparison.Of(
            Read(result.GetValue(_before)!), Read(result.GetValue(_after)!), _limit.Of(result),
            _figures.Of(result) ?? []);
        outputs.Write(
            "rows", stream => CompareDocument.Of(comparison).Write(stream),
            writer => CompareTable.Write(writer, comparison));
        return comparison.Regressions.Any() ? ExitCode.Failed : ExitCode.Ok;
    }

    /// <summary>One file, or several runs of one version. A file's name may have a comma, where it is there.</summary>
    private static IReadOnlyList<ComparedRun> Read(string files) => System.IO.File.Exists(files)
        ? [ComparedRun.Read(files)]
        : [.. Values.Items(files, "compare").Select(ComparedRun.Read)];

    private static double ReadPercent(string text) =>
        double.TryParse(
            text.EndsWith('%') ? text[..^1] : text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
            out double percent)
            && percent <= 1000
            ? percent
            : throw CliException.Usage($"'{text}' is no limit", "--fail-above takes 0% to 1000%, as 5% or 0.5%");
}

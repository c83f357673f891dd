using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>Many runs of a program for people, within 80 columns.</summary>
internal static class ExecTable
{
    private static readonly TextColumn<ExecStep>[] _columns =
    [
        new("step", 14, true, step => step.Name),
        new("jobs", 9, false, step => step.Count.ToString("N0", CultureInfo.InvariantCulture)),
        new("p50", 10, false, step => Time(step.P50)),
        new("p90", 10, false, step => Time(step.P90)),
        new("p99", 10, false, step => Time(step.P99)),
        new("max", 10, false, step => Time(step.Maximum)),
    ];

    public static void Write(TextWriter writer, ExecResult result)
    {
        int bad = result.Outcomes.Count(outcome => outcome.Code != 0);
        TextTable.WriteTitle(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"{Counted.Of(result.Outcomes.Count, "job")}, {result.Plan.Parallel} at a time, "
                + $"{ByteSize.Format(result.Recipe.MemoryBytes)}, {Counted.Of(result.Recipe.Cpus, "vCPU")} each"));
        TextTable.Write(writer, _columns, result.Steps);
        writer.WriteLine();
        writer.WriteLine(bad == 0
            ? "every job ended with 0"
            : $"{Counted.Of(bad, "job")} ended with another code than 0, the first with {result.Code}");
        TextTable.WriteNote(writer, "Times are the host's; first output is counted from the order to be born.");
    }

    private static string Time(long? nanoseconds) => nanoseconds is { } time ? Duration.Format(time) : "-";
}

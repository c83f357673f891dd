using System.Globalization;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Churn;

/// <summary>A churn for people, within 80 columns.</summary>
internal static class ChurnTable
{
    private const string Dash = "-";

    private static readonly TextColumn<ChurnPhase>[] _phases =
    [
        new("instructions", 17, true, phase => phase.Name.Replace('_', ' ')),
        new("VMs", 9, false, phase => Whole(phase.Count)),
        new("p50", 10, false, phase => Whole(phase.P50)),
        new("p90", 10, false, phase => Whole(phase.P90)),
        new("p99", 10, false, phase => Whole(phase.P99)),
        new("max", 10, false, phase => Whole(phase.Maximum)),
        new("drift", 8, false, phase => phase.Drift?.ToString("+0.0 %;-0.0 %;0.0 %", CultureInfo.InvariantCulture)
            ?? Dash),
    ];

    /// <summary>Writes the table.</summary>
    public static void Write(TextWriter writer, ChurnResult result)
    {
        TextTable.WriteTitle(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"{Subject(result)} in one boot, {result.Plan.Cpu.Name}, lifetime {result.Plan.Lifetime}"));
        TextTable.Write(writer, _phases, result.Phases);
        writer.WriteLine();
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.BirthsPerVirtualSecond:N0} births and deaths in a virtual second (10^9 instructions)"));
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Counted.Of(result.LostBytes, "byte")} lost, {Counted.Of(result.RefusedFrees, "free")} refused, "
            + $"{Counted.Of(result.LeakedFrames, "frame")} leaked"));
        if (result.RepeatedRandom is { } repeated)
        {
            writer.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Counted.Of(repeated, "random number")} that two children had in common"));
        }

        TextTable.WriteNote(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"Drift: the last tenth's median against the first's; {Dash} for fewer than "
            + $"{ChurnPhase.LeastForDrift} VMs."));
        if (result.IsInterrupted)
        {
            TextTable.WriteNote(writer, string.Create(
                CultureInfo.InvariantCulture,
                $"Interrupted: {result.Lives.Count:N0} of {Counted.Of(result.Plan.Count, "VM")} born and dead."));
        }
    }

    private static string Subject(ChurnResult result) => result.Plan.Template is { } template
        ? $"{Counted.Of(result.Lives.Count, "child", "children")} of a {template.Name} template of "
            + ByteSize.Format(TemplateChurn.MemoryOf(template))
        : $"{Counted.Of(result.Lives.Count, "VM")} of 16 to 64 MB";

    private static string Whole(long? count) => count?.ToString("N0", CultureInfo.InvariantCulture) ?? Dash;
}

using System.Collections.Generic;
using System.Globalization;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Churn;

/// <summary>What became of a churn's memory, and of its random numbers.</summary>
/// <param name="Births">VMs that were born and died.</param>
/// <param name="LostBytes">Memory that did not come back.</param>
/// <param name="RefusedFrees">Frames that were given back twice.</param>
/// <param name="LeakedFrames">Frames that a VM kept.</param>
/// <param name="RepeatedRandom">Random numbers that two children had in common; null where none was asked for.</param>
internal sealed record ChurnTotals(
    long Births, long LostBytes, long RefusedFrees, long LeakedFrames, long? RepeatedRandom)
{
    /// <summary>Whether every frame came back, once, and no two children were alike.</summary>
    public bool IsSound => LostBytes == 0 && RefusedFrees == 0 && LeakedFrames == 0 && (RepeatedRandom ?? 0) == 0;
}

/// <summary>A churn for people, within 80 columns.</summary>
internal static class ChurnTable
{
    private const string Dash = "-";

    private static readonly TextColumn<ChurnPhase>[] _phases =
    [
        new("instructions", 17, true, phase => phase.Name.Replace('_', ' ')),
        new("VMs", 9, false, phase => Whole(phase.Figures.Count)),
        new("p50", 10, false, phase => Whole(phase.Figures.Rank(50))),
        new("p90", 10, false, phase => Whole(phase.Figures.Rank(90))),
        new("p99", 10, false, phase => Whole(phase.Figures.Rank(99))),
        new("max", 10, false, phase => Whole(phase.Figures.Maximum)),
        new("drift", 8, false, phase => phase.Drift?.ToString("+0.0 %;-0.0 %;0.0 %", CultureInfo.InvariantCulture)
            ?? Dash),
    ];

    /// <summary>Writes what one boot came to.</summary>
    public static void Write(TextWriter writer, ChurnResult result)
    {
        ChurnPlan plan = result.Plan;
        string where = $"in one boot, {plan.Cpu.Name}, lifetime {plan.Lifetime}"
            + (plan.Shard is { } shard ? ", shard " + shard : string.Empty);
        long? memory = plan.Template is { } template ? TemplateChurn.MemoryOf(template) : null;
        Write(writer, Subject(result.Totals.Births, plan.Template?.Name, memory) + " " + where, result.Phases,
            result.Totals);
        TextTable.WriteNote(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"Drift: the last tenth's median against the first's; {Dash} for fewer than "
            + $"{ChurnPhase.LeastForDrift} VMs."));
        if (result.IsInterrupted)
        {
            TextTable.WriteNote(writer, string.Create(
                CultureInfo.InvariantCulture,
                $"Interrupted: {result.Lives.Count:N0} of {Counted.Of(plan.Part.Length, "VM")} born and dead."));
        }
    }

    /// <summary>Writes the table, and what became of the memory.</summary>
    public static void Write(
        TextWriter writer, string title, IReadOnlyList<ChurnPhase> phases, ChurnTotals totals)
    {
        TextTable.WriteTitle(writer, title);
        TextTable.Write(writer, _phases, phases);
        writer.WriteLine();
        double rate = ChurnPhase.BirthsPerVirtualSecond(totals.Births, phases);
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{rate:N0} births and deaths in a virtual second (10^9 instructions)"));
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Counted.Of(totals.LostBytes, "byte")} lost, {Counted.Of(totals.RefusedFrees, "free")} refused, "
            + $"{Counted.Of(totals.LeakedFrames, "frame")} leaked"));
        if (totals.RepeatedRandom is { } repeated)
        {
            writer.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Counted.Of(repeated, "random number")} that two children had in common"));
        }
    }

    /// <summary>So many VMs, or children of a template.</summary>
    /// <param name="count">How many.</param>
    /// <param name="template">The template's guest; null where each VM is made anew.</param>
    /// <param name="memoryBytes">The template's.</param>
    public static string Subject(long count, string? template, long? memoryBytes) => template is not null
        ? $"{Counted.Of(count, "child", "children")} of a {template} template of {ByteSize.Format(memoryBytes!.Value)}"
        : $"{Counted.Of(count, "VM")} of 16 to 64 MB";

    private static string Whole(long? count) => count?.ToString("N0", CultureInfo.InvariantCulture) ?? Dash;
}

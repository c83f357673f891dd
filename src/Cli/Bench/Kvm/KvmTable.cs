using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>The comparison for people, within <see cref="TextTable.Width"/> columns.</summary>
internal static class KvmTable
{
    /// <summary>What is counted on each side: the figures mean nothing without it.</summary>
    public const string Method =
        "All are instructions of all cores, counted by the emulated PMU under the same -icount. Quietus: policy fate, "
        + "from the order until all memory is back in the pool; waiting counts as well. KVM: from the system call "
        + "until it returns (kill: until wait4 does), with the timer ticks in between; waiting does not count. "
        + "Stage-2's share is the fair comparison: closing the VM's descriptors, or removing the memory slot, frees no "
        + "page of the host; the next line is the whole death, the host's freeing included. Both are set against all "
        + "that Quietus does. KVM's VM has one vCPU and no devices. "
        + "docs/against-kvm.md says more.";

    private const string Dash = "-";

    private static readonly TextColumn<Line>[] _columns =
    [
        new("instructions", 22, true, line => line.What),
        new("Quietus", 12, false, line => line.Ours),
        new("per page", 8, false, line => line.OursPerPage),
        new("KVM", 14, false, line => line.Theirs),
        new("per page", 9, false, line => line.TheirsPerPage),
        new("ratio", 9, false, line => line.Ratio),
    ];

    /// <summary>A line of the table: one way to die, or a part of what it costs KVM.</summary>
    private sealed record Line(
        string What, string Ours, string OursPerPage, string Theirs, string TheirsPerPage, string Ratio);

    /// <summary>Writes the whole result.</summary>
    public static void Write(TextWriter writer, BenchResult result, KvmResult kvm)
    {
        foreach (IGrouping<KvmCase, KvmComparison> group in KvmComparison.Make(result, kvm).GroupBy(pair => pair.Case))
        {
            TextTable.WriteTitle(
                writer,
                $"{ByteSize.Format(group.Key.MemoryBytes)}, pages {group.Key.Pages}, {result.Plan.Cpu.Name}, "
                + $"against KVM of Linux {kvm.KernelRelease}");
            TextTable.Write(writer, _columns, group.SelectMany(Lines));
            writer.WriteLine();
        }

        BenchTable.WriteTargets(writer, result);
        BenchTable.WriteNotes(writer, Method, result.Notes.Concat(Notes(kvm)));
    }

    /// <summary>What the reader has to know of this run: where the host had not enough blocks.</summary>
    public static IEnumerable<string> Notes(KvmResult kvm) => kvm.Rows
        .Where(row => row.Case.Pages == "2m" && row.MappedPages4K > 0)
        .GroupBy(row => row.Case)
        .Select(rows => string.Create(
            CultureInfo.InvariantCulture,
            $"{rows.Key}: the host had not blocks for all of it, and took up to "
                + $"{rows.Max(row => row.MappedPages4K):N0} pages of 4K besides ({string.Join(", ",
                    rows.Select(row => row.Way.Name()))})."));

    // The fair pair first: what both hypervisors do about Stage-2. KVM's host frees its pages on top of that.
    private static IEnumerable<Line> Lines(KvmComparison pair) =>
    [
        new(
            pair.Way.Name() + ": Stage-2's share",
            Whole(pair.Ours.Death.Instructions),
            pair.Ours.InstructionsPerEntry is { } ours ? Tenths(ours) : Dash,
            Whole(pair.Share.Instructions),
            Tenths(pair.Share.PerEntry),
            Times(pair.ShareRatio)),
        new(
            "  with host's freeing", Dash, Dash, Whole(pair.Whole.Instructions), Tenths(pair.Whole.PerEntry),
            Times(pair.WholeRatio)),
        new("  the same, no VM", Dash, Dash, Whole(pair.NoVm.Instructions), Tenths(pair.NoVm.PerEntry), Dash),
    ];

    /// <summary>How many times: three digits are enough, and none after the point where there are more.</summary>
    public static string Times(double ratio) =>
        ratio.ToString(ratio < 100 ? "N1" : "N0", CultureInfo.InvariantCulture);

    private static string Tenths(double value) => value.ToString("N1", CultureInfo.InvariantCulture);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

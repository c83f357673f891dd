using System.Collections.Generic;
using System.Globalization;
using System.IO;
using Quietus.Cli.Bench;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Births;

/// <summary>Births on both sides, for people.</summary>
internal static class KvmBirthsTable
{
    /// <summary>What is counted on each side: the figures mean nothing without it.</summary>
    public const string Method =
        "All are instructions under the same -icount. Quietus, birth: from the fork order to the child's first "
        + "instruction, with its interrupt controller, timers and UART; kill: until its memory is back. KVM: from "
        + "mapping a snapshot in memory (MAP_PRIVATE) until the child's first instruction has come back to the "
        + "monitor; with one vCPU, its core registers and no device, which is the least that can be, and with a GICv3 "
        + "and every register. A read or a write is what the faults take: the same loop over pages that are there is "
        + "taken off. By userfaultfd: the child's memory is empty, and a process that is there before the birth gives "
        + "each page when it is asked for. KVM's end closes the child and unmaps its memory, of which it had read "
        + "all and written 16 MB. "
        + "docs/against-kvm.md says more.";

    private const string Dash = "-";

    private static readonly TextColumn<Line>[] _columns =
    [
        new("instructions", 34, true, line => line.What),
        new("Quietus", 10, false, line => line.Ours),
        new("KVM", 14, false, line => line.Theirs),
        new("per page", 9, false, line => line.PerPage),
        new("ratio", 9, false, line => line.Ratio),
    ];

    /// <summary>One thing that a child does, on both sides.</summary>
    public sealed record Line(string What, string Ours, string Theirs, string PerPage, string Ratio);

    public static void Write(TextWriter writer, BirthsResult result, KvmBirthsResult kvm)
    {
        foreach (KvmBirthsComparison pair in KvmBirthsComparison.Make(result, kvm))
        {
            TextTable.WriteTitle(
                writer,
                $"{ByteSize.Format(pair.Ours.MemoryBytes)}, pages 4k, {result.Plan.Cpu.Name}, against KVM of Linux "
                    + kvm.KernelRelease);
            TextTable.Write(writer, _columns, Lines(pair));
            writer.WriteLine();
        }

        BenchTable.WriteTargets(writer, Target.TitleAgainstKvm, KvmBirthsComparison.Judge(result));
        TextTable.WriteNote(writer, Method);
    }

    /// <summary>The fair pair first, which is the hardest for us; what a whole VM takes under it.</summary>
    public static IReadOnlyList<Line> Lines(KvmBirthsComparison pair) =>
    [
        new("birth: vCPU and core registers", Whole(pair.Ours.Birth), Whole(pair.Birth), Dash,
            KvmTable.Times(pair.BirthRatio)),
        new("  with GIC and all registers", Dash, Whole(pair.BirthWhole), Dash, KvmTable.Times(pair.BirthWholeRatio)),
        new("  pages by userfaultfd", Dash, Whole(pair.Served.Birth), Dash, KvmTable.Times(pair.ServedBirthRatio)),
        new("reading all memory", pair.Ours.ReadFaults == 0 ? "no fault" : $"{pair.Ours.ReadFaults} faults",
            Whole(pair.ReadAll), Whole(pair.ReadAll / pair.ReadPages), Dash),
        new("  pages by userfaultfd", Dash, Whole(pair.Served.ReadAll), Whole(pair.Served.ReadAll / pair.ReadPages),
            Dash),
        new("a write to a shared page", Rounded(pair.Ours.WriteFault!.Value), Rounded(pair.Write), Dash,
            KvmTable.Times(pair.WriteRatio)),
        new("  that was read before", Dash, Rounded(pair.WriteAfterRead), Dash,
            KvmTable.Times(pair.WriteAfterReadRatio)),
        new("  pages by userfaultfd", Dash, Rounded(pair.Served.Write), Dash, KvmTable.Times(pair.ServedWriteRatio)),
        new("    that was read before", Dash, Rounded(pair.Served.WriteAfterRead), Dash, Dash),
        new("end", Whole(pair.Ours.Kill), Whole(pair.End), Dash, KvmTable.Times(pair.EndRatio)),
        new("  pages by userfaultfd", Dash, Whole(pair.Served.End), Dash, KvmTable.Times(pair.ServedEndRatio)),
    ];

    private static string Rounded(double count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

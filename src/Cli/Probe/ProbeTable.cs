using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Probe;

/// <summary>What a probe found, for people: births, deaths, neighbours, warnings, advice.</summary>
internal static class ProbeTable
{
    private const string Dash = "-";

    private static readonly TextColumn<ProbeRow>[] _births =
    [
        new("pages", 10, true, row => row.Pages),
        new("memory", 7, false, row => ByteSize.Format(row.MemoryBytes)),
        new("VM", 8, false, row => Time(row["create_vm_ns"])),
        new("slot", 8, false, row => Time(row["add_slot_ns"])),
        new("vCPU", 8, false, row => Time(row["create_vcpu_ns"] + row["prepare_vcpu_ns"])),
        new("first", 8, false, row => Time(row["first_instruction_ns"])),
        new("touch", 8, false, row => Time((row["touch_ns"] - row["touch_again_ns"]) / row.Entries)),
        new("again", 8, false, row => Time(row["touch_again_ns"] / row.Entries)),
    ];

    private static readonly TextColumn<ProbeRow>[] _deaths =
    [
        new("way", 12, true, row => row.Way),
        new("order", 9, false, row => Time(row["order_ns"])),
        new("close", 9, false, row => Time(row["close_ns"])),
        new("unmap", 9, false, row => Time(row["unmap_ns"])),
        new("exit", 9, false, row => Time(row["exit_ns"])),
        new("whole", 9, false, row => Time(row["total_ns"])),
        new("a page", 9, false, row => Time(row["total_ns"] / row.Entries)),
        new("+-", 5, false, row => row.Spread.ToString("0 %", CultureInfo.InvariantCulture)),
    ];

    private static readonly TextColumn<ProbeNeighbour>[] _neighbours =
    [
        new("pages", 10, true, row => row.Pages),
        new("way", 12, true, row => row.Way),
        new("work done", 10, false, row => row.WorkLeft?.ToString("0 %", CultureInfo.InvariantCulture) ?? Dash),
        new("longest round", 14, false, row => Time(row.LongestNs)),
    ];

    private static readonly TextColumn<ProbeTogether>[] _together =
    [
        new("pages", 10, true, row => row.Pages),
        new("VMs", 6, false, row => row.Vms.ToString(CultureInfo.InvariantCulture)),
        new("memory together", 16, false, row => ByteSize.Format(row.MemoryBytes)),
        new("until all are reaped", 21, false, row => Time(row.TotalNs)),
    ];

    public static void Write(TextWriter writer, ProbeResult result, IReadOnlyList<ProbeAdvice> advice)
    {
        TextTable.WriteTitle(writer, Printable.Line(
            $"Linux {result.HostValue("kernel")}, {result.HostValue("cpu")}, {result.HostValue("cpus")} CPUs, "
            + result.HostValue("second_stage")));
        writer.WriteLine();
        TextTable.WriteTitle(writer, "Births, and what a page's first touch costs beyond the second");
        TextTable.Write(
            writer, _births, result.Rows.Where(row => row.Way == FirstWay(result) && row["create_vm_ns"] > 0));
        writer.WriteLine();
        foreach (IGrouping<(string Pages, long MemoryBytes), ProbeRow> block in
            result.Rows.GroupBy(row => (row.Pages, row.MemoryBytes)))
        {
            TextTable.WriteTitle(writer, $"Deaths: {ByteSize.Format(block.Key.MemoryBytes)} by {block.Key.Pages}");
            TextTable.Write(writer, _deaths, block);
            writer.WriteLine();
        }

        if (result.Neighbours.Count > 0)
        {
            TextTable.WriteTitle(writer, "Another VM, while one dies");
            TextTable.Write(writer, _neighbours, result.Neighbours);
            writer.WriteLine();
        }

        if (result.Together.Count > 0)
        {
            TextTable.WriteTitle(writer, "Killed at once");
            TextTable.Write(writer, _together, result.Together);
            writer.WriteLine();
        }

        foreach (ProbeAdvice one in advice)
        {
            TextTable.WriteHanging(writer, "* ", $"{one.Text} ({one.Evidence})");
        }

        foreach (string warning in result.Warnings)
        {
            TextTable.WriteHanging(writer, "warning: ", Printable.Line(warning));
        }
    }

    /// <summary>Each row has the birth of its own VM: one is enough for the table.</summary>
    private static string FirstWay(ProbeResult result) =>
        result.Rows.FirstOrDefault(row => row["create_vm_ns"] > 0)?.Way ?? string.Empty;

    private static string Time(double nanoseconds) => nanoseconds <= 0 ? Dash : Duration.Format(nanoseconds);
}

using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Architectures;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>One simulated death on a machine of another architecture.</summary>
internal sealed record ArchitectureRow(MaintenancePolicy Policy, ArchitectureResult Result);

/// <summary>Those deaths, for people: the operations under the architecture's own names.</summary>
internal static class ArchitectureTable
{
    private const int MostColumns = 6;

    private static readonly TextColumn<ArchitectureRow>[] _time =
    [
        new("policy", 13, true, static row => row.Policy.Name),
        new("death", 10, false, static row => Duration.Format(row.Result.Nanoseconds)),
        new("caches", 10, false, static row => Duration.Format(Bill(row).Cache(Machine(row)))),
        new("flushes", 10, false, static row => Duration.Format(Bill(row).Flush(Machine(row)))),
        new("walk", 10, false, static row => Duration.Format(Bill(row).Walk(Machine(row)))),
        new("free", 10, false, static row => Duration.Format(Bill(row).Free(Machine(row)))),
        new("other", 10, false, static row =>
            Duration.Format(Bill(row).Other(Machine(row)) + row.Result.OtherNanoseconds)),
    ];

    /// <summary>What a reader has to know about the figures.</summary>
    public static string Note =>
        "Simulated: the structures and flushes of each architecture's hook as in Linux 5.5, priced by a preset "
        + "(machines/architectures, docs/architectures.md). Most prices are assumptions: compare policies on one "
        + "machine, and not these machines.";

    public static void Write(TextWriter writer, IReadOnlyList<ArchitectureRow> rows)
    {
        foreach (IReadOnlyList<ArchitectureRow> group in Groups(rows))
        {
            TextTable.WriteTitle(writer, Title(group[0]));
            TextTable.Write(writer, _time, group);
            writer.WriteLine();
            TextTable.Write(writer, Operations(group[0]), group);
            writer.WriteLine();
        }

        TextTable.WriteNote(writer, Note);
    }

    /// <summary>The rows that differ in nothing but policy.</summary>
    public static IEnumerable<IReadOnlyList<ArchitectureRow>> Groups(IReadOnlyList<ArchitectureRow> rows) => rows
        .GroupBy(static row => row.Result.Request with { Policy = default })
        .Select(static group => (IReadOnlyList<ArchitectureRow>)[.. group]);

    /// <summary>What was simulated: "xeon (x86-ept), 1 GB, pages 4k, kill (262,144 x 4 KB)".</summary>
    public static string Title(ArchitectureRow row)
    {
        SimulationRequest request = row.Result.Request;
        string mapped = string.Join(", ", row.Result.MappedPages.OrderBy(static pages => pages.Key)
            .Select(static pages => $"{Whole(pages.Value)} x {ByteSize.Format((long)pages.Key)}"));
        return $"{request.Machine.Name} ({request.Machine.Architecture}), "
            + $"{ByteSize.Format((long)request.MemoryBytes)}, pages {SimulationNames.Of(request.Pages)}, "
            + $"{SimulationNames.Of(request.Death)} ({mapped})";
    }

    /// <summary>The operations that the architecture has, in the order of what is done.</summary>
    public static IReadOnlyList<(HookOperation Operation, string Name)> Named(ArchitectureRow row)
    {
        Architecture architecture = Architecture.Of(row.Result.Request.Machine);
        return
        [
            .. System.Enum.GetValues<HookOperation>()
                .Where(static operation => operation is not (HookOperation.Call or HookOperation.Write))
                .Select(operation => (operation, Name: architecture.NameOf(operation)))
                .Where(static pair => pair.Name != null)
                .Select(static pair => (pair.operation, pair.Name!))
                .Take(MostColumns + 1),
        ];
    }

    private static TextColumn<ArchitectureRow>[] Operations(ArchitectureRow first) =>
    [
        new("policy", 13, true, static row => row.Policy.Name),
        .. Named(first).Select(static pair => new TextColumn<ArchitectureRow>(
            pair.Name, System.Math.Max(pair.Name.Length, 8), false, row => Whole(Bill(row)[pair.Operation]))),
    ];

    private static HookBill Bill(ArchitectureRow row) => row.Result.Bill;

    private static MachinePreset Machine(ArchitectureRow row) => row.Result.Request.Machine;

    public static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

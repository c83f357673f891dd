using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>One figure that this project promises.</summary>
/// <param name="Name">What is promised.</param>
/// <param name="Bound">The promise, for people.</param>
/// <param name="Measured">What came out.</param>
/// <param name="Met">Whether it holds.</param>
internal sealed record Target(string Name, string Bound, string Measured, bool Met)
{
    /// <summary>What every comparison with KVM is judged for, as a heading.</summary>
    public const string TitleAgainstKvm = "Must reach (against KVM: cortex-a72 and max, 4K pages, 1 GB and more)";
}

/// <summary>
/// The promises, which hold for one configuration only: cortex-a72, 4K pages, the filler guest, 256 MB. Any other run
/// is not judged.
/// </summary>
internal static class Targets
{
    private const int LinesPerPage = 64;
    private const long MemoryBytes = 256 * ByteSize.Megabyte;

    /// <summary>What the promises hold for, as a heading.</summary>
    public static string Title(BenchResult result) => result.Kvm is null
        ? "Must reach (cortex-a72, 4K pages, filler, 256 MB)"
        : Target.TitleAgainstKvm;

    /// <summary>The promises that this result can be held against; empty for another configuration.</summary>
    public static IReadOnlyList<Target> Judge(BenchResult result)
    {
        if (result.Kvm is { } kvm)
        {
            return KvmTargets.Judge(result, kvm);
        }

        List<Target> targets = [];
        if (result.Plan.Cpu.Name != "cortex-a72")
        {
            return targets;
        }

        BenchRow[] rows =
        [
            .. result.Rows.Where(row => row.Case is { MemoryBytes: MemoryBytes, Pages: "4k" }
                && row.Case.Guest.Name == GuestPayload.Filler),
        ];
        if (rows.Length == 0)
        {
            return targets;
        }

        foreach (BenchRow row in rows.Where(row => row.Case.Policy.Engine == Memory.MaintenancePolicy.BeforeSeries))
        {
            string name = $"{row.Case.Policy.Name}, {row.Case.Way.Name()}: ";
            long pages = row.Death.MappedPages4K;
            Add(name + "DC lines per page", "= 64", Ratio(row.Death.DcLines, pages),
                row.Death.DcLines == pages * LinesPerPage);
            Add(name + "TLBIs by IPA per page", ">= 1", Ratio(row.Death.TlbiIpa, pages), row.Death.TlbiIpa >= pages);
            AtMost(name + "instructions per page", 350, row.InstructionsPerEntry);
        }

        foreach (BenchRow row in rows.Where(row =>
            row.Case is { Policy.Engine: Memory.MaintenancePolicy.Series, Way: DeathWay.Kill }))
        {
            string name = $"{row.Case.Policy.Name}, {row.Case.Way.Name()}: ";
            Add(name + "DC lines", "= 0", Whole(row.Death.DcLines), row.Death.DcLines == 0);
            Add(name + "TLBIs of the VMID", "= 1", Whole(row.Death.TlbiVmid), row.Death.TlbiVmid == 1);
            AtMost(name + "instructions per page", 60, row.InstructionsPerEntry);
        }

        foreach (BenchRow row in rows.Where(row => row.Case.Policy.Engine == Memory.MaintenancePolicy.Fate))
        {
            string name = $"{row.Case.Policy.Name}, {row.Case.Way.Name()}: ";
            if (row.Case.Way == DeathWay.Unmap && result.Plan.Fate == Memory.PageFate.Unknown)
            {
                long pages = row.Death.MappedPages4K;
                Add(name + "DC lines per page", "= 64", Ratio(row.Death.DcLines, pages),
                    row.Death.DcLines == pages * LinesPerPage);
                AtMost(name + "instructions per page", 150, row.InstructionsPerEntry);
                continue;
            }

            Add(name + "DC lines", "= 0", Whole(row.Death.DcLines), row.Death.DcLines == 0);
            if (row.Case.Way == DeathWay.Kill)
            {
                Add(name + "TLBIs of the VMID", "= 1", Whole(row.Death.TlbiVmid), row.Death.TlbiVmid == 1);
                AtMost(name + "instructions", 2000, row.Death.Instructions);
            }
            else
            {
                AtMost(name + "instructions per page", 15, row.InstructionsPerEntry);
            }
        }

        AtMost("map: instructions per page", 100, result.Primitives.MapPage);
        AtMost("HVC round trip: instructions", 130, result.Primitives.HvcRoundTrip);
        AtMost("demand fault: instructions", 320, result.Primitives.DemandFault);
        return targets;

        void Add(string name, string bound, string measured, bool met) =>
            targets.Add(new Target(name, bound, measured, met));

        void AtMost(string name, double bound, double? value) => Add(
            name,
            string.Create(CultureInfo.InvariantCulture, $"<= {bound:0}"),
            value?.ToString("0.0", CultureInfo.InvariantCulture) ?? "not measured",
            value <= bound);
    }

    private static string Ratio(long count, long pages) =>
        pages == 0 ? "no pages" : ((double)count / pages).ToString("0.00", CultureInfo.InvariantCulture);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

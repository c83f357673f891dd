using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Quietus.Simulator;

/// <summary>
/// Published figures of Arm servers against what the model gives for them now. Each row runs the engine, or the host's
/// own TLB maintenance, on the preset that stands for the machine; nothing here is written down but what was published.
/// </summary>
public static class Calibration
{
    private const string CoverLetter = "20191213182503.14460-1-maz@kernel.org";
    private const string RangeSeries = "20230811045127.3308641-1, v9";
    private const string Kvmarm = "kvmarm list, 2021";
    private const string StageOne = "linux-arm-kernel, range-TLBI series";
    private const double Millisecond = 1e6;
    private const double Second = 1e9;

    /// <summary>Runs every row. Takes about ten seconds of one core.</summary>
    /// <param name="machines">The folder of the presets.</param>
    public static IReadOnlyList<CalibrationRow> Run(string machines)
    {
        MachinePreset d05 = MachinePreset.Named(machines, "d05");
        MachinePreset kunpeng = MachinePreset.Named(machines, "kunpeng920");
        MachinePreset emag = MachinePreset.Named(machines, "emag");
        MachinePreset modern = MachinePreset.Named(machines, "modern");
        return
        [
            .. Deaths(d05), .. Walks(kunpeng), .. RangeTlbi(modern), .. HostTlbi(kunpeng), Contention(emag),
            .. OutOfReach(),
        ];
    }

    /// <summary>The rows as the Markdown table of docs/calibration.md.</summary>
    public static string ToMarkdown(IReadOnlyList<CalibrationRow> rows)
    {
        var text = new StringBuilder();
        text.Append("| quantity | preset | published | model | error | | source, and how it is reached |\n");
        text.Append("|---|---|---|---|---|---|---|\n");
        foreach (CalibrationRow row in rows)
        {
            bool isReached = row.Kind != CalibrationKind.OutOfReach;
            text.Append(CultureInfo.InvariantCulture, $"| {row.Quantity} | {row.Machine} | {row.PublishedText} | ")
                .Append(CultureInfo.InvariantCulture, $"{(isReached ? row.PredictedText : "–")} | ")
                .Append(CultureInfo.InvariantCulture, $"{row.ErrorText} | {NameOf(row.Kind)} | ")
                .Append(CultureInfo.InvariantCulture, $"{row.Source}. {row.Note} |\n");
        }

        return text.ToString();
    }

    private static string NameOf(CalibrationKind kind) => kind switch
    {
        CalibrationKind.CalibratedOn => "calibrated on",
        CalibrationKind.Predicted => "predicted",
        _ => "out of reach",
    };

    private static IEnumerable<CalibrationRow> Deaths(MachinePreset d05)
    {
        yield return new(
            "Death of a 64 GB VM, before the series, 2M blocks", d05.Name, CalibrationKind.CalibratedOn, 12 * Second,
            Scenarios.Death(d05, GuestPages.Blocks2M, Memory.MaintenancePolicy.BeforeSeries), "up to 12 s",
            CoverLetter, "The cost of a line was fitted to 99 % of it.");
        yield return new(
            "The same with the series, 2M blocks", d05.Name, CalibrationKind.Predicted, Second,
            Scenarios.Death(d05, GuestPages.Blocks2M, Memory.MaintenancePolicy.Series), "less than 1 s", CoverLetter,
            "An upper bound, so the error is no error as long as it is negative.");
        yield return new(
            "The same with the series, 4K pages", d05.Name, CalibrationKind.Predicted, Second,
            Scenarios.Death(d05, GuestPages.Pages4K, Memory.MaintenancePolicy.Series), "less than 1 s", CoverLetter,
            "An upper bound, as above. The walk's figures are Kunpeng 920's.");
    }

    private static IEnumerable<CalibrationRow> Walks(MachinePreset kunpeng)
    {
        yield return new(
            "Cache maintenance of 400 GB", kunpeng.Name, CalibrationKind.CalibratedOn, 52.83 * Second,
            Scenarios.CleanAll(kunpeng, 400UL << 30), "52.83 s", Kvmarm + ", map-time CMO series",
            "DC CIVAC by blocks of 2 MB. The cost of a line was fitted to it.");
        yield return new(
            "20 GB of 4K pages become 1G blocks, without cache maintenance", kunpeng.Name,
            CalibrationKind.CalibratedOn, 0.244 * Second, Scenarios.Rebuild(kunpeng, cleans: false), "0.244 s",
            Kvmarm + ", map-time CMO series", "Leaves are cleared one by one, then one invalidation of the VMID, as "
            + "Linux 5.11. The cost of unlinking was fitted to it.");
        yield return new(
            "The same with cache maintenance", kunpeng.Name, CalibrationKind.CalibratedOn, 2.82 * Second,
            Scenarios.Rebuild(kunpeng, cleans: true), "2.82 s", Kvmarm + ", map-time CMO series",
            "The two rows above put together, and a DSB SY for each page, whose first guess of 100 ns gave 21 % too "
            + "much and was lowered to 20.");
        yield return new(
            "Reading the entries of 64 GB of 4K pages", kunpeng.Name, CalibrationKind.CalibratedOn, 40 * Millisecond,
            Scenarios.ReadEntries(kunpeng), "about 40 ms", Kvmarm, "The cost of a read was fitted to it.");
        foreach ((GuestPages pages, string name, double published, string text) in new[]
            {
                (GuestPages.Pages4K, "4K pages", 588 * Millisecond, "527 to 650 ms"),
                (GuestPages.Blocks2M, "2M blocks", 4 * Millisecond, "4 ms"),
                (GuestPages.Blocks1G, "1G blocks", 2 * Millisecond, "2 ms"),
            })
        {
            bool isFitted = pages == GuestPages.Pages4K;
            yield return new(
                $"Write-protecting 128 GB, {name}", kunpeng.Name,
                isFitted ? CalibrationKind.CalibratedOn : CalibrationKind.Predicted, published,
                Scenarios.WriteProtect(kunpeng, pages), text, Kvmarm,
                isFitted
                    ? "The cost of a write was fitted to the middle. Linux's two dirty bitmaps are zeroed besides."
                    : "What is left is the zeroing of the dirty bitmaps, whose figure is an assumption.");
        }
    }

    private static IEnumerable<CalibrationRow> RangeTlbi(MachinePreset modern)
    {
        foreach ((ulong gigabytes, double each, double range, string eachText, string rangeText) in new[]
            {
                (64UL, 32.36, 7.62, "32.36 s", "7.62 s"),
                (128UL, 64.65, 14.39, "64.65 s", "14.39 s"),
            })
        {
            CalibrationKind kind = gigabytes == 64 ? CalibrationKind.CalibratedOn : CalibrationKind.Predicted;
            string note = gigabytes == 64
                ? "The preset's unlinking and DSB were fitted to these two."
                : "Linear in the pages; the machine was a little faster.";
            yield return new(
                $"Unmap of {gigabytes} GB by 4K pages, one invalidation for each", modern.Name, kind, each * Second,
                Scenarios.Unmap(modern, gigabytes << 30, 3, byRange: false), eachText, RangeSeries, note);
            yield return new(
                $"Unmap of {gigabytes} GB by 4K pages, by range", modern.Name, kind, range * Second,
                Scenarios.Unmap(modern, gigabytes << 30, 3, byRange: true), rangeText, RangeSeries, note);
        }

        const string blocks = "A block costs as much as a page here; in Linux it costs about twice the TLBI and three "
            + "times the rest, and nothing published says why.";
        yield return new(
            "Unmap of 128 GB by 2M blocks, one invalidation for each", modern.Name, CalibrationKind.Predicted,
            280 * Millisecond, Scenarios.Unmap(modern, 128UL << 30, 2, byRange: false), "0.280 s", RangeSeries, blocks);
        yield return new(
            "Unmap of 128 GB by 2M blocks, by range", modern.Name, CalibrationKind.Predicted, 100 * Millisecond,
            Scenarios.Unmap(modern, 128UL << 30, 2, byRange: true), "0.100 s", RangeSeries, blocks);
    }

    private static IEnumerable<CalibrationRow> HostTlbi(MachinePreset kunpeng)
    {
        foreach ((int pages, double published) in new[] { (1, 1457.0), (16, 8427), (64, 30890), (256, 120826) })
        {
            bool isFitted = pages is 16 or 256;
            yield return new(
                $"flush_tlb_range of {pages} {(pages == 1 ? "page" : "pages")}, Stage-1", kunpeng.Name,
                isFitted ? CalibrationKind.CalibratedOn : CalibrationKind.Predicted, published,
                Scenarios.FlushRange(kunpeng, pages), published.ToString("N0", CultureInfo.InvariantCulture) + " ns",
                StageOne,
                isFitted
                    ? "TLBI and DSB were fitted to the line through 16 and 256 pages."
                    : "On that line, or not. That it was this machine is assumed.");
        }

        yield return new(
            "flush_tlb_range of 512 pages: one whole ASID", kunpeng.Name, CalibrationKind.Predicted, 1508,
            Scenarios.FlushRange(kunpeng, 1), "1,508 ns", StageOne, "One TLBI and one DSB.");
    }

    private static CalibrationRow Contention(MachinePreset emag) => new(
        "Broadcast contention of 32 CPUs: times as long as without broadcast", emag.Name, CalibrationKind.Predicted,
        2121.0 / 120, Scenarios.ContentionFactor(emag), "2.121 s / 0.120 s = 17.7 times", "linux-arm-kernel",
        "Each PE zeroes, unmaps and frees a page, again and again; the benchmark itself is not known better. Growth "
        + "with the senders is linear once the interconnect is full, as published.")
    {
        IsFactor = true,
    };

    private static IEnumerable<CalibrationRow> OutOfReach()
    {
        yield return Unreached(
            "Range TLBI on an FPGA", "11.1 us, 280.9 us for 512 pages", StageOne,
            "No preset: nothing else is known of it.");
        yield return Unreached(
            "Victims of broadcasts, ThunderX2 and A64FX", "39 -> 49 ms; hundreds of us", "linux-arm-kernel",
            "How many broadcasts there were is not known; tlbi_victim is an assumption.");
        yield return Unreached(
            "TLBI share of unmapping", "5.36 % at 8 cores, 16.99 % at about 100", "commit 43b3dfdd0455",
            "Its growth with the cores was used to split a TLBI into base and PEs; the workload is not modelled.");
        yield return Unreached(
            "VM-domain-limited TLBI, 96 cores", "about 50 % gain", "Linaro MAD24-316",
            "A workload's throughput; limited domains are not modelled.");
        yield return Unreached(
            "Linux freeing 4K pages", "10.8 s for 320 GB", "lkml 1702.3/00244",
            "Taken over as page_free as it is, from another architecture.");
        yield return Unreached(
            "x86 zap of shadow entries", "52 ns each", "commit fc058c7bd076", "Another architecture.");
        yield return Unreached(
            "pKVM guest teardown, Pixel 6", "more than 150 ms", "android-kvm",
            "Hypervisor calls and a phone: no preset.");
        yield return Unreached(
            "microVM death as its users see it", "40 to 60 ms", "GitHub",
            "Mostly the VMM and the kernel's other work.");
    }

    private static CalibrationRow Unreached(string quantity, string published, string source, string note) =>
        new(quantity, "–", CalibrationKind.OutOfReach, 0, 0, published, source, note);
}

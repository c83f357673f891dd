using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Wire;

namespace Quietus.Cli.Probe;

/// <summary>What a host's figures say can be done, and the figures that say so.</summary>
internal sealed record ProbeAdvice(string Text, string Evidence)
{
    /// <summary>A difference below this is noise on most hosts.</summary>
    private const double Telling = 1.15;

    /// <summary>A fixed cost that is worth a word.</summary>
    private const double LongWait = 1e6;

    public static IReadOnlyList<ProbeAdvice> Of(ProbeResult result)
    {
        List<ProbeAdvice> advice = [];
        foreach (IGrouping<string, ProbeRow> pages in result.Rows.GroupBy(row => row.Pages))
        {
            long memory = pages.Max(row => row.MemoryBytes);
            OrderBeforeExit(advice, result, pages.Key, memory);
            ShareOfTheVm(advice, result, pages.Key, memory);
        }

        LargerPages(advice, result);
        WaitOfClose(advice, result);
        Disturbance(advice, result);
        Together(advice, result);
        Features(advice, result);
        return advice;
    }

    /// <summary>Giving memory back by hand, or closing the VM, before the process ends: against its mere end.</summary>
    private static void OrderBeforeExit(List<ProbeAdvice> advice, ProbeResult result, string pages, long memory)
    {
        if (result.Row(pages, memory, ProbeWay.Kill) is not { } kill)
        {
            return;
        }

        foreach ((ProbeWay way, string what) in new[]
        {
            (ProbeWay.Munmap, "munmap of the guest's memory before the end"),
            (ProbeWay.DontNeed, "MADV_DONTNEED before the end"),
            (ProbeWay.Slot, "removing the memory slot before the end"),
            (ProbeWay.Close, "closing the VM before its memory goes"),
        })
        {
            if (result.Row(pages, memory, way) is { } row && row.IsAbove("total_ns", kill, Telling))
            {
                advice.Add(new ProbeAdvice(
                    $"By {pages}: {what} costs {Times(row["total_ns"] / kill["total_ns"])} what the process's end "
                        + "alone " + "does: where the VM is to die, let the process end.",
                    $"{ByteSize.Format(memory)}: {Time(row["total_ns"])} against {Time(kill["total_ns"])} of a kill"));
            }
        }
    }

    /// <summary>What of a munmap is the VM's, and what would stay without any VM.</summary>
    private static void ShareOfTheVm(List<ProbeAdvice> advice, ProbeResult result, string pages, long memory)
    {
        if (result.Row(pages, memory, ProbeWay.Munmap) is { } munmap
            && result.Row(pages, memory, ProbeWay.MunmapNoVm) is { } noVm
            && munmap.IsAbove("order_ns", noVm, Telling))
        {
            double share = 1 - (noVm["order_ns"] / munmap["order_ns"]);
            advice.Add(new ProbeAdvice(
                $"By {pages}: of a munmap under a live VM {Percent(share)} is the VM's; the rest is the host's "
                    + "own freeing, "
                    + "which no hypervisor's patch touches.",
                $"{ByteSize.Format(memory)}: {Time(munmap["order_ns"])} with a VM, {Time(noVm["order_ns"])} without"));
        }
    }

    private static void LargerPages(List<ProbeAdvice> advice, ProbeResult result)
    {
        foreach (string larger in new[] { "thp", "hugetlb-2m", "hugetlb-1g" })
        {
            ProbeRow? best = result.Rows
                .Where(row => row.Pages == larger && row.Is(ProbeWay.Kill))
                .Where(row => result.Row("4k", row.MemoryBytes, ProbeWay.Kill) is not null)
                .MaxBy(row => row.MemoryBytes);
            if (best is null)
            {
                continue;
            }

            ProbeRow small = result.Row("4k", best.MemoryBytes, ProbeWay.Kill)!;
            if (small.IsAbove("total_ns", best, Telling))
            {
                advice.Add(new ProbeAdvice(
                    $"Pages of kind {larger} would save "
                        + $"{Percent(1 - (best["total_ns"] / small["total_ns"]))} of a kill, and "
                        + Percent(Math.Max(0, 1 - (best["touch_ns"] / Math.Max(1, small["touch_ns"]))))
                        + " of the first touch "
                        + "of all memory.",
                    $"{ByteSize.Format(best.MemoryBytes)}: killed in {Time(small["total_ns"])} by 4k, "
                        + $"{Time(best["total_ns"])} by {larger}"));
            }
        }
    }

    /// <summary>What closing a VM costs whatever its size: KVM waits for grace periods of RCU and SRCU.</summary>
    private static void WaitOfClose(List<ProbeAdvice> advice, ProbeResult result)
    {
        // Pages of one kind: what is freed with the tables is another thing for each.
        ProbeRow[] rows = result.Rows.Where(row => row.Is(ProbeWay.Close) && row["order_ns"] > 0)
            .GroupBy(row => row.Pages).Select(kind => kind.OrderBy(row => row.MemoryBytes).ToArray())
            .FirstOrDefault() ?? [];
        if (rows.Length > 1 && rows[0]["order_ns"] > LongWait && rows[^1].MemoryBytes > rows[0].MemoryBytes
            && rows[^1]["order_ns"] / rows[0]["order_ns"] < 0.5 * rows[^1].MemoryBytes / rows[0].MemoryBytes)
        {
            advice.Add(new ProbeAdvice(
                "Closing a VM has a part that does not grow with its memory: the kernel waits for readers "
                    + "(RCU, SRCU). For "
                    + "small VMs that is most of it; a process that closes and goes on can leave it to a child.",
                $"{ByteSize.Format(rows[0].MemoryBytes)}: {Time(rows[0]["order_ns"])}, "
                    + $"{ByteSize.Format(rows[^1].MemoryBytes)}: {Time(rows[^1]["order_ns"])}"));
        }
    }

    private static void Disturbance(List<ProbeAdvice> advice, ProbeResult result)
    {
        foreach (ProbeNeighbour one in result.Neighbours
            .Where(one => one.WorkLeft < 0.8).OrderBy(one => one.WorkLeft).Take(3))
        {
            advice.Add(new ProbeAdvice(
                $"While a VM of {ByteSize.Format(one.MemoryBytes)} by {one.Pages} dies by {one.Way}, another one gets "
                    + $"{Percent(one.WorkLeft ?? 1)} of its work done.",
                one.LongestNs > 0 ? $"its longest round took {Time(one.LongestNs)} then" : "it ended no round then"));
        }
    }

    private static void Together(List<ProbeAdvice> advice, ProbeResult result)
    {
        foreach (IGrouping<string, ProbeTogether> pages in result.Together.GroupBy(one => one.Pages))
        {
            ProbeTogether? alone = pages.FirstOrDefault(one => one.Vms == 1);
            ProbeTogether? most = pages.MaxBy(one => one.Vms);
            if (alone is not null && most is not null && most.Vms > 1 && most.TotalNs > 0)
            {
                advice.Add(new ProbeAdvice(
                    $"By {pages.Key}: {most.Vms} VMs with as much memory together, killed at once, are gone "
                        + $"{Times(alone.TotalNs / most.TotalNs)} as fast as one: deaths of different VMs "
                        + (most.TotalNs * Telling < alone.TotalNs
                            ? "run side by side here."
                            : "wait for each other here."),
                    $"{Time(alone.TotalNs)} against {Time(most.TotalNs)}"));
            }
        }
    }

    /// <summary>What the host has or lacks. Sources: docs/probe.md, "What decides".</summary>
    private static void Features(List<ProbeAdvice> advice, ProbeResult result)
    {
        string kernel = result.HostValue("kernel");
        (int major, int minor) = VersionOf(kernel);
        bool isBefore(int thanMajor, int thanMinor) =>
            major != 0 && (major < thanMajor || (major == thanMajor && minor < thanMinor));
        if (result.IsArm64)
        {
            bool forced = result.HostFlag("forced_write_back");
            advice.Add(new ProbeAdvice(
                forced
                    ? "The CPU has FEAT_S2FWB: KVM cleans no line when it unmaps, so patch 7 of the series "
                        + "saves nothing here."
                    : "The CPU shows no FEAT_S2FWB: KVM cleans each line of what it unmaps from a live VM. munmap, "
                        + "MADV_DONTNEED and slot removal pay for it; an end of the process does not, from "
                        + "Linux 5.10 on.",
                $"ID_AA64MMFR2_EL1.FWB as KVM's guests see it: {(forced ? "1" : "0")}; Linux {kernel}"));
            if (isBefore(5, 10))
            {
                advice.Add(new ProbeAdvice(
                    "This kernel still unmaps leaf by leaf when a VM dies; Linux 5.10 and later free the tables alone.",
                    $"Linux {kernel}"));
            }

            if (result.HostFlag("range_tlbi") && forced && isBefore(6, 6))
            {
                advice.Add(new ProbeAdvice(
                    "The CPU can invalidate by range, and KVM does it from Linux 6.6 on: this kernel "
                        + "invalidates page by page.",
                    $"ID_AA64ISAR0_EL1.TLB is 2; Linux {kernel}"));
            }

            return;
        }

        if (result.HostValue("second_stage").StartsWith("shadow", StringComparison.Ordinal))
        {
            advice.Add(new ProbeAdvice(
                "KVM keeps shadow page tables here: each page of a guest costs a reverse-map entry that has to "
                    + "be found and "
                    + "dropped. A host with EPT or NPT does without.",
                $"second stage: {result.HostValue("second_stage")}"));
        }
        else if (result.Parameter("kvm.tdp_mmu") == "N" && !isBefore(5, 10))
        {
            advice.Add(new ProbeAdvice(
                "kvm.tdp_mmu is off: the older code takes one lock for every fault and zap. kvm.tdp_mmu=1 (the "
                    + "default from "
                    + "Linux 5.15 on) zaps in parallel.",
                "kvm.tdp_mmu is N"));
        }
    }

    private static (int Major, int Minor) VersionOf(string kernel)
    {
        string[] parts = kernel.Split('.', '-');
        return parts.Length > 1
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
            ? (major, minor)
            : (0, 0);
    }

    private static string Time(double nanoseconds) => Duration.Format(nanoseconds);

    private static string Times(double ratio) => string.Create(CultureInfo.InvariantCulture, $"{ratio:0.0#} times");

    private static string Percent(double part) => string.Create(CultureInfo.InvariantCulture, $"{part * 100:0} %");
}

using System;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.Cli.Guests;
using Quietus.Cli.Replay;
using Quietus.Cli.Sim;
using Quietus.Simulator;
using Quietus.Traces;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Replay;

/// <summary>What the engine issues for a real kernel's trace, against what that kernel issued.</summary>
public sealed class ReplayTests
{
    private const long LinesPerPage = 64;

    [Fact]
    public void Before_series_issues_for_the_unmapped_Linux_guest_exactly_what_the_real_kernel_did()
    {
        HostTrace trace = Read("linux-guest-4k-munmap-n1");
        ReplayRow row = Play(trace, "before-series");

        row.Unmapping.Bill.Counts.TlbiIpa.ShouldBe(25_418);
        row.Unmapping.Leaves.ShouldBe(25_366);
        row.Unmapping.Tables.ShouldBe(52);
        row.Unmapping.Leaves.ShouldBe(trace.Unmapping.LeafTlbi);
        row.Unmapping.Tables.ShouldBe(trace.Unmapping.TableTlbi);
        row.Unmapping.Bill.Counts.DcLines.ShouldBe(trace.Unmapping.Cleanings * LinesPerPage);
        row.Unmapping.Bill.Counts.DcLines.ShouldBe(25_366 * LinesPerPage);
        row.Mapping.Bill.Counts.DcLines.ShouldBe(trace.Mapping.Cleanings * LinesPerPage);

        // And for the death that follows nothing, as the kernel: nothing is mapped any more.
        (trace.Death.LeafTlbi + trace.Death.TableTlbi + trace.Death.VmidTlbi + trace.Death.Cleanings).ShouldBe(0);
        IssuesNothing(row.Death, vmid: 0);
        row.Refused.ShouldBe(0);
    }

    // The kernel that was traced frees the tables of a dead VM without maintenance, which patch 5 began; Linux 5.5
    // would have walked. The VMID's invalidation is ours: the kernel leaves the number unused until the rollover.
    [Theory]
    [InlineData("before-series", 25_418, 25_366, 0)]
    [InlineData("patch5", 0, 0, 1)]
    [InlineData("patch6", 25_418, 25_366, 0)]
    [InlineData("patch7", 25_418, 25_366, 0)]
    [InlineData("series", 0, 0, 1)]
    [InlineData("fate", 0, 0, 1)]
    public void The_killed_Linux_guest_under_each_policy(string policy, long tlbi, long pages, long vmid)
    {
        HostTrace trace = Read("linux-guest-4k-kill-n1");
        ReplayRow row = Play(trace, policy);

        (trace.Death.LeafTlbi + trace.Death.TableTlbi + trace.Death.VmidTlbi + trace.Death.Cleanings).ShouldBe(0);
        row.Death.Bill.Counts.TlbiIpa.ShouldBe(tlbi);
        row.Death.Bill.Counts.DcLines.ShouldBe(pages * LinesPerPage);
        row.Death.Bill.Counts.TlbiVmid.ShouldBe(vmid);
        row.Death.Bill.Counts.TlbiRange.ShouldBe(0);
        row.Unmapping.Bill.ShouldBe(default);
    }

    [Theory]
    [InlineData("linux-guest-thp-munmap-n1", 512)]
    [InlineData("munmap-16M-thp", 512)]
    [InlineData("munmap-2M-4k", 1)]
    [InlineData("mprotect-2M-4k", 1)]
    [InlineData("slot-2M-4k", 1)]
    public void Before_series_unmaps_every_other_trace_as_its_kernel_did(string name, long pagesPerLeaf)
    {
        HostTrace trace = Read(name);
        ReplayRow row = Play(trace, "before-series");

        row.Unmapping.Leaves.ShouldBe(trace.Unmapping.LeafTlbi);
        row.Unmapping.Tables.ShouldBe(trace.Unmapping.TableTlbi);
        row.Unmapping.IsEager.ShouldBeTrue();
        row.Unmapping.Bill.Counts.DcLines.ShouldBe(trace.Unmapping.Cleanings * pagesPerLeaf * LinesPerPage);
        row.Refused.ShouldBe(0);
    }

    [Fact]
    public void A_machine_with_forced_write_back_cleans_nothing()
    {
        ReplayRow row = Play(Read("munmap-2M-4k"), "before-series", machine: "modern");

        row.Mapping.Bill.Counts.DcLines.ShouldBe(0);
        row.Unmapping.Bill.Counts.DcLines.ShouldBe(0);
        row.Unmapping.Bill.Counts.TlbiIpa.ShouldBe(514);
    }

    [Theory]
    [InlineData("munmap", "series", 0)]
    [InlineData("mprotect", "series", 512)]
    [InlineData("mremap", "series", 0)]
    [InlineData("munmap", "fate", 0)]
    [InlineData("madvise", "fate", 0)]
    [InlineData("mremap", "fate", 512)]
    [InlineData("unknown", "fate", 512)]
    public void What_the_range_is_taken_for_decides_about_cleaning(string cause, string policy, long pages) =>
        Play(Read("mprotect-2M-4k"), policy, cause).Unmapping.Bill.Counts.DcLines.ShouldBe(pages * LinesPerPage);

    [Fact]
    public void A_replay_repeats_to_the_last_operation()
    {
        HostTrace trace = Read("linux-guest-thp-munmap-n1");

        Play(trace, "fate").Unmapping.ShouldBe(Play(trace, "fate").Unmapping);
    }

    [Fact]
    public void Every_difference_is_explained_in_the_documentation()
    {
        string page = File.ReadAllText(Path.Combine(Processes.Folders.Home!, "docs", "replay.md"));
        foreach (string name in (string[])
            [
                "lazy-free-at-death", "vmid-at-death", "guest-cache-switch", "relax-invalidates-locally",
                "batched-invalidation", "cleaning-elided", "forced-write-back", "range-invalidation",
            ])
        {
            page.ShouldContain($"**{name}**");
        }
    }

    private static void IssuesNothing(ReplayPhase phase, long vmid)
    {
        OperationCounts counts = phase.Bill.Counts;
        (counts.TlbiIpa + counts.TlbiRange + counts.DcLines).ShouldBe(0);
        counts.TlbiVmid.ShouldBe(vmid);
    }

    private static ReplayRow Play(
        HostTrace trace, string policy, string cause = "munmap", string machine = "d05") => Replayer.Run(
        trace, Machines.Parse([machine], [])[0], MaintenancePolicy.ParseList([policy]).Single(),
        UnmapCause.Parse(cause), CancellationToken.None);

    internal static HostTrace Read(string name)
    {
        using FileStream file = File.OpenRead(Path.Combine(AppContext.BaseDirectory, "Data", name + ".txt.gz"));
        return TraceReader.Read(file, CancellationToken.None);
    }
}

using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>
/// The nine traces of a real KVM host (Linux 6.12 on QEMU, without FEAT_S2FWB), against what grep counts in them.
/// </summary>
public class RealTraceTests
{
    [Fact]
    public void A_Linux_guest_whose_memory_was_unmapped()
    {
        HostTrace trace = Sample.Real("linux-guest-4k-munmap-n1");

        Of(trace, TraceOperationKind.Map).ShouldBe(25_366);
        Of(trace, TraceOperationKind.Relax).ShouldBe(1_295);
        Of(trace, TraceOperationKind.UnmapByNotifier).ShouldBe(1);
        Of(trace, TraceOperationKind.UnmapBySlotRemoval).ShouldBe(0);
        Of(trace, TraceOperationKind.Release).ShouldBe(1);
        Figures(trace.Mapping).ShouldBe((0, 0, 25_366));
        Figures(trace.Unmapping).ShouldBe((25_366, 52, 25_366));
        Figures(trace.Death).ShouldBe((0, 0, 0));
        Figures(trace.Other).ShouldBe((0, 0, 8));
        trace.GuestFaults.ShouldBe(54_495);
        trace.Counts.Lines.ShouldBe(157_332);
        trace.Counts.Used.ShouldBe(157_320);
        (trace.Counts.OtherEvents + trace.Counts.Foreign + trace.Counts.Lost).ShouldBe(0);
        trace.DeathNanoseconds.ShouldBe(175_000);
        trace.UnmapNanoseconds.ShouldBe(87_869_000);
    }

    [Fact]
    public void A_Linux_guest_that_was_killed()
    {
        HostTrace trace = Sample.Real("linux-guest-4k-kill-n1");

        Of(trace, TraceOperationKind.Map).ShouldBe(25_366);
        Of(trace, TraceOperationKind.UnmapByNotifier).ShouldBe(0);
        Of(trace, TraceOperationKind.Release).ShouldBe(1);
        Figures(trace.Unmapping).ShouldBe((0, 0, 0));
        Figures(trace.Death).ShouldBe((0, 0, 0));
        trace.DeathNanoseconds.ShouldBe(48_819_000);
    }

    [Fact]
    public void A_Linux_guest_on_huge_pages()
    {
        HostTrace trace = Sample.Real("linux-guest-thp-munmap-n1");

        trace.Operations.Where(operation => operation.Kind == TraceOperationKind.Map)
            .ShouldAllBe(map => map.Bytes == 2 << 20);
        Figures(trace.Mapping).ShouldBe((0, 0, 51));
        Figures(trace.Unmapping).ShouldBe((51, 1, 51));
        trace.Unmapping.CleanedBytes.ShouldBe(51L << 21);
        Figures(trace.Other).ShouldBe((0, 0, 4));
    }

    // These were traced by the function tracer as well: what it says twice counts once.
    [Theory]
    [InlineData("munmap-2M-4k", TraceOperationKind.UnmapByNotifier, 513, 512, 2, 512, 2)]
    [InlineData("mprotect-2M-4k", TraceOperationKind.UnmapByNotifier, 513, 512, 2, 512, 2)]
    [InlineData("slot-2M-4k", TraceOperationKind.UnmapBySlotRemoval, 513, 512, 2, 512, 2)]
    [InlineData("munmap-16M-thp", TraceOperationKind.UnmapByNotifier, 9, 8, 1, 8, 16)]
    [InlineData("kill-2M-4k", null, 513, 0, 0, 0, 2)]
    [InlineData("kill-16M-thp", null, 9, 0, 0, 0, 16)]
    public void A_small_guest_and_each_way_to_die(
        string name, TraceOperationKind? unmap, int maps, int leaves, int tables, int cleanings,
        long megabytes)
    {
        HostTrace trace = Sample.Real(name);

        Of(trace, TraceOperationKind.Map).ShouldBe(maps);
        trace.Operations.Select(operation => operation.Kind)
            .Where(kind => kind is TraceOperationKind.UnmapByNotifier or TraceOperationKind.UnmapBySlotRemoval)
            .ShouldBe(unmap is TraceOperationKind kind ? [kind] : []);
        trace.Operations[^1].Kind.ShouldBe(TraceOperationKind.Release);
        Figures(trace.Mapping).ShouldBe((0, 0, maps));
        Figures(trace.Unmapping).ShouldBe((leaves, tables, cleanings));
        Figures(trace.Death).ShouldBe((0, 0, 0));
        Figures(trace.Other).ShouldBe((0, 0, 0));
        trace.Mapping.CleanedBytes.ShouldBe((megabytes << 20) + 4096);
        trace.Unmapping.CleanedBytes.ShouldBe(unmap is null ? 0 : megabytes << 20);
        trace.Counts.Foreign.ShouldBe(0);
    }

    private static int Of(HostTrace trace, TraceOperationKind kind) =>
        trace.Operations.Count(operation => operation.Kind == kind);

    private static (long Leaves, long Tables, long Cleanings) Figures(TracedMaintenance maintenance)
    {
        (maintenance.RangeTlbi + maintenance.VmidTlbi).ShouldBe(0);
        return (maintenance.LeafTlbi, maintenance.TableTlbi, maintenance.Cleanings);
    }
}

using System;
using System.Diagnostics;
using System.Threading;
using Quietus.Memory;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>What the series claims, and what goes beyond it, on the machine on which it was measured.</summary>
public class HeadlineTests
{
    private const double Second = 1e9;

    [Fact]
    public void Before_the_series_64_GB_take_8_to_14_seconds_nearly_all_of_it_cache_maintenance()
    {
        SimulationResult death = Machines.Die("d05", 64, GuestPages.Blocks2M, MaintenancePolicy.BeforeSeries);

        death.DeathNanoseconds.ShouldBeInRange(8 * Second, 14 * Second);
        (death.CacheNanoseconds / death.DeathNanoseconds).ShouldBeGreaterThan(0.95);
        death.MappedBlocks2M.ShouldBe(32768);
        death.Death.Counts.DcLines.ShouldBe(1L << 30);
    }

    [Theory]
    [InlineData(GuestPages.Blocks2M)]
    [InlineData(GuestPages.Pages4K)]
    public void With_the_series_they_take_less_than_one(GuestPages pages) =>
        Machines.Die("d05", 64, pages, MaintenancePolicy.Series).DeathNanoseconds.ShouldBeLessThan(Second);

    [Fact]
    public void Before_the_series_4K_pages_cost_an_invalidation_each_besides()
    {
        SimulationResult death = Machines.Die("d05", 8, GuestPages.Pages4K, MaintenancePolicy.BeforeSeries);

        long tables = death.TablePages - 2;
        death.Death.Counts.TlbiIpa.ShouldBe(death.MappedPages4K + tables);
        death.Death.Counts.TlbiVmalle1.ShouldBe(death.MappedPages4K + tables);
        death.TlbiNanoseconds.ShouldBeGreaterThan(2 * death.CacheNanoseconds);
    }

    [Fact]
    public void A_machine_of_two_sockets_gains_more_than_one_of_one()
    {
        MachinePreset two = Machines.Named("d05");
        MachinePreset one = two.With("sockets=1").With("pes=32").With("memory=128G");

        double gainOfTwo = Gain(two);
        double gainOfOne = Gain(one);

        gainOfTwo.ShouldBeGreaterThan(gainOfOne * 1.2);

        static double Gain(MachinePreset machine) =>
            Machines.Die(machine, 16, GuestPages.Pages4K, MaintenancePolicy.BeforeSeries).DeathNanoseconds
            - Machines.Die(machine, 16, GuestPages.Pages4K, MaintenancePolicy.Series).DeathNanoseconds;
    }

    [Theory]
    [InlineData(DeathKind.Kill)]
    [InlineData(DeathKind.Exit)]
    public void By_fate_a_dying_VM_is_not_walked_whatever_its_size(DeathKind death)
    {
        SimulationResult small = Machines.Die("d05", 1, GuestPages.Pages4K, MaintenancePolicy.Fate, death);
        SimulationResult large = Machines.Die("d05", 16, GuestPages.Pages4K, MaintenancePolicy.Fate, death);

        large.DeathNanoseconds.ShouldBe(small.DeathNanoseconds);
        large.DeathNanoseconds.ShouldBeLessThan(20_000);
        large.Death.Counts.EntryReads.ShouldBe(0);
        large.Death.Counts.EntryWrites.ShouldBe(0);
        large.Death.Counts.TlbiVmid.ShouldBe(1);
        large.Death.Counts.TablesFreed.ShouldBe(0);
    }

    [Theory]
    [InlineData(MaintenancePolicy.BeforeSeries, DeathKind.Kill)]
    [InlineData(MaintenancePolicy.Series, DeathKind.Kill)]
    [InlineData(MaintenancePolicy.Fate, DeathKind.Munmap)]
    public void Cost_grows_linearly_with_what_is_mapped(MaintenancePolicy policy, DeathKind death)
    {
        double one = Machines.Die("kunpeng920", 1, GuestPages.Pages4K, policy, death).DeathNanoseconds;
        double four = Machines.Die("kunpeng920", 4, GuestPages.Pages4K, policy, death).DeathNanoseconds;

        (four / one).ShouldBeInRange(3.9, 4.1);
    }

    [Fact]
    public void Patch_7_elides_at_mremap_because_Linux_raises_UNMAP_there_and_fate_does_not()
    {
        Lines(MaintenancePolicy.Patch7, DeathKind.Mremap).ShouldBe(0);
        Lines(MaintenancePolicy.Fate, DeathKind.Mremap).ShouldBe((long)(Machines.Gigabyte / 64));
        Lines(MaintenancePolicy.Patch7, DeathKind.Munmap).ShouldBe(0);
        Lines(MaintenancePolicy.Fate, DeathKind.Munmap).ShouldBe(0);
        Lines(MaintenancePolicy.Patch7, DeathKind.Madvise).ShouldBe((long)(Machines.Gigabyte / 64));
        Lines(MaintenancePolicy.Patch5, DeathKind.Munmap).ShouldBe((long)(Machines.Gigabyte / 64));
        Lines(MaintenancePolicy.Patch5, DeathKind.Kill).ShouldBe(0);
        Lines(MaintenancePolicy.Fate, DeathKind.Slot).ShouldBe((long)(Machines.Gigabyte / 64));

        static long Lines(MaintenancePolicy policy, DeathKind death) =>
            Machines.Die("d05", 1, GuestPages.Blocks2M, policy, death).Death.Counts.DcLines;
    }

    [Fact]
    public void With_forced_write_back_nobody_cleans()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            foreach (DeathKind death in Enum.GetValues<DeathKind>())
            {
                Machines.Die("modern", 1, GuestPages.Blocks2M, policy, death).Death.Counts.DcLines.ShouldBe(0);
            }
        }
    }

    [Fact]
    public void The_ends_of_VM_and_process_come_once_each_whatever_way_it_dies()
    {
        MachinePreset without = Machines.Named("modern");
        MachinePreset with = without.With("vm_end=600us").With("process_end=150us");
        foreach (DeathKind death in Enum.GetValues<DeathKind>())
        {
            foreach (ulong gigabytes in new ulong[] { 1, 2 })
            {
                SimulationResult a = Machines.Die(
                    without, gigabytes, GuestPages.Blocks2M, MaintenancePolicy.Series, death);
                SimulationResult b = Machines.Die(
                    with, gigabytes, GuestPages.Blocks2M, MaintenancePolicy.Series, death);
                (b.OtherNanoseconds - a.OtherNanoseconds).ShouldBe(600_000, 1);
                (b.DeathNanoseconds - a.DeathNanoseconds).ShouldBe(600_000, 1);
                (b.HostFreeNanoseconds - a.HostFreeNanoseconds).ShouldBe(150_000, 1);
            }
        }
    }

    [Theory]
    [InlineData(GuestPages.Pages4K, 0)]
    [InlineData(GuestPages.Blocks2M, 0)]
    [InlineData(GuestPages.Transparent, 1)]
    public void What_transparent_pages_take_more_is_paid_for_them_alone(GuestPages pages, int times)
    {
        MachinePreset without = Machines.Named("modern");
        MachinePreset with = without.With("transparent_fill=100us").With("transparent_free=10us");
        foreach (DeathKind death in (DeathKind[])[DeathKind.Kill, DeathKind.Munmap, DeathKind.Madvise, DeathKind.Slot])
        {
            SimulationResult a = Machines.Die(without, 1, pages, MaintenancePolicy.Series, death);
            SimulationResult b = Machines.Die(with, 1, pages, MaintenancePolicy.Series, death);
            (b.FillNanoseconds - a.FillNanoseconds).ShouldBe(times * 100_000.0 * a.MappedBlocks2M, 10);
            (b.HostFreeNanoseconds - a.HostFreeNanoseconds).ShouldBe(times * 10_000.0 * a.MappedBlocks2M, 10);
            b.DeathNanoseconds.ShouldBe(a.DeathNanoseconds);
        }
    }

    [Theory]
    [InlineData(GuestPages.Pages4K)]
    [InlineData(GuestPages.Blocks2M)]
    [InlineData(GuestPages.Transparent)]
    public void A_hole_in_a_file_is_to_the_tables_what_madvise_is_and_costs_the_host_its_page_cache(GuestPages pages)
    {
        MachinePreset without = Machines.Named("d05");
        MachinePreset with = without.With("file_fill=3us").With("file_free=2us").With("file_block_free=5us");
        SimulationResult given = Machines.Die(
            without, 1, pages == GuestPages.Transparent ? GuestPages.Pages4K : pages, MaintenancePolicy.BeforeSeries,
            DeathKind.Madvise);
        SimulationResult hole = Machines.Die(with, 1, pages, MaintenancePolicy.BeforeSeries, DeathKind.Punch);
        SimulationResult cheap = Machines.Die(without, 1, pages, MaintenancePolicy.BeforeSeries, DeathKind.Punch);

        // A file has no transparent pages: by thp it is of 4 KB ones.
        hole.MappedPages4K.ShouldBe(given.MappedPages4K);
        hole.MappedBlocks2M.ShouldBe(given.MappedBlocks2M);
        hole.Death.Counts.DcLines.ShouldBe(given.Death.Counts.DcLines);
        hole.Death.Counts.Dsb.ShouldBe(given.Death.Counts.Dsb);
        hole.DeathNanoseconds.ShouldBe(given.DeathNanoseconds);
        (hole.FillNanoseconds - cheap.FillNanoseconds).ShouldBe(3_000.0 * hole.MappedPages4K, 10);
        (hole.HostFreeNanoseconds - given.HostFreeNanoseconds)
            .ShouldBe((2_000.0 * hole.MappedPages4K) + (5_000.0 * hole.MappedBlocks2M), 10);

        // Nothing of it is paid for anonymous memory.
        SimulationResult dear = Machines.Die(with, 1, pages, MaintenancePolicy.BeforeSeries, DeathKind.Madvise);
        SimulationResult plain = Machines.Die(without, 1, pages, MaintenancePolicy.BeforeSeries, DeathKind.Madvise);
        dear.FillNanoseconds.ShouldBe(plain.FillNanoseconds);
        dear.HostFreeNanoseconds.ShouldBe(plain.HostFreeNanoseconds);
    }

    [Fact]
    public void The_parts_are_the_whole()
    {
        SimulationResult r = Machines.Die("emag", 1, GuestPages.Transparent, MaintenancePolicy.BeforeSeries);

        (r.CacheNanoseconds + r.TlbiNanoseconds + r.WalkNanoseconds + r.FreeNanoseconds + r.OtherNanoseconds)
            .ShouldBe(r.DeathNanoseconds, 1);
        r.MappedBlocks2M.ShouldBeGreaterThan(0);
        r.MappedPages4K.ShouldBeGreaterThan(0);
        (r.MappedPages4K + (512 * r.MappedBlocks2M)).ShouldBe(262144);
    }

    [Fact]
    public void The_same_request_gives_the_same_and_the_pattern_does_not_matter_to_a_full_VM()
    {
        var request = new SimulationRequest
        {
            Machine = Machines.Named("d05"), MemoryBytes = Machines.Gigabyte, Pages = GuestPages.Pages4K,
            Policy = MaintenancePolicy.BeforeSeries, Touch = TouchPattern.Random, Seed = 7,
        };
        SimulationResult first = Machines.Run(request);

        Machines.Run(request).ShouldBe(first);
        Machines.Run(request with { Touch = TouchPattern.Sequential }).MappedPages4K.ShouldBe(first.MappedPages4K);
        Machines.Run(request with { Touched = 0.5 }).MappedPages4K.ShouldBe(first.MappedPages4K / 2);
    }

    [Fact]
    public void A_guest_with_its_caches_off_leaves_no_dirty_line()
    {
        var request = new SimulationRequest
        {
            Machine = Machines.Named("d05"), MemoryBytes = Machines.Gigabyte, Policy = MaintenancePolicy.BeforeSeries,
        };

        Machines.Run(request).Death.Counts.DcLinesDirty.ShouldBeGreaterThan(0);
        Machines.Run(request with { CachesOff = true }).Death.Counts.DcLinesDirty.ShouldBe(0);
    }

    [Fact]
    public void A_run_that_was_cancelled_ends()
    {
        var request = new SimulationRequest { Machine = Machines.Named("d05") };

        Should.Throw<OperationCanceledException>(
            () => Simulation.Run(request, cancellation: new CancellationToken(true)));
    }

    [Theory]
    [InlineData(3UL << 20, 1, "multiple")]
    [InlineData(1UL << 45, 1, "too few")]
    [InlineData(1UL << 30, 65, "PEs")]
    public void Requests_that_make_no_sense_are_refused(ulong bytes, int vcpus, string why)
    {
        var request = new SimulationRequest
        {
            Machine = Machines.Named("d05"), MemoryBytes = bytes, Vcpus = vcpus,
        };

        Should.Throw<SimulationException>(() => Machines.Run(request)).Message.ShouldContain(why);
    }
}

using System;
using System.IO;
using System.Linq;
using Quietus.Cli.Bench;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Sim;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Wire;
using Shouldly;
using Xunit;
using MaintenancePolicy = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Tests.Bench;

public sealed class BenchTests
{
    [Theory]
    [InlineData("4k", GuestPages.Pages4K)]
    [InlineData("2m", GuestPages.Blocks2M)]
    public void The_D05_column_is_what_the_simulator_says_of_the_same_VM(string pages, GuestPages backing)
    {
        const long Bytes = 256 * ByteSize.Megabyte;
        BenchResult result = Samples.Result(
            Samples.Plan(MaintenancePolicy.All) with { Pages = [pages] },
            what => pages == "4k" ? Samples.Death(Bytes >> 12, 0, 50_000) : Samples.Death(0, Bytes >> 21, 50_000));
        foreach (BenchRow row in result.Rows)
        {
            var request = new SimulationRequest
            {
                Machine = MachinePreset.Named(Machines.Folder, "d05"),
                MemoryBytes = (ulong)Bytes,
                Pages = backing,
                Death = row.Case.Way == DeathWay.Kill ? DeathKind.Kill : DeathKind.Munmap,
                Policy = row.Case.Policy.Engine,
                Vcpus = 1,
            };
            D05Model.Nanoseconds(result.Plan, row).ShouldBe(
                Simulation.Run(request, cancellation: TestContext.Current.CancellationToken).DeathNanoseconds,
                row.Case.ToString());
        }
    }

    [Fact]
    public void What_the_guest_left_alone_costs_nothing_and_pages_of_unknown_fate_are_cleaned()
    {
        BenchPlan plan = Samples.Plan(Samples.Fate);
        double half = Unmapping(plan, 32_768);
        Unmapping(plan, 65_536).ShouldBe(2 * half, half / 10);
        Unmapping(plan with { Fate = PageFate.Unknown }, 32_768).ShouldBeGreaterThan(10 * half);

        static double Unmapping(BenchPlan plan, long pages) => D05Model.Nanoseconds(
            plan, Samples.Result(plan, _ => Samples.Death(pages, 0, 1)).Rows[1]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_death_is_in_exactly_one_boot_with_others_of_its_kind(int jobs)
    {
        BenchPlan plan = Samples.Plan(MaintenancePolicy.All) with
        {
            MemoryBytes = [64 * ByteSize.Megabyte, ByteSize.Gigabyte],
            Pages = ["4k", "2m"],
            Jobs = jobs,
        };
        plan.Boots.SelectMany(boot => boot).Order().ShouldBe(Enumerable.Range(0, plan.Cases.Count));
        foreach (var boot in plan.Boots)
        {
            boot.Select(index => plan.Cases[index].MemoryBytes).Distinct().Count().ShouldBe(1);
        }

        plan.Boots.Count.ShouldBe(2 * Math.Max(1, jobs / 2));
    }

    [Fact]
    public void The_promises_are_judged_one_by_one()
    {
        BenchResult result = Samples.Result(Samples.Plan(Samples.BeforeSeries, Samples.Series), what =>
            what.Policy == Samples.BeforeSeries
                ? Samples.Death(100, 0, 36_000) with { DcLines = 6399, TlbiIpa = 99 }
                : Samples.Death(100, 0, 5_000) with { TlbiVmid = 2, DcLines = 1 });
        Target[] targets = [.. Targets.Judge(result)];
        targets.Where(target => target.Met).Select(target => target.Name).ShouldBe(
        [
            "series, kill: instructions per page", "HVC round trip: instructions", "demand fault: instructions",
        ]);
        targets.Single(target => target.Name.StartsWith("map:", StringComparison.Ordinal)).Measured
            .ShouldBe("not measured");
    }

    [Theory]
    [InlineData(1_116, 960, 0, 1, new[] { true, true, true, true, true })]
    [InlineData(2_001, 1_501, 1, 2, new[] { false, false, false, false, false })]
    public void Deaths_by_fate_are_judged(long kill, long unmap, long lines, long invalidations, bool[] met)
    {
        BenchResult result = Samples.Result(Samples.Plan(Samples.Fate), what =>
            Samples.Death(100, 0, what.Way == DeathWay.Kill ? kill : unmap) with
            {
                DcLines = lines,
                TlbiVmid = invalidations,
            });
        Targets.Judge(result).Where(target => target.Name.StartsWith("fate", StringComparison.Ordinal))
            .Select(target => target.Met).ShouldBe(met);
    }

    [Theory]
    [InlineData(6_400, 15_000, new[] { true, true })]
    [InlineData(6_399, 15_001, new[] { false, false })]
    public void Unmapping_by_fate_with_maintenance_is_judged_by_other_promises(long lines, long unmap, bool[] met)
    {
        BenchPlan plan = Samples.Plan(Samples.Fate) with { Fate = PageFate.Unknown };
        BenchResult result = Samples.Result(plan, what => what.Way == DeathWay.Kill
            ? Samples.Death(100, 0, 1_116)
            : Samples.Death(100, 0, unmap) with { DcLines = lines });
        Target[] targets = [.. Targets.Judge(result)];
        targets.Where(target => target.Name.StartsWith("fate, unmap", StringComparison.Ordinal))
            .Select(target => target.Met).ShouldBe(met);
        targets.Where(target => target.Name.StartsWith("fate, kill", StringComparison.Ordinal))
            .ShouldAllBe(target => target.Met);
        using var writer = new StringWriter { NewLine = "\n" };
        BenchTable.Write(writer, result);
        writer.ToString().ShouldStartWith("filler, 256 MB, pages 4k, cortex-a72, 1 vCPU, fate unknown\n");
        HtmlReport.Make(result).ShouldContain("<h2>filler, 256 MB, pages 4k, fate unknown</h2>");
    }

    [Fact]
    public void A_configuration_without_promises_is_not_judged()
    {
        BenchPlan plan = Samples.Plan(Samples.Series) with { MemoryBytes = [ByteSize.Gigabyte] };
        Targets.Judge(Samples.Result(plan, _ => Samples.Death(1, 0, 1))).ShouldBeEmpty();
    }

    [Fact]
    public void The_table_is_this_and_never_wider_than_80_columns()
    {
        BenchPlan plan = Samples.Plan(Samples.BeforeSeries, Samples.Fate) with { MemoryBytes = [ByteSize.Gigabyte] };
        BenchResult result = Samples.Result(plan, what => what.Policy == Samples.BeforeSeries
            ? Samples.Death(4_194_304, 8_192, 1_459_617_792) with
            {
                TlbiIpa = 4_202_496,
                TlbiVmalle1 = 4_202_496,
                TlbiVmid = 0,
                DcLines = 536_870_912,
                Dsb = 12_607_490,
            }
            : Samples.Death(262_144, 0, 1_204));
        using var writer = new StringWriter { NewLine = "\n" };
        BenchTable.Write(writer, result);
        string table = writer.ToString();
        table.Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(80);
        table.ShouldStartWith("""
            filler, 1 GB, pages 4k, cortex-a72, 1 vCPU
            policy        way    4K pages 2M blks   instructions   per page D05 (model)
            ------------- ----- --------- ------- -------------- ---------- -----------
            before-series kill  4,194,304   8,192  1,459,617,792      347.3      525 ms
            before-series unmap 4,194,304   8,192  1,459,617,792      347.3      525 ms
            fate          kill    262,144       0          1,204        0.0     4.27 us
            fate          unmap   262,144       0          1,204        0.0     1.34 ms

            policy        way    TLBI ipa   range  vmid   vmalle1      DC lines        DSB
            ------------- ----- --------- ------- ----- --------- ------------- ----------
            before-series kill  4,202,496       0     0 4,202,496   536,870,912 12,607,490
            before-series unmap 4,202,496       0     0 4,202,496   536,870,912 12,607,490
            fate          kill          0       0     1         0             0          2
            fate          unmap         0       0     1         0             0          2

            Primitives, in instructions (filler, 4K pages)
            primitive                      instructions
            ---------------------------- --------------
            HVC round trip                        122.2
            demand fault, exit to entry           312.5
            map, per page                  not measured

            """);
    }
}

using System;
using System.IO;
using System.Linq;
using Quietus.Cli.Bench;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Bench;

public sealed class BenchTests
{
    [Fact]
    public void The_model_charges_each_operation_its_published_figure()
    {
        DeathFigures none = Samples.Death(0, 0, 100) with { TlbiVmid = 0 };
        D05Model.Nanoseconds(none).ShouldBe(0);
        D05Model.Nanoseconds(none with { DcLines = 100 }).ShouldBe(1100);
        D05Model.Nanoseconds(none with { MappedPages4K = 10 }).ShouldBe(470);
        D05Model.Nanoseconds(none with { TlbiVmid = 1 }).ShouldBe(1508);
        D05Model.Nanoseconds(none with { TlbiIpa = 4, TlbiVmalle1 = 4 }).ShouldBe(6000);
        D05Model.Nanoseconds(none with { TlbiIpa = 4, TlbiVmalle1 = 1 }).ShouldBe(1500 + (3 * 470));
    }

    [Fact]
    public void The_model_reproduces_the_headline_of_64_GB()
    {
        const long Blocks = 64L << 30 >> 21;
        DeathFigures before = Samples.Death(0, Blocks, Blocks * 300) with
        {
            DcLines = 64L << 30 >> 6,
            TlbiIpa = Blocks,
            TlbiVmalle1 = Blocks,
            TlbiVmid = 0,
        };
        double seconds = D05Model.Nanoseconds(before) / 1e9;
        seconds.ShouldBeInRange(11, 12.5);
        (D05Model.CacheNanoseconds(before) / 1e9 / seconds).ShouldBeGreaterThan(0.99);

        const long Pages = 64L << 30 >> 12;
        (D05Model.Nanoseconds(Samples.Death(Pages, 0, Pages * 40)) / 1e9).ShouldBeInRange(0.5, 1);
    }

    [Theory]
    [InlineData("fate", DeathWay.Kill, 60_000, 0, 0)]
    [InlineData("fate", DeathWay.Kill, 0, 26, 0)]
    [InlineData("fate", DeathWay.Unmap, 60_000, 0, 60_000)]
    [InlineData("tables-only", DeathWay.Kill, 60_000, 0, 118)]
    [InlineData("tables-only", DeathWay.Kill, 1, 26, 27)]
    [InlineData("tables-only", DeathWay.Unmap, 60_000, 0, 60_000)]
    [InlineData("series", DeathWay.Kill, 60_000, 0, 60_000)]
    public void A_death_pays_for_the_entries_that_its_policy_visits(
        string policy, string way, long pages, long blocks, long visited)
    {
        BenchResult result = Samples.Result(
            Samples.Plan([.. MaintenancePolicy.ParseList([policy])]), _ => Samples.Death(pages, blocks, 50_000));
        D05Model.Nanoseconds(result.Rows.Single(row => row.Case.Way == way)).ShouldBe(1508 + (visited * 47));
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
    [InlineData(2_159, 960, 0, 1, new[] { true, true, true, true, true })]
    [InlineData(3_001, 1_501, 1, 2, new[] { false, false, false, false, false })]
    public void Deaths_by_fate_are_judged(long kill, long unmap, long lines, long invalidations, bool[] met)
    {
        BenchResult result = Samples.Result(Samples.Plan(Samples.Fate), what =>
            Samples.Death(100, 0, what.Way == DeathWay.Kill ? kill : unmap) with
            {
                DcLines = lines, TlbiVmid = invalidations,
            });
        Targets.Judge(result).Where(target => target.Name.StartsWith("fate", StringComparison.Ordinal))
            .Select(target => target.Met).ShouldBe(met);
    }

    [Theory]
    [InlineData(6_400, 15_000, new[] { true, true })]
    [InlineData(6_399, 15_001, new[] { false, false })]
    public void Unmapping_by_fate_with_maintenance_is_judged_by_other_promises(long lines, long unmap, bool[] met)
    {
        BenchPlan plan = Samples.Plan(Samples.Fate) with { Fate = UnmapFate.Unknown };
        BenchResult result = Samples.Result(plan, what => what.Way == DeathWay.Kill
            ? Samples.Death(100, 0, 2_150)
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
                TlbiIpa = 4_202_496, TlbiVmalle1 = 4_202_496, TlbiVmid = 0, DcLines = 536_870_912, Dsb = 12_607_490,
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
            before-series kill  4,194,304   8,192  1,459,617,792      347.3      12.4 s
            before-series unmap 4,194,304   8,192  1,459,617,792      347.3      12.4 s
            fate          kill    262,144       0          1,204        0.0     1.51 us
            fate          unmap   262,144       0          1,204        0.0     12.3 ms

            policy        way    TLBI ipa   range  vmid   vmalle1      DC lines        DSB
            ------------- ----- --------- ------- ----- --------- ------------- ----------
            before-series kill  4,202,496       0     0 4,202,496   536,870,912 12,607,490
            before-series unmap 4,202,496       0     0 4,202,496   536,870,912 12,607,490
            fate          kill          0       0     1         0             0          2
            fate          unmap         0       0     1         0             0          2

            Primitives, in instructions (filler, 4K pages)
              HVC round trip                         147.2
              demand fault, exit to entry            312.5
              map, per page                   not measured

            """);
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Scheduling;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>What docs/scheduler.md promises, on simulated cores.</summary>
public class SharesTests
{
    private const double Tolerance = 0.03;

    [Theory]
    [InlineData(1, new uint[] { 100, 100 })]
    [InlineData(1, new uint[] { 100, 200, 400 })]
    [InlineData(3, new uint[] { 100, 100, 100, 100 })]
    [InlineData(3, new uint[] { 100, 100, 100, 100, 100, 100, 100, 100 })]
    [InlineData(3, new uint[] { 100, 200, 400, 100, 200, 400, 100, 200 })]
    [InlineData(3, new uint[] { 400, 400, 400, 100, 100, 100, 100, 100 })]
    [InlineData(4, new uint[] { 100, 100, 100, 100, 100 })]
    [InlineData(4, new uint[] { 10, 20, 40, 10, 20, 40, 10, 20, 40 })]
    public void Busy_vcpus_get_their_weights_share_over_a_second(int cores, uint[] weights)
    {
        using var machine = new SimulatedCores(cores, weights.Length);
        for (int i = 0; i < weights.Length; i++)
        {
            machine.Start(i, weights[i]);
        }

        machine.RunUntil(SimulatedCores.Second);

        ulong sum = (ulong)weights.Sum(weight => weight);
        for (int i = 0; i < weights.Length; i++)
        {
            double share = (double)cores * weights[i] / sum;
            double got = machine.Ran(i) / (double)SimulatedCores.Second;
            got.ShouldBe(share, share * Tolerance, $"vCPU {i} of weight {weights[i]}");
        }
    }

    /// <summary>Nine tenths of three cores are more than one: it gets one, and the others share the rest.</summary>
    [Fact]
    public void A_weight_that_is_worth_more_than_a_core_gets_a_core()
    {
        using var machine = new SimulatedCores(3, 5);
        machine.Start(0, 1000);
        for (int i = 1; i < 5; i++)
        {
            machine.Start(i, 25);
        }

        machine.RunUntil(SimulatedCores.Second);

        (machine.Ran(0) / (double)SimulatedCores.Second).ShouldBeGreaterThan(0.97);
        for (int i = 1; i < 5; i++)
        {
            (machine.Ran(i) / (double)SimulatedCores.Second).ShouldBe(0.5, 0.02);
        }
    }

    [Fact]
    public void A_core_with_nothing_to_do_takes_over_what_waits_elsewhere()
    {
        using var machine = new SimulatedCores(4, 8) { Audits = true };
        for (int i = 0; i < 8; i++)
        {
            int self = i;
            machine.Start(self, cores: self < 2 ? 1UL : Scheduler.AllCores);
        }

        machine.RunUntil(SimulatedCores.Second);

        Enumerable.Range(0, 8).Sum(i => (double)machine.Ran(i)).ShouldBe(4.0 * SimulatedCores.Second, 100);
        for (int i = 0; i < 2; i++)
        {
            (machine.Ran(i) / (double)SimulatedCores.Second).ShouldBeInRange(0.47, 0.53);
        }
    }

    /// <summary>Eight that never stop, and one that is woken every 5 ms for 200 us: less than its share.</summary>
    [Fact]
    public void One_that_is_woken_among_busy_ones_runs_within_a_millisecond()
    {
        using var machine = new SimulatedCores(3, 9);
        machine.Behave = i => i == 8
            ? (200 * SimulatedCores.Microsecond, 5 * SimulatedCores.Millisecond)
            : (ulong.MaxValue, 0);
        for (int i = 0; i < 9; i++)
        {
            machine.Start(i);
        }

        machine.RunUntil(4 * SimulatedCores.Second);

        List<ulong> latencies = [.. machine.Latencies[8].Skip(1).Order()]; // the first is all nine's start
        latencies.Count.ShouldBeGreaterThan(700);
        latencies[latencies.Count * 99 / 100].ShouldBeLessThanOrEqualTo(200 * SimulatedCores.Microsecond);
        latencies[^1].ShouldBeLessThanOrEqualTo(SimulatedCores.Millisecond);
    }

    /// <summary>
    /// One that blocks for a moment after each run, to come first at every wake-up, gains nothing by it.
    /// </summary>
    [Theory]
    [InlineData(10)]
    [InlineData(300)]
    [InlineData(999)]
    public void One_that_blocks_and_wakes_all_the_time_gets_no_more_than_its_share(ulong run)
    {
        using var machine = new SimulatedCores(2, 6);
        machine.Behave = i => i == 0 ? (run, 1UL) : (ulong.MaxValue, 0);
        for (int i = 0; i < 6; i++)
        {
            machine.Start(i);
        }

        machine.RunUntil(SimulatedCores.Second);

        const double Share = 2.0 / 6;
        (machine.Ran(0) / (double)SimulatedCores.Second).ShouldBeLessThan(Share * (1 + Tolerance));
        for (int i = 1; i < 6; i++)
        {
            (machine.Ran(i) / (double)SimulatedCores.Second).ShouldBeGreaterThan(Share * (1 - Tolerance));
        }
    }

    /// <summary>
    /// The bound is the time that all others' rounds take on one core, and once more: none waits longer, whatever they
    /// do.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void None_starves_whatever_the_others_do(int seed)
    {
        var random = new Random(seed);
        int cores = random.Next(1, 5);
        int count = random.Next(cores + 1, 20);
        using var machine = new SimulatedCores(cores, count) { Audits = true };
        machine.Behave = i => i % 3 == 0
            ? (ulong.MaxValue, 0)
            : ((ulong)random.Next(1, 3000), (ulong)random.Next(0, 6000));
        uint weights = 0;
        for (int i = 0; i < count; i++)
        {
            uint weight = (uint)random.Next(10, 400);
            weights += weight;
            ulong pinned = 1UL << random.Next(cores);
            machine.Start(i, weight, random.Next(4) == 0 ? pinned : Scheduler.AllCores);
        }

        machine.RunUntil(SimulatedCores.Second);

        machine.LongestWait.ShouldBeLessThan(2 * weights * SchedulerRig.TicksPerWeight);
    }
}

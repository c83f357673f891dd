using System.Collections.Generic;
using System.Globalization;
using System.Threading.Tasks;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// A guest that works beside one that does its worst, on one core, under icount: what it gets done is what it gets done
/// beside a guest that computes (docs/scheduler.md).
/// </summary>
public sealed class NeighbourTests(ITestOutputHelper output)
{
    /// <summary>Reports of 100 ms over which work is counted, after the one in which the neighbour began.</summary>
    private const int Reports = 2;

    /// <summary>What may be lost to a neighbour's exits and wake-ups, which come in the worker's time too.</summary>
    private const double LeastPart = 0.9;

    /// <summary>
    /// The same beside one that prints. Where time counts instructions, those of the monitor's core, which takes the
    /// output away, pass in the worker's time: more of them on a host that is slow to take it.
    /// </summary>
    private const double LeastPartBesideOutput = 0.75;

    [Fact]
    public async Task A_hostile_neighbour_takes_no_more_than_its_share()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 2, counts: true);
        TestVm worker = await machine.AdoptAsync(
            "create guest=filler memory=16M pages=2m policy=fate cores=1 append=then=work");
        await worker.StartAsync();
        var parts = new Dictionary<string, double>();
        double fair = 0;
        foreach (string storm in (string[])["spin", "hvc", "sgi", "uart", "gic", "psci", "alarms", "aborts"])
        {
            // Two vCPUs, so that each has one to attack: the worker's share is a third.
            TestVm neighbour = await machine.RunAsync($"fill=1M cpus=all then={storm}", cpus: 2, devices: "cores=1");
            await neighbour.DirtiedAsync();
            int begun = (await worker.WorkedAsync(1)).Count + 1;
            IReadOnlyList<long> reports = await worker.WorkedAsync(begun + Reports);
            double done = reports[begun - 1 + Reports] - reports[begun - 1];
            await neighbour.KillAsync();
            fair = fair == 0 ? done : fair;
            parts.Add(storm, done / fair);
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{storm}: {done} units, {done / fair:0.000}"));
        }

        await worker.KillAsync();
        await machine.ShouldBeUnharmedAsync();
        parts.ShouldAllBe(part => part.Value > (part.Key == "uart" ? LeastPartBesideOutput : LeastPart));
    }
}

using System;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// A VM can be killed at any moment of its life, and the next one in its slot, on its cores and in its memory finds no
/// trace of it.
/// </summary>
public sealed class RandomKillTests(ITestOutputHelper output)
{
    private const int Rounds = 25;

    /// <summary>What is being done when the order comes; each leaves something else in interrupts and timers.</summary>
    private static readonly string[] _lives =
    [
        "fill=48M", "fill=48M cpus=all", "fill=48M touch=page cpus=all then=spin", "then=timer", "fill=8M then=garbage",
        "test=sgi then=spin", "test=mmio", "test=sysregs", "test=psci", "test=wfx", "fill=16M then=off",
    ];

    [Theory]
    [InlineData("cortex-a72", false)]
    [InlineData("max", false)]
    [InlineData("cortex-a72", true)]
    public async Task A_VM_can_be_killed_at_any_moment_and_the_next_one_sees_nothing_of_it(string cpu, bool counts)
    {
        Random random = TestSeed.Begin(output);
        await using TestMachine machine = await TestMachine.BootAsync(
            cpu, cores: 3, memory: 256 * ByteSize.Megabyte, counts: counts);
        for (int round = 0; round < Rounds; round++)
        {
            string policy = MaintenancePolicy.All[random.Next(MaintenancePolicy.All.Length)].Name;
            string pages = PageSize.All[random.Next(PageSize.All.Length)];
            string life = _lives[random.Next(_lives.Length)];
            int cpus = 1 + random.Next(2);
            int moment = random.Next(8);
            output.WriteLine($"{life}; {cpus} vCPU, {pages}, {policy}, moment {moment}");
            TestVm vm = await machine.CreateAsync(life, cpus: cpus, pages: pages, policy: policy);
            if (moment > 0)
            {
                await vm.StartAsync();
            }

            if (moment > 1)
            {
                await Task.Delay(random.Next(1 << moment), TestMachine.Cancellation);
            }

            if (random.Next(4) == 0 && moment > 0)
            {
                await vm.UnmapIfAliveAsync();
            }

            await vm.KillIfAliveAsync();
            if (round % 5 == 4)
            {
                await RunToTheEndAsync(machine, random);
            }
        }

        await machine.ShouldBeUnharmedAsync();
    }

    private static async Task RunToTheEndAsync(TestMachine machine, Random random)
    {
        string pages = PageSize.All[random.Next(PageSize.All.Length)];
        TestVm next = await machine.RunAsync(
            "fill=180M check=zero touch=page cpus=all then=off", 224 * ByteSize.Megabyte, cpus: 2, pages: pages);
        (await next.DirtiedAsync()).ShouldBe(180 * ByteSize.Megabyte);
        next.Slot.ShouldBe(next.SlotInTurn);
        (await next.StoppedWellAsync()).ShouldBe("guest power-off");
    }
}

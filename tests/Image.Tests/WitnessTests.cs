using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// A VM that reads its own memory over and over while others are born, attack, lose their memory and die: what it wrote
/// stays what it wrote. It reports the first word that is not.
/// </summary>
public sealed class WitnessTests
{
    [Theory]
    [InlineData("cortex-a72", "4k")]
    [InlineData("max", "2m")]
    public async Task A_witness_finds_its_memory_as_it_left_it_through_the_deaths_of_others(string cpu, string pages)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 5);
        TestVm witness = await WitnessAsync(machine, pages);
        foreach (MaintenancePolicy policy in MaintenancePolicy.All)
        {
            foreach (string life in (string[])
                ["fill=16M cpus=all then=spin", "fill=1M cpus=all then=psci", "fill=1M test=setway then=spin"])
            {
                TestVm victim = await machine.RunAsync(life, cpus: 2, pages: pages, policy: policy.Name);
                await victim.DirtiedAsync();
                await victim.UnmapAsync(policy.Name == "fate" ? "unknown" : "freed");
                await victim.KillAsync();
                await witness.WitnessedAsync();
            }
        }

        await witness.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task When_VMIDs_are_used_up_running_VMs_keep_theirs_and_their_memory()
    {
        // This core has 8 bits of VMID. A VM that dies by before-series gives its number back only when all are used
        // up, so 255 lives end a generation; two and a half of them pass beside two that run.
        const int Lives = 640;
        await using TestMachine machine = await TestMachine.BootAsync("cortex-a72", cores: 5);
        (await machine.AskAsync("machine")).Number("vmid_bits").ShouldBe(8);
        TestVm witness = await WitnessAsync(machine, "4k");
        TestVm second = await machine.RunAsync("fill=16M check=zero then=witness", pages: "2m");
        await second.WitnessedAsync();
        (await machine.AskAsync("memory")).Number("vmid_rollovers").ShouldBe(0);
        for (int life = 0; life < Lives; life++)
        {
            // Most are never entered: they take a number, and leave it. Some are, with tables of their own.
            bool runs = life % 32 == 0;
            TestVm vm = await machine.CreateAsync(
                runs ? "fill=2M touch=page then=spin" : "fill=0", 16 * ByteSize.Megabyte, policy: "before-series");
            if (runs)
            {
                await vm.StartAsync();
                await vm.DirtiedAsync();
                await witness.WitnessedAsync();
                await second.WitnessedAsync();
            }

            await vm.KillAsync();
        }

        (await machine.AskAsync("memory")).Number("vmid_rollovers").ShouldBe(2);
        await witness.WitnessedAsync();
        await second.WitnessedAsync();

        // Each has its own number still: the death of one invalidates by it, and the other does not notice.
        await second.KillAsync();
        await witness.WitnessedAsync();
        await witness.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private static async Task<TestVm> WitnessAsync(TestMachine machine, string pages)
    {
        TestVm witness = await machine.RunAsync(
            "fill=32M check=zero cpus=all then=witness", cpus: 2, pages: pages, policy: "series");
        await witness.DirtiedAsync();
        await witness.WitnessedAsync();
        return witness;
    }
}

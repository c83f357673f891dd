using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>VMs that live at the same time, each on cores of its own.</summary>
public sealed class SeveralVmsTests
{
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task The_death_of_one_VM_does_not_touch_another(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4);
        TestVm witness = await machine.RunAsync(
            "fill=96M check=zero cpus=all then=spin",
            128 * ByteSize.Megabyte,
            cpus: 2,
            pages: "auto",
            policy: "series");
        (await witness.DirtiedAsync()).ShouldBe(96 * ByteSize.Megabyte);
        long mapped = await MappedAsync(machine);
        foreach (MaintenancePolicy policy in MaintenancePolicy.All)
        {
            // On the last core VMs are born, read their memory, and die, while the witness writes all of its own.
            TestVm victim = await machine.RunAsync("fill=32M check=zero test=zero then=spin", policy: policy.Name);
            victim.Slot.ShouldBe(victim.SlotInTurn);
            await victim.PassedAsync();
            await victim.KillAsync();
        }

        (await MappedAsync(machine)).ShouldBe(mapped);
        DeathFigures death = await witness.KillAsync();
        death.Entries.ShouldBe(mapped);
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Guests_that_check_their_memory_find_it_whole_while_others_are_killed()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4);
        foreach (string test in (string[])["setway", "uncached", "selfmod", "zero"])
        {
            TestVm victim = await machine.RunAsync("fill=32M cpus=all then=spin", cpus: 2, policy: "before-series");
            await victim.DirtiedAsync();
            TestVm witness = await machine.RunAsync($"test={test} then=off", pages: "2m", policy: "fate");
            await victim.KillAsync();
            await witness.PassedAsync();
            (await witness.StoppedWellAsync()).ShouldBe("guest power-off");
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_VM_without_memory_waits_to_be_killed_and_disturbs_nobody()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4);
        foreach (MaintenancePolicy policy in MaintenancePolicy.All)
        {
            TestVm running = await machine.RunAsync("fill=32M cpus=all then=spin", cpus: 2, policy: policy.Name);
            TestVm made = await machine.CreateAsync("fill=32M", policy: policy.Name);
            await running.DirtiedAsync();
            (await running.UnmapAsync()).FreedBytes.ShouldBeGreaterThanOrEqualTo(32 * ByteSize.Megabyte);
            (await running.UnmapAsync()).Entries.ShouldBe(0);
            (await made.UnmapAsync()).Entries.ShouldBeGreaterThan(0);
            await made.StartAsync();
            TestVm next = await machine.CreateAsync("fill=32M check=zero test=zero");
            await running.KillAsync();
            await next.StartAsync();
            await next.PassedAsync();
            await next.KillAsync();
            await made.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>Pages and blocks that the only VM has.</summary>
    private static async Task<long> MappedAsync(TestMachine machine)
    {
        KeyValueLine vm = (await machine.RequestAsync("list")).Items.ShouldHaveSingleItem();
        return vm.Number("mapped_pages_4k") + vm.Number("mapped_blocks_2m");
    }
}

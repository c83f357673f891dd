using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>One boot, many VMs.</summary>
public sealed class ManyVmsTests
{
    private const int Count = 50;
    private const int Megabytes = 32;

    [Fact]
    public async Task Fifty_VMs_in_a_row_lose_no_frame_and_die_at_the_same_cost()
    {
        await using TestMachine machine = await TestMachine.BootAsync(counts: true);

        // The first death is not counted: its memory goes to a pool whose list of dirty chunks is empty still, which
        // takes another branch.
        await DeathCostTests.KillFullAsync(machine, Megabytes, "4k", "fate");
        var firsts = new Dictionary<(string Policy, string Pages), DeathFigures>();
        for (int i = 0; i < Count; i++)
        {
            string policy = MaintenancePolicy.All[i % MaintenancePolicy.All.Length].Name;
            string pages = i / MaintenancePolicy.All.Length % 2 == 0 ? "4k" : "2m";
            DeathFigures death = await DeathCostTests.KillFullAsync(machine, Megabytes, pages, policy);
            DeathFigures first = firsts.TryAdd((policy, pages), death) ? death : firsts[(policy, pages)];
            WhatWasDone(death).ShouldBe(WhatWasDone(first), $"{policy}, {pages}, VM {i}");
            ReleaseInstructions(death).ShouldBe(ReleaseInstructions(first), $"{policy}, {pages}, VM {i}");

            // How far the other core comes meanwhile depends on where it slept.
            death.StopInstructions.ShouldBeInRange(100, 5000);
        }

        firsts.Count.ShouldBe(2 * MaintenancePolicy.All.Length);
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task More_VMs_at_once_than_there_are_slots_at_the_boot_can_be_made_and_killed_unstarted()
    {
        const int Many = 40;
        await using TestMachine machine = await TestMachine.BootAsync(memory: 768 * ByteSize.Megabyte);
        for (int round = 0; round < 3; round++)
        {
            var vms = new List<TestVm>();
            for (int i = 0; i < Many; i++)
            {
                string policy = MaintenancePolicy.All[i % MaintenancePolicy.All.Length].Name;
                vms.Add(await machine.CreateAsync(
                    "fill=1M", 16 * ByteSize.Megabyte, policy: policy, overcommit: true));
            }

            vms.Select(vm => vm.Slot).Distinct().Count().ShouldBe(Many);
            (await machine.AskAsync("list")).Number("count").ShouldBe(Many);
            foreach (TestVm vm in vms)
            {
                await vm.KillAsync();
            }
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Three_hundred_children_live_on_four_cores_and_die(string cpu)
    {
        const int Many = 300;
        const int AtOnce = 15;
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4, memory: ByteSize.Gigabyte);
        TestVm template = await machine.RunAsync("fill=1M then=wait", 16 * ByteSize.Megabyte);
        await template.DirtiedAsync();
        await template.FreezeAsync();
        var children = new List<TestVm>();
        while (children.Count < Many)
        {
            children.AddRange(await machine.ForkAsync(template, AtOnce));
        }

        children.Select(vm => vm.Slot).Distinct().Count().ShouldBe(Many);
        (await machine.AskAsync("list")).Number("count").ShouldBe(Many + 1);
        KeyValueLine memory = await machine.AskAsync("memory");

        // There are 255 VMIDs of 8 bits; a core that enters a VM whose number is of an old generation takes a new one.
        memory.Number("vmid_rollovers").ShouldBeInRange(cpu == "max" ? 0 : 1, cpu == "max" ? 0 : Many, memory.Text);
        foreach (TestVm child in children)
        {
            await child.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private static long ReleaseInstructions(DeathFigures death) => death.Instructions - death.StopInstructions;

    private static DeathFigures WhatWasDone(DeathFigures death) => death with
    {
        Instructions = 0,
        StopInstructions = 0,
        VirtualNanoseconds = 0,
    };
}

using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
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
    public async Task As_many_VMs_at_once_as_there_are_slots_can_be_made_and_killed_unstarted()
    {
        const int Slots = 16;
        await using TestMachine machine = await TestMachine.BootAsync();
        for (int round = 0; round < 3; round++)
        {
            var vms = new List<TestVm>();
            for (int i = 0; i < Slots; i++)
            {
                string policy = MaintenancePolicy.All[i % MaintenancePolicy.All.Length].Name;
                vms.Add(await machine.CreateAsync("fill=1M", 16 * ByteSize.Megabyte, policy: policy));
            }

            vms.Select(vm => vm.Slot).Order().ShouldBe(Enumerable.Range(0, Slots));
            await machine.ShouldRefuseAsync(
                "create guest=filler memory=64M pages=4k policy=fate", "too-many-vms");
            foreach (TestVm vm in vms)
            {
                await vm.KillAsync();
            }
        }

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

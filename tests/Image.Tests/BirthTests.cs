using System.Collections.Generic;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Templates and their children on the machine: freeze, fork, reset, and every order in between.</summary>
public sealed class BirthTests
{
    private const long Born = 7;
    private const long SharedRead = 8;

    /// <summary>DEN0098's NO_ENTROPY, as a report carries it.</summary>
    private const long NoEntropy = 3;

    [Theory]
    [InlineData("cortex-a72", "4k")]
    [InlineData("cortex-a72", "2m")]
    [InlineData("max", "4k")]
    [InlineData("max", "auto")]
    public async Task Children_go_on_where_their_template_asked_and_keep_their_writes_to_themselves(
        string cpu, string pages)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4);
        TestVm template = await machine.RunAsync("fill=24M freeze=yes shared=write", pages: pages);
        await template.DirtiedAsync();
        KeyValueLine frozen = await template.FrozenAsync();
        (frozen.Number("mapped_pages_4k") + (512 * frozen.Number("mapped_blocks_2m"))).ShouldBeGreaterThan(6000);
        frozen.Number("tlbi_vmid").ShouldBe(1);
        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, 3);
        foreach (TestVm child in children)
        {
            (await child.ReportedAsync(Born)).ShouldBe(child.Number);
            await child.PassedAsync();
        }

        // Each begins again, and finds what its template left and not what it wrote itself.
        foreach (TestVm child in children)
        {
            (await child.ResetAsync()).Number("freed_bytes").ShouldBeGreaterThan(0);
            (await child.ReportedAsync(Born)).ShouldBe(child.Number);
            await child.PassedAsync();
        }

        await children[1].KillAsync();
        await template.KillAsync();
        await children[0].KillAsync();
        await children[2].KillAsync();
        (await template.StoppedAsync()).ShouldBe("its last child is gone");
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", 1)]
    [InlineData("cortex-a72", 8)]
    [InlineData("max", 3)]
    public async Task A_VM_frozen_by_the_monitor_lives_on_in_children_with_all_its_vCPUs(string cpu, int cpus)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 1 + (2 * cpus));
        TestVm template = await machine.RunAsync("fill=16M cpus=all then=witness", cpus: cpus);
        await template.WitnessedAsync();
        await template.FreezeAsync();
        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, 2);
        foreach (TestVm child in children)
        {
            await child.WitnessedAsync();
            await child.ResetAsync();
            await child.WitnessedAsync();
        }

        // A child that has lived becomes a template in its turn; the first one goes before it.
        await children[0].FreezeAsync();
        await template.KillAsync();
        TestVm grandchild = (await machine.ForkAsync(children[0]))[0];
        await grandchild.WitnessedAsync();
        await children[0].KillAsync();
        await grandchild.WitnessedAsync();
        await children[1].KillAsync();
        await grandchild.KillAsync();
        await template.StoppedAsync();
        await children[0].StoppedAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task What_cannot_be_frozen_forked_or_reset_is_refused_and_nothing_is_lost()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3);
        await machine.ShouldRefuseAsync("freeze vm=99", "no-such-vm");
        await machine.ShouldRefuseAsync("fork vm=99", "no-such-vm");
        await machine.ShouldRefuseAsync("reset vm=99", "no-such-vm");
        await machine.ShouldRefuseAsync("freeze", "bad-argument");
        TestVm vm = await machine.CreateAsync("fill=16M");
        string name = $"vm={vm.Number}";
        await machine.ShouldRefuseAsync("freeze " + name, "not-started");
        await machine.ShouldRefuseAsync("fork " + name, "not-frozen");
        await vm.StartAsync();
        await vm.DirtiedAsync();
        await machine.ShouldRefuseAsync("fork " + name, "not-frozen");
        await machine.ShouldRefuseAsync("reset " + name, "no-child");
        await vm.FreezeAsync();
        await machine.ShouldRefuseAsync("freeze " + name, "already-frozen");
        await machine.ShouldRefuseAsync("start " + name, "frozen");
        await machine.ShouldRefuseAsync("unmap " + name, "frozen");
        await machine.ShouldRefuseAsync("reset " + name, "frozen");
        await machine.ShouldRefuseAsync($"fork {name} count=0", "bad-count");
        await machine.ShouldRefuseAsync($"fork {name} count=17", "bad-count");
        await machine.ShouldRefuseAsync($"fork {name} count=16", "too-many-vms");
        await machine.ShouldRefuseAsync($"fork {name} own=1M", "bad-own");
        (await machine.AskAsync("list")).Number("count").ShouldBe(1);
        TestVm child = (await machine.ForkAsync(vm))[0];
        await vm.KillAsync();
        await machine.ShouldRefuseAsync("fork " + name, "template-ended");
        await child.KillAsync();
        await machine.ShouldRefuseAsync("fork " + name, "no-such-vm");

        vm = await machine.RunAsync("fill=16M", policy: "series");
        await vm.DirtiedAsync();
        await machine.ShouldRefuseAsync($"freeze vm={vm.Number}", "bad-policy");
        await vm.KillAsync();
        vm = await machine.RunAsync("fill=16M");
        await vm.DirtiedAsync();
        await vm.UnmapAsync();
        await machine.ShouldRefuseAsync($"freeze vm={vm.Number}", "unmapped");
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("yes")]
    [InlineData("register")]
    public async Task A_guest_that_asks_for_what_cannot_be_is_told_and_lives_on(string freeze)
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync($"fill=8M freeze={freeze}", policy: "series");
        (await vm.FailedAsync()).ShouldBe(3); // DENIED is -3
        (await vm.MeasureAsync()).Number("owned_bytes").ShouldBeGreaterThan(8 * ByteSize.Megabyte);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_guest_that_asks_again_makes_a_template_of_its_child()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3);
        TestVm template = await machine.RunAsync("fill=8M freeze=twice shared=write");
        await template.FrozenAsync();
        await machine.ShouldRefuseAsync($"freeze vm={template.Number}", "already-frozen");
        TestVm child = (await machine.ForkAsync(template))[0];
        await child.FrozenAsync();
        (await child.ReportedAsync(Born)).ShouldBe(child.Number);
        await machine.ShouldRefuseAsync($"freeze vm={child.Number}", "already-frozen");
        await machine.ShouldRefuseAsync($"reset vm={child.Number}", "frozen");
        foreach (TestVm grandchild in await machine.ForkAsync(child, 2))
        {
            (await grandchild.ReportedAsync(Born)).ShouldBe(grandchild.Number);
            await grandchild.PassedAsync();
            await grandchild.KillAsync();
        }

        await child.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task More_children_than_memory_are_refused_and_a_child_beyond_its_limit_is_stopped()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3, memory: 256 * ByteSize.Megabyte);
        TestVm template = await machine.RunAsync("fill=24M freeze=yes shared=write");
        await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template, own: "4M"))[0];
        (await child.StoppedAsync()).ShouldContain("memory");
        long left = (await machine.AskAsync("memory")).Number("available_bytes");

        // VMs take what is left, until no chunk is there for a child's root.
        var rest = new List<TestVm>();
        while (left >= 2 * ByteSize.Megabyte)
        {
            bool isLarge = left >= 32 * ByteSize.Megabyte;
            rest.Add(await machine.CreateAsync(
                "fill=1M", isLarge ? MostMemory(left) : 16 * ByteSize.Megabyte, overcommit: !isLarge));
            left = (await machine.AskAsync("memory")).Number("available_bytes");
        }

        await machine.ShouldRefuseAsync($"fork vm={template.Number}", "out-of-memory");
        foreach (TestVm vm in rest)
        {
            await vm.KillAsync();
        }

        child = (await machine.ForkAsync(template))[0];
        await child.PassedAsync();
        await child.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_clean_read_of_all_memory_takes_no_fault(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm template = await machine.RunAsync("fill=24M touch=page freeze=yes shared=read then=wait");
        await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        (await child.ReportedAsync(SharedRead)).ShouldBe(24 * 256);
        (await child.MeasureAsync()).Number("fault_exits").ShouldBeLessThan(8);
        await child.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", "yes")]
    [InlineData("max", "register")]
    public async Task No_two_VMs_have_random_numbers_or_a_generation_in_common(string cpu, string freeze)
    {
        const long News = 14;
        const long RandomBits = 12;
        const long Generation = 13;
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4);
        TestVm other = await machine.RunAsync("shared=random");
        TestVm template = await machine.RunAsync($"freeze={freeze} shared=random");
        await template.FrozenAsync();
        var seen = new HashSet<long>
        {
            await other.ReportedAsync(RandomBits),
            await other.ReportedAsync(Generation),
        };
        await other.FreezeAsync();
        seen.Count.ShouldBe(2);
        foreach (TestVm child in await machine.ForkAsync(template, 3))
        {
            for (int life = 0; life < 3; life++)
            {
                (await child.ReportedAsync(News)).ShouldBe(1);
                seen.Add(await child.ReportedAsync(RandomBits)).ShouldBeTrue();
                seen.Add(await child.ReportedAsync(Generation)).ShouldBeTrue();
                await child.ResetAsync();
            }

            await child.KillAsync();
        }

        seen.ShouldNotContain(0);
        await template.KillAsync();
        await other.KillAsync();

        TestVm repeatable = await machine.AdoptAsync(
            "create guest=filler memory=64M pages=4k policy=fate random=off append=\"shared=random\"");
        await repeatable.StartAsync();
        (await repeatable.FailedAsync()).ShouldBe(NoEntropy);
        await repeatable.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>So much that less than a few chunks are left, with the VM's own tables.</summary>
    private static long MostMemory(long available) =>
        ((available * 508 / 512) - (2 * ByteSize.Megabyte)) / (2 * ByteSize.Megabyte) * (2 * ByteSize.Megabyte);
}

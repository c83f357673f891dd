using System;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>The image comes up on each CPU that it is made for, tells what is there, and a VM lives and dies.</summary>
public sealed class BootTests
{
    [Theory]
    [InlineData("cortex-a72", false, false)]
    [InlineData("neoverse-n1", false, false)]
    [InlineData("max", true, true)]
    public async Task The_hypervisor_runs_and_kills_a_VM_on(string cpu, bool forcedWriteBack, bool rangeInvalidation)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4);
        KeyValueLine about = await machine.AskAsync("machine");
        about.Number("cores").ShouldBe(4);
        about.Number("s2fwb").ShouldBe(forcedWriteBack ? 1 : 0);
        about.Number("tlbirange").ShouldBe(rangeInvalidation ? 1 : 0);
        about.Number("vmid_bits").ShouldBeOneOf(8, 16);
        about.Value("el2_counter").ShouldBe("pmu");
        about.Value("el2_counts").ShouldBe("ticks");
        about.Value("guests").ShouldBe("filler");
        about.Number("memory_bytes").ShouldBeInRange(480 * ByteSize.Megabyte, 512 * ByteSize.Megabyte);

        foreach (string pages in PageSize.All)
        {
            TestVm vm = await machine.RunAsync("fill=40M check=zero touch=page cpus=all", cpus: 3, pages: pages);
            (await vm.DirtiedAsync()).ShouldBe(40 * ByteSize.Megabyte);
            KeyValueLine life = await vm.MeasureAsync();
            life.Number("fault_exits").ShouldBeGreaterThan(20, life.Text);
            DeathFigures death = await vm.KillAsync();
            long mapped = ((death.MappedPages4K * 4) + (death.MappedBlocks2M * 2048)) * ByteSize.Kilobyte;
            mapped.ShouldBeInRange(40 * ByteSize.Megabyte, 64 * ByteSize.Megabyte);
            death.FreedBytes.ShouldBeGreaterThanOrEqualTo(mapped);
            (pages == "4k" ? death.MappedBlocks2M : death.MappedPages4K).ShouldBe(0);
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData(false, "ticks")]
    [InlineData(true, "instructions")]
    public async Task A_figure_is_called_instructions_only_where_the_counter_counts_them(bool counts, string name)
    {
        await using TestMachine machine = await TestMachine.BootAsync(counts: counts);
        (await machine.AskAsync("machine")).Value("el2_counts").ShouldBe(name);
        KeyValueLine made = await machine.AskAsync("create guest=filler memory=64M pages=4k policy=fate");
        made.Number(name).ShouldBePositive();
        KeyValueLine dead = await machine.AskAsync($"kill vm={made.Value("vm")}");
        dead.Number(name).ShouldBePositive();
        dead.Number("stop_" + name).ShouldBePositive();
        KeyValueLine scrubbed = await machine.AskAsync("scrub");
        scrubbed.TryNumber("scrub_zero_" + name).ShouldNotBeNull(scrubbed.Text);
        scrubbed.TryNumber("scrub_clean_" + name).ShouldNotBeNull(scrubbed.Text);
    }

    [Fact]
    public async Task The_machine_can_be_turned_off_by_command_while_a_VM_runs()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync("fill=4M then=spin");
        await vm.DirtiedAsync();
        (await machine.PowerOffAsync()).ShouldBeTrue();
    }

    [Fact]
    public async Task A_VM_takes_its_memory_only_as_it_touches_it()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync("fill=8M", memory: 256 * ByteSize.Megabyte);
        await vm.DirtiedAsync();
        KeyValueLine memory = await machine.AskAsync("memory");
        memory.Number("used_bytes").ShouldBeInRange(8 * ByteSize.Megabyte, 16 * ByteSize.Megabyte);
        KeyValueLine listed = (await machine.RequestAsync("list")).Items.ShouldHaveSingleItem();
        listed.Value("state").ShouldBe("running");
        listed.Number("vm").ShouldBe(vm.Number);
        listed.Number("slot").ShouldBe(vm.Slot);
        listed.Number("cpus").ShouldBe(1);
        listed.Number("memory_bytes").ShouldBe(256 * ByteSize.Megabyte);
        listed.Number("mapped_pages_4k").ShouldBeInRange(2048, 4096);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }
}

using System;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Quietus.Simulator;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What freezes, births, writes to shared pages, resets and deaths of children may cost at most, in instructions.
/// </summary>
public sealed class BirthCostTests(ITestOutputHelper output)
{
    private const long FirstInGigabyte = 9;
    private const long FirstInRegion = 10;
    private const long SharedWrite = 11;

    [Theory]
    [InlineData("cortex-a72", 1050, 160)]
    [InlineData("max", 900, 20)]
    public async Task A_birth_costs_the_same_whatever_the_VM_s_size_and_so_does_all_that_follows(
        string cpu, double mostForWrite, double mostForFreeze)
    {
        await using TestMachine machine = await TestMachine.BootAsync(
            cpu, memory: 3600 * ByteSize.Megabyte, counts: true);
        await machine.AskAsync("scrub");
        long first = 0;
        foreach (int megabytes in new[] { 64, 1280, 3072 })
        {
            TestVm template = await machine.RunAsync(
                "fill=32M touch=page freeze=yes shared=measure", megabytes * ByteSize.Megabyte);
            KeyValueLine frozen = await template.FrozenAsync();
            ((double)frozen.Number("instructions") / frozen.Number("mapped_pages_4k"))
                .ShouldBeLessThanOrEqualTo(mostForFreeze);
            TestVm child = (await machine.ForkAsync(template))[0];
            double write = await child.ReportedAsync(SharedWrite) / 1000.0;
            write.ShouldBeInRange(100, mostForWrite);
            (await child.ReportedAsync(FirstInRegion) / 1000.0).ShouldBeInRange(write, write + 700);
            (await child.ReportedAsync(FirstInGigabyte) / 1000.0).ShouldBeInRange(write, write + 1300);
            await child.PrintedAsync("done");

            KeyValueLine life = await child.MeasureAsync();
            long birth = life.Number("first_entry_virtual_ns");
            birth.ShouldBeInRange(100, 5000);
            first = first == 0 ? birth : first;
            Math.Abs(birth - first).ShouldBeLessThanOrEqualTo(first / 50);
            life.Number("owned_bytes").ShouldBeLessThan(2 * ByteSize.Megabyte);

            (await child.ResetAsync()).Number("instructions").ShouldBeInRange(100, 7000);
            await child.ReportedAsync(SharedWrite);
            DeathFigures death = await child.KillAsync();
            death.Instructions.ShouldBeInRange(100, 1200);
            (death.TlbiVmid, death.TlbiIpa, death.TlbiRange, death.DcLines).ShouldBe((1, 0, 0, 0));
            await template.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Blocks_make_no_difference_to_a_birth_a_reset_and_a_death()
    {
        await using TestMachine machine = await TestMachine.BootAsync(memory: 3600 * ByteSize.Megabyte, counts: true);
        await machine.AskAsync("scrub");
        long first = 0;
        foreach ((int megabytes, string pages) in new[] { (64, "4k"), (64, "2m"), (3072, "2m") })
        {
            TestVm template = await machine.RunAsync(
                "fill=32M touch=page freeze=yes", megabytes * ByteSize.Megabyte, pages: pages);
            await template.FrozenAsync();
            TestVm child = (await machine.ForkAsync(template))[0];
            await child.PrintedAsync("done");
            long birth = (await child.MeasureAsync()).Number("first_entry_virtual_ns");
            birth.ShouldBeInRange(100, 5000);
            first = first == 0 ? birth : first;
            Math.Abs(birth - first).ShouldBeLessThanOrEqualTo(first / 50);
            (await child.ResetAsync()).Number("instructions").ShouldBeInRange(100, 7000);
            await child.PrintedAsync("done", times: 2);
            (await child.KillAsync()).Instructions.ShouldBeInRange(100, 1200);
            await template.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_birth_into_a_pending_interrupt_of_the_timer_is_no_dearer_than_any_may_be(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm template = await machine.RunAsync("fill=1M freeze=timer");
        await template.FrozenAsync();
        for (int i = 0; i < 3; i++)
        {
            TestVm child = (await machine.ForkAsync(template))[0];
            await child.PrintedAsync("done");
            long birth = (await child.MeasureAsync()).Number("first_entry_virtual_ns");
            output.WriteLine($"{birth} instructions");
            birth.ShouldBeInRange(100, 5000);
            (await child.ResetAsync()).Number("instructions").ShouldBeInRange(100, 7000);
            await child.PrintedAsync("done", times: 2);
            await child.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", "d05", "4k")]
    [InlineData("cortex-a72", "d05", "2m")]
    [InlineData("max", "modern", "4k")]
    public async Task The_simulator_issues_for_births_what_the_image_counts(string cpu, string preset, string pages)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm template = await machine.RunAsync(
            "fill=16M touch=page freeze=yes shared=write", 64 * ByteSize.Megabyte, pages: pages);
        await template.DirtiedAsync();
        KeyValueLine frozen = await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        await child.PassedAsync();
        KeyValueLine reset = await child.ResetAsync();
        await child.PassedAsync();
        DeathFigures killed = await child.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();

        var simulated = BirthSimulation.Run(
            new BirthRequest(Cli.Sim.Machines.Parse([preset], [])[0], 64 << 20, pages == "2m", Vcpus: 1),
            TestContext.Current.CancellationToken);
        OperationCounts freeze = Counts(BirthStepKind.Freeze);
        Operations(frozen).ShouldBe((freeze.TlbiVmid, freeze.TlbiIpa, freeze.TlbiVmalle1));
        long mapped = frozen.Number("mapped_pages_4k") + (512 * frozen.Number("mapped_blocks_2m"));
        frozen.Number("dc_lines").ShouldBe(mapped * freeze.DcLines / (64 << 8));
        OperationCounts again = Counts(BirthStepKind.Reset);
        Operations(reset).ShouldBe((again.TlbiVmid, again.TlbiIpa, again.TlbiVmalle1));
        (reset.Number("dc_lines"), reset.Number("dsb")).ShouldBe((again.DcLines, again.Dsb));
        OperationCounts kill = Counts(BirthStepKind.Kill);
        (killed.TlbiVmid, killed.TlbiIpa, killed.TlbiVmalle1, killed.DcLines, killed.Dsb)
            .ShouldBe((kill.TlbiVmid, kill.TlbiIpa, kill.TlbiVmalle1, kill.DcLines, kill.Dsb));

        OperationCounts Counts(BirthStepKind kind) => simulated.Steps.Single(each => each.Kind == kind).Bill.Counts;

        static (long, long, long) Operations(KeyValueLine line) =>
            (line.Number("tlbi_vmid"), line.Number("tlbi_ipa"), line.Number("tlbi_vmalle1"));
    }

    [Fact]
    public async Task Another_vCPU_adds_1500_instructions_to_a_birth_at_most()
    {
        const int Cpus = 8;
        await using TestMachine machine = await TestMachine.BootAsync(cores: Cpus + 1, counts: true);
        long alone = await BirthAsync(machine, 1);
        (await BirthAsync(machine, Cpus)).ShouldBeLessThanOrEqualTo(alone + ((Cpus - 1) * 1500));
        await machine.ShouldBeUnharmedAsync();
    }

    private static async Task<long> BirthAsync(TestMachine machine, int cpus)
    {
        TestVm template = await machine.RunAsync("fill=8M cpus=all", cpus: cpus);
        await template.DirtiedAsync();
        await template.FreezeAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        long birth = (await child.MeasureAsync()).Number("first_entry_virtual_ns");
        await child.KillAsync();
        await template.KillAsync();
        return birth;
    }
}

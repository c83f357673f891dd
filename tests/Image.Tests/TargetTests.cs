using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What the hypervisor may cost at most, in instructions: Cortex-A72, pages of 4 KB, the filler with 256 MB. A rise
/// above these figures is a regression.
/// </summary>
public sealed class TargetTests
{
    private const int Megabytes = 256;

    [Theory]
    [InlineData("before-series", 350)]
    [InlineData("series", 60)]
    public async Task A_kill_costs_at_most_so_much_for_each_page(string policy, double most)
    {
        await using TestMachine machine = await TestMachine.BootAsync(counts: true);
        DeathFigures death = await DeathCostTests.KillFullAsync(machine, Megabytes, "4k", policy);
        death.MappedPages4K.ShouldBeGreaterThanOrEqualTo((Megabytes - 16) * 256);
        ((double)death.Instructions / death.MappedPages4K).ShouldBeInRange(1, most);
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_hypervisor_call_a_demand_fault_and_a_mapping_cost_at_most_so_much()
    {
        const long HypervisorCall = 4;
        const long FirstTouch = 5;
        await using TestMachine machine = await TestMachine.BootAsync(counts: true);
        TestVm vm = await machine.RunAsync(
            $"measure=all fill={Megabytes - 32}M touch=page", Megabytes * ByteSize.Megabyte, policy: "series");
        (await vm.ReportedAsync(HypervisorCall) / 1000.0).ShouldBeInRange(20, 130);
        (await vm.ReportedAsync(FirstTouch) / 1000.0).ShouldBeInRange(50, 320);
        await vm.DirtiedAsync();
        KeyValueLine life = await vm.MeasureAsync();
        ((double)life.Number("map_instructions") / life.Number("map_calls")).ShouldBeInRange(10, 100);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_s_look_at_its_UART_costs_at_most_so_much(string cpu)
    {
        const long UartAccess = 17;
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm vm = await machine.RunAsync("measure=uart fill=1M");
        (await vm.ReportedAsync(UartAccess) / 1000.0).ShouldBeInRange(100, 340);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }
}

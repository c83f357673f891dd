using System.Threading.Tasks;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>A guest's own end takes the path of every death: the event says why, and the memory is back.</summary>
public sealed class OwnEndTests
{
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_that_ends_by_itself_is_gone_with_its_reason_told(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3);
        foreach ((string then, string reason) in ((string, string)[])[
            ("off", "guest power-off"),
            ("reset", "guest reset"),
            ("crash", "the guest's exception vectors are in no memory"),
        ])
        {
            foreach (string policy in (string[])["before-series", "series", "fate"])
            {
                TestVm vm = await machine.RunAsync($"fill=8M cpus=all then={then}", cpus: 2, policy: policy);
                (await vm.StoppedWellAsync()).ShouldBe(reason);
                await machine.ShouldRefuseAsync($"kill vm={vm.Number}", "no-such-vm");
            }
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_guest_that_refuses_its_command_line_says_so_and_ends()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync("fill=1M fill=nonsense");
        await vm.PrintedAsync("unknown argument fill=nonsense");
        (await vm.StoppedAsync()).ShouldBe("guest power-off");
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_guest_gets_its_timer_interrupts()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3);
        TestVm vm = await machine.RunAsync("fill=2M cpus=all then=timer", cpus: 2);
        (await vm.PassedAsync()).ShouldBe(100);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }
}

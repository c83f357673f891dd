using System.Collections.Generic;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>More vCPUs than cores (docs/scheduler.md).</summary>
public sealed class CrowdedTests
{
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Guests_that_test_themselves_pass_beside_others_that_spin(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3);
        var spinning = new List<TestVm>();
        for (int i = 0; i < 3; i++)
        {
            spinning.Add(await machine.RunAsync("fill=4M cpus=all then=spin", cpus: 2));
        }

        foreach (string test in (string[])["sgi", "wfx", "timers", "psci", "zero", "debug", "uncached"])
        {
            TestVm vm = await machine.RunAsync($"test={test} then=wait", cpus: 2);
            await vm.PassedAsync();
            await vm.KillAsync();
        }

        foreach (TestVm vm in spinning)
        {
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// A core was given to another vCPU just as the last one came to wait: what its list registers had said of an
    /// interrupt that the guest had ended long since counted, and the timer's next moment did not.
    /// </summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Guests_that_nap_on_one_core_all_wake_up(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        var napping = new List<TestVm>();
        for (int i = 0; i < 4; i++)
        {
            napping.Add(await machine.RunAsync("test=naps then=wait", devices: "cores=1"));
        }

        foreach (TestVm vm in napping)
        {
            await vm.PassedAsync();
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Linux_with_more_vCPUs_than_cores_runs_without_a_stall(string cpu)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        await using TestMachine machine = await TestMachine.BootAsync(
            cpu, cores: 3, memory: 640 * ByteSize.Megabyte, linux: GuestPayload.MakeLinux(null, null));
        TestVm spinning = await machine.RunAsync("fill=4M then=spin");
        TestVm linux = await machine.RunAsync(
            "console=ttyAMA0 quietus.then=shell", 192 * ByteSize.Megabyte, 4, "4k", "fate", GuestPayload.Linux);
        await linux.PrintedAsync("quietus-guest: shell ready");
        await linux.TypeAsync(
            "for i in 1 2 3 4 5 6; do (j=0; while [ $j -lt 20000 ]; do j=$((j+1)); done; echo job=$i) & done; wait\n");
        await linux.TypeAsync("nproc | sed s/^/count=/; sleep 0.2; echo done=$((6*7))\n");
        await linux.PrintedAsync("count=4");
        await linux.PrintedAsync("done=42");
        foreach (string complaint in (string[])["rcu: INFO", "soft lockup", "stall", "BUG:", "Call trace"])
        {
            linux.Console.ShouldNotContain(complaint);
        }

        await linux.TypeAsync("poweroff -f\n");
        (await linux.StoppedAsync()).ShouldBe("guest power-off");
        await spinning.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }
}

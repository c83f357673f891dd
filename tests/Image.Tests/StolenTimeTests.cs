using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>What guests are told of the time that they did not get (Arm DEN 0057, docs/scheduler.md).</summary>
public sealed class StolenTimeTests(ITestOutputHelper output)
{
    private const long Stolen = 16;

    /// <summary>All share it: core 0 takes none of them.</summary>
    private const string OneCore = "cores=1";

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_is_told_what_its_neighbour_had_of_the_core(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 2, counts: true);
        TestVm alone = await machine.RunAsync("test=stolen then=wait", devices: OneCore);
        (await alone.ReportedAsync(Stolen)).ShouldBe(0);
        await alone.PassedAsync();
        await alone.KillAsync();

        // The neighbour's weight is three times as great.
        TestVm neighbour = await machine.AdoptAsync(
            "create guest=filler memory=16M pages=4k policy=fate weight=300 cores=1 append=then=spin");
        await neighbour.StartAsync();
        TestVm beside = await machine.RunAsync("test=stolen then=wait", devices: OneCore);
        (await beside.ReportedAsync(Stolen)).ShouldBeInRange(690, 810);
        await beside.PassedAsync();
        await beside.KillAsync();

        // A child's goes on from its template's, and a reset puts it back with the rest.
        TestVm template = await machine.RunAsync("freeze=yes test=stolen then=wait", devices: OneCore);
        await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        (await child.ReportedAsync(Stolen)).ShouldBeInRange(690, 810);
        await child.PassedAsync();
        await child.ResetAsync();
        (await child.ReportedAsync(Stolen)).ShouldBeInRange(690, 810);
        await child.PassedAsync();
        foreach (TestVm vm in (TestVm[])[child, template, neighbour])
        {
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Linux_tells_it_in_its_statistics()
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        await using TestMachine machine = await TestMachine.BootAsync(
            cores: 2, memory: 512 * ByteSize.Megabyte, linux: GuestPayload.MakeLinux(null, null));
        TestVm linux = await machine.RunAsync(
            "console=ttyAMA0 quietus.then=shell", 192 * ByteSize.Megabyte, 1, "auto", "fate", GuestPayload.Linux,
            devices: OneCore);
        await linux.PrintedAsync("quietus-guest: shell ready");
        long before = await StealAsync(linux, "a");
        TestVm neighbour = await machine.RunAsync("fill=1M then=spin", devices: OneCore);
        await linux.TypeAsync("j=0; while [ $j -lt 5000 ]; do j=$((j+1)); done\n");
        long after = await StealAsync(linux, "b");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"steal {before}, then {after} of 10 ms"));
        after.ShouldBeGreaterThan(before + 5);
        await neighbour.KillAsync();
        await linux.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>The eighth figure of /proc/stat's first line, in hundredths of a second (proc(5)).</summary>
    private static async Task<long> StealAsync(TestVm linux, string name)
    {
        await linux.TypeAsync($"echo {name}=$(head -1 /proc/stat); echo {name}-done=$((6*7))\n");
        await linux.PrintedAsync($"{name}-done=42");
        Match line = Regex.Matches(linux.Console, name + "=cpu +([0-9 ]+)").Last();
        return long.Parse(line.Groups[1].Value.Split(' ')[7], CultureInfo.InvariantCulture);
    }
}

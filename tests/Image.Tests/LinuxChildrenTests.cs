using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>One boot of Linux, and thousands of lives out of it.</summary>
public sealed partial class LinuxChildrenTests(ITestOutputHelper output)
{
    /// <summary>
    /// Of the first lives' least cost: how far the last lives' may be from it. What grows with the lives grows in the
    /// least, too. A birth takes 3,360 or 3,376 instructions, or 3,456 or 3,472, as the host's order meets the monitor:
    /// the two pairs are 3.3 % apart, and on a busy host one of them can come twenty times in a row.
    /// </summary>
    private const double MostDrift = 0.04;

    /// <summary>Lives that are compared, at most.</summary>
    private const int MostSample = 100;

    /// <summary>
    /// Each child writes over what its template wrote, reads it back, and tells its first random numbers; 10,000 are
    /// for <c>./test --long</c>. On max, which has random numbers (RNDR) where time is a count of instructions.
    /// </summary>
    [Theory]
    [InlineData(40)]
    [InlineData(10_000, Explicit = true)]
    public async Task Every_child_of_one_boot_is_a_machine_of_its_own_and_the_last_costs_what_the_first_did(int lives)
    {
        const long Memory = 64 * ByteSize.Megabyte;
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        await using TestMachine machine = await TestMachine.BootAsync(
            "max", memory: 256 * ByteSize.Megabyte, counts: true, linux: GuestPayload.MakeLinux(null, null));
        TestVm template = await machine.RunAsync(
            "console=ttyAMA0 quiet", Memory, 1, "4k", "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync(
            "echo template >/tmp/mine; agent freeze && read -r was </tmp/mine; "
            + "read -r u </proc/sys/kernel/random/uuid; b=$(od -An -N16 -tx1 </dev/urandom); echo $u >/tmp/mine; "
            + "read -r is </tmp/mine; echo was=$was is=$is uuid=$u bytes=$b.\n");
        await template.FrozenAsync();
        var seen = new HashSet<string>();
        var births = new List<long>();
        var deaths = new List<long>();
        for (int life = 0; life < lives; life++)
        {
            TestVm child = (await machine.ForkAsync(template))[0];
            await child.PrintedAsync(".\r\n");
            Match told = Told().Match(child.Console);
            told.Success.ShouldBeTrue(child.Console);
            told.Groups["is"].Value.ShouldBe(told.Groups["uuid"].Value);
            seen.Add(told.Groups["uuid"].Value).ShouldBeTrue(child.Console);
            seen.Add(told.Groups["bytes"].Value).ShouldBeTrue(child.Console);
            births.Add((await child.MeasureAsync()).Number("first_entry_virtual_ns"));
            deaths.Add((await child.KillAsync()).Instructions);
        }

        ShouldNotDrift("birth", births);
        ShouldNotDrift("death", deaths);
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// Cortex-A72 has 8 bits of VMID. A child gives its number back at its death, so a VM under before-series is made
    /// and killed beside each: that number lies until all are used up. Two children run all the while, and look at
    /// their memory.
    /// </summary>
    [Fact(Explicit = true)]
    public async Task When_VMIDs_are_used_up_Linux_children_that_run_keep_theirs_and_their_memory()
    {
        const int Lives = 300;
        const long Memory = 64 * ByteSize.Megabyte;
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        await using TestMachine machine = await TestMachine.BootAsync(
            "cortex-a72", cores: 4, linux: GuestPayload.MakeLinux(null, null));
        (await machine.AskAsync("machine")).Number("vmid_bits").ShouldBe(8);
        TestVm template = await machine.RunAsync(
            "console=ttyAMA0 quiet", Memory, 1, "4k", "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync(
            "agent freeze && read -r u </proc/sys/kernel/random/uuid; echo $u >/tmp/mine; read -r is </tmp/mine; "
            + "echo is=$is uuid=$u.\n");
        await template.FrozenAsync();
        TestVm[] others = [.. await machine.ForkAsync(template, 2)];
        foreach (TestVm other in others)
        {
            await other.PrintedAsync(".\r\n");
            await other.TypeAsync("while read -r is </tmp/mine && [ $is = $u ]; do :; done; echo lost-$((6*7))\n");
        }

        (await machine.AskAsync("memory")).Number("vmid_rollovers").ShouldBe(0);
        for (int life = 0; life < Lives; life++)
        {
            TestVm used = await machine.CreateAsync("fill=0", 16 * ByteSize.Megabyte, policy: "before-series");
            TestVm child = (await machine.ForkAsync(template))[0];
            await child.PrintedAsync(".\r\n");
            Match told = Owns().Match(child.Console);
            told.Success.ShouldBeTrue(child.Console);
            told.Groups["is"].Value.ShouldBe(told.Groups["uuid"].Value);
            await child.KillAsync();
            await used.KillAsync();
        }

        (await machine.AskAsync("memory")).Number("vmid_rollovers").ShouldBe(1);
        foreach (TestVm other in others)
        {
            // A Ctrl-C ends its loop, and the shell is still there.
            other.Console.ShouldNotContain("lost-42");
            await other.TypeAsync("\u0003");
            await other.TypeAsync("read -r is </tmp/mine; [ $is = $u ] && echo kept-$((6*7))\n");
            await other.PrintedAsync("kept-42");
            await other.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private void ShouldNotDrift(string what, List<long> costs)
    {
        int sample = Math.Min(MostSample, costs.Count / 2);
        double first = costs.Take(sample).Min();
        double last = costs.TakeLast(sample).Min();
        output.WriteLine($"{what}: the first {first}, the last {last}, at most {costs.Max()} instructions");
        last.ShouldBe(first, first * MostDrift, what);
    }

    [GeneratedRegex(
        @"was=template is=(?<is>\S+) uuid=(?<uuid>[0-9a-f-]{36}) bytes= ?(?<bytes>([0-9a-f]{2} ){15}[0-9a-f]{2})\.")]
    private static partial Regex Told();

    [GeneratedRegex(@"is=(?<is>\S+) uuid=(?<uuid>[0-9a-f-]{36})\.")]
    private static partial Regex Owns();
}

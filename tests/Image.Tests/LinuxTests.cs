using System;
using System.Collections.Generic;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Debian's kernel, unmodified, with the busybox that the set-up script packs.</summary>
public sealed class LinuxTests(ITestOutputHelper output)
{
    private const long Memory = 256 * ByteSize.Megabyte;
    private const string Quiet = "console=ttyAMA0 quiet ";

    [Theory]
    [InlineData("cortex-a72", 1, "4k", "series", "poweroff -f", "guest power-off")]
    [InlineData("cortex-a72", 2, "auto", "fate", "reboot -f", "guest reset")]
    [InlineData("max", 2, "2m", "before-series", "poweroff -f", "guest power-off")]
    public async Task Linux_boots_to_a_shell_that_answers_and_ends_when_told(
        string cpu, int cpus, string pages, string policy, string end, string reason)
    {
        await using TestMachine machine = await BootAsync(cpu);
        TestVm vm = await machine.RunAsync(Quiet, Memory, cpus, pages, policy, GuestPayload.Linux);
        await vm.PrintedAsync("quietus-guest: shell ready");

        // The answers have what the echo of the question has not.
        await vm.TypeAsync("echo cpus=$(nproc) machine=$(uname -m)\n");
        await vm.PrintedAsync($"cpus={cpus} machine=aarch64");
        await vm.TypeAsync("grep -c ^processor /proc/cpuinfo | sed s/^/counted=/\n");
        await vm.PrintedAsync($"counted={cpus}");
        await vm.TypeAsync($"{end}\n");
        (await vm.StoppedAsync()).ShouldBe(reason);
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Linux_dirties_its_memory_as_told_and_dies_like_any_VM()
    {
        await using TestMachine machine = await BootAsync("cortex-a72");
        TestVm vm = await machine.RunAsync(
            Quiet + "quietus.fill=100 quietus.then=idle", Memory, 1, "4k", "before-series", GuestPayload.Linux);
        await vm.PrintedAsync("quietus-guest: dirtied 100 MB");
        DeathFigures death = await vm.KillAsync();
        (death.MappedPages4K * 4096).ShouldBeInRange(100 * ByteSize.Megabyte, Memory);
        death.DcLines.ShouldBe(64 * death.MappedPages4K);
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", 1, "4k")]
    [InlineData("cortex-a72", 8, "4k")]
    [InlineData("max", 2, "auto")]
    public async Task Linux_frozen_at_its_shell_goes_on_in_children_that_know_nothing_of_each_other(
        string cpu, int cpus, string pages)
    {
        await using TestMachine machine = await BootAsync(cpu, cores: 1 + (2 * cpus));
        TestVm template = await machine.RunAsync(Quiet, Memory, cpus, pages, "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync("echo before=$((6*7)) >/tmp/then; cat /tmp/then\n");
        await template.PrintedAsync("before=42");
        await template.TypeAsync("tr '\\0' '=' </proc/device-tree/rng@9050000/compatible\n");
        await template.PrintedAsync("microsoft,vmgenid=");
        await template.FreezeAsync();
        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, 2);
        foreach (TestVm child in children)
        {
            await child.TypeAsync($"sleep 0.1; echo child=$((1000+{child.Number})) >>/tmp/then; cat /tmp/then\n");
            await child.PrintedAsync($"before=42\r\nchild={1000 + child.Number}\r\n");
            await child.ResetAsync();
            await child.TypeAsync("nproc | sed s/^/count=/; cat /tmp/then | wc -l | sed s/^/lines=/\n");
            await child.PrintedAsync($"count={cpus}");
            await child.PrintedAsync("lines=1");
        }

        await template.KillAsync();
        foreach (TestVm child in children)
        {
            await child.TypeAsync("poweroff -f\n");
            (await child.StoppedAsync()).ShouldBe("guest power-off");
        }

        await template.StoppedAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// Debian's 6.1 does not know VMGENID by device tree: without the agent's step these bytes are the same in every
    /// child (docs/fork.md).
    /// </summary>
    [Theory]
    [InlineData("cortex-a72", 1)]
    [InlineData("max", 2)]
    public async Task Children_of_a_template_that_the_agent_made_have_random_numbers_of_their_own(string cpu, int cpus)
    {
        const int Children = 2;
        await using TestMachine machine = await BootAsync(cpu, cores: 1 + (Children * cpus));
        TestVm template = await machine.RunAsync(Quiet, Memory, cpus, "4k", "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync(
            "agent freeze && head -c 16 /dev/urandom | od -An -tx1 | sed 's/ //g;s/^/bytes=/'; "
            + "sed s/^/uuid=/ /proc/sys/kernel/random/uuid; echo done=$((6*7))\n");
        await template.FrozenAsync();
        var seen = new HashSet<string>();
        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, Children);
        foreach (TestVm child in children)
        {
            await child.PrintedAsync("done=42");
            await child.ResetAsync();
        }

        foreach (TestVm child in children)
        {
            await child.PrintedAsync("done=42", times: 2);
            foreach (string kind in new[] { "bytes=[0-9a-f]{32}", "uuid=[0-9a-f-]{36}" })
            {
                MatchCollection found = Regex.Matches(child.Console, kind);
                found.Count.ShouldBe(2, child.Console);
                found.ShouldAllBe(one => seen.Add(one.Value), child.Console);
            }

            await child.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Linux_frozen_in_the_middle_of_its_boot_boots_on_in_its_children()
    {
        Random random = TestSeed.Begin(output);
        await using TestMachine machine = await BootAsync("cortex-a72", cores: 5);
        TestVm template = await machine.RunAsync(
            "console=ttyAMA0 earlycon", Memory, 2, "auto", "fate", GuestPayload.Linux);
        await template.PrintedAsync(random.Next(1, 6000));
        await template.FreezeAsync();
        foreach (TestVm child in await machine.ForkAsync(template, 2))
        {
            await child.PrintedAsync("quietus-guest: shell ready");
            await child.TypeAsync("nproc | sed s/^/count=/\n");
            await child.PrintedAsync("count=2");
            await child.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Where_a_VM_cannot_be_a_template_the_agent_says_why()
    {
        await using TestMachine machine = await BootAsync("cortex-a72");
        TestVm vm = await machine.RunAsync(Quiet, Memory, 1, "4k", "series", GuestPayload.Linux);
        await vm.PrintedAsync("quietus-guest: shell ready");
        await vm.TypeAsync("agent freeze; echo code=$?\n");
        await vm.PrintedAsync("agent: the hypervisor refused");
        await vm.PrintedAsync("code=1");
        await vm.KillAsync();

        vm = await machine.AdoptAsync(
            $"create guest=linux memory={Memory} pages=4k policy=fate random=off append=\"{Quiet}\"");
        await vm.StartAsync();
        await vm.PrintedAsync("quietus-guest: shell ready");
        await vm.TypeAsync("agent freeze; echo code=$?\n");
        await vm.PrintedAsync("agent: this VM has no random numbers of its own");
        await vm.PrintedAsync("code=1");
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Linux_can_be_killed_in_the_middle_of_its_boot()
    {
        Random random = TestSeed.Begin(output);
        await using TestMachine machine = await BootAsync("cortex-a72");
        for (int i = 0; i < MaintenancePolicy.All.Length; i++)
        {
            TestVm vm = await machine.RunAsync(
                "console=ttyAMA0 earlycon", Memory, 2, "auto", MaintenancePolicy.All[i].Name, GuestPayload.Linux);
            await vm.PrintedAsync(random.Next(1, 6000));
            await vm.KillAsync();
        }

        TestVm next = await machine.RunAsync("fill=400M check=zero touch=page", 448 * ByteSize.Megabyte);
        (await next.DirtiedAsync()).ShouldBe(400 * ByteSize.Megabyte);
        await next.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private static Task<TestMachine> BootAsync(string cpu, int cores = 3)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        return TestMachine.BootAsync(
            cpu, cores: cores, memory: 640 * ByteSize.Megabyte, linux: GuestPayload.MakeLinux(null, null));
    }
}

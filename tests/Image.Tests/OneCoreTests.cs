using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// Core 0 runs vCPUs beside the monitor (docs/scheduler.md): on a machine with no other core each order meets one.
/// </summary>
public sealed class OneCoreTests(ITestOutputHelper output)
{
    private const long Size = 16 * ByteSize.Megabyte;
    private const long Born = 7;

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Guests_test_themselves_beside_one_that_spins_and_one_that_prints(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 1);
        TestVm spinning = await machine.RunAsync("fill=4M cpus=all then=spin", cpus: 2);
        TestVm printing = await machine.RunAsync("fill=1M then=uart");
        foreach (string test in (string[])["sgi", "wfx", "timers", "psci", "zero", "debug", "naps"])
        {
            TestVm vm = await machine.RunAsync($"test={test} then=wait", cpus: 2);
            await vm.PassedAsync();
            await vm.KillAsync();
        }

        await spinning.KillAsync();
        await printing.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// All that is asked here comes while guests have the core, who never leave it of themselves.
    /// </summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Every_order_is_heard_while_guests_spin(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 1);
        TestVm template = await machine.RunAsync("fill=4M cpus=all freeze=yes then=spin", cpus: 2);
        await template.FrozenAsync();
        for (int round = 0; round < 3; round++)
        {
            var children = new List<TestVm>(await machine.ForkAsync(template, 5));
            foreach (TestVm child in children)
            {
                (await child.ReportedAsync(Born)).ShouldBe(child.Number);
            }

            (await machine.AskAsync("list")).Number("count").ShouldBe(children.Count + 1);
            (await machine.RequestAsync("cores")).Items.ShouldHaveSingleItem().Value("runs").ShouldBe("monitor");
            await children[0].ResetAsync();
            (await children[0].ReportedAsync(Born)).ShouldBe(children[0].Number);

            // A child is frozen in mid-run, and is a template in its turn.
            await children[1].FreezeAsync();
            TestVm grandchild = (await machine.ForkAsync(children[1]))[0];
            await grandchild.KillAsync();
            foreach (TestVm child in children)
            {
                await child.KillAsync();
            }
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// More than the monitor's ring takes, at once: the UART's interrupt stays until there is room, and the guest that
    /// is born meanwhile must still come to run.
    /// </summary>
    [Fact]
    public async Task A_flood_of_orders_is_answered_beside_guests_that_spin_and_are_born()
    {
        await using RawMachine machine = await RawMachine.StartAsync(new QemuMachine
        {
            Cpu = "cortex-a72",
            Processors = 1,
            MemoryBytes = 192 * ByteSize.Megabyte,
            Image = Folders.Image,
            HasPort = false,
        }.Arguments());
        await machine.HearAsync("quietus> ");
        await machine.TypeAsync(
            "create guest=filler memory=16M pages=4k policy=fate append=\"freeze=yes then=spin\"\r");
        await machine.HearAsync("ok vm=1");
        await machine.TypeAsync("start vm=1\r");
        await machine.HearAsync("state=frozen");
        await machine.TypeAsync("fork vm=1\r");
        await machine.HearAsync("ok template=1");
        const int Resets = 20;
        var orders = new StringBuilder();
        for (int i = 0; i < Resets; i++)
        {
            orders.Append("send vm=2 text=\"").Append('x', 400).Append("\"\r").Append("reset vm=2\r");
        }

        await machine.TypeAsync(orders + "list\r");
        string heard = await machine.HearAsync("ok count=2");
        heard.Split("ok vm=2 ").Length.ShouldBe(1 + Resets);
        heard.ShouldNotContain("error");
        await machine.TypeAsync("kill vm=2\r");
        await machine.HearAsync("ok vm=2 way=kill");
    }

    /// <summary>
    /// Moments that can be had again (see <see cref="SteppedKillTests"/>): the VM waits, is loaded, runs, is saved, is
    /// blocked, and each time the order is the very core's.
    /// </summary>
    [Fact]
    public async Task Killed_at_each_step_of_its_turns_a_VM_leaves_nothing()
    {
        await using TestMachine machine = await TestMachine.BootAsync(
            cores: 1, memory: 64 * ByteSize.Megabyte, counts: true);
        TestVm worker = await machine.AdoptAsync(
            "create guest=filler memory=16M pages=4k policy=fate weight=10 append=then=work");
        await worker.StartAsync();
        await worker.WorkedAsync(1);
        KeyValueLine before = await machine.AskAsync("memory");
        int entered = 0;
        entered += await KilledAsync(machine, "then=spin", 1, TurnKillTests.Moments(0, 20, 19));
        entered += await KilledAsync(
            machine, "then=spin", 1, TurnKillTests.Moments(TurnKillTests.Slice + 1000, 12, 23));
        entered += await KilledAsync(machine, "cpus=all then=alarms", 2, TurnKillTests.Moments(200_000, 16, 41));
        output.WriteLine($"{entered} of 48 had entered their guests");
        entered.ShouldBeGreaterThan(24);
        KeyValueLine after = await machine.AskAsync("memory");
        after.Number("chunks_free").ShouldBe(before.Number("chunks_free"));
        int reports = (await worker.WorkedAsync(1)).Count;
        await worker.WorkedAsync(reports + 1);
        await worker.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// A moment of the monitor's own comes while a guest has the core and does its worst: the guest is left at the exit
    /// that the timer makes, or at the end of the one that it is in, and saved: some 600 instructions, or 2,500. A step
    /// of a device, with its buffers in 64 pages, takes up to 25,000.
    /// </summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task The_monitor_is_heard_at_once_whatever_guests_do(string cpu)
    {
        const int Latest = 5_000;
        const int LatestInStep = 50_000;
        const int Moments = 4;
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 1, counts: true);
        var late = new List<long>();
        foreach (string life in (string[])
            [
                "fill=all touch=page cpus=all", "fill=0 cpus=all then=spin", "fill=0 cpus=all then=hvc",
                "fill=0 cpus=all then=sgi", "fill=0 cpus=all then=uart", "fill=0 cpus=all then=gic",
                "fill=0 cpus=all then=psci", "fill=0 cpus=all then=alarms", "fill=0 cpus=all then=virtio",
            ])
        {
            for (int i = 0; i < Moments; i++)
            {
                // Pages are cleared, and blocks, where it fills its memory. It is busy at that moment: QEMU's time goes
                // on with the host's where no core is.
                TestVm vm = await machine.CreateAsync(
                    life, cpus: 2, pages: i % 2 == 0 ? "4k" : "2m", devices: TestMachine.AllDevices);
                KeyValueLine death = await machine.AskAsync(
                    string.Create(CultureInfo.InvariantCulture, $"start vm={vm.Number} for={1_000_000 + (i * 4_999)}"));
                death.Number("first_entry_virtual_ns").ShouldBeGreaterThan(0, life);
                late.Add(death.Number("late_ns"));
                late[^1].ShouldBeLessThanOrEqualTo(life.Contains("virtio") ? LatestInStep : Latest, life);
            }

            output.WriteLine($"{life}: late by {string.Join(' ', late.TakeLast(Moments).Order())} ns");
        }

        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>An order waits for no guest: what it costs is what it costs on a core of its own.</summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_kill_finds_its_vCPU_off_the_core_and_costs_no_more_than_beside_another_core(string cpu)
    {
        const int Most = 1200;
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 1, counts: true);
        var costs = new List<long>();
        for (int i = 0; i < 8; i++)
        {
            TestVm vm = await machine.RunAsync("fill=1M then=spin", Size);
            await vm.DirtiedAsync();
            costs.Add((await vm.KillAsync()).Instructions);
        }

        output.WriteLine(string.Join(' ', costs));
        costs.Max().ShouldBeLessThanOrEqualTo(Most);
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Linux_boots_works_is_forked_and_dies_there(string cpu)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        await using TestMachine machine = await TestMachine.BootAsync(
            cpu, cores: 1, memory: 640 * ByteSize.Megabyte, linux: GuestPayload.MakeLinux(null, null));
        TestVm template = await machine.RunAsync(
            "console=ttyAMA0 quietus.then=shell", 128 * ByteSize.Megabyte, 2, "4k", "fate", GuestPayload.Linux);
        await template.PrintedAsync("quietus-guest: shell ready");
        await template.TypeAsync("agent freeze && for i in 1 2 3; do (j=0; while [ $j -lt 3000 ]; do j=$((j+1)); done; "
            + "echo job=$i) & done; wait; sleep 0.1; echo done=$((6*7))\n");
        await template.FrozenAsync();
        TestVm[] children = [.. await machine.ForkAsync(template, 3)];
        foreach (TestVm child in children)
        {
            await child.PrintedAsync("done=42");
            await child.TypeAsync("while :; do :; done\n");
        }

        (await machine.AskAsync("list")).Number("count").ShouldBe(4);
        foreach (TestVm child in children)
        {
            foreach (string complaint in (string[])["rcu: INFO", "soft lockup", "stall", "BUG:", "Call trace"])
            {
                child.Console.ShouldNotContain(complaint);
            }

            await child.KillAsync();
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>Lives that end at moments; how many of them had entered their guests.</summary>
    private static async Task<int> KilledAsync(TestMachine machine, string append, int cpus, IEnumerable<long> moments)
    {
        int entered = 0;
        foreach (long moment in moments)
        {
            TestVm vm = await machine.CreateAsync(append, Size, cpus);
            KeyValueLine death = await machine.AskAsync(
                string.Create(CultureInfo.InvariantCulture, $"start vm={vm.Number} for={moment}"));
            entered += death.Number("first_entry_virtual_ns") != 0 ? 1 : 0;
            death.Number("leaked_frames").ShouldBe(0);
            await machine.ShouldRefuseAsync($"kill vm={vm.Number}", "no-such-vm");
        }

        return entered;
    }
}

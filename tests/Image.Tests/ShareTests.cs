using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What busy vCPUs get of too few cores (docs/scheduler.md): work that guests count themselves, under icount, where a
/// virtual second is so many instructions whatever the host does.
/// </summary>
public sealed class ShareTests(ITestOutputHelper output)
{
    private const string Work = "then=work";

    /// <summary>Guests report every 100 ms of their time.</summary>
    private const int ReportsOfASecond = 10;

    /// <summary>
    /// What vCPUs have had of the cores is virtual time here: under icount QEMU runs one core after the other, each as
    /// long as it likes, so that work is no measure of a core's time where there are several.
    /// </summary>
    [Theory]
    [InlineData(100, 100, 100, 100, 100, 100, 100, 100)]
    [InlineData(50, 50, 50, 100, 100, 100, 200, 200, 200)]
    public async Task Busy_vCPUs_on_three_cores_have_their_weights_share_of_a_second(params int[] weights)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4, counts: true, turn: 20);
        IReadOnlyList<TestVm> vms = await StartAsync(machine, weights, "1-3");
        long[] before = await RanAsync(machine);
        int reports = (await vms[0].WorkedAsync(1)).Count;
        await vms[0].WorkedAsync(reports + ReportsOfASecond);
        long[] after = await RanAsync(machine);
        SharesAre(weights, [.. after.Zip(before, (late, early) => late - early)]);
        await EndAsync(machine, vms);
    }

    /// <summary>On one core work is a measure, and the one that counts.</summary>
    [Fact]
    public async Task Busy_vCPUs_do_their_weights_share_of_a_core_s_work()
    {
        int[] weights = [100, 200, 400];
        await using TestMachine machine = await TestMachine.BootAsync(cores: 2, counts: true);
        IReadOnlyList<TestVm> vms = await StartAsync(machine, weights, "1");
        // Not before what was before: the first one ran alone, and sits out up to 8 rounds for it.
        foreach (TestVm vm in vms)
        {
            await vm.WorkedAsync(3);
        }

        // One second for all, to a report: what keeps the whole core from its work keeps all of them from it.
        int first = (await vms[0].WorkedAsync(1)).Count;
        await vms[0].WorkedAsync(first + ReportsOfASecond);
        var work = new List<long>();
        foreach (TestVm vm in vms)
        {
            IReadOnlyList<long> reports = await vm.WorkedAsync(1 + ReportsOfASecond);
            output.WriteLine(string.Join(' ', reports));
            work.Add(reports[^1] - reports[^(1 + ReportsOfASecond)]);
        }

        SharesAre(weights, [.. work]);
        await EndAsync(machine, vms);
    }

    /// <summary>
    /// One core at a time is busy: under icount QEMU 7.2 may leave out every busy core but the first, for as long as
    /// its own main loop is late.
    /// </summary>
    [Fact]
    public async Task A_VM_stays_on_the_cores_that_it_was_given_and_the_figures_say_so()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4, counts: true);
        TestVm pinned = await MakeAsync(machine, 300, " cores=2");
        TestVm beside = await MakeAsync(machine, 100, " cores=2");
        await pinned.StartAsync();
        await beside.StartAsync();
        await pinned.WorkedAsync(4);
        MonitorReply list = await machine.RequestAsync("list");
        long[] busy = await BusyAsync(machine);
        list.Items.Select(line => line.Value("cores")).ShouldBe(["2", "2"]);
        list.Items.Select(line => line.Number("weight")).ShouldBe([300, 100]);
        long[] ran = [.. list.Items.Select(line => line.Number("cpu_ns"))];
        ((double)ran[0] / ran[1]).ShouldBeInRange(2.8, 3.2);

        // They ran in turn, and two idle cores left them there.
        long[] waited = [.. list.Items.Select(line => line.Number("waited_ns"))];
        ((double)(ran[1] + waited[1]) / (ran[0] + waited[0])).ShouldBeInRange(0.97, 1.03);
        ((double)busy[2] / (ran[0] + ran[1])).ShouldBeInRange(0.95, 1.05);
        (busy[0] + busy[1] + busy[3]).ShouldBe(0);
        await pinned.KillAsync();
        await beside.KillAsync();

        // One that is alone on its core does not wait.
        long before = (await BusyAsync(machine))[2];
        TestVm free = await MakeAsync(machine, 100, " cores=1,3");
        await free.StartAsync();
        await free.WorkedAsync(4);
        KeyValueLine line = (await machine.RequestAsync("list")).Items.ShouldHaveSingleItem();
        busy = await BusyAsync(machine);
        line.Value("cores").ShouldBe("1,3");
        line.Number("waited_ns").ShouldBeLessThan(line.Number("cpu_ns") / 100);
        ((double)(busy[1] + busy[3]) / line.Number("cpu_ns")).ShouldBeInRange(0.95, 1.05);
        busy[2].ShouldBe(before);
        await free.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_share_that_cannot_be_is_refused()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3);
        const string Create = "create guest=filler memory=16M pages=4k policy=fate ";
        foreach (string weight in (string[])["9", "1001", "-1", "heavy", "18446744073709551616"])
        {
            await machine.ShouldRefuseAsync(Create + "weight=" + weight, "bad-weight");
        }

        foreach (string cores in (string[])["3", "1-3", "2-1", "1;2", "64"])
        {
            await machine.ShouldRefuseAsync(Create + "cores=" + cores, "bad-cores");
        }

        await machine.ShouldBeUnharmedAsync();
    }

    private static Task<TestVm> MakeAsync(TestMachine machine, int weight, string more = "") =>
        machine.AdoptAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"create guest=filler memory=16M pages=2m policy=fate weight={weight}{more} append={Work}"));

    /// <summary>A VM of one vCPU for each weight.</summary>
    private static async Task<IReadOnlyList<TestVm>> StartAsync(TestMachine machine, int[] weights, string cores)
    {
        var vms = new List<TestVm>();
        foreach (int weight in weights)
        {
            vms.Add(await MakeAsync(machine, weight, " cores=" + cores));
        }

        foreach (TestVm vm in vms)
        {
            await vm.StartAsync();
        }

        return vms;
    }

    private static async Task EndAsync(TestMachine machine, IReadOnlyList<TestVm> vms)
    {
        foreach (TestVm vm in vms)
        {
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    private static async Task<long[]> BusyAsync(TestMachine machine) =>
        [.. (await machine.RequestAsync("cores")).Items.Select(line => line.Number("busy_ns"))];

    private static async Task<long[]> RanAsync(TestMachine machine) =>
        [.. (await machine.RequestAsync("list")).Items.Select(line => line.Number("cpu_ns"))];

    private void SharesAre(int[] weights, long[] had)
    {
        double unit = (double)had.Sum() / weights.Sum();
        double[] shares = [.. had.Select((one, i) => one / unit / weights[i])];
        for (int i = 0; i < weights.Length; i++)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"weight {weights[i]}: {had[i]}, {shares[i]:0.000} of its share"));
        }

        shares.ShouldAllBe(share => share > 0.97 && share < 1.03);
    }
}

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Programs in Linux VMs, by the agent, over streams: from the fork to the exit code.</summary>
public sealed class AgentTests
{
    private const long Memory = 96 * ByteSize.Megabyte;

    private static readonly byte[] _copied = Enumerable.Range(0, 100_000).Select(i => (byte)(i ^ (i >> 8))).ToArray();

    [Fact]
    public async Task Programs_run_in_children_born_for_them()
    {
        await using TestMachine machine = await BootAsync();
        TestVm template = await ServeAsync(machine);
        await using (JobClient warm = await ConnectAsync(machine, template))
        {
            await RunAsync(warm, "echo template >/tmp/mine");
            await warm.FreezeAsync(TestMachine.Cancellation);
        }

        await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        await using (JobClient client = await ConnectAsync(machine, child))
        {
            await client.IdentifyAsync(
                DateTimeOffset.FromUnixTimeSeconds(1_900_000_000), "child-1", TestMachine.Cancellation);
            (JobExit exit, string told, string error) = await RunAsync(
                client, "cat; cat /tmp/mine; hostname; date +%s; id -u; pwd; echo err >&2; exit 7", "in\n");
            ((exit.IsSignal, (int)exit.Value) == (false, 7)).ShouldBeTrue(error);
            error.ShouldBe("err\n");
            string[] lines = told.Split('\n');
            lines[..3].ShouldBe(["in", "template", "child-1"]);
            long.Parse(lines[3]).ShouldBeInRange(1_900_000_000, 1_900_000_100);
            lines[4..].ShouldBe(["0", "/", ""]);

            // As another user, elsewhere, with variables; several programs one after the other.
            await RunAsync(
                client, "mkdir /etc; echo 'u:x:77:88::/tmp:/bin/sh' >/etc/passwd; chmod 755 /etc /; chmod 777 /tmp");
            var order = new JobOrder
            {
                Arguments = ["sh", "-c", "echo $A $(id -u) $(id -g) $(pwd); kill -9 $$"],
                Environment = ["A=b c"],
                User = "u",
            };
            (exit, told, _) = await RunAsync(client, order);
            told.ShouldBe("b c 77 88 /tmp\n");
            ((exit.IsSignal, (int)exit.Value) == (true, 9)).ShouldBeTrue();
            await ShouldFailAsync(client, new JobOrder { Arguments = ["none"] }, JobFailure.Execute, 2);
            await ShouldFailAsync(client, new JobOrder { Arguments = ["/tmp"] }, JobFailure.Execute, 13);
            await ShouldFailAsync(client, order with { User = "who" }, JobFailure.User, 0);
            await ShouldFailAsync(client, order with { Folder = "/none" }, JobFailure.Folder, 2);

            // A terminal.
            (exit, told, _) = await RunAsync(
                client, new JobOrder { Arguments = ["sh", "-c", "stty size; tty; cat"], Terminal = (33, 99) }, "x\n");
            ((int)exit.Value).ShouldBe(0);
            told.ShouldContain("33 99\r\n/dev/pts/"); // its echo of the input may come before
            told.ShouldEndWith("x\r\n");

            // Files.
            await client.PutAsync(
                "/tmp/f", 0x1C0, new MemoryStream(_copied), _copied.Length, TestMachine.Cancellation);
            var got = new MemoryStream();
            (await client.GetAsync("/tmp/f", got, 1 << 20, TestMachine.Cancellation)).ShouldBe(0x1C0u);
            got.ToArray().AsSpan().SequenceEqual(_copied).ShouldBeTrue();
            (await Should.ThrowAsync<JobException>(
                () => client.GetAsync("/tmp", got, 1, TestMachine.Cancellation))).Errno.ShouldBe(21u);
            await RunAsync(client, "mkdir /small; mount -t tmpfs -o size=64k tmpfs /small");
            JobException full = await Should.ThrowAsync<JobException>(() => client.PutAsync(
                "/small/f", 0x1A4, new MemoryStream(_copied), _copied.Length, TestMachine.Cancellation));
            (full.What, full.Errno).ShouldBe((JobFailure.Write, 28u));
        }

        // Two at once, apart; each in a VM of its own.
        IReadOnlyList<TestVm> twins = await machine.ForkAsync(template, 2);
        string[] answers = await Task.WhenAll(twins.Select(async twin =>
        {
            await using JobClient client = await ConnectAsync(machine, twin);
            string random = (await RunAsync(client, "cat /proc/sys/kernel/random/uuid; cat /tmp/mine")).Output;
            return random;
        }));
        answers[0].ShouldNotBe(answers[1]);
        foreach (TestVm vm in twins)
        {
            await vm.KillAsync();
        }

        await child.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    private static Task<TestMachine> BootAsync(string cpu = "max", bool counts = false)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        return TestMachine.BootAsync(
            cpu, cores: 4, memory: 512 * ByteSize.Megabyte, counts, linux: GuestPayload.MakeLinux(null, null));
    }

    private static async Task<TestVm> ServeAsync(TestMachine machine)
    {
        TestVm vm = await machine.AdoptAsync(
            $"create guest=linux memory={Memory} cpus=1 pages=4k policy=fate vsock=on "
            + "append=\"console=ttyAMA0 quiet quietus.then=agent\"");
        await vm.StartAsync();
        await vm.PrintedAsync("agent: listening");
        return vm;
    }

    private static async Task<JobClient> ConnectAsync(TestMachine machine, TestVm vm) =>
        await JobClient.OpenAsync(machine.Monitor.Streams, vm.Slot, vm.Number, TestMachine.Cancellation);

    private static Task<(JobExit Exit, string Output, string Error)> RunAsync(
        JobClient client, string command, string input = "") =>
        RunAsync(client, new JobOrder { Arguments = ["/bin/sh", "-c", command] }, input);

    private static async Task<(JobExit Exit, string Output, string Error)> RunAsync(
        JobClient client, JobOrder order, string input = "")
    {
        var told = new MemoryStream();
        var error = new MemoryStream();
        JobExit exit = await client.RunAsync(
            order, new MemoryStream(Encoding.UTF8.GetBytes(input)), told, error, null, TestMachine.Cancellation);
        return (exit, Encoding.UTF8.GetString(told.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }

    private static async Task ShouldFailAsync(JobClient client, JobOrder order, JobFailure what, uint errno)
    {
        JobException error = await Should.ThrowAsync<JobException>(() => RunAsync(client, order));
        (error.What, error.Errno).ShouldBe((what, errno), error.Message);
    }
}

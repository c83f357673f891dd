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
    private static readonly byte[] _copied = Enumerable.Range(0, 100_000).Select(i => (byte)(i ^ (i >> 8))).ToArray();

    [Fact]
    public async Task Programs_run_in_children_born_for_them()
    {
        await using TestMachine machine = await AgentGuest.BootAsync();
        TestVm template = await AgentGuest.ServeAsync(machine);
        await using (JobClient warm = await AgentGuest.ConnectAsync(machine, template))
        {
            await AgentGuest.RunAsync(warm, "echo template >/tmp/mine");
            await warm.FreezeAsync(TestMachine.Cancellation);
        }

        await template.FrozenAsync();
        TestVm child = (await machine.ForkAsync(template))[0];
        await using (JobClient client = await AgentGuest.ConnectAsync(machine, child))
        {
            await client.IdentifyAsync(
                DateTimeOffset.FromUnixTimeSeconds(1_900_000_000), "child-1", TestMachine.Cancellation);
            (JobExit exit, string told, string error) = await AgentGuest.RunAsync(
                client, "cat; cat /tmp/mine; hostname; date +%s; id -u; pwd; echo err >&2; exit 7", "in\n");
            ((exit.IsSignal, (int)exit.Value) == (false, 7)).ShouldBeTrue(error);
            error.ShouldBe("err\n");
            string[] lines = told.Split('\n');
            lines[..3].ShouldBe(["in", "template", "child-1"]);
            long.Parse(lines[3]).ShouldBeInRange(1_900_000_000, 1_900_000_100);
            lines[4..].ShouldBe(["0", "/", ""]);

            // As another user, elsewhere, with variables; several programs one after the other.
            await AgentGuest.RunAsync(
                client, "mkdir /etc; echo 'u:x:77:88::/tmp:/bin/sh' >/etc/passwd; chmod 755 /etc /; chmod 777 /tmp");
            var order = new JobOrder
            {
                Arguments = ["sh", "-c", "echo $A $(id -u) $(id -g) $(pwd); kill -9 $$"],
                Environment = ["A=b c"],
                User = "u",
            };
            (exit, told, _) = await AgentGuest.RunAsync(client, order);
            told.ShouldBe("b c 77 88 /tmp\n");
            ((exit.IsSignal, (int)exit.Value) == (true, 9)).ShouldBeTrue();
            await ShouldFailAsync(client, new JobOrder { Arguments = ["none"] }, JobFailure.Execute, 2);
            await ShouldFailAsync(client, new JobOrder { Arguments = ["/tmp"] }, JobFailure.Execute, 13);
            await ShouldFailAsync(client, order with { User = "who" }, JobFailure.User, 0);
            await ShouldFailAsync(client, order with { Folder = "/none" }, JobFailure.Folder, 2);

            // A terminal.
            (exit, told, _) = await AgentGuest.RunAsync(
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
            await AgentGuest.RunAsync(client, "mkdir /small; mount -t tmpfs -o size=64k tmpfs /small");
            JobException full = await Should.ThrowAsync<JobException>(() => client.PutAsync(
                "/small/f", 0x1A4, new MemoryStream(_copied), _copied.Length, TestMachine.Cancellation));
            (full.What, full.Errno).ShouldBe((JobFailure.Write, 28u));
        }

        // Two at once, apart; each in a VM of its own.
        IReadOnlyList<TestVm> twins = await machine.ForkAsync(template, 2);
        string[] answers = await Task.WhenAll(twins.Select(async twin =>
        {
            await using JobClient client = await AgentGuest.ConnectAsync(machine, twin);
            return (await AgentGuest.RunAsync(client, "cat /proc/sys/kernel/random/uuid; cat /tmp/mine")).Output;
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

    /// <summary>10 MB are for <c>./test --long</c>.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(10, Explicit = true)]
    public async Task Bytes_come_back_as_they_went_in_and_neither_a_stop_nor_a_kill_harms_the_machine(int megabytes)
    {
        await using TestMachine machine = await AgentGuest.BootAsync();
        TestVm template = await AgentGuest.ServeAsync(machine);
        await using (JobClient warm = await AgentGuest.ConnectAsync(machine, template))
        {
            await warm.FreezeAsync(TestMachine.Cancellation);
        }

        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, 3);
        byte[] bytes = new byte[megabytes << 20];
        new Random(14).NextBytes(bytes);
        await using (JobClient client = await AgentGuest.ConnectAsync(machine, children[0]))
        {
            var back = new MemoryStream();
            JobExit exit = await client.RunAsync(
                new JobOrder { Arguments = ["cat"] }, new MemoryStream(bytes), back, Stream.Null, null,
                TestMachine.Cancellation);
            ((int)exit.Value).ShouldBe(0);
            back.ToArray().AsSpan().SequenceEqual(bytes).ShouldBeTrue();
        }

        // A reader that stops stops the program, and nothing else: the VM's other programs go on.
        var stopped = new StoppingStream(200_000);
        await using JobClient endless = await AgentGuest.ConnectAsync(machine, children[0]);
        Task<JobExit> running = endless.RunAsync(
            new JobOrder { Arguments = ["yes"] }, null, stopped, Stream.Null, null, TestMachine.Cancellation);
        await stopped.Stopped.WaitAsync(TestMachine.Patience, TestMachine.Cancellation);
        await using (JobClient other = await AgentGuest.ConnectAsync(machine, children[0]))
        {
            (await AgentGuest.RunAsync(other, "grep -l yes /proc/[0-9]*/comm | wc -l")).Output.ShouldBe("1\n");
        }

        // Killed in the middle.
        await children[0].KillAsync();
        stopped.GoOn();
        (await Should.ThrowAsync<GuestStreamException>(() => running)).End.ShouldBe(StreamEnd.Ended);

        // A program that kills the agent ends its VM, and the host is told.
        foreach ((TestVm child, string kill) in
            new[] { (children[1], "kill -9 $PPID"), (children[2], "kill -9 -1; echo alive") })
        {
            await using JobClient client = await AgentGuest.ConnectAsync(machine, child);
            await Should.ThrowAsync<IOException>(() => AgentGuest.RunAsync(client, kill));
            (await child.StoppedAsync()).ShouldContain("agent was killed");
        }

        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// From the fork order to the exit status, of the whole machine. The clock that counts instructions goes on while
    /// the machine waits for this program, so the least of some runs is what the machine itself takes.
    /// </summary>
    [Fact]
    public async Task A_warm_program_takes_at_most_three_million_instructions_from_the_order_to_its_exit_status()
    {
        const long Most = 3_000_000;
        await using TestMachine machine = await AgentGuest.BootAsync(counts: true);
        TestVm template = await AgentGuest.ServeAsync(machine);
        await using (JobClient warm = await AgentGuest.ConnectAsync(machine, template))
        {
            await AgentGuest.RunAsync(warm, "true");
            await warm.FreezeAsync(TestMachine.Cancellation);
        }

        long least = long.MaxValue;
        for (int i = 0; i < 60 && least > Most; i++)
        {
            TestVm child = (await machine.ForkAsync(template))[0];
            await using JobClient client = await AgentGuest.ConnectAsync(machine, child);
            await client.IdentifyAsync(
                DateTimeOffset.FromUnixTimeSeconds(1_900_000_000), "a", TestMachine.Cancellation);
            (JobExit exit, _, _) = await AgentGuest.RunAsync(
                client, new JobOrder { Arguments = ["true"], Environment = ["PATH=/bin"] });
            ((int)exit.Value).ShouldBe(0);
            least = Math.Min(least, (await child.MeasureAsync()).Number("last_output_virtual_ns"));
            await child.KillAsync();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{least} instructions");
        least.ShouldBeLessThanOrEqualTo(Most);
    }

    private static async Task ShouldFailAsync(JobClient client, JobOrder order, JobFailure what, uint errno)
    {
        JobException error = await Should.ThrowAsync<JobException>(() => AgentGuest.RunAsync(client, order));
        (error.What, error.Errno).ShouldBe((what, errno), error.Message);
    }

    /// <summary>A reader that stops after so many bytes.</summary>
    private sealed class StoppingStream(long bytes) : MemoryStream
    {
        private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _goesOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _taken;

        internal Task Stopped => _stopped.Task;

        internal void GoOn() => _goesOn.SetResult();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        {
            _taken += buffer.Length;
            if (_taken >= bytes)
            {
                _stopped.TrySetResult();
                await _goesOn.Task;
            }
        }
    }
}

using System;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Serve;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>
/// Clients, VMs, QEMU and servers that are killed, each on the real machine: what was running is gone, who asked is
/// answered, and the next program runs. <see cref="RobustnessTests"/> has the same of a machine that is a stand-in.
/// </summary>
[Collection(RealServerTests.Name)]
public sealed class RealDeathTests(RealServer real)
{
    private const string Sleep = """{"run":{"command":["sleep","700"]}}""";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_client_that_goes_at_any_stage_of_its_job_takes_its_VM_along()
    {
        await LeaveAsync(null);
        for (int i = 0; i < 5; i++)
        {
            await LeaveAsync(Sleep); // its VM is about to be born
        }

        await LeaveAsync(
            """{"run":{"command":["sleep","700"],"files_in":[{"path":"/x","mode":420,"bytes":1000000}]}}""",
            socket => socket.SendAsync(JobBytes.File, new byte[300_000], Stop)); // in the middle of a file
        await LeaveAsync(Sleep, StartedAsync);
        await LeaveAsync(Sleep, async socket =>
        {
            // Input that is never read.
            await StartedAsync(socket);
            await socket.SendAsync(JobBytes.Input, new byte[200_000], Stop);
        });
        await LeaveAsync(
            """{"run":{"command":["sh"],"terminal":{"rows":24,"columns":80}}}""", StartedAsync);
        await LeaveAsync(
            """{"run":{"command":["yes"]}}""",
            socket => BytesAsync(socket, JobBytes.Output)); // output that is never read
        await LeaveAsync(
            """{"run":{"command":["dd","if=/dev/zero","of=/x","bs=1M","count=20"],"files_out":["/x"]}}""",
            socket => BytesAsync(socket, JobBytes.File));
        await real.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task A_VM_that_is_killed_at_any_stage_of_its_job_is_an_answer()
    {
        foreach ((string job, JobBytes? after) in ((string, JobBytes?)[])
        [
            (Sleep, null),
            ("""{"run":{"command":["yes"]}}""", JobBytes.Output),
            ("""{"run":{"command":["dd","if=/dev/zero","of=/x","bs=1M","count=20"],"files_out":["/x"]}}""",
                JobBytes.File),
        ])
        {
            using var socket = new JobSocket(await ConnectAsync());
            await SayAsync(socket, job);
            await (after is { } bytes ? BytesAsync(socket, bytes) : StartedAsync(socket));
            JsonElement vm = (await real.Server.GetAsync("/v1/vms")).GetProperty("vms").EnumerateArray().Single();
            await real.Server.SendAsync(HttpMethod.Delete, $"/v1/vms/{vm.GetProperty("id").GetInt64()}", 204);
            (await LastAsync(socket)).Problem.ShouldNotBeNull().Error.ShouldContain("was killed");
        }

        await real.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task Without_room_on_the_client_s_disk_the_job_fails_and_its_VM_is_gone()
    {
        // No file may be longer than 32 KB: as on a full disk, but for this process alone.
        string server = $"--server {real.Server.Address} --token-file {real.Server.Cli.PathOf("token")}";
        string large = real.Server.Cli.PathOf("large");
        Command.Outcome copy = real.Server.Cli.Shell(
            $"""
            trap '' XFSZ; ulimit -f 64; export DOTNET_EnableWriteXorExecute=0
            exec $Q exec {server} --copy-out /x:{large} -- dd if=/dev/zero of=/x bs=1M count=8
            """,
            RealServer.Patience);
        copy.Code.ShouldBe(125, copy.Errors);
        copy.Errors.ShouldContain(large);
        Command.Outcome output = real.Server.Cli.Shell(
            $"exec $Q exec {server} -- yes >/dev/full", RealServer.Patience);
        output.Code.ShouldNotBe(0, output.Errors);
        await real.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task A_killed_QEMU_is_replaced_and_a_killed_server_or_exec_leaves_none()
    {
        Command? cli = RealServer.RealCommand();
        Assert.SkipWhen(cli is null, "this needs QEMU, the image and a cached Linux kernel: ./quietus serve gets them");
        await using var server = new TestServer(cli!, "--vms", "1", "--cpu", "max", "--boot-timeout", "10m");
        using Process alone = Begin(server, "--server", "none");
        await server.WaitUntilReadyAsync();
        using Process first = Begin(server);
        first.StandardOutput.ReadLine().ShouldBe("begun");
        int machine = RealServer.MachinesOf(server.Process).ShouldHaveSingleItem();
        using (Process qemu = Process.GetProcessById(machine))
        {
            qemu.Kill();
        }

        Command.Outcome outcome = Command.Finish(first);
        outcome.Code.ShouldBe(125, outcome.Errors);
        outcome.Errors.ShouldContain("QEMU");

        // The next one waits for the next machine.
        using Process second = Begin(server);
        second.StandardOutput.ReadLine().ShouldBe("begun");
        machine = RealServer.MachinesOf(server.Process).ShouldHaveSingleItem();
        Command.Signal(server.Process, Command.KillNow);
        outcome = Command.Finish(second);
        outcome.Code.ShouldBe(125, outcome.Errors);
        outcome.Errors.ShouldContain("has gone");
        Command.Wait(() => !Command.IsAlive(machine), "the server's machine lives on");

        alone.StandardOutput.ReadLine().ShouldBe("begun");
        machine = RealServer.MachinesOf(alone).ShouldHaveSingleItem();
        Command.Signal(alone, Command.KillNow);
        Command.Wait(() => !Command.IsAlive(machine), "exec's machine lives on");
    }

    private static Process Begin(TestServer server, params string[] options) => server.Cli.Start(
        ["exec", "--boot-timeout", "10m", .. options, "--", "sh", "-c", "echo begun; exec sleep 701"]);

    /// <summary>Goes as one that is killed does, after it has said something and something was done.</summary>
    private async Task LeaveAsync(string? order, Func<JobSocket, Task>? then = null)
    {
        using ClientWebSocket connection = await ConnectAsync();
        using var socket = new JobSocket(connection);
        if (order is not null)
        {
            await SayAsync(socket, order);
        }

        if (then is not null)
        {
            await then(socket);
            await real.Server.WaitAsync(async () => await real.Server.VmsAsync() == 1, $"{order}: it has no VM");
        }

        connection.Abort();
        await real.Server.WaitAsync(async () => await real.Server.VmsAsync() == 0, $"{order}: its VM lives on");
    }

    private async Task<ClientWebSocket> ConnectAsync()
    {
        var connection = new ClientWebSocket();
        connection.Options.SetRequestHeader("Authorization", "Bearer " + RealServer.Token);
        await connection.ConnectAsync(new Uri($"ws://{real.Server.Address}/v1/templates/busybox/run"), Stop);
        return connection;
    }

    private static Task SayAsync(JobSocket socket, string note) => socket.SayAsync(
        JobSocket.Parse(Encoding.UTF8.GetBytes(note), MessageContext.Default.ClientNote),
        MessageContext.Default.ClientNote, Stop);

    private static async Task StartedAsync(JobSocket socket)
    {
        (bool isNote, ReadOnlyMemory<byte> text) = (await socket.ReadAsync(Stop)).ShouldNotBeNull();
        isNote.ShouldBeTrue();
        JobSocket.Parse(text, MessageContext.Default.ServerNote).Started.ShouldBe(true);
    }

    /// <summary>Reads until bytes of a kind come.</summary>
    private static async Task BytesAsync(JobSocket socket, JobBytes whose)
    {
        while (true)
        {
            (bool isNote, ReadOnlyMemory<byte> bytes) = (await socket.ReadAsync(Stop)).ShouldNotBeNull();
            if (!isNote && bytes.Span[0] == (byte)whose)
            {
                return;
            }
        }
    }

    /// <summary>The last note.</summary>
    private static async Task<ServerNote> LastAsync(JobSocket socket)
    {
        while (true)
        {
            (bool isNote, ReadOnlyMemory<byte> bytes) = (await socket.ReadAsync(Stop)).ShouldNotBeNull();
            if (isNote && JobSocket.Parse(bytes, MessageContext.Default.ServerNote) is { Started: null } note)
            {
                return note;
            }
        }
    }
}

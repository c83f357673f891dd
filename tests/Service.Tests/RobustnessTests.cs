using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Serve;
using Quietus.Cli.Tests;
using Quietus.Cli.Tests.Guests;
using Quietus.Cli.Terminals;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>
/// What goes wrong around a server: every job is answered or its client sees the connection's end, and nothing is left
/// running. That no machine is left, disposing proves.
/// </summary>
public sealed class RobustnessTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_full_server_refuses_and_says_so()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--vms", "1", "--queue", "1");
        using Process first = server.Cli.Start("exec", "--", "sh", "-c", "echo begun; exec sleep 602");
        first.StandardOutput.ReadLine().ShouldBe("begun");
        await server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/vms", 429);
        using Process second = server.Cli.Start("exec", "--", "echo", "second");
        await server.WaitAsync(
            async () => (await server.GetAsync("/v1/templates")).GetProperty("templates")[0].GetProperty("waiting")
                .GetInt32() == 1,
            "the second job does not wait");
        JsonElement problem = await server.SendAsync(
            HttpMethod.Post, "/v1/templates/busybox/exec", 429, """{"command":["true"]}""");
        problem.GetProperty("error").GetString().ShouldBe("1 jobs of 'busybox' wait for a VM already");
        Command.Outcome third = server.Cli.Run("exec", "--", "true");
        third.Code.ShouldBe(125);
        third.Errors.ShouldContain("wait for a VM already");

        // The first client goes, and the second has its place.
        Command.Signal(first, Command.KillNow);
        Command.Finish(first).Code.ShouldBe(137);
        Command.Finish(second).Output.ShouldBe("second\n");
        (await server.VmsAsync()).ShouldBe(0);
    }

    [Theory]
    [InlineData("sleep 603")]
    [InlineData("yes; sleep 603")]
    public async Task A_client_that_is_killed_takes_its_VM_along(string program)
    {
        await using TestServer server = await TestServer.StartAsync();

        // More input than all buffers hold: the server reads the connection no further.
        string file = server.Cli.WriteFile("much", new byte[8 << 20]);
        using Process client = server.Cli.Start("exec", "--", "sh", "-c", $"echo begun; {program}");
        client.StandardOutput.ReadLine().ShouldBe("begun");
        Task<int> feeding = Task.Run(() =>
        {
            try
            {
                client.StandardInput.BaseStream.Write(File.ReadAllBytes(file));
            }
            catch (IOException)
            {
                // It was killed.
            }

            return 0;
        });
        (await server.VmsAsync()).ShouldBe(1);
        Command.Signal(client, Command.KillNow);
        await server.WaitAsync(async () => await server.VmsAsync() == 0, "the VM lives on");
        await feeding;
    }

    [Fact]
    public async Task A_stop_answers_the_jobs_that_run()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--grace", "100ms");
        using Process job = server.Cli.Start("exec", "--", "sh", "-c", "echo begun; exec sleep 604");
        job.StandardOutput.ReadLine().ShouldBe("begun");
        Command.Signal(server.Process, Command.Terminate);
        Command.Outcome outcome = Command.Finish(job);
        outcome.Code.ShouldBe(125);
        outcome.Errors.ShouldContain("the server has stopped in the middle of it");
        await server.Process.WaitForExitAsync(Stop);
        server.Process.ExitCode.ShouldBe(0, server.Said);
        File.Exists(server.Socket).ShouldBeFalse();
    }

    [Fact]
    public async Task A_stop_waits_for_jobs_that_end_in_time()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--grace", "2m");
        string go = server.Cli.PathOf("go");
        using Process job = server.Cli.Start(
            "exec", "--", "sh", "-c", $"echo begun; while ! [ -e {go} ]; do sleep 0.1; done; echo done");
        job.StandardOutput.ReadLine().ShouldBe("begun");
        Command.Signal(server.Process, Command.Terminate);
        Command.Wait(() => server.Said.Contains("stopping", StringComparison.Ordinal), "it runs on");
        await server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/exec", 503, """{"command":["true"]}""");
        File.WriteAllText(go, string.Empty);
        Command.Outcome outcome = Command.Finish(job);
        (outcome.Code, outcome.Output).ShouldBe((0, "done\n"), outcome.Errors);
        await server.Process.WaitForExitAsync(Stop);
    }

    [Fact]
    public async Task A_server_that_is_killed_leaves_no_machine_and_the_next_one_takes_its_socket()
    {
        await using TestServer server = await TestServer.StartAsync();
        using Process job = server.Cli.Start("exec", "--", "sh", "-c", "echo begun; exec sleep 605");
        job.StandardOutput.ReadLine().ShouldBe("begun");
        int machine = server.Cli.Machines()[0];
        Command.Signal(server.Process, Command.KillNow);
        Command.Outcome outcome = Command.Finish(job);
        outcome.Code.ShouldBe(125);
        outcome.Errors.ShouldContain("has gone");
        Command.Wait(() => !Command.IsAlive(machine), "the machine lives on");
        File.Exists(server.Socket).ShouldBeTrue();

        // Its socket is left, and no server: a machine for this run alone.
        server.Cli.Run("exec", "--", "echo", "alone").Errors.ShouldContain("no server runs");
        var next = new TestServer(server.Cli);
        await next.WaitUntilReadyAsync();
        server.Cli.Run("exec", "--", "echo", "again").Output.ShouldBe("again\n");
        Command.Outcome second = Command.Finish(server.Cli.StartServer());
        second.Code.ShouldBe(1);
        second.Errors.ShouldContain("another server listens");
        Command.Signal(next.Process, Command.Terminate);
        await next.Process.WaitForExitAsync(Stop);
    }

    [Fact]
    public async Task A_machine_that_dies_is_started_anew_and_its_jobs_are_answered()
    {
        await using TestServer server = await TestServer.StartAsync();
        using Process job = server.Cli.Start("exec", "--", "sh", "-c", "echo begun; exec sleep 606");
        job.StandardOutput.ReadLine().ShouldBe("begun");
        JsonElement kept = await server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/vms", 200);
        using (Process machine = Process.GetProcessById(server.Cli.Machines()[0]))
        {
            machine.Kill();
        }

        Command.Outcome outcome = Command.Finish(job);
        outcome.Code.ShouldBe(125);
        outcome.Errors.ShouldContain("QEMU");

        // The next one waits until there is a machine again.
        server.Cli.Run("exec", "--", "echo", "next").Output.ShouldBe("next\n");
        (await server.GetAsync("/v1/templates")).GetProperty("templates")[0].GetProperty("starts").GetInt32()
            .ShouldBe(2);
        (await server.GetAsync($"/v1/vms/{kept.GetProperty("id").GetInt64()}")).GetProperty("message").GetString()
            .ShouldBe("the machine has ended");
        (await server.GetAsync("/v1/templates")).GetProperty("templates")[0].GetProperty("vms").GetInt32().ShouldBe(0);
    }

    [Fact]
    public async Task A_machine_that_does_not_come_up_is_a_503_that_says_why()
    {
        await using var server = new TestServer("dies-at-start");
        JsonElement problem = default;
        await server.WaitAsync(
            async () =>
            {
                try
                {
                    problem = await server.SendAsync(
                        HttpMethod.Post, "/v1/templates/busybox/exec", 503, """{"command":["true"]}""");
                    return problem.GetProperty("error").GetString()!.Contains("failed", StringComparison.Ordinal);
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            },
            "it does not fail");
        problem.GetProperty("error").GetString()!.ShouldContain("QEMU ended unexpectedly");
    }

    [Fact]
    public void Without_room_on_the_disk_for_a_machine_s_files_jobs_are_told_so()
    {
        using Command cli = FakeGuest.Install(new Command());

        // No file may be longer than 32 KB, and the guest's are: as on a full disk, but for this process alone. .NET
        // would want a large file in memory for its code.
        string server = Path.Combine(AppContext.BaseDirectory, "quietus-serve.dll");
        Command.Outcome outcome = cli.Shell($"""
            (trap '' XFSZ; ulimit -f 64; export DOTNET_EnableWriteXorExecute=0; exec dotnet {server} serve) & pid=$!
            while ! [ -S cache/serve.sock ] && kill -0 $pid; do sleep 0.1; done
            $Q exec --boot-timeout 2s -- true; echo job=$?
            kill -TERM $pid; wait $pid; echo server=$?
            """);
        outcome.Output.ShouldBe("job=125\nserver=0\n", outcome.Errors);
        outcome.Errors.ShouldContain("the server says: 'busybox' has failed, and is started anew: ");
    }

    [Fact]
    public async Task A_reader_that_stops_stops_its_program_and_not_the_machine()
    {
        await using TestServer server = await TestServer.StartAsync();
        int length = 0;
        var taken = new SemaphoreSlim(0);
        var output = new CallStream(async (bytes, cancellation) =>
        {
            if (Volatile.Read(ref length) == 0)
            {
                await taken.WaitAsync(cancellation);
            }

            Interlocked.Add(ref length, bytes.Length);
        });
        Task<ExecEnd> job = server.RunAsync(
            new JobStreams(null, output, output), "head", "-c", "104857600", "/dev/zero");

        // Others go on, while this one is not read and the server holds what it holds.
        for (int i = 0; i < 3; i++)
        {
            server.Cli.Run("exec", "--", "echo", "x").Output.ShouldBe("x\n");
        }

        string status = File.ReadAllText($"/proc/{server.Process.Id}/status");
        string peak = status.Split('\n').Single(line => line.StartsWith("VmHWM", StringComparison.Ordinal));
        int.Parse(peak.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture)
            .ShouldBeLessThan(250_000);
        taken.Release(2);
        (await job).ExitCode.ShouldBe(0);
        length.ShouldBe(104857600);
    }

    [Fact]
    public async Task On_TCP_a_client_shows_the_token()
    {
        using Command files = FakeGuest.Install(new Command());
        string token = files.WriteFile("token", "0123456789abcdef-secret\n"u8.ToArray());
        using (var probe = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0))
        {
            probe.Start();
            string port = probe.LocalEndpoint.ToString()!;
            probe.Stop();
            Command.Finish(files.StartServer("--listen", port)).Code.ShouldBe(2);
            await using var server = new TestServer("good", "--listen", port, "--token-file", token);
            using var http = new HttpClient { BaseAddress = new Uri("http://" + port) };
            Command.Wait(() => server.Said.Contains("is ready", StringComparison.Ordinal), "it is not ready");
            foreach (string path in (string[])["/v1/health", "/metrics", "/openapi/v1.json", "/v1/vms"])
            {
                using HttpResponseMessage refused = await http.GetAsync(new Uri(path, UriKind.Relative), Stop);
                ((int)refused.StatusCode).ShouldBe(401, path);
            }

            http.DefaultRequestHeaders.Add("Authorization", "Bearer 0123456789abcdef-secret");
            using HttpResponseMessage answer = await http.GetAsync(new Uri("/v1/health", UriKind.Relative), Stop);
            ((int)answer.StatusCode).ShouldBe(200);
            Command.Outcome outcome = server.Cli.Run(
                "exec", "--server", port, "--token-file", token, "--", "echo", "tcp");
            (outcome.Code, outcome.Output).ShouldBe((0, "tcp\n"), outcome.Errors);
            server.Cli.Run("exec", "--server", port, "--", "true").Errors
                .ShouldContain("the token is missing or wrong");
        }
    }

    [Fact]
    public async Task Only_its_owner_may_connect_to_the_socket()
    {
        await using TestServer server = await TestServer.StartAsync();
        File.GetUnixFileMode(server.Socket).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Theory]
    [InlineData("needs a token", "--listen", "127.0.0.1:8000")]
    [InlineData("is no server's address", "--listen", "0.0.0.0:8000")]
    [InlineData("is no mode", "--socket-mode", "666")]
    [InlineData("there is no template", "--template", "none")]
    [InlineData("may take", "--most-memory", "256M")]
    public void What_makes_no_sense_is_a_usage_error(string message, params string[] arguments)
    {
        using Command cli = FakeGuest.Install(new Command());
        Command.Outcome outcome = Command.Finish(cli.StartServer(arguments));
        outcome.Code.ShouldBe(ExitCode.Usage, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        cli.Machines().ShouldBeEmpty();
    }
}

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Exec;
using Quietus.Cli.Serve;
using Quietus.Cli.Tests;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Service.Tests;

/// <summary>
/// A server as a process of its own, whose machine's agent runs this host's programs. Disposing proves that no machine
/// is left.
/// </summary>
public sealed class TestServer : IAsyncDisposable
{
    private static readonly TimeSpan _patience = TimeSpan.FromMinutes(5);

    private readonly StringBuilder _said = new();

    internal TestServer(string mode, params string[] arguments)
        : this(FakeGuest.Install(new Cli.Tests.Cli(mode)), arguments)
    {
    }

    internal TestServer(Cli.Tests.Cli cli, params string[] arguments)
    {
        Cli = cli;
        Socket = Path.Combine(cli.Cache, "serve.sock");
        bool isOnTcp = arguments.Contains("--token-file");
        Address = isOnTcp
            ? ServerAddress.Read(arguments[Array.IndexOf(arguments, "--listen") + 1])
            : new ServerAddress(Socket, null);
        string? token = isOnTcp
            ? File.ReadAllText(arguments[Array.IndexOf(arguments, "--token-file") + 1]).Trim()
            : null;
        Process = cli.StartServer(arguments);
        Process.ErrorDataReceived += (_, line) =>
        {
            lock (_said)
            {
                _said.Append(line.Data).Append('\n');
            }
        };
        Process.BeginErrorReadLine();
        Http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellation) =>
            {
                EndPoint end = Address.Port is { } port ? port : new UnixDomainSocketEndPoint(Socket);
                var socket = new Socket(end.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(end, cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        {
            BaseAddress = new Uri("http://localhost"),
            Timeout = _patience,
        };
        if (token is not null)
        {
            Http.DefaultRequestHeaders.Authorization = new("Bearer", token);
        }

        Client = new ServerClient(Address, token);
    }

    public HttpClient Http { get; }

    internal Cli.Tests.Cli Cli { get; }

    internal Process Process { get; }

    internal string Socket { get; }

    /// <summary>Where it listens: its socket, or a port.</summary>
    internal ServerAddress Address { get; }

    internal ServerClient Client { get; }

    /// <summary>All that it has said on standard error.</summary>
    internal string Said
    {
        get
        {
            lock (_said)
            {
                return _said.ToString();
            }
        }
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>A server whose template is ready.</summary>
    internal static async Task<TestServer> StartAsync(string mode = "good", params string[] arguments)
    {
        var server = new TestServer(mode, arguments);
        await server.WaitUntilReadyAsync();
        return server;
    }

    internal Task WaitUntilReadyAsync() => WaitAsync(
        async () => (await TryAsync("/v1/templates"))?.GetProperty("templates")[0].GetProperty("state").GetString()
            == "ready", "the template is not ready");

    /// <summary>Waits for something, and says what the server said where it does not come.</summary>
    internal async Task WaitAsync(Func<Task<bool>> condition, string otherwise)
    {
        long begun = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(begun) > _patience)
            {
                throw new TimeoutException($"{otherwise}; the server said: {Said}");
            }

            await Task.Delay(30, Stop);
        }
    }

    internal async Task<JsonElement> GetAsync(string path)
    {
        using HttpResponseMessage answer = await Http.GetAsync(new Uri(path, UriKind.Relative), Stop);
        return await ReadAsync(answer, 200);
    }

    internal async Task<JsonElement> SendAsync(HttpMethod method, string path, int status, string? body = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        }

        using HttpResponseMessage answer = await Http.SendAsync(request, Stop);
        return await ReadAsync(answer, status);
    }

    /// <summary>Runs a program by POST: its output, its error, and the last line.</summary>
    internal async Task<(string Output, string Errors, JsonElement Last)> ExecAsync(string path, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await Http.PostAsync(new Uri(path, UriKind.Relative), content, Stop);
        string text = await answer.Content.ReadAsStringAsync(Stop);
        ((int)answer.StatusCode).ShouldBe(200, text);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/x-ndjson");
        JsonElement[] lines =
        [
            .. text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => JsonDocument.Parse(line).RootElement),
        ];
        return (Join(lines, "stdout"), Join(lines, "stderr"), lines[^1]);
    }

    /// <summary>Runs a program over a WebSocket.</summary>
    internal Task<ExecEnd> RunAsync(JobStreams streams, params string[] command) => Client.RunAsync(
        "busybox", new ExecRequest(command), new ServerJob(streams, [], [], Started: null), _patience, Stop);

    /// <summary>How many VMs there are.</summary>
    internal async Task<int> VmsAsync() => (await GetAsync("/v1/vms")).GetProperty("vms").GetArrayLength();

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (!Process.HasExited)
        {
            Quietus.Cli.Tests.Cli.Signal(Process, Quietus.Cli.Tests.Cli.Terminate);
            using var limit = new CancellationTokenSource(_patience);
            await Process.WaitForExitAsync(limit.Token);
        }

        Process.Dispose();
        Cli.Dispose();
    }

    private static string Join(IEnumerable<JsonElement> lines, string key) => string.Concat(lines
        .Where(line => line.TryGetProperty(key, out _))
        .Select(line => Encoding.UTF8.GetString(line.GetProperty(key).GetBytesFromBase64())));

    private async Task<JsonElement?> TryAsync(string path)
    {
        try
        {
            return Process.HasExited ? throw new IOException(Said) : await GetAsync(path);
        }
        catch (HttpRequestException)
        {
            // It does not listen yet.
            return null;
        }
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage answer, int status)
    {
        string text = await answer.Content.ReadAsStringAsync(Stop);
        ((int)answer.StatusCode).ShouldBe(status, text);
        return text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
    }
}

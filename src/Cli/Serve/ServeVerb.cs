using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Serve;

/// <summary><c>quietus serve</c>: keeps templates warm and runs programs in their children.</summary>
internal static class ServeVerb
{
    private const int MostVms = 64;

    private static readonly Value<ServerAddress?> _listen = new(
        "--listen", "where",
        "unix:PATH, or 127.0.0.1:PORT with --token-file [default: serve.sock in the cache folder, where exec looks]",
        ServerAddress.Read);

    private static readonly Value<string?> _token =
        Values.Text("--token-file", "file", "Its first line is the token that a client on TCP has to show");

    private static readonly Value<int?> _mode = new(
        "--socket-mode", "mode", "Who may connect to the socket: 600, or 660 for its group too [default: 600]",
        ReadMode);

    private static readonly Value<IReadOnlyList<string>> _templates = Values.List(
        "--template", "names", "Templates to hold warm from the start, a machine each", TemplateStore.CheckName,
        ServedTemplate.Busybox);

    private static readonly Value<string?> _network = Values.Choice(
        "--network", "kind", "Whether templates with a network may be held: none, or user for those that have one",
        "network", [CommonOptions.NoNetwork, CommonOptions.UserNetwork], CommonOptions.NoNetwork);

    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();

    private static readonly Value<int?> _vms =
        Values.Number("--vms", "VMs of each template at a time", "number of VMs", 1, MostVms, "4");

    private static readonly Value<long?> _memory = new(
        "--most-memory", "size", "Of this host, for all machines [default: what is free]",
        text => CommonOptions.ReadMemory(text));

    private static readonly Value<TimeSpan?> _time =
        Values.Time("--most-time", "How long a job may take, whatever it asks for [default: 10m]");

    private static readonly Value<int?> _waiting = Values.Number(
        "--queue", "Jobs of each template that wait for a VM; the next is refused", "queue length", 0, 10_000, "64");

    private static readonly Value<TimeSpan?> _grace =
        Values.Time("--grace", "How long running jobs have when the server is told to stop [default: 10s]");

    private static readonly Value<TimeSpan?> _bootLimit =
        Values.Time("--boot-timeout", "How long a machine may take to be ready [default: 2m]");

    /// <summary>The server, where this program has one in it.</summary>
    public static Func<ServePlan, CancellationToken, Task<int>>? Run { get; set; }

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("serve", "Keep templates warm and run programs in their children, by HTTP")
        {
            _listen, _token, _mode, _templates, _network, _cpu, _vms, _memory, _time, _waiting, _grace, _bootLimit,
        };
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        ServePlan plan = Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        return Run is { } run
            ? await run(plan, cancellation).ConfigureAwait(false)
            : throw CliException.NotSupported(
                "the server is a program of its own, quietus-serve", "./quietus serve builds and starts it");
    }

    private static ServePlan Read(ParseResult result)
    {
        ServerAddress address = _listen.Of(result) ?? new ServerAddress(ServerAddress.StandardSocket, null);
        string? tokenFile = _token.Of(result);
        if (address.Socket is null && tokenFile is null)
        {
            throw CliException.Usage(
                "a TCP port is open to every user of this host, so it needs a token",
                "give --token-file FILE, or listen on unix:PATH");
        }

        if (address.Socket is { } path)
        {
            CommonOptions.Refuse(result, [_token], "on a socket", "its file mode says who may connect: --socket-mode");
            if (FileStatus.Of(path) is { Type: not FileStatus.Socket })
            {
                throw CliException.Usage($"--listen: {path} is there, and is no socket", "name another path");
            }
        }
        else
        {
            CommonOptions.Refuse(result, [_mode], "on TCP", "a token says who may connect: --token-file");
        }

        IReadOnlyList<string> templates = _templates.Of(result);
        bool mayHaveNetwork = CommonOptions.HasNetwork(_network.Of(result));
        foreach (string template in templates)
        {
            if (!ServedTemplate.IsBuiltIn(template))
            {
                TemplateStore.Load(template);
            }

            if (!mayHaveNetwork && ServedTemplate.HasNetwork(template) == true)
            {
                throw CliException.Usage(
                    $"the template '{template}' has a network, and this server may hold none that has",
                    "give --network user");
            }
        }

        return new ServePlan
        {
            Address = address,
            Token = tokenFile is null ? null : ServerAddress.ReadToken(tokenFile),
            SocketMode = _mode.Of(result) ?? 0x180,
            Templates = templates,
            MayHaveNetwork = mayHaveNetwork,
            Cpu = _cpu.Of(result),
            MostVms = _vms.Of(result)!.Value,
            MostMemory = _memory.Of(result) ?? HostMemory.Available() ?? long.MaxValue,
            MostTime = _time.Of(result) ?? TimeSpan.FromMinutes(10),
            MostWaiting = _waiting.Of(result)!.Value,
            Grace = _grace.Of(result) ?? TimeSpan.FromSeconds(10),
            BootLimit = _bootLimit.Of(result) ?? TimeSpan.FromMinutes(2),
        };
    }

    private static int? ReadMode(string text) => text.Length == 3 && text.All(digit => digit is >= '0' and <= '7')
        && text[0] == '6' && text[2] == '0'
        ? Convert.ToInt32(text, 8)
        : throw CliException.Usage(
            $"'{text}' is no mode for the socket", "600 for its owner, 660 for its group too; never for all users");
}

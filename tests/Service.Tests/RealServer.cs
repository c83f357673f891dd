using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Tests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>The tests that share one server with the real image on the real QEMU.</summary>
[CollectionDefinition(Name)]
public sealed class RealServerTests : ICollectionFixture<RealServer>
{
    public const string Name = "a server with the real machine";
}

/// <summary>
/// A server with the real image on the real QEMU, and Linux in it. Its cache is its own but for the guest.
/// </summary>
public sealed class RealServer : IAsyncLifetime
{
    public const string Token = "0123456789abcdef-secret";

    /// <summary>How long a boot, or a program in the middle of other work, may take.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>Prints what a virtio driver has warned of in the kernel's log, or none.</summary>
    internal const string Warnings =
        "d=$(dmesg -r | grep -E '^<[0-4]>' | grep -iE 'virtio|vsock|vd[a-z]|eth0'); echo ${d:-none}";

    private TestServer? _server;

    /// <summary>It; the test is skipped where it cannot be.</summary>
    internal TestServer Server
    {
        get
        {
            Assert.SkipWhen(
                _server is null, "this needs QEMU, the image and a cached Linux kernel: ./quietus serve gets them");
            return _server!;
        }
    }

    /// <summary>The command line in folders of its own, on the real machine; null where there is none.</summary>
    internal static Command? RealCommand()
    {
        if (LinuxGuest.Cached() is null || QemuBinary.Locate() is null || !File.Exists(Folders.Image))
        {
            return null;
        }

        var cli = new Command();
        cli.With("QUIETUS_QEMU", null).With("QUIETUS_HOME", Folders.Home).With("QUIETUS_IMAGE", Folders.Image);
        Directory.CreateDirectory(cli.Cache);
        Directory.CreateSymbolicLink(Path.Combine(cli.Cache, "linux"), Path.Combine(Folders.Cache, "linux"));
        return cli;
    }

    /// <summary>QEMU's processes that a process has started.</summary>
    internal static IReadOnlyList<int> MachinesOf(Process parent) =>
    [
        .. Directory.GetDirectories("/proc")
            .Select(path => int.TryParse(
                Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0)
            .Where(id => id != 0 && ParentOf(id) == parent.Id),
    ];

    internal static string FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return probe.LocalEndpoint.ToString()!;
    }

    public async ValueTask InitializeAsync()
    {
        if (RealCommand() is not { } cli)
        {
            return;
        }

        string token = cli.WriteFile("token", "0123456789abcdef-secret\n"u8.ToArray());
        _server = new TestServer(
            cli, "--listen", FreePort(), "--token-file", token, "--vms", "3", "--cpu", "max", "--boot-timeout", "10m",
            "--network", "user");
        await _server.WaitUntilReadyAsync();
    }

    public ValueTask DisposeAsync() => _server?.DisposeAsync() ?? ValueTask.CompletedTask;

    /// <summary>Runs <c>exec</c> on it.</summary>
    internal Command.Outcome Exec(params string[] arguments) => Command.Finish(Start(arguments), Patience);

    /// <summary>Starts <c>exec</c> on it.</summary>
    internal Process Start(params string[] arguments) => Server.Cli.Start(
    [
        "exec", "--server", Server.Address.ToString(), "--token-file", Server.Cli.PathOf("token"), "--boot-timeout",
        "10m", .. arguments,
    ]);

    /// <summary>Waits until a template is ready.</summary>
    internal Task ReadyAsync(string template) => Server.WaitAsync(
        async () => (await Server.GetAsync("/v1/templates")).GetProperty("templates").EnumerateArray().Any(
            state => state.GetProperty("name").GetString() == template
                && state.GetProperty("state").GetString() == "ready"),
        $"{template} is not ready");

    /// <summary>No VM is left, the pool says so too, and a program runs.</summary>
    internal async Task ShouldBeWholeAsync()
    {
        await Server.WaitAsync(async () => await Server.VmsAsync() == 0, "a VM lives on");
        await Server.WaitAsync(
            async () => (await Server.GetAsync("/v1/overview")).GetProperty("pools").EnumerateArray()
                .SelectMany(pool => pool.GetProperty("runs").EnumerateArray())
                .All(run => run.GetProperty("use").GetString() != "vm"),
            "a VM's memory is not back");
        Command.Outcome outcome = Exec("--", "echo", "whole");
        (outcome.Code, outcome.Output).ShouldBe((0, "whole\n"), outcome.Errors + Server.Said);
    }

    private static int ParentOf(int process)
    {
        try
        {
            // The name, in parentheses, may have spaces; the state and the parent follow it (proc(5)).
            string status = File.ReadAllText($"/proc/{process}/stat");
            string[] words = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            return status.Contains("(qemu", StringComparison.Ordinal)
                ? int.Parse(words[1], CultureInfo.InvariantCulture)
                : 0;
        }
        catch (IOException)
        {
            return 0;
        }
    }
}

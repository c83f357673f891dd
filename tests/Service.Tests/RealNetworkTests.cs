using System;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>A server's VMs on QEMU's user network.</summary>
[Collection(RealServerTests.Name)]
public sealed class RealNetworkTests(RealServer real)
{
    private const string Gateway = "100.64.0.2";

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_job_has_a_name_of_its_own_reaches_out_and_no_other_template_s_VM()
    {
        TestServer server = real.Server;

        // Not held before it is asked for.
        Command.Outcome first = real.Exec("--network", "user", "--", "cat", "/sys/class/net/eth0/address");
        first.Code.ShouldBe(0, first.Errors + server.Said);
        Command.Outcome second = real.Exec("--network", "user", "--", "cat", "/sys/class/net/eth0/address");
        second.Output.ShouldStartWith("02:51:");
        second.Output.ShouldNotBe(first.Output);
        real.Exec("--network", "user", "--", "ping", "-c", "1", "-w", "300", Gateway).Code.ShouldBe(0);
        real.Exec("--network", "user", "--", "sh", "-c", RealServer.Warnings).Output.ShouldBe("none\n");
        real.Exec("--", "cat", "/sys/class/net/eth0/address").Code.ShouldNotBe(0);
        if (OwnAddress() is { } own)
        {
            (await ReachedAsync(own)).ShouldBe("from the host\n");
        }

        // Another template on the network: its VMs and this one's have numbers, so addresses, of their own machine.
        Command.Outcome built = Command.Finish(
            server.Cli.Start(
                "template", "build", "other", "--network", "user", "--cpu", "max", "--boot-timeout", "10m"),
            RealServer.Patience);
        built.Code.ShouldBe(0, built.Errors);
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 200, """{"name":"other"}""");
        await real.ReadyAsync("other");
        string listener = await BearAsync("busybox-online");
        string address = (await RunAsync(listener, "ip -4 -o addr show eth0")).Split(' ', '/')
            .First(word => word.StartsWith("100.", StringComparison.Ordinal));
        address.ShouldStartWith("100.80.");
        await RunAsync(listener, "(while :; do echo heard | nc -l -p 7777; done) >/dev/null 2>&1 &");
        (await RunAsync(listener, $"until nc {address} 7777 </dev/null; do sleep 0.1; done")).ShouldBe("heard\n");

        // The same numbers come in both: a stranger of the listener's own address would reach itself.
        string stranger = await BearAsync("other");
        string its = await RunAsync(stranger, "ip -4 -o addr show eth0");
        if (its.Contains(address + "/", StringComparison.Ordinal))
        {
            await server.SendAsync(HttpMethod.Delete, stranger, 204);
            stranger = await BearAsync("other");
        }

        await RunAsync(stranger, $"! nc -w 3 {address} 7777 </dev/null");
        string sibling = await BearAsync("busybox-online");
        await RunAsync(sibling, $"! nc -w 3 {address} 7777 </dev/null");
        foreach (string vm in (string[])[listener, stranger, sibling])
        {
            await server.SendAsync(HttpMethod.Delete, vm, 204);
        }

        await server.SendAsync(HttpMethod.Delete, "/v1/templates/other", 204);
        await server.SendAsync(HttpMethod.Delete, "/v1/templates/busybox-online", 204);
        await real.ShouldBeWholeAsync();
    }

    /// <summary>What a job gets from a small server on an address of this host's.</summary>
    private async Task<string> ReachedAsync(IPAddress own)
    {
        using var listener = new TcpListener(own, 0);
        listener.Start();
        Task answering = Task.Run(
            async () =>
            {
                using TcpClient client = await listener.AcceptTcpClientAsync(Stop);
                await client.GetStream().WriteAsync("from the host\n"u8.ToArray(), Stop);
            },
            Stop);
        var end = (IPEndPoint)listener.LocalEndpoint;
        Command.Outcome outcome = real.Exec(
            "--network", "user", "--", "sh", "-c", $"nc {end.Address} {end.Port} </dev/null");
        outcome.Code.ShouldBe(0, outcome.Errors);
        await answering;
        return outcome.Output;
    }

    /// <summary>An address that is not the loopback's, which no VM reaches; null where this host has none.</summary>
    private static IPAddress? OwnAddress() => NetworkInterface.GetAllNetworkInterfaces()
        .Where(card => card.NetworkInterfaceType != NetworkInterfaceType.Loopback)
        .SelectMany(card => card.GetIPProperties().UnicastAddresses)
        .Select(address => address.Address)
        .FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork
            && address.GetAddressBytes() is not [169, 254, ..] and not [100, >= 64 and < 128, ..]);

    private async Task<string> BearAsync(string template)
    {
        JsonElement vm = await real.Server.SendAsync(HttpMethod.Post, $"/v1/templates/{template}/vms", 200);
        return $"/v1/vms/{vm.GetProperty("id").GetInt64()}";
    }

    /// <summary>Runs a command that must end with 0.</summary>
    private async Task<string> RunAsync(string vm, string command)
    {
        (string output, string errors, JsonElement last) = await real.Server.ExecAsync(
            vm + "/exec",
            JsonSerializer.Serialize(new { command = (string[])["sh", "-c", command] }));
        last.GetProperty("end").GetProperty("exit_code").GetInt32().ShouldBe(0, $"{command}: {output}{errors}");
        return output;
    }
}

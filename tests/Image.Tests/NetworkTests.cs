using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Image.Tests.Machines;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Debian's driver at the network device, the switch, and QEMU's user network behind the uplink.</summary>
public sealed class NetworkTests
{
    private const string Gateway = "100.64.0.2";

    [Fact]
    public async Task Children_reach_their_group_and_the_way_out_by_names_of_their_own_and_by_no_others()
    {
        Assert.SkipWhen(
            !File.Exists(Path.Combine(Folders.Cache, "linux/modules/virtio_net.ko")),
            $"no virtio_net module is in {Folders.Cache}/linux: build/fetch-linux-guest fetches it");
        await using TestMachine machine = await AgentGuest.BootAsync(network: QemuMachine.UserNetwork);
        TestVm template = await AgentGuest.MakeTemplateAsync(machine, "uplink=on group=7");
        TestVm others = await AgentGuest.MakeTemplateAsync(machine, "group=8");
        IReadOnlyList<TestVm> children = await machine.ForkAsync(template, 2);
        TestVm stranger = (await machine.ForkAsync(others))[0];
        (TestVm one, TestVm two) = (children[0], children[1]);

        // An agent gives its VM the addresses when it is first asked for something.
        (await RunAsync(machine, two, "ifconfig eth0")).ShouldContain(AddressOf(two) + " ");
        (await RunAsync(machine, stranger, "cat /sys/class/net/eth0/address"))
            .ShouldBe($"02:51:00:00:00:{stranger.Number:x2}\n");
        await RunAsync(machine, one, Ping(Gateway));
        await RunAsync(machine, one, Ping(AddressOf(two)));
        (await RunAsync(machine, one, "dmesg -r | grep -E '^<[0-4]>.*(virtio|eth0)' || true")).ShouldBeEmpty();

        // Another group's, and one without an uplink.
        await RunAsync(machine, stranger, "! " + Ping(AddressOf(two), 2));
        await RunAsync(machine, stranger, "! " + Ping(Gateway, 2));
        (await stranger.MeasureAsync()).Number("frames_dropped").ShouldBeGreaterThan(0);

        // One that takes another's name is not heard, and its own works again when it takes that back.
        long dropped = (await one.MeasureAsync()).Number("frames_dropped");
        string mac = $"ifconfig eth0 hw ether 02:51:00:00:00:";
        await RunAsync(machine, one, $"{mac}{two.Number:x2} && ! {Ping(Gateway, 2)}");
        (await one.MeasureAsync()).Number("frames_dropped").ShouldBeGreaterThan(dropped);
        await RunAsync(machine, one, $"{mac}{one.Number:x2} && ip neigh flush dev eth0; {Ping(Gateway)}");

        // Put back to its birth it has its name still; and a kill in the middle of traffic is a kill.
        await two.ResetAsync();
        await RunAsync(machine, two, Ping(AddressOf(one)));
        await using (JobClient client = await AgentGuest.ConnectAsync(machine, two))
        {
            var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Task<JobExit> endless = client.RunAsync(
                new JobOrder { Arguments = ["/bin/sh", "-c", $"while :; do ping -c 1 {Gateway}; done"] },
                null, new SignallingStream(heard), Stream.Null, null, TestMachine.Cancellation);
            await heard.Task.WaitAsync(TestMachine.Patience, TestMachine.Cancellation);
            await two.KillAsync();
            (await Should.ThrowAsync<GuestStreamException>(() => endless)).End.ShouldBe(StreamEnd.Ended);
        }

        foreach (TestVm vm in (TestVm[])[one, stranger, template, others])
        {
            vm.Broken.ShouldBeEmpty();
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task An_uplink_that_the_machine_has_not_is_refused()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        (await machine.AskAsync("machine")).Number("uplink").ShouldBe(0);
        const string Create = "create guest=filler memory=64M pages=4k policy=fate ";
        await machine.ShouldRefuseAsync(Create + "uplink=on", "no-uplink");
        await machine.ShouldRefuseAsync(Create + "group=65536", "bad-argument");
        await machine.ShouldRefuseAsync(Create + "group=x", "bad-argument");
        await machine.ShouldBeUnharmedAsync();
    }

    private static string AddressOf(TestVm vm)
    {
        uint address = GuestAddress.Of((ulong)vm.Number);
        return $"{address >> 24}.{(address >> 16) & 0xFF}.{(address >> 8) & 0xFF}.{address & 0xFF}";
    }

    /// <summary>Until an answer comes; the seconds bound what does not come.</summary>
    private static string Ping(string address, int seconds = 100) => $"ping -c 1 -w {seconds} {address}";

    /// <summary>Runs a command that must end with 0, and gives its output.</summary>
    private static async Task<string> RunAsync(TestMachine machine, TestVm vm, string command)
    {
        (JobExit exit, string told, string error) = await AgentGuest.RunAsync(machine, vm, command);
        ((exit.IsSignal, (int)exit.Value) == (false, 0)).ShouldBeTrue($"{command}: {told}{error}");
        return told;
    }

    /// <summary>Says when something was written.</summary>
    private sealed class SignallingStream(TaskCompletionSource heard) : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => heard.TrySetResult();

        public override ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, System.Threading.CancellationToken cancellationToken = default)
        {
            heard.TrySetResult();
            return ValueTask.CompletedTask;
        }
    }
}

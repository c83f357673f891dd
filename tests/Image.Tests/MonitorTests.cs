using System;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Image.Tests.Machines;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Nothing that is typed or sent to the monitor can hurt; what is wrong with it is said.</summary>
public sealed class MonitorTests
{
    private const string Create = "create guest=filler memory=64M pages=4k policy=fate";

    [Fact]
    public async Task Every_bad_command_gets_an_error_that_says_what_is_wrong()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 3);
        foreach ((string command, string code) in ((string, string)[])[
            (" ", "bad-command"),
            ("nonsense", "unknown-command"),
            ("Version", "bad-command"),
            ("version\u0007", "bad-command"),
            ("kill vm", "bad-command"),
            ("kill vm=", "bad-command"),
            ("kill =1", "bad-command"),
            ("kill vm=1 vm=1", "bad-command"),
            ("send vm=1 text=\"unended", "bad-command"),
            ("send vm=1 text=\"\\n\"", "bad-command"),
            ("a=1", "bad-command"),
            ("list a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1", "bad-command"),
            ("chunks from=x", "bad-argument"),
            ("chunks from=99999999", "bad-argument"),
            ("chunks to=1", "unknown-argument"),
            ("kill", "bad-argument"),
            ("kill vm=one", "bad-argument"),
            ("kill vm=-1", "bad-argument"),
            ("kill vm=18446744073709551616", "bad-argument"),
            ("kill vm=0", "no-such-vm"),
            ("kill vm=1", "no-such-vm"),
            ("kill vm=18446744073709551615", "no-such-vm"),
            ("start vm=4294967297", "no-such-vm"),
            ("unmap vm=7", "no-such-vm"),
            ("unmap vm=7 fate=unknown", "no-such-vm"),
            ("unmap vm=7 fait=unknown", "unknown-argument"),
            ("off when=now", "unknown-argument"),
            ("frobnicate vm=7", "unknown-command"),
            ("measure vm=7", "no-such-vm"),
            ("send vm=7 text=a", "no-such-vm"),
            ("create", "bad-guest"),
            ("create guest=windows memory=64M pages=4k policy=fate", "bad-guest"),
            ("create guest=filler pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=0 pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=14M pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=33M pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=67108865 pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=64X pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=17179869184G pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=18446744073707454464 pages=4k policy=fate", "bad-memory"),
            ("create guest=filler memory=4G pages=4k policy=fate", "out-of-memory"),
            (Create + " cpus=0", "bad-cpus"),
            (Create + " cpus=9", "bad-cpus"),
            (Create + " cpus=4294967297", "bad-cpus"),
            (Create + " cpus=two", "bad-cpus"),
            ("create guest=filler memory=64M policy=fate", "bad-pages"),
            ("create guest=filler memory=64M pages=1g policy=fate", "bad-pages"),
            ("create guest=filler memory=64M pages=4k", "bad-policy"),
            ("create guest=filler memory=64M pages=4k policy=best", "bad-policy"),
            ("create guest=linux memory=64M pages=4k policy=fate", "no-linux"),
        ])
        {
            await machine.ShouldRefuseAsync(command, code);
        }

        TestVm vm = await machine.CreateAsync("fill=1M", cpus: 8);
        foreach (string fate in (string[])["Freed", "\"\"", "free", "unknown2", "file-backed", "0"])
        {
            await machine.ShouldRefuseAsync($"unmap vm={vm.Number} fate={fate}", "bad-fate");
        }

        await machine.ShouldRefuseAsync($"unmap vm={vm.Number} fate=freed fate=unknown", "bad-command");
        (await vm.UnmapAsync()).Entries.ShouldBeGreaterThan(0, "a refused order has taken nothing");
        await vm.KillAsync();
        await machine.ShouldRefuseAsync($"kill vm={vm.Number}", "no-such-vm");
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task A_command_as_long_as_a_frame_is_read_to_its_end()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        string beginning = Create + " append=\"fill=2M";
        string command = beginning + new string(' ', FrameFormat.MaximumPayload - beginning.Length - 1) + "\"";
        TestVm vm = await machine.AdoptAsync(command);
        await vm.StartAsync();
        (await vm.DirtiedAsync()).ShouldBe(2 * ByteSize.Megabyte);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task The_map_of_memory_has_each_chunk_once_and_its_owner()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync("fill=6M then=spin");
        await vm.DirtiedAsync();
        await machine.AskAsync("scrub when=asked");
        long next = 0;
        long chunks = 1;
        long owned = 0;
        while (next < chunks)
        {
            MonitorReply reply = await machine.RequestAsync($"chunks from={next}");
            foreach (KeyValueLine run in reply.Items)
            {
                run.Number("chunk").ShouldBe(next);
                next += run.Number("count");
                if (run.Value("use") == "vm")
                {
                    run.Number("vm").ShouldBe(vm.Number);
                    owned += run.Number("count");
                }
            }

            reply.Final.Number("next").ShouldBe(next);
            chunks = reply.Final.Number("chunks");
        }

        next.ShouldBe(chunks);
        MonitorReply list = await machine.RequestAsync("list");
        (owned << 21).ShouldBe(list.Items[0].Number("held_bytes"));
        await vm.KillAsync();
        MonitorReply after = await machine.RequestAsync("chunks");
        after.Items.ShouldAllBe(run => run.Value("use") != "vm");
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task What_is_typed_waits_for_the_guest_and_goes_when_it_dies()
    {
        await using TestMachine machine = await TestMachine.BootAsync();
        TestVm vm = await machine.RunAsync("fill=1M then=spin");
        await vm.DirtiedAsync();
        Task typed = vm.TypeAsync(new string('x', 10_000));
        for (int i = 0; i < 20; i++)
        {
            await machine.AskAsync($"send vm={vm.Number} text=\"{new string('y', 500)}\"");
        }

        typed.IsCompleted.ShouldBeFalse();
        await vm.KillAsync();
        await typed.WaitAsync(TestMachine.Patience, TestMachine.Cancellation);
        await vm.TypeAsync("no guest is there").WaitAsync(TestMachine.Patience, TestMachine.Cancellation);
        await machine.ShouldBeUnharmedAsync();
    }

    [Fact]
    public async Task Noise_and_damaged_frames_are_dropped_and_the_monitor_answers()
    {
        await using RawMachine machine = await RawMachine.StartAsync(Board().Arguments());
        MonitorClient monitor = await machine.ConnectAsync();
        var random = new Random(1);
        byte[] frame = new byte[FrameFormat.MaximumFrame];
        byte[] off = "off"u8.ToArray();
        for (int i = 0; i < 60; i++)
        {
            // Were any of these taken for whole, the machine would be off.
            int length = new FrameEncoder(Channel.Monitor, (byte)i, off).WriteTo(frame);
            byte[] damaged = frame[..length];
            switch (i % 6)
            {
                case 0:
                    damaged[random.Next(length - 1)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    damaged = [.. damaged[..(length / 2)], 0];
                    break;
                case 2:
                    damaged = new byte[random.Next(1, 3000)];
                    random.NextBytes(damaged);
                    damaged = [.. damaged, 0];
                    break;
                case 3:
                    damaged = [.. new byte[3000], 0];
                    break;
                case 4:
                    damaged = [.. damaged[..(length - 1)], .. damaged];
                    break;
                default:
                    damaged = [.. System.Linq.Enumerable.Repeat((byte)0xFF, 5000), 0];
                    break;
            }

            await machine.SendAsync(damaged);
            MonitorReply reply = await monitor.RequestAsync(
                "version", TestMachine.Patience, TestMachine.Cancellation);
            reply.Final.Value("name").ShouldBe("quietus");
        }

        // Frames that are whole, on channels that mean nothing to EL2.
        for (int channel = 0; channel < 256; channel++)
        {
            if (channel != (int)Channel.Monitor)
            {
                int length = new FrameEncoder((Channel)channel, 0, off).WriteTo(frame);
                await machine.SendAsync(frame.AsMemory(0, length));
            }
        }

        (await monitor.RequestAsync("list", TestMachine.Patience, TestMachine.Cancellation))
            .Final.Number("count").ShouldBe(0);
        monitor.FramesDamaged.ShouldBe(0);
        monitor.FramesLost.ShouldBe(0);
    }

    [Fact]
    public async Task A_person_can_type_in_text_mode_and_a_program_can_come_and_go()
    {
        await using RawMachine machine = await RawMachine.StartAsync(Board().Arguments());
        await machine.HearAsync("quietus> ");
        await machine.TypeAsync("versoin\b\b\bion\r");
        (await machine.HearAsync("name=quietus")).ShouldContain("ok");
        await machine.TypeAsync("nonsense that is forgotten\u0015memory\r");
        await machine.HearAsync("refused_frees=0");
        await machine.TypeAsync(new string('z', 3000) + "\r");
        await machine.HearAsync("error code=");
        await machine.TypeAsync("\u0001\u001b[A\u00ff\u0015\r\r\rhelp\r");
        await machine.HearAsync("- start vm=N");
        await machine.TypeAsync(Create + " append=\"fill=2M then=spin\"\rstart vm=1\r");

        // The monitor's line: what the guest prints of it can be cut in two by a line of the monitor's.
        await machine.HearAsync("event=report vm=1 kind=1 value=2097152");
        await machine.TypeAsync("kill vm=1\r");
        (await machine.HearAsync("leaked_frames=0")).ShouldContain("way=kill");
        await machine.HearAsync("quietus> ");

        MonitorClient monitor = await machine.ConnectAsync();
        (await monitor.RequestAsync("list", TestMachine.Patience, TestMachine.Cancellation))
            .Final.Number("count").ShouldBe(0);
    }

    [Fact]
    public async Task A_panic_tells_what_happened_and_where()
    {
        await using RawMachine machine = await RawMachine.StartAsync(Board().Arguments());
        MonitorClient monitor = await machine.ConnectAsync();
        CliException panic = await Should.ThrowAsync<CliException>(
            () => monitor.RequestAsync("panic", TestMachine.Patience, TestMachine.Cancellation));
        panic.Message.ShouldBe("the hypervisor has panicked");
        string report = panic.Details.ShouldNotBeNull();
        report.ShouldContain("x30");
        report.ShouldContain("Commands");
        report.ShouldContain("MonitorLoop");
    }

    private static QemuMachine Board() => new()
    {
        Cpu = "cortex-a72",
        Processors = 2,
        MemoryBytes = 256 * ByteSize.Megabyte,
        Image = Folders.Image,
        HasPort = false,
    };
}

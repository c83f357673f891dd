using System;
using System.Linq;
using System.Text;
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

/// <summary>
/// Commands at random, half of them sound, and frames that were changed on their way. Each command gets one answer, and
/// afterwards every chunk of the pool is where it should be.
/// </summary>
public sealed class MonitorFuzzTests(ITestOutputHelper output)
{
    private const int Commands = 400;

    private static readonly string[] _verbs =
    [
        "create guest=filler", "create guest=filler", "create guest=filler", "start", "start", "kill", "kill",
        "unmap", "unmap", "list", "memory", "measure", "send", "scrub", "version", "machine", "help", "frob",
        "create", "creat\u0000e",
    ];

    private static readonly string[] _arguments =
    [
        "memory=16M", "memory=16M", "memory=32M", "memory=48M", "memory=4G", "memory=18446744073707454464", "memory=0",
        "cpus=1", "cpus=2", "cpus=8", "cpus=9", "cpus=18446744073709551615", "pages=4k", "pages=4k", "pages=2m",
        "pages=auto", "pages=1g", "policy=fate", "policy=fate", "policy=series", "policy=before-series",
        "policy=patch5", "policy=no", "overcommit=yes", "overcommit=no", "overcommit=", "fate=unknown", "fate=freed",
        "fate=7", "when=idle", "when=asked", "when=", "for=1", "for=900000", "for=1000000001", "text=a",
        "text=\"b c\"", "text=\"", "append=\"fill=8M then=spin\"", "append=fill=1M", "append=\"then=off\"",
        "append=\"test=psci then=off\"", "x", "=", "vm=0", "vm=18446744073709551615",
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task Whatever_is_sent_to_the_monitor_it_answers_and_no_chunk_is_misplaced(int cores)
    {
        Random random = TestSeed.Begin(output);
        await using RawMachine machine = await RawMachine.StartAsync(new QemuMachine
        {
            Cpu = "cortex-a72",
            Processors = cores,
            MemoryBytes = 192 * ByteSize.Megabyte,
            Image = Folders.Image,
            HasPort = false,
        }.Arguments());
        MonitorClient monitor = await machine.ConnectAsync();
        long free = (await AskAsync("memory"))!.Number("free_bytes");
        int done = 0;
        long last = 0;
        for (int i = 0; i < Commands; i++)
        {
            if (random.Next(4) == 0)
            {
                await machine.SendAsync(Damaged(random));
            }

            KeyValueLine? answer = await AskAsync(Command(random, last));
            done += answer is null ? 0 : 1;
            last = answer?.TryNumber("slot") is null ? last : answer.Number("vm");
        }

        output.WriteLine($"{done} of {Commands} commands done, {last} VMs made");
        done.ShouldBeGreaterThan(Commands / 40);
        last.ShouldBeGreaterThan(Commands / 100);
        for (long vm = 1; vm <= last; vm++)
        {
            await AskAsync($"kill vm={vm}");
        }

        KeyValueLine memory = (await AskAsync("memory"))!;
        (memory.Number("refused_frees"), memory.Number("misplaced_chunks")).ShouldBe((0, 0), memory.Text);
        (memory.Number("used_bytes"), memory.Number("free_bytes") + memory.Number("slot_bytes"))
            .ShouldBe((0, free), memory.Text);
        memory.Number("available_bytes").ShouldBe(free, "no promise outlives its VM");
        (monitor.FramesDamaged, monitor.FramesLost).ShouldBe((0, 0));

        async Task<KeyValueLine?> AskAsync(string command)
        {
            try
            {
                return (await monitor.RequestAsync(command, TestMachine.Patience, TestMachine.Cancellation)).Final;
            }
            catch (MonitorException)
            {
                return null;
            }
        }
    }

    private static string Command(Random random, long last)
    {
        // One that is sound, more often than chance would have it; then sound pieces in any order; then changed ones.
        string vm = $" vm={Math.Max(1, last - random.Next(3))}";
        var command = new StringBuilder(random.Next(5) switch
        {
            0 => "create guest=filler memory=16M pages=4k policy=fate append=\"fill=2M then=spin\"",
            1 => (random.Next(3) switch { 0 => "start", 1 => "kill", _ => "unmap" }) + vm,
            _ => _verbs[random.Next(_verbs.Length)],
        });
        for (int left = random.Next(6); left > 0 && random.Next(3) != 0; left--)
        {
            command.Append(' ').Append(random.Next(5) == 0 ? vm[1..] : _arguments[random.Next(_arguments.Length)]);
        }

        for (int left = random.Next(4) == 0 ? 1 + random.Next(4) : 0; left > 0; left--)
        {
            command[random.Next(command.Length)] = (char)random.Next(256);
        }

        // These three end the machine or its frames, and do what they should.
        string verb = command.ToString().Split(' ')[0];
        return verb is "off" or "panic" or "text" ? "list" : command.ToString();
    }

    /// <summary>A whole frame with a command that would show, changed so that it must not be taken for one.</summary>
    private static byte[] Damaged(Random random)
    {
        byte[] frame = new byte[FrameFormat.MaximumFrame];
        int length = new FrameEncoder(Channel.Monitor, (byte)random.Next(256), "off"u8).WriteTo(frame);
        byte[] changed = frame[..length];
        switch (random.Next(4))
        {
            case 0:
                changed[random.Next(length - 1)] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                changed = [.. changed[..random.Next(1, length - 1)], 0];
                break;
            case 2:
                changed = new byte[random.Next(1, 3000)];
                random.NextBytes(changed);
                break;
            default:
                changed = [.. Enumerable.Repeat((byte)random.Next(1, 256), random.Next(3000))];
                break;
        }

        return [.. changed, 0];
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Hypervisor.Monitor;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Monitor;

/// <summary>
/// The monitor's decoder and parser on streams of whole, changed and made-up frames. Spans are checked here: a read or
/// write outside of one throws.
/// </summary>
public class WireFuzzTests
{
    private static readonly string[] _commands =
    [
        "version", "list", "kill vm=1", "start vm=18446744073709551615 for=1", "unmap vm=3 fate=unknown",
        "create guest=filler memory=64M cpus=2 pages=4k policy=fate append=\"a=\\\"b c\\\" d\\\\e\"",
        "send vm=1 text=\"x y\"",
    ];

    [Fact]
    public void Whole_frames_arrive_whole_changed_ones_do_not_and_no_command_reads_outside_its_line()
    {
        var random = new Random(1);
        var stream = new List<byte> { FrameFormat.Delimiter };
        var sent = new List<string>();
        byte[] frame = new byte[FrameFormat.MaximumFrame];
        for (int i = 0; i < 20_000; i++)
        {
            byte[] payload = Payload(random);
            int length = new FrameEncoder(Channel.Monitor, (byte)i, payload).WriteTo(frame);
            byte[] bytes = frame[..length];
            switch (random.Next(6))
            {
                case 0:
                    bytes[random.Next(length - 1)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes = bytes[..random.Next(length)];
                    break;
                case 2:
                    bytes = new byte[random.Next(40)];
                    random.NextBytes(bytes);
                    break;
                default:
                    sent.Add(Encoding.Latin1.GetString(payload));
                    break;
            }

            stream.AddRange(bytes);
            stream.Add(FrameFormat.Delimiter);
        }

        List<string> heard = Hear(stream);
        heard.ShouldBe(sent);
    }

    [Fact]
    public void Random_bytes_are_no_frames_and_hurt_nothing()
    {
        var random = new Random(2);
        byte[] noise = new byte[1 << 20];
        random.NextBytes(noise);
        for (int i = 0; i < noise.Length; i += 1 + random.Next(300))
        {
            noise[i] = FrameFormat.Delimiter;
        }

        // 16 bits of checksum let one stretch in 65,536 pass for a frame; there are some 7,000.
        Hear(noise).Count.ShouldBeLessThanOrEqualTo(2);
    }

    private static List<string> Hear(IEnumerable<byte> stream)
    {
        var heard = new List<string>();
        FrameDecoder decoder = default;
        byte[] body = new byte[FrameFormat.MaximumBody];
        foreach (byte value in stream)
        {
            if (decoder.Feed(value, body) == DecodeStep.Frame)
            {
                decoder.PayloadLength.ShouldBeInRange(0, FrameFormat.MaximumPayload);
                Span<byte> payload = body.AsSpan(FrameFormat.HeaderLength, decoder.PayloadLength);
                heard.Add(Encoding.Latin1.GetString(payload));
                Parse(payload);
            }
        }

        return heard;
    }

    /// <summary>What the monitor does with a line before it knows the command.</summary>
    private static void Parse(Span<byte> line)
    {
        CommandLineError error = CommandLine.Parse(line, out CommandLine command);
        if (error != CommandLineError.None)
        {
            CommandLine.Describe(error).Length.ShouldBeGreaterThan(0);
            return;
        }

        command.Verb.Length.ShouldBeInRange(1, line.Length);
        for (int i = -1; i <= command.Count; i++)
        {
            ReadOnlySpan<byte> value = command.ValueAt(i);
            value.Length.ShouldBeLessThan(line.Length);
            _ = Numbers.TryParse(value, out _);
            _ = Numbers.TryParseSize(value, out _);
            command.TryGet(command.KeyAt(i), out _).ShouldBe(i >= 0 && i < command.Count);
        }
    }

    private static byte[] Payload(Random random)
    {
        byte[] payload = Encoding.ASCII.GetBytes(_commands[random.Next(_commands.Length)]);
        for (int left = random.Next(3) * random.Next(4); left > 0; left--)
        {
            payload[random.Next(payload.Length)] = random.Next(2) == 0
                ? (byte)random.Next(256)
                : (byte)"\"\\= \r\0"[random.Next(6)];
        }

        int extra = random.Next(10) == 0 ? random.Next(FrameFormat.MaximumPayload - payload.Length + 1) : 0;
        return [.. payload, .. Enumerable.Repeat((byte)' ', extra)];
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Monitoring;

public sealed class FrameTests
{
    private sealed record Received(Channel Channel, byte Sequence, byte[] Payload);

    private struct ListSink : IByteSink
    {
        public List<byte> Bytes;

        public readonly void Write(byte value) => Bytes.Add(value);
    }

    [Fact]
    public void The_checksum_has_its_published_check_value() =>
        Crc16.Compute("123456789"u8).ShouldBe((ushort)0x29B1);

    [Theory]
    [InlineData(new byte[] { 0x00, 0x00 })]
    [InlineData(new byte[] { 0x11, 0x00, 0x00, 0x00 })]
    [InlineData(new byte[] { 0x11, 0x22, 0x00, 0x33 })]
    public void Zeros_in_the_payload_never_show_on_the_wire(byte[] payload)
    {
        byte[] frame = Encode(Channel.Monitor, 0, payload);
        frame[^1].ShouldBe((byte)0);
        frame[..^1].ShouldNotContain((byte)0);
    }

    [Fact]
    public void A_known_frame_is_encoded_byte_for_byte()
    {
        ushort crc = Crc16.Compute([1, 0, (byte)'o', (byte)'k']);
        Encode(Channel.Monitor, 0, "ok"u8.ToArray()).ShouldBe(
            [2, 1, 5, (byte)'o', (byte)'k', (byte)crc, (byte)(crc >> 8), 0]);
    }

    [Fact]
    public void Every_payload_comes_back_whole_at_every_length()
    {
        var random = new Random(1);
        var decoder = new FrameDecoder();
        byte[] buffer = new byte[FrameFormat.MaximumBody];
        decoder.Feed(0, buffer);
        for (int length = 0; length <= FrameFormat.MaximumPayload; length++)
        {
            for (int fill = 0; fill < 3; fill++)
            {
                byte[] payload = new byte[length];
                switch (fill)
                {
                    case 0: random.NextBytes(payload); break;
                    case 1: Array.Fill(payload, (byte)0xA5); break;
                    default: break;
                }

                byte sequence = (byte)((length * 3) + fill);
                byte[] frame = Encode((Channel)(16 + (length % 16)), sequence, payload);
                frame.Length.ShouldBeLessThanOrEqualTo(FrameFormat.MaximumFrame);
                Received received = Decode(ref decoder, buffer, frame).ShouldHaveSingleItem();
                received.Channel.ShouldBe((Channel)(16 + (length % 16)));
                received.Sequence.ShouldBe(sequence);
                received.Payload.ShouldBe(payload);
            }
        }

        decoder.LostFrames.ShouldBe(0u);
        decoder.DamagedFrames.ShouldBe(0u);
    }

    [Fact]
    public void A_sink_receives_the_same_bytes_as_a_buffer()
    {
        byte[] payload = new byte[700];
        new Random(7).NextBytes(payload);
        var sink = new ListSink { Bytes = [] };
        new FrameEncoder(Channel.Log, 9, payload).WriteTo(ref sink);
        sink.Bytes.ShouldBe(Encode(Channel.Log, 9, payload));
    }

    [Fact]
    public void A_buffer_that_is_too_small_is_refused_and_one_that_just_fits_is_not()
    {
        byte[] frame = Encode(Channel.Log, 0, "hello"u8.ToArray());
        new FrameEncoder(Channel.Log, 0, "hello"u8).WriteTo(new byte[frame.Length - 1]).ShouldBe(0);
        new FrameEncoder(Channel.Log, 0, "hello"u8).WriteTo(new byte[frame.Length]).ShouldBe(frame.Length);
    }

    [Fact]
    public void A_payload_that_is_too_long_is_cut_at_the_limit()
    {
        byte[] payload = new byte[FrameFormat.MaximumPayload + 10];
        Array.Fill(payload, (byte)1);
        Received received = DecodeAll(out _, [0], Encode(Channel.Log, 0, payload)).ShouldHaveSingleItem();
        received.Payload.Length.ShouldBe(FrameFormat.MaximumPayload);
    }

    [Fact]
    public void Every_single_bit_error_is_noticed_and_no_wrong_frame_comes_out()
    {
        var random = new Random(2);
        foreach (int length in new[] { 0, 1, 7, 64, 253, 254, 255, 300 })
        {
            byte[] payload = new byte[length];
            random.NextBytes(payload);
            byte[] first = Encode(Channel.Monitor, 0, "ok"u8.ToArray());
            byte[] middle = Encode(Channel.Monitor, 1, payload);
            byte[] last = Encode(Channel.Monitor, 2, "ok count=0"u8.ToArray());
            byte[][] sent = ["ok"u8.ToArray(), payload, "ok count=0"u8.ToArray()];
            for (int bit = 0; bit < middle.Length * 8; bit++)
            {
                byte[] broken = (byte[])middle.Clone();
                broken[bit / 8] ^= (byte)(1 << (bit % 8));
                List<Received> received = DecodeAll(out FrameDecoder decoder, [0], first, broken, last);
                received.Count.ShouldBeLessThan(3);
                (decoder.DamagedFrames + decoder.LostFrames).ShouldBeGreaterThan(0u);
                foreach (Received frame in received)
                {
                    frame.Payload.ShouldBe(sent[frame.Sequence]);
                }
            }
        }
    }

    [Fact]
    public void Every_truncation_is_noticed_and_the_next_frame_but_one_arrives()
    {
        byte[] frame = Encode(Channel.Event, 0, "event=ready"u8.ToArray());
        for (int kept = 1; kept < frame.Length; kept++)
        {
            List<Received> received = DecodeAll(
                out FrameDecoder decoder,
                [0],
                frame[..kept],
                Encode(Channel.Event, 1, "swallowed"u8.ToArray()),
                Encode(Channel.Event, 2, "whole"u8.ToArray()));
            Encoding.ASCII.GetString(received[^1].Payload).ShouldBe("whole");
            (decoder.DamagedFrames + decoder.LostFrames).ShouldBeGreaterThan(0u);
        }
    }

    [Fact]
    public void Garbage_between_frames_is_counted_and_skipped()
    {
        var random = new Random(3);
        var decoder = new FrameDecoder();
        byte[] buffer = new byte[FrameFormat.MaximumBody];
        decoder.Feed(0, buffer);
        for (int round = 0; round < 2000; round++)
        {
            byte[] garbage = new byte[random.Next(1, 3000)];
            random.NextBytes(garbage);
            byte[] frame = Encode(Channel.Monitor, (byte)round, [(byte)round]);
            uint damaged = decoder.DamagedFrames;
            List<Received> received = Decode(ref decoder, buffer, [.. garbage, 0, .. frame]);
            received.ShouldHaveSingleItem().Payload.ShouldBe([(byte)round]);
            decoder.DamagedFrames.ShouldBeGreaterThan(damaged);
        }

        decoder.Frames.ShouldBe(2000u);
        decoder.LostFrames.ShouldBe(0u);
    }

    [Fact]
    public void What_comes_before_the_first_delimiter_is_noise()
    {
        var decoder = new FrameDecoder();
        byte[] buffer = new byte[FrameFormat.MaximumBody];
        foreach (byte value in "UEFI firmware\r\n"u8)
        {
            decoder.Feed(value, buffer).ShouldBe(DecodeStep.Noise);
        }

        decoder.Feed(0, buffer).ShouldBe(DecodeStep.None);
        Decode(ref decoder, buffer, Encode(Channel.Log, 0, [])).ShouldHaveSingleItem();
        decoder.DamagedFrames.ShouldBe(0u);
    }

    [Fact]
    public void Empty_frames_are_ignored()
    {
        DecodeAll(out FrameDecoder decoder, [0, 0, 0, 0]).ShouldBeEmpty();
        decoder.DamagedFrames.ShouldBe(0u);
    }

    [Theory]
    [InlineData(1, 0u)]
    [InlineData(4, 3u)]
    [InlineData(0, 255u)]
    public void A_gap_in_the_sequence_is_counted_as_lost_frames(byte second, uint lost)
    {
        DecodeAll(out FrameDecoder decoder, [0], Encode(Channel.Log, 0, []), Encode(Channel.Log, second, []));
        decoder.LostFrames.ShouldBe(lost);
    }

    [Fact]
    public void A_frame_longer_than_the_buffer_is_damaged_and_not_written_beyond_it()
    {
        var decoder = new FrameDecoder();
        byte[] buffer = new byte[32];
        decoder.Feed(0, buffer);
        byte[] payload = new byte[200];
        Array.Fill(payload, (byte)3);
        Decode(ref decoder, buffer, Encode(Channel.Log, 0, payload)).ShouldBeEmpty();
        decoder.DamagedFrames.ShouldBe(1u);
        Decode(ref decoder, buffer, Encode(Channel.Log, 1, [5])).ShouldHaveSingleItem();
    }

    [Fact]
    public void Console_messages_name_their_slot()
    {
        byte[] message = new byte[ConsoleMessage.HeaderBytes + 1];
        for (int slot = 0; slot < FrameFormat.Slots; slot++)
        {
            ConsoleMessage.WriteSlot(message, slot);
            ConsoleMessage.TryReadSlot(message, out int back).ShouldBeTrue();
            back.ShouldBe(slot);
        }

        ConsoleMessage.WriteSlot(message, FrameFormat.Slots);
        ConsoleMessage.TryReadSlot(message, out _).ShouldBeFalse();
        ConsoleMessage.TryReadSlot([1], out _).ShouldBeFalse();
    }

    private static byte[] Encode(Channel channel, byte sequence, byte[] payload)
    {
        byte[] buffer = new byte[FrameFormat.MaximumFrame];
        int length = new FrameEncoder(channel, sequence, payload).WriteTo(buffer);
        length.ShouldBeGreaterThan(0);
        return buffer[..length];
    }

    private static List<Received> DecodeAll(out FrameDecoder decoder, params byte[][] parts)
    {
        decoder = new FrameDecoder();
        return Decode(ref decoder, new byte[FrameFormat.MaximumBody], [.. parts.SelectMany(part => part)]);
    }

    private static List<Received> Decode(ref FrameDecoder decoder, byte[] buffer, byte[] bytes)
    {
        List<Received> frames = [];
        foreach (byte value in bytes)
        {
            if (decoder.Feed(value, buffer) == DecodeStep.Frame)
            {
                frames.Add(new Received(decoder.Channel, decoder.Sequence, decoder.Payload(buffer).ToArray()));
            }
        }

        return frames;
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The socket device: streams, credit in both directions, births, guests that lie.</summary>
public sealed class VirtioVsockTests
{
    [Fact]
    public void A_stream_opens_and_carries_bytes_both_ways()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Device.ReadConfiguration(0, 8).ShouldBe(VsockGuest.Cid);
        guest.TryOpen(out _).ShouldBeTrue();
        (VsockPacket request, _) = guest.Take().ShouldHaveSingleItem();
        request.Operation.ShouldBe(VsockOperation.Request);
        (request.SourceCid, request.DestinationCid).ShouldBe((2UL, VsockGuest.Cid));
        (request.SourcePort, request.DestinationPort).ShouldBe((VsockGuest.Number, VsockGuest.Port));
        (request.BufferBytes, request.Forwarded, request.Type).ShouldBe((StreamMessage.Window, 0U, (ushort)1));

        guest.Send(VsockGuest.Packet(VsockOperation.Response));
        guest.Collect();
        guest.Heard(StreamKind.Accept).Limit.ShouldBe((uint)VsockBuffers.RingBytes);
        guest.Say(StreamKind.Data, "hello"u8);
        (VsockPacket data, byte[] bytes) = guest.Take().ShouldHaveSingleItem();
        data.Operation.ShouldBe(VsockOperation.Data);
        bytes.ShouldBe("hello"u8.ToArray());

        guest.Send(VsockGuest.Packet(VsockOperation.Data, 3000));
        guest.Collect();
        byte[] heard = Data(guest);
        heard.Length.ShouldBe(3000);
        heard[2999].ShouldBe(unchecked((byte)2999));
    }

    [Fact]
    public void A_packet_larger_than_the_ring_arrives_whole_as_the_host_takes_it()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 16_000));
        guest.Device.Transport.HasWork.ShouldBeFalse(); // it waits for the host, and nothing goes round
        guest.Transmit.Take().ShouldNotBeNull(); // the response
        guest.Transmit.Take().ShouldBeNull();
        guest.Collect();
        byte[] heard = Data(guest);
        heard.Length.ShouldBe(16_000);
        for (int i = 0; i < heard.Length; i++)
        {
            heard[i].ShouldBe((byte)i);
        }

        guest.Transmit.Take().ShouldNotBeNull();
    }

    [Fact]
    public void The_host_may_send_what_guest_and_ring_have_room_for_and_hears_of_more()
    {
        VsockGuest guest = new VsockGuest().Start(buffers: 1);
        guest.Connect();
        byte[] data = Enumerable.Range(0, 1000).Select(i => (byte)i).ToArray();
        for (int i = 0; i < 4; i++)
        {
            guest.Say(StreamKind.Data, data);
        }

        guest.Collect();
        guest.Told.ShouldBeEmpty(); // a single buffer was there: 1,000 bytes went out, 3,000 wait
        var got = new List<byte>();
        for (int i = 0; i < 8; i++)
        {
            foreach ((_, byte[] bytes) in guest.Take())
            {
                got.AddRange(bytes);
            }

            guest.Work();
        }

        got.Count.ShouldBe(4000);
        got.ToArray().AsSpan(3000).SequenceEqual(data).ShouldBeTrue();
        guest.Collect();
        guest.Heard(StreamKind.Credit).Limit.ShouldBe(4000u + VsockBuffers.RingBytes);
    }

    [Fact]
    public void A_guest_whose_program_does_not_read_stops_the_host_and_goes_on_when_it_does()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.TryOpen(out _).ShouldBeTrue();
        guest.Take();
        VsockPacket response = VsockGuest.Packet(VsockOperation.Response);
        response.BufferBytes = 100;
        guest.Send(response);
        guest.Collect();
        guest.Heard(StreamKind.Accept).Limit.ShouldBe(100u);
        guest.Say(StreamKind.Data, new byte[100]);
        guest.Take().Sum(one => one.Data.Length).ShouldBe(100);
        guest.Collect();
        guest.Told.ShouldBeEmpty();
        VsockPacket update = VsockGuest.Packet(VsockOperation.CreditUpdate);
        (update.BufferBytes, update.Forwarded) = (100, 60);
        guest.Send(update);
        guest.Collect();
        guest.Heard(StreamKind.Credit).Limit.ShouldBe(160u);
    }

    [Fact]
    public void The_guest_may_send_as_far_as_the_host_has_taken_and_is_told()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect(limit: 1000);
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 1000));
        guest.Collect();
        Data(guest).Length.ShouldBe(1000);
        guest.SayLimit(900); // late, and no news
        guest.Take().ShouldBeEmpty();
        guest.SayLimit(1400);
        (VsockPacket update, _) = guest.Take().ShouldHaveSingleItem();
        update.Operation.ShouldBe(VsockOperation.CreditUpdate);
        (update.BufferBytes, update.Forwarded).ShouldBe((1000U, 400U));
        guest.Send(VsockGuest.Packet(VsockOperation.CreditRequest));
        guest.Take().ShouldHaveSingleItem().Packet.Operation.ShouldBe(VsockOperation.CreditUpdate);
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 401));
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Broken);
        guest.Take().ShouldHaveSingleItem().Packet.Operation.ShouldBe(VsockOperation.Reset);
        guest.Device.Transport.Problem.ShouldBe(VirtqueueResult.Ok); // only the stream is broken
    }

    [Fact]
    public void A_guest_that_closes_is_answered_and_the_host_gets_all_that_it_sent()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 10));
        VsockPacket shutdown = VsockGuest.Packet(VsockOperation.Shutdown);
        shutdown.Flags = 3;
        guest.Send(shutdown);
        guest.Take().ShouldHaveSingleItem().Packet.Operation.ShouldBe(VsockOperation.Reset);
        guest.Collect();
        guest.Heard(StreamKind.Data).Payload.Length.ShouldBe(10);
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Closed);
        guest.TryOpen(out _).ShouldBeTrue(); // its place, and its number, are free
    }

    [Fact]
    public void Each_end_can_stop_sending_and_go_on_receiving()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        VsockPacket shutdown = VsockGuest.Packet(VsockOperation.Shutdown);
        shutdown.Flags = VsockPacket.NoSend;
        guest.Send(shutdown);
        guest.Collect();
        guest.Heard(StreamKind.Shut);
        guest.Say(StreamKind.Data, "x"u8, isWorked: false);
        guest.Say(StreamKind.Shut);
        List<(VsockPacket Packet, byte[] Data)> packets = guest.Take();
        packets.Select(one => one.Packet.Operation).ShouldBe([VsockOperation.Data, VsockOperation.Shutdown]);
        packets[1].Packet.Flags.ShouldBe(VsockPacket.NoSend);
        guest.Send(VsockGuest.Packet(VsockOperation.Reset));
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Closed);
    }

    [Fact]
    public void A_host_that_gives_up_tells_the_guest_and_what_waited_is_gone()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 16_000)); // more than the ring: it waits in the middle
        guest.Say(StreamKind.Reset);
        guest.Take().ShouldHaveSingleItem().Packet.Operation.ShouldBe(VsockOperation.Reset);
        guest.Collect();
        guest.Told.ShouldBeEmpty();
        guest.Transmit.Take().ShouldNotBeNull();
        guest.Transmit.Take().ShouldNotBeNull(); // the rest was taken, and dropped
    }

    [Fact]
    public void A_stream_is_refused_where_it_cannot_be_and_a_guest_that_refuses_says_so()
    {
        var guest = new VsockGuest();
        guest.TryOpen(out StreamEnd end).ShouldBeFalse();
        end.ShouldBe(StreamEnd.NoDevice);
        guest.Start();
        guest.TryOpen(out end, number: 1023).ShouldBeFalse();
        end.ShouldBe(StreamEnd.TooMany);
        guest.TryOpen(out _).ShouldBeTrue();
        guest.TryOpen(out end, port: 9).ShouldBeFalse(); // the number is in use
        end.ShouldBe(StreamEnd.TooMany);
        guest.Send(VsockGuest.Packet(VsockOperation.Reset));
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.ByGuest);
        for (uint i = 0; i < VirtioVsock.MostStreams; i++)
        {
            guest.TryOpen(out _, number: 2000 + i).ShouldBeTrue();
        }

        guest.TryOpen(out end, number: 3000).ShouldBeFalse();
        end.ShouldBe(StreamEnd.TooMany);
    }

    [Fact]
    public void What_is_of_no_stream_is_refused_once_each_and_a_guest_that_takes_no_answer_only_stops_itself()
    {
        VsockGuest guest = new VsockGuest().Start(buffers: 0);
        VsockPacket request = VsockGuest.Packet(VsockOperation.Request);
        request.DestinationPort = 22;
        guest.Send(request);
        guest.Send(request);
        guest.Send(request);
        guest.Device.Transport.HasWork.ShouldBeFalse();
        guest.Repost(0);
        guest.Repost(1);
        guest.Repost(2);
        guest.Work();
        List<(VsockPacket Packet, byte[] Data)> answers = guest.Take();
        answers.Count.ShouldBe(3);
        (VsockPacket first, _) = answers[0];
        (first.Operation, first.SourcePort, first.DestinationPort, first.DestinationCid)
            .ShouldBe((VsockOperation.Reset, 22U, VsockGuest.Port, VsockGuest.Cid));

        VsockPacket other = VsockGuest.Packet(VsockOperation.Request);
        other.DestinationCid = 8; // another VM's
        guest.Send(other);
        guest.Take().ShouldHaveSingleItem().Packet.SourceCid.ShouldBe(8UL);
        other = VsockGuest.Packet(VsockOperation.Data, 10);
        other.SourceCid = 8; // not its own
        guest.Send(other);
        guest.Send(VsockGuest.Packet(VsockOperation.Reset));
        guest.Take().ShouldBeEmpty();
        guest.Collect();
        guest.Told.ShouldBeEmpty();
    }

    [Fact]
    public void A_child_has_a_CID_of_its_own_and_no_streams_and_hears_of_that_first()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 10), isWorked: false);
        guest.Device.EndAll(StreamEnd.Frozen);
        guest.Collect(isWorked: false);
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Frozen);

        guest.Device.BeBorn(6);
        guest.Device.ReadConfiguration(0, 8).ShouldBe(8UL);
        guest.TryOpen(out _).ShouldBeTrue();
        guest.Events.Take().ShouldBe((0u, 4u));
        guest.Take().ShouldBeEmpty(); // the request waits until the driver knows
        guest.Collect();
        guest.Told.ShouldBeEmpty(); // what the template's packet said is nothing to the child
        guest.Events.Offer(0);
        guest.Driver.Notify(ref guest.Device.Transport, 2);
        guest.Work();
        VsockPacket request = guest.Take().ShouldHaveSingleItem().Packet;
        (request.Operation, request.DestinationCid).ShouldBe((VsockOperation.Request, 8UL));
        guest.Events.Take().ShouldBeNull();
    }

    [Fact]
    public void CIDs_are_never_those_with_a_meaning_of_their_own()
    {
        VirtioVsock.CidOf(1).ShouldBe(3UL);
        VirtioVsock.CidOf(uint.MaxValue - 3UL).ShouldBe(uint.MaxValue - 1UL);
        VirtioVsock.CidOf(uint.MaxValue - 2UL).ShouldBe(3UL);
    }

    [Fact]
    public void A_driver_that_resets_the_device_or_breaks_it_ends_its_streams()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Driver.Write(ref guest.Device.Transport, 0x070, 0);
        guest.Work();
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Broken);

        guest.Start();
        guest.Connect();
        VsockPacket tooLong = VsockGuest.Packet(VsockOperation.Data, 0x4001); // one more than its buffers have
        guest.Send(tooLong);
        guest.Device.Transport.Problem.ShouldBe(VirtqueueResult.BadRequest);
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Broken);
        guest.TryOpen(out StreamEnd end).ShouldBeFalse();
        end.ShouldBe(StreamEnd.NoDevice);
    }

    [Theory]
    [InlineData(VsockOperation.Response, 0u)] // a second one
    [InlineData(VsockOperation.Request, 0u)]
    [InlineData((VsockOperation)0, 0u)]
    [InlineData((VsockOperation)99, 0u)]
    [InlineData(VsockOperation.CreditUpdate, 1u)] // it took what it never got
    [InlineData(VsockOperation.CreditUpdate, uint.MaxValue)]
    public void A_packet_that_breaks_a_stream_s_rules_ends_that_stream_alone(VsockOperation operation, uint forwarded)
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        VsockPacket packet = VsockGuest.Packet(operation);
        packet.Forwarded = forwarded;
        guest.Send(packet);
        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Broken);
        guest.Take().ShouldHaveSingleItem().Packet.Operation.ShouldBe(VsockOperation.Reset);
        guest.Device.Transport.Problem.ShouldBe(VirtqueueResult.Ok);
    }

    [Fact]
    public void A_page_that_is_missing_is_waited_for_and_nothing_comes_twice()
    {
        VsockGuest guest = new VsockGuest().Start();
        guest.Connect();
        guest.Ram.Gone = (guest.Transmit.Used, guest.Transmit.Used + 0x100);
        guest.Send(VsockGuest.Packet(VsockOperation.Data, 100), isWorked: false);
        guest.TryStep().ShouldBeFalse();
        guest.Ram.Gone = default;
        guest.Work();
        guest.Collect();
        Data(guest).Length.ShouldBe(100);

        guest.Ram.Gone = (guest.Receive.Used, guest.Receive.Used + 0x100);
        guest.Say(StreamKind.Data, "once"u8, isWorked: false);
        guest.TryStep().ShouldBeFalse();
        guest.Ram.Gone = default;
        guest.Work();
        guest.Take().Sum(one => one.Data.Length).ShouldBe(4);
    }

    [Fact]
    public void A_host_that_sends_more_than_it_may_breaks_its_stream()
    {
        VsockGuest guest = new VsockGuest().Start(buffers: 1);
        guest.Connect();
        for (int i = 0; i < 6; i++)
        {
            guest.Say(StreamKind.Data, new byte[1000]);
        }

        guest.Collect();
        guest.Heard(StreamKind.Reset).End.ShouldBe(StreamEnd.Broken);
    }

    /// <summary>
    /// Random packets, chains and orders, some changed while they are read. The device writes nothing but buffers that
    /// were offered to be written, used rings and their events; it stops working by itself; what the host is told is
    /// within what it allowed.
    /// </summary>
    [Fact]
    public void A_hundred_thousand_hostile_queues_change_nothing_but_what_they_offered()
    {
        var random = new Random(19);
        var guest = new VsockGuest();
        bool isChanged = false;
        for (int round = 0; round < 100_000; round++)
        {
            if (round % 16 == 0 || guest.Device.Transport.Problem != VirtqueueResult.Ok)
            {
                guest.Device.Install(VsockGuest.Vm);
                guest.Start(random.Next(9));
                guest.Told.Clear();
                isChanged = random.Next(3) == 0;
                guest.TryOpen(out _, limit: (uint)random.Next(1, 70_000));
                if (random.Next(4) != 0)
                {
                    guest.Send(VsockGuest.Packet(VsockOperation.Response));
                }
            }

            guest.Ram.Written.Clear();
            guest.Ram.BeforeRead = !isChanged ? null : () =>
            {
                if (random.Next(20) == 0)
                {
                    guest.Ram.At(GuestRam.Start + (ulong)random.Next(0x9000), 1)[0] = (byte)random.Next(256);
                    guest.Ram.At(GuestRam.Start + 0x1_0000 + (ulong)random.Next(512), 1)[0] = (byte)random.Next(256);
                }
            };
            switch (random.Next(8))
            {
                case 0:
                    guest.Say(StreamKind.Data, new byte[random.Next(1018)]);
                    break;
                case 1:
                    guest.SayLimit((uint)random.NextInt64());
                    break;
                case 2:
                    guest.Say(random.Next(8) == 0 ? StreamKind.Reset : StreamKind.Shut);
                    break;
                case 3:
                    guest.Device.BeBorn(VsockGuest.Vm);
                    break;
                case 4:
                    guest.Repost(random.Next(8));
                    break;
                default:
                    guest.Send(Hostile(random), isWorked: false);
                    break;
            }

            guest.Work();
            guest.Collect();
            guest.Ram.BeforeRead = null;
            foreach ((ulong address, int length) in guest.Ram.Written)
            {
                guest.Ram.Contains(address, (ulong)length).ShouldBeTrue();
                (isChanged || VsockGuest.IsOffered(address)).ShouldBeTrue();
            }

            guest.Told.Clear();
        }
    }

    private static VsockPacket Hostile(Random random)
    {
        VsockPacket packet = VsockGuest.Packet(
            (VsockOperation)random.Next(9), random.Next(3) == 0 ? (uint)random.Next(9000) : 0);
        packet.BufferBytes = random.Next(3) == 0 ? (uint)random.NextInt64() : 64 << 10;
        packet.Forwarded = random.Next(6) == 0 ? (uint)random.NextInt64() : 0;
        packet.Flags = (uint)random.Next(6);
        packet.SourceCid = random.Next(12) == 0 ? (ulong)random.NextInt64() : packet.SourceCid;
        packet.DestinationCid = random.Next(12) == 0 ? (ulong)random.NextInt64() : packet.DestinationCid;
        packet.DestinationPort = random.Next(12) == 0 ? (uint)random.NextInt64() : packet.DestinationPort;
        packet.Type = random.Next(12) == 0 ? (ushort)random.Next(4) : packet.Type;
        return packet;
    }

    private static byte[] Data(VsockGuest guest)
    {
        var data = new List<byte>();
        while (guest.Told.Count != 0)
        {
            data.AddRange(guest.Heard(StreamKind.Data).Payload);
        }

        return [.. data];
    }
}

using System;
using System.Collections.Generic;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Wire;
using Shouldly;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>A guest with a vsock driver, and the host at the other side of the device: for tests.</summary>
internal sealed class VsockGuest
{
    internal const ulong Features = 0x1_3000_0000;
    internal const ulong Vm = 5;
    internal const ulong Cid = 7;
    internal const uint Number = 1024;
    internal const uint Port = 1;
    internal const int Slot = 3;

    private const ulong Headers = GuestRam.Start + 0x1_0000;
    private const ulong Data = GuestRam.Start + 0x2_0000;
    private const ulong Room = GuestRam.Start + 0x4_0000;
    private const int Size = 16;

    private readonly uint _roomBytes;
    private VsockBuffers _buffers;
    private GuestRam.View _view;

    internal VsockGuest(uint roomBytes = 4096)
    {
        _roomBytes = roomBytes;
        Ram = new GuestRam(512 << 10);
        _view = new GuestRam.View(Ram);
        Driver = new TransportDriver(Ram);
        Receive = Queue(0);
        Transmit = Queue(1);
        Events = Queue(2);
        Device.Install(Vm);
    }

    internal GuestRam Ram { get; }

    internal TransportDriver Driver { get; }

    internal QueueDriver Receive { get; private set; }

    internal QueueDriver Transmit { get; private set; }

    internal QueueDriver Events { get; private set; }

    internal VirtioVsock Device;

    /// <summary>What the host was told, whole messages.</summary>
    internal List<byte[]> Told { get; } = [];

    /// <summary>Brings the driver up, with this many buffers to receive in.</summary>
    internal VsockGuest Start(int buffers = 8)
    {
        Ram.At(GuestRam.Start, 0x1_0000).Clear();
        Receive = Queue(0);
        Transmit = Queue(1);
        Events = Queue(2);
        Driver.Start(ref Device.Transport, Features, Receive, Transmit, Events);
        for (int i = 0; i < buffers; i++)
        {
            Repost(i);
        }

        for (int i = 0; i < 8; i++)
        {
            Events.Describe(i, Data + 0x8000 + ((ulong)i * 4), 4, QueueDriver.Write);
            Events.Offer(i);
        }

        Driver.Notify(ref Device.Transport, 2);
        Work();
        return this;
    }

    /// <summary>Offers a buffer to receive in.</summary>
    internal void Repost(int index)
    {
        Receive.Describe(index, Room + ((ulong)index * 0x2000), _roomBytes, QueueDriver.Write);
        Receive.Offer(index);
        Driver.Notify(ref Device.Transport, 0);
    }

    internal static VsockPacket Packet(VsockOperation operation, uint length = 0) => new()
    {
        SourceCid = Cid,
        DestinationCid = VirtioVsock.HostCid,
        SourcePort = Port,
        DestinationPort = Number,
        Type = VsockPacket.Stream,
        Operation = operation,
        Length = length,
        BufferBytes = 64 << 10,
    };

    /// <summary>Sends a packet. Its data are the low bytes of the positions from a first one on.</summary>
    internal void Send(VsockPacket packet, int first = 0, bool isWorked = true)
    {
        int slot = Transmit.Offered % 8;
        ulong header = Headers + ((ulong)slot * 64);
        ulong data = Data + ((ulong)slot * 0x4000 % 0x8000);
        packet.Write(Ram.At(header, VsockPacket.HeaderBytes));
        int bytes = (int)Math.Min(packet.Length, 0x4000);
        for (int i = 0; i < bytes; i++)
        {
            Ram.At(data, bytes)[i] = (byte)(first + i);
        }

        Transmit.Describe(slot * 2, header, VsockPacket.HeaderBytes, bytes == 0 ? (ushort)0 : QueueDriver.Next,
            (ushort)((slot * 2) + 1));
        Transmit.Describe((slot * 2) + 1, data, (uint)bytes, 0);
        Transmit.Offer(slot * 2);
        Driver.Notify(ref Device.Transport, 1);
        if (isWorked)
        {
            Work();
        }
    }

    /// <summary>The packets that came, their data behind them; their buffers are offered again.</summary>
    internal List<(VsockPacket Packet, byte[] Data)> Take(bool isReposted = true)
    {
        var packets = new List<(VsockPacket, byte[])>();
        while (Receive.Take() is { } used)
        {
            ulong at = Room + (used.Head * 0x2000);
            var packet = VsockPacket.Read(Ram.At(at, VsockPacket.HeaderBytes));
            used.Written.ShouldBe(VsockPacket.HeaderBytes + packet.Length);
            packets.Add((packet, Ram.At(at + VsockPacket.HeaderBytes, (int)packet.Length).ToArray()));
            if (isReposted)
            {
                Repost((int)used.Head);
            }
        }

        return packets;
    }

    /// <summary>Lets the device work to the end; then nothing waits that could go on.</summary>
    internal void Work()
    {
        Device.Settle();
        for (int steps = 0; Device.Transport.HasWork; steps++)
        {
            steps.ShouldBeLessThan(10_000);
            Device.TryStep(ref _view, ref _buffers).ShouldBeTrue();
            Device.Settle();
        }
    }

    internal bool TryStep()
    {
        bool isDone = Device.TryStep(ref _view, ref _buffers);
        Device.Settle();
        return isDone;
    }

    /// <summary>The host reads what it is told: <see cref="Told"/>.</summary>
    internal void Collect(bool isWorked = true)
    {
        byte[] message = new byte[FrameFormat.MaximumPayload];
        while (Device.TryGiveHost(ref _buffers, Slot, message, out int length))
        {
            Told.Add(message[..length]);
            if (isWorked)
            {
                Work();
            }
        }
    }

    /// <summary>The next of what the host was told, of this kind.</summary>
    internal StreamMessage Heard(StreamKind kind)
    {
        Told.Count.ShouldBeGreaterThan(0);
        byte[] message = Told[0];
        Told.RemoveAt(0);
        StreamMessage.TryRead(message, out StreamMessage read).ShouldBeTrue();
        read.Kind.ShouldBe(kind);
        read.Slot.ShouldBe(Slot);
        return read;
    }

    internal bool TryOpen(out StreamEnd end, uint number = Number, uint limit = StreamMessage.Window, uint port = Port)
    {
        byte[] message = new byte[64];
        int length = StreamMessage.WriteOpen(message, Slot, number, Vm, port, limit);
        StreamMessage.TryRead(message.AsSpan(0, length), out StreamMessage open).ShouldBeTrue();
        bool isOpen = Device.TryOpen(in open, out end);
        Work();
        return isOpen;
    }

    internal void Say(StreamKind kind, ReadOnlySpan<byte> data = default, uint number = Number, bool isWorked = true)
    {
        byte[] message = new byte[FrameFormat.MaximumPayload];
        int at = StreamMessage.WriteHeader(message, Slot, kind, number);
        data.CopyTo(message.AsSpan(at));
        if (StreamMessage.TryRead(message.AsSpan(0, at + data.Length), out StreamMessage said))
        {
            Device.TakeFromHost(ref _buffers, in said);
        }

        if (isWorked)
        {
            Work();
        }
    }

    internal void SayLimit(uint limit) =>
        Say(StreamKind.Credit, [(byte)limit, (byte)(limit >> 8), (byte)(limit >> 16), (byte)(limit >> 24)]);

    /// <summary>A stream that is open at both ends.</summary>
    internal void Connect(uint limit = StreamMessage.Window)
    {
        TryOpen(out _, limit: limit).ShouldBeTrue();
        Take()[0].Packet.Operation.ShouldBe(VsockOperation.Request);
        Send(Packet(VsockOperation.Response));
        Collect();
        Heard(StreamKind.Accept).Limit.ShouldBe((uint)VsockBuffers.RingBytes);
    }

    /// <summary>Whether an address is in a used ring or in a buffer that was offered to be written.</summary>
    internal static bool IsOffered(ulong address) =>
        (address < Headers && (address - GuestRam.Start) % 0x3000 >= 0x2000)
        || address - Room < 8 * 0x2000 || address - (Data + 0x8000) < 8 * 4;

    private QueueDriver Queue(int index) => new(Ram, Size, true)
    {
        Descriptors = GuestRam.Start + ((ulong)index * 0x3000),
        Available = GuestRam.Start + 0x1000 + ((ulong)index * 0x3000),
        Used = GuestRam.Start + 0x2000 + ((ulong)index * 0x3000),
    };
}

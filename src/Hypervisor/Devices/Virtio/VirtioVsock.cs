using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// A socket device (Virtual I/O Device 1.2, 5.10), streams only: programs at the link connect to ports of the guest.
/// The guest itself can connect to nothing. This is the driver's side; <c>VirtioVsock.Host.cs</c> is the link's. The
/// VM's device lock is held for all members.
/// </summary>
/// <remarks>
/// A packet's CIDs, ports, length and credit are an allegation. One from another CID is dropped; one for another CID,
/// or of no stream, is answered by a reset; one that breaks its stream's rules ends that stream. Only a packet without
/// a header, or longer than its buffers, breaks the device.
/// <para>
/// After a birth the driver is told that its CID is new (5.10.6.7), and gets nothing else before it has taken that in:
/// a connection that came first would be closed by it.
/// </para>
/// </remarks>
public partial struct VirtioVsock
{
    /// <summary>Streams at once.</summary>
    public const int MostStreams = 8;

    /// <summary>The host's CID.</summary>
    public const ulong HostCid = 2;

    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const int EventQueue = 2;

    private const int EventBytes = 4;
    private const uint EventTransportReset = 0;

    private ulong _cid;
    private Streams _streams;
    private Refusal _refusal;
    private Birth _birth;
    private ushort _eventsSeen;
    private bool _isTransmitBlocked;
    private int _nextForGuest;
    private int _nextForHost;

    /// <summary>Its registers.</summary>
    public VirtioTransport Transport;

    /// <summary>How far the driver knows of the birth.</summary>
    private enum Birth : byte
    {
        /// <summary>There was none, or it does.</summary>
        Known,

        /// <summary>It must be told.</summary>
        ToTell,

        /// <summary>It was told, and has not given the event's buffer back yet.</summary>
        Told,
    }

    /// <summary>Puts the device there.</summary>
    /// <param name="vm">The VM's number.</param>
    public void Install(ulong vm)
    {
        this = default;
        _cid = CidOf(vm);
        Transport.Install(VirtioKinds.Socket, features: 0, queueCount: 3);
    }

    /// <summary>Makes a copy of a template's device a child's: it has a CID of its own and no streams.</summary>
    /// <param name="vm">The child's number.</param>
    public void BeBorn(ulong vm)
    {
        _cid = CidOf(vm);
        _streams = default;
        _refusal = default;
        _isTransmitBlocked = false;
        _birth = Transport.IsRunning ? Birth.ToTell : Birth.Known;
        Transport.Notify(EventQueue);
        Transport.Notify(TransmitQueue);
    }

    /// <summary>
    /// The CID of a VM: its number and 2, so that the first VM has 3. After 2^32 - 4 VMs they come again; 0 to 2 and
    /// 2^32 - 1 have a meaning of their own.
    /// </summary>
    public static ulong CidOf(ulong vm) => 3 + ((vm - 1) % (uint.MaxValue - 3UL));

    /// <summary>A read of 1, 2, 4 or 8 bytes of its configuration; what is not there reads as 0.</summary>
    public readonly ulong ReadConfiguration(ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, _cid);
        return VirtioTransport.ReadConfiguration(bytes, offset, size);
    }

    /// <summary>After all that may have stopped the driver: streams end with it.</summary>
    public void Settle()
    {
        if (!Transport.IsRunning)
        {
            _birth = Birth.Known;
            _refusal = default;
            _isTransmitBlocked = false;
            EndAll(StreamEnd.Broken);
        }
    }

    /// <summary>
    /// Takes or gives one packet, or a part of one, if there is one; <see cref="VirtioTransport.HasWork"/> says whether
    /// that was all.
    /// </summary>
    /// <returns>
    /// False: some of the guest's memory cannot be reached. Nothing was given back: the caller makes it reachable, or
    /// breaks the device.
    /// </returns>
    public bool TryStep<TMemory>(ref TMemory memory, ref VsockBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        if (Transport.TryBegin(EventQueue))
        {
            return StepEvent(ref memory);
        }

        if (Transport.TryBegin(TransmitQueue))
        {
            return StepTransmit(ref memory, ref buffers);
        }

        return !Transport.TryBegin(ReceiveQueue) || StepReceive(ref memory, ref buffers);
    }

    private bool StepEvent<TMemory>(ref TMemory memory)
        where TMemory : struct, IGuestMemory
    {
        if (_birth == Birth.Known)
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(EventQueue);
        Virtqueue before = queue;
        VirtqueueResult result = queue.TryWatch(ref memory, out ushort offered);
        if (result != VirtqueueResult.Ok)
        {
            return Transport.Finish(EventQueue, in before, result, isDone: false);
        }

        if (_birth == Birth.Told)
        {
            if (offered != _eventsSeen)
            {
                _birth = Birth.Known;
                Transport.Notify(ReceiveQueue);
            }

            return true;
        }

        BufferChain chain = default;
        result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            Span<byte> news = stackalloc byte[EventBytes];
            BinaryPrimitives.WriteUInt32LittleEndian(news, EventTransportReset);
            result = chain.WritableBytes < EventBytes ? VirtqueueResult.BadRequest
                : !chain.TryWrite(ref memory, 0, news) ? VirtqueueResult.NoMemory
                : Transport.Complete(EventQueue, ref memory, chain.Head, EventBytes);
        }

        if (result == VirtqueueResult.Ok)
        {
            _birth = Birth.Told;
            _eventsSeen = offered;
        }

        return Transport.Finish(EventQueue, in before, result, isDone: true);
    }

    private bool StepTransmit<TMemory>(ref TMemory memory, ref VsockBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        ref Virtqueue queue = ref Transport.QueueAt(TransmitQueue);
        Virtqueue before = queue;
        _isTransmitBlocked = false;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        bool isDone = false;
        if (result == VirtqueueResult.Ok)
        {
            Span<byte> header = stackalloc byte[VsockPacket.HeaderBytes];
            if (chain.ReadableBytes < VsockPacket.HeaderBytes)
            {
                result = VirtqueueResult.BadRequest;
            }
            else if (!chain.TryRead(ref memory, 0, header))
            {
                result = VirtqueueResult.NoMemory;
            }
            else
            {
                var packet = VsockPacket.Read(header);
                ulong progress = before.Progress;
                result = packet.Length > chain.ReadableBytes - VsockPacket.HeaderBytes
                    ? VirtqueueResult.BadRequest
                    : Take(ref memory, ref buffers, in chain, in packet, ref progress, out isDone);
                before.Progress = progress;
            }
        }

        if (_isTransmitBlocked)
        {
            // It goes on when the host has taken something, or the guest has taken the refusal.
            queue = before;
            return true;
        }

        return Transport.Finish(TransmitQueue, in before, result, isDone);
    }

    /// <summary>Takes a packet of the guest's, or the next part of its data.</summary>
    private VirtqueueResult Take<TMemory>(
        ref TMemory memory, ref VsockBuffers buffers, in BufferChain chain, in VsockPacket packet, ref ulong progress,
        out bool isDone)
        where TMemory : struct, IGuestMemory
    {
        isDone = true;
        bool isOfHost = packet.DestinationCid == HostCid && packet.Type == VsockPacket.Stream;
        int index = isOfHost ? Find(packet.DestinationPort, packet.SourcePort) : -1;
        bool isRefused = index < 0 && packet.SourceCid == _cid && packet.Operation != VsockOperation.Reset;
        if (isRefused && _refusal.IsThere)
        {
            _isTransmitBlocked = true;
            return VirtqueueResult.Ok;
        }

        uint length = 0;
        if (index >= 0 && packet.SourceCid == _cid && packet.Operation == VsockOperation.Data)
        {
            ref VsockStream stream = ref _streams[index];
            uint left = packet.Length - (uint)Math.Min(progress, packet.Length);
            uint room = VsockBuffers.RingBytes - stream.WaitingForHost;
            bool isGood = stream.State == VsockState.Open && !stream.GuestIsShut && left <= stream.HostRoom;
            if (isGood && left != 0)
            {
                if (room == 0)
                {
                    _isTransmitBlocked = true;
                    return VirtqueueResult.Ok;
                }

                Span<byte> to = buffers.ToHost(index, stream.Taken, (int)Math.Min(left, room));
                if (!chain.TryRead(ref memory, VsockPacket.HeaderBytes + progress, to))
                {
                    return VirtqueueResult.NoMemory;
                }

                length = (uint)to.Length;
                isDone = length == left;
            }
        }

        if (isDone)
        {
            VirtqueueResult result = Transport.Complete(TransmitQueue, ref memory, chain.Head, 0);
            if (result != VirtqueueResult.Ok)
            {
                return result;
            }
        }

        progress += length;
        if (isRefused)
        {
            _refusal = new Refusal(in packet);
            Transport.Notify(ReceiveQueue);
        }
        else if (index >= 0 && packet.SourceCid == _cid)
        {
            Apply(ref _streams[index], in packet, length);
            Transport.Notify(ReceiveQueue);
        }

        return VirtqueueResult.Ok;
    }

    /// <summary>What a packet of the guest's means for its stream.</summary>
    /// <param name="stream">Its stream.</param>
    /// <param name="packet">The packet.</param>
    /// <param name="length">Bytes of it that are in the ring now.</param>
    private static void Apply(ref VsockStream stream, in VsockPacket packet, uint length)
    {
        const uint Both = VsockPacket.NoReceive | VsockPacket.NoSend;
        if (stream.State == VsockState.Over)
        {
            // It knows of the end, or will.
            stream.ForGuest &= packet.Operation == VsockOperation.Reset ? ~VsockNews.Reset : (VsockNews)0xFF;
            stream.FreeIfTold();
            return;
        }

        if (packet.Operation == VsockOperation.Reset)
        {
            bool isOrderly = stream.GuestIsShut;
            stream.Close(VsockNews.None, VsockNews.Reset, isOrderly ? StreamEnd.Closed : StreamEnd.ByGuest);
            return;
        }

        bool isGood = stream.TryNoteGuest(packet.BufferBytes, packet.Forwarded);
        switch (packet.Operation)
        {
            case VsockOperation.Response when isGood && stream.State == VsockState.Asked && !stream.IsAskedFor:
                stream.State = VsockState.Open;
                stream.ForHost |= VsockNews.Begin;
                return;
            case VsockOperation.Data when isGood && stream.State == VsockState.Open && length <= stream.HostRoom
                && (length != 0 || packet.Length == 0):
                stream.Taken += length;
                return;
            case VsockOperation.CreditUpdate when isGood:
                return;
            case VsockOperation.CreditRequest when isGood:
                stream.ForGuest |= VsockNews.Credit;
                return;
            case VsockOperation.Shutdown when isGood && stream.State == VsockState.Open:
                stream.GuestIsShut |= (packet.Flags & VsockPacket.NoSend) != 0;
                stream.GuestIsDeaf |= (packet.Flags & VsockPacket.NoReceive) != 0;
                if ((packet.Flags & Both) == Both || (stream.GuestIsShut && stream.GuestIsDeaf))
                {
                    stream.Close(VsockNews.Reset, VsockNews.Reset, StreamEnd.Closed);
                }
                else
                {
                    stream.ForHost |= stream.GuestIsShut ? VsockNews.Shut : VsockNews.None;
                    stream.Delivered = stream.GuestIsDeaf ? stream.Received : stream.Delivered;
                }

                return;
            default:
                stream.Close(VsockNews.Reset, VsockNews.Reset, StreamEnd.Broken);
                return;
        }
    }

    private bool StepReceive<TMemory>(ref TMemory memory, ref VsockBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        int index = _birth == Birth.Known ? NextForGuest() : -1;
        if (index < 0 && !(_birth == Birth.Known && _refusal.IsThere))
        {
            return true; // what gives the guest something, notifies
        }

        ref Virtqueue queue = ref Transport.QueueAt(ReceiveQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            result = chain.ReadableBytes != 0 || chain.WritableBytes < VsockPacket.HeaderBytes
                ? VirtqueueResult.BadRequest
                : _refusal.IsThere ? GiveRefusal(ref memory, in chain)
                : Give(ref memory, ref buffers, in chain, index);
        }

        return Transport.Finish(ReceiveQueue, in before, result, isDone: true);
    }

    private VirtqueueResult GiveRefusal<TMemory>(ref TMemory memory, in BufferChain chain)
        where TMemory : struct, IGuestMemory
    {
        VsockPacket packet = _refusal.Packet;
        VirtqueueResult result = GivePacket(ref memory, in chain, in packet);
        if (result == VirtqueueResult.Ok)
        {
            _refusal = default;
            UnblockTransmit();
        }

        return result;
    }

    /// <summary>Gives the guest the next news or bytes of a stream.</summary>
    private VirtqueueResult Give<TMemory>(
        ref TMemory memory, ref VsockBuffers buffers, in BufferChain chain, int index)
        where TMemory : struct, IGuestMemory
    {
        ref VsockStream stream = ref _streams[index];
        VsockPacket packet = new()
        {
            SourceCid = HostCid,
            DestinationCid = _cid,
            SourcePort = stream.Number,
            DestinationPort = stream.Port,
            Type = VsockPacket.Stream,
            BufferBytes = stream.Window,
            Forwarded = stream.HostLimit - stream.Window,
        };
        VsockNews told = VsockNews.Credit; // as every packet does
        if ((stream.ForGuest & VsockNews.Reset) != 0)
        {
            packet.Operation = VsockOperation.Reset;
            told = (VsockNews)0xFF;
        }
        else if ((stream.ForGuest & VsockNews.Begin) != 0)
        {
            packet.Operation = VsockOperation.Request;
            told |= VsockNews.Begin;
        }
        else if (stream.State == VsockState.Open && stream.WaitingForGuest != 0 && stream.GuestRoom != 0)
        {
            packet.Operation = VsockOperation.Data;
            ulong most = Math.Min(
                Math.Min(stream.WaitingForGuest, stream.GuestRoom), chain.WritableBytes - VsockPacket.HeaderBytes);
            Span<byte> bytes = buffers.ToGuest(index, stream.Delivered, (int)most);
            packet.Length = (uint)bytes.Length;
            if (!chain.TryWrite(ref memory, VsockPacket.HeaderBytes, bytes))
            {
                return VirtqueueResult.NoMemory;
            }
        }
        else if ((stream.ForGuest & VsockNews.Shut) != 0 && stream.WaitingForGuest == 0)
        {
            packet.Operation = VsockOperation.Shutdown;
            packet.Flags = VsockPacket.NoSend;
            told |= VsockNews.Shut;
        }
        else
        {
            packet.Operation = VsockOperation.CreditUpdate;
        }

        VirtqueueResult result = GivePacket(ref memory, in chain, in packet);
        if (result == VirtqueueResult.Ok)
        {
            stream.ForGuest &= ~told;
            stream.Delivered += packet.Length;
            stream.FreeIfTold();
            _nextForGuest = (index + 1) % MostStreams;
        }

        return result;
    }

    private VirtqueueResult GivePacket<TMemory>(ref TMemory memory, in BufferChain chain, in VsockPacket packet)
        where TMemory : struct, IGuestMemory
    {
        Span<byte> header = stackalloc byte[VsockPacket.HeaderBytes];
        packet.Write(header);
        return chain.TryWrite(ref memory, 0, header)
            ? Transport.Complete(ReceiveQueue, ref memory, chain.Head, VsockPacket.HeaderBytes + packet.Length)
            : VirtqueueResult.NoMemory;
    }

    private readonly int NextForGuest()
    {
        for (int i = 0; i < MostStreams; i++)
        {
            int index = (_nextForGuest + i) % MostStreams;
            if (_streams[index].HasForGuest)
            {
                return index;
            }
        }

        return -1;
    }

    private readonly int Find(uint number, uint port)
    {
        for (int i = 0; i < MostStreams; i++)
        {
            if (_streams[i].State != VsockState.None && _streams[i].Number == number && _streams[i].Port == port)
            {
                return i;
            }
        }

        return -1;
    }

    private void UnblockTransmit()
    {
        if (_isTransmitBlocked)
        {
            _isTransmitBlocked = false;
            Transport.Notify(TransmitQueue);
        }
    }

    /// <summary>The answer to a packet that belongs to no stream.</summary>
    private readonly struct Refusal(in VsockPacket packet)
    {
        internal bool IsThere { get; } = true;

        internal VsockPacket Packet { get; } = new()
        {
            SourceCid = packet.DestinationCid,
            DestinationCid = packet.SourceCid,
            SourcePort = packet.DestinationPort,
            DestinationPort = packet.SourcePort,
            Type = packet.Type,
            Operation = VsockOperation.Reset,
        };
    }

    [InlineArray(MostStreams)]
    private struct Streams
    {
        private VsockStream _first;
    }
}

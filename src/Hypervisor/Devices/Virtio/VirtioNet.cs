using System;
using System.Buffers.Binary;
using Quietus.Hypervisor.Devices.Network;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// A network device (Virtual I/O Device 1.2, 5.1): one queue of buffers for frames to come, one of frames to go, no
/// offloads. Between the driver and the switch stand two short rings. What the driver sends waits in its queue while
/// the ring is full; what comes while the ring is full is dropped, as on any network. The VM's device lock is held for
/// all members.
/// </summary>
/// <remarks>
/// <code>
///  buffer   flags 1 | segmentation 1 | 2 2 2 2 of no meaning here | buffers 2 | frame    5.1.6
/// </code>
/// </remarks>
public struct VirtioNet
{
    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const ulong FeatureMac = 1 << 5;

    private const int HeaderBytes = 12;
    private const int BufferCountOffset = 10;

    private ulong _mac;
    private uint _sent;
    private uint _taken;
    private uint _arrived;
    private uint _given;
    private bool _waitsForRoom;

    /// <summary>Its registers.</summary>
    public VirtioTransport Transport;

    /// <summary>Whether the switch has a frame to take.</summary>
    public readonly bool HasFrame => _sent != _taken;

    /// <summary>Frames that the guest has sent, modulo 2^32.</summary>
    public readonly uint Sent => _sent;

    /// <summary>Frames that the guest was given, modulo 2^32.</summary>
    public readonly uint Given => _given;

    /// <summary>Puts the device there.</summary>
    /// <param name="vm">The VM's number.</param>
    public void Install(ulong vm)
    {
        this = default;
        _mac = GuestAddress.MacOf(vm);
        Transport.Install(VirtioKinds.Net, FeatureMac, queueCount: 2);
    }

    /// <summary>Makes a copy of a template's device a child's: it has a MAC of its own, and empty rings.</summary>
    /// <param name="vm">The child's number.</param>
    public void BeBorn(ulong vm)
    {
        _mac = GuestAddress.MacOf(vm);
        Empty();
        Transport.Notify(TransmitQueue);
    }

    /// <summary>A read of 1, 2, 4 or 8 bytes of its configuration; what is not there reads as 0.</summary>
    public readonly ulong ReadConfiguration(ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[GuestAddress.MacBytes];
        GuestAddress.WriteMac(bytes, _mac);
        return VirtioTransport.ReadConfiguration(bytes, offset, size);
    }

    /// <summary>After all that may have stopped the driver: what waits is dropped with it.</summary>
    public void Settle()
    {
        if (!Transport.IsRunning)
        {
            Empty();
        }
    }

    /// <summary>
    /// Takes or gives one frame, if there is one; <see cref="VirtioTransport.HasWork"/> says whether that was all.
    /// </summary>
    /// <returns>
    /// False: some of the guest's memory cannot be reached. Nothing was given back: the caller makes it reachable, or
    /// breaks the device.
    /// </returns>
    public bool TryStep<TMemory>(ref TMemory memory, ref NetBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        if (Transport.TryBegin(TransmitQueue))
        {
            return StepTransmit(ref memory, ref buffers);
        }

        return !Transport.TryBegin(ReceiveQueue) || StepReceive(ref memory, ref buffers);
    }

    /// <summary>The frame that the switch takes next; <see cref="HasFrame"/>.</summary>
    public readonly ReadOnlySpan<byte> Peek(ref NetBuffers buffers) => buffers.FromGuest(_taken).Bytes;

    /// <summary>The switch is done with that frame; without one, nothing happens.</summary>
    public void Drop()
    {
        _taken += HasFrame ? 1u : 0;
        if (_waitsForRoom)
        {
            _waitsForRoom = false;
            Transport.Notify(TransmitQueue);
        }
    }

    /// <summary>A frame for the guest. False: it is dropped, for there is no driver, or no room.</summary>
    public bool TryGive(ref NetBuffers buffers, ReadOnlySpan<byte> frame)
    {
        if (!Transport.IsRunning || _arrived - _given == NetBuffers.Frames)
        {
            return false;
        }

        frame.CopyTo(buffers.ToGuest(_arrived).Begin(frame.Length));
        _arrived++;
        Transport.Notify(ReceiveQueue);
        return true;
    }

    private void Empty()
    {
        _taken = _sent;
        _given = _arrived;
        _waitsForRoom = false;
    }

    private bool StepTransmit<TMemory>(ref TMemory memory, ref NetBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        _waitsForRoom = _sent - _taken == NetBuffers.Frames;
        if (_waitsForRoom)
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(TransmitQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            // Frames of a length that no network has are dropped, and break nothing.
            ulong length = chain.ReadableBytes - HeaderBytes;
            bool isFrame = length is >= FrameRules.HeaderBytes and <= FrameRules.MostBytes;
            result = chain.ReadableBytes < HeaderBytes ? VirtqueueResult.BadRequest
                : isFrame && !chain.TryRead(ref memory, HeaderBytes, buffers.FromGuest(_sent).Begin((int)length))
                    ? VirtqueueResult.NoMemory
                : Transport.Complete(TransmitQueue, ref memory, chain.Head, 0);
            _sent += isFrame && result == VirtqueueResult.Ok ? 1u : 0;
        }

        return Transport.Finish(TransmitQueue, in before, result, isDone: true);
    }

    private bool StepReceive<TMemory>(ref TMemory memory, ref NetBuffers buffers)
        where TMemory : struct, IGuestMemory
    {
        if (_arrived == _given)
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(ReceiveQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            ReadOnlySpan<byte> frame = buffers.ToGuest(_given).Bytes;
            Span<byte> header = stackalloc byte[HeaderBytes];
            header.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(header.Slice(BufferCountOffset), 1);
            uint length = (uint)(HeaderBytes + frame.Length);
            result = chain.ReadableBytes != 0 || chain.WritableBytes < length ? VirtqueueResult.BadRequest
                : !chain.TryWrite(ref memory, 0, header) || !chain.TryWrite(ref memory, HeaderBytes, frame)
                    ? VirtqueueResult.NoMemory
                : Transport.Complete(ReceiveQueue, ref memory, chain.Head, length);
            _given += result == VirtqueueResult.Ok ? 1u : 0;
        }

        return Transport.Finish(ReceiveQueue, in before, result, isDone: true);
    }
}

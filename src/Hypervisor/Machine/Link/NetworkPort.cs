using System;
using Quietus.Hypervisor.Devices.Network;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Driver of the machine's virtio network device (Virtual I/O Device 1.2, 5.1), the uplink of VMs that are to have one.
/// It is looked for once, by the device tree; a machine without one is as good. On the monitor's core alone.
/// </summary>
/// <remarks>
/// Invariant: queues and buffers are memory that was taken for this driver at boot, EL2's own: no guest can reach it.
/// </remarks>
internal unsafe struct NetworkPort
{
    /// <summary>Memory that it takes at boot, in bytes.</summary>
    internal const ulong MemoryBytes = 4096 + (2 * DriverQueue.Entries * BufferBytes);

    private const int HeaderBytes = 12;
    private const int BufferBytes = 1536;
    private const uint ReceiveQueue = 0;
    private const uint TransmitQueue = 1;

    private MachineDevice _device;
    private DriverQueue _receive;
    private DriverQueue _transmit;

    /// <summary>Whether there is one, and it works.</summary>
    internal readonly bool Exists => _device.Exists && !_receive.IsBroken && !_transmit.IsBroken;

    /// <summary>Its interrupt; 0 when there is none.</summary>
    internal readonly uint Interrupt => _device.Interrupt;

    /// <summary>Looks for one, maps it, and starts it. EL2's own tables are in use, and no other core is.</summary>
    internal static NetworkPort Find(ReadOnlySpan<byte> deviceTree)
    {
        NetworkPort port = default;
        port._device = MachineDevice.Find(deviceTree, VirtioKinds.Net);
        byte* memory = port._device.Exists ? (byte*)Platform.Memory.Take(MemoryBytes, 4096) : null;
        return memory != null && port.TryStart(memory) ? port : default;
    }

    /// <summary>Whether the device has room for a frame.</summary>
    internal bool HasRoom()
    {
        while (_transmit.TryTake(out _, out _))
        {
        }

        return Exists && _transmit.OurCount != 0;
    }

    /// <summary>Sends a frame; it is dropped where there is no room.</summary>
    internal void Send(scoped ReadOnlySpan<byte> frame)
    {
        if (Exists && frame.Length <= FrameRules.MostBytes && _transmit.TryFind(out int index))
        {
            Span<byte> buffer = _transmit.BufferAt(index);
            buffer.Slice(0, HeaderBytes).Clear(); // no offloads
            frame.CopyTo(buffer.Slice(HeaderBytes));
            _transmit.Offer(index, HeaderBytes + frame.Length);
            _device.Notify(TransmitQueue);
        }
    }

    /// <summary>Copies the next frame that came in; false when there is none.</summary>
    /// <param name="frame">Room for <see cref="FrameRules.MostBytes"/>.</param>
    /// <param name="length">Its length; 0 for one that is none.</param>
    internal bool TryReceive(scoped Span<byte> frame, out int length)
    {
        length = 0;
        if (!Exists || !_receive.TryTake(out int index, out int bytes))
        {
            return false;
        }

        if (bytes is > HeaderBytes and <= HeaderBytes + FrameRules.MostBytes)
        {
            length = bytes - HeaderBytes;
            _receive.BufferAt(index).Slice(HeaderBytes, length).CopyTo(frame);
        }

        _receive.Offer(index, BufferBytes);
        _device.Notify(ReceiveQueue);
        return true;
    }

    /// <summary>Acknowledges the interrupt. What it is about is in the queues.</summary>
    internal readonly void AcknowledgeInterrupt() => _device.AcknowledgeInterrupt();

    private bool TryStart(byte* memory)
    {
        byte* buffers = memory + 4096;
        _receive.Initialize(memory, buffers, BufferBytes, deviceWrites: true);
        _transmit.Initialize(
            memory + DriverQueue.RingBytes, buffers + (DriverQueue.Entries * BufferBytes), BufferBytes,
            deviceWrites: false);
        if (!_device.TryReset(features: 0) || !_device.TryEnable(ReceiveQueue, in _receive)
            || !_device.TryEnable(TransmitQueue, in _transmit))
        {
            _device.Stop();
            return false;
        }

        _device.Start();
        for (int i = 0; i < DriverQueue.Entries; i++)
        {
            _receive.Offer(i, BufferBytes);
        }

        _device.Notify(ReceiveQueue);
        return true;
    }
}

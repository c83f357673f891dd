using System;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Driver of the machine's virtio serial port (Virtual I/O Device 1.2, 5.3, port 1), which carries whole frames where
/// the PL011 takes a byte at a time. It is looked for once, by the device tree; a machine without one is as good.
/// </summary>
/// <remarks>
/// Port 1, not the console (port 0), because QEMU drops what a console cannot get rid of at once, and lets a port wait.
/// The caller locks.
/// Invariant: queues and buffers are memory that was taken for this driver at boot, EL2's own: no guest can reach it.
/// </remarks>
internal unsafe struct SerialPort
{
    /// <summary>Bytes of a message at most.</summary>
    internal const int MostBytes = 2048;

    /// <summary>Memory that it takes at boot, in bytes.</summary>
    internal const ulong MemoryBytes = 4096 + (DriverQueue.Entries * (MostBytes + ReceiveBytes));

    private const int ReceiveBytes = 512;
    private const int ControlBytes = 8;

    private const ulong MostPortsOffset = 4;
    private const uint FeatureMultiPort = 1 << 1;

    // 5.3.2: queue 3 carries control messages to the device; port 1 has 4 and 5.
    private const uint ControlQueue = 3;
    private const uint ReceiveQueue = 4;
    private const uint TransmitQueue = 5;
    private const uint Port = 1;

    // 5.3.6.2: events of control messages.
    private const uint DeviceReady = 0;
    private const uint PortReady = 3;
    private const uint PortOpen = 6;

    private MachineDevice _device;
    private byte* _memory;
    private DriverQueue _control;
    private DriverQueue _receive;
    private DriverQueue _transmit;
    private int _readIndex;
    private int _readAt;
    private int _readBytes;

    /// <summary>Whether there is one, and it works.</summary>
    internal readonly bool Exists => _device.Exists && !_receive.IsBroken && !_transmit.IsBroken;

    /// <summary>Its interrupt, when it exists.</summary>
    internal readonly uint Interrupt => _device.Interrupt;

    /// <summary>Looks for a port, maps it, and starts it. EL2's own tables are in use, and no other core is.</summary>
    internal static SerialPort Find(ReadOnlySpan<byte> deviceTree)
    {
        SerialPort port = default;
        port._device = MachineDevice.Find(deviceTree, VirtioKinds.Console);
        port._memory = port._device.Exists ? (byte*)Platform.Memory.Take(MemoryBytes, 4096) : null;
        return port._memory != null && port.TryStart() ? port : default;
    }

    /// <summary>
    /// Resets the device and begins anew, whatever was going on: what was under way is lost. False: it does not come
    /// up.
    /// </summary>
    internal bool TryStart()
    {
        byte* buffers = _memory + 4096;
        _control.Initialize(_memory, _memory + (3 * DriverQueue.RingBytes), ControlBytes, deviceWrites: false);
        _receive.Initialize(_memory + DriverQueue.RingBytes, buffers, ReceiveBytes, deviceWrites: true);
        _transmit.Initialize(
            _memory + (2 * DriverQueue.RingBytes),
            buffers + (DriverQueue.Entries * ReceiveBytes),
            MostBytes,
            deviceWrites: false);
        _readAt = 0;
        _readBytes = 0;

        if (!_device.TryReset(FeatureMultiPort) || _device.ReadConfiguration(MostPortsOffset) <= Port
            || !_device.TryEnable(ControlQueue, in _control)
            || !_device.TryEnable(ReceiveQueue, in _receive)
            || !_device.TryEnable(TransmitQueue, in _transmit))
        {
            _device.Stop();
            return false;
        }

        _device.Start();
        for (int i = 0; i < DriverQueue.Entries; i++)
        {
            _receive.Offer(i, ReceiveBytes);
        }

        _device.Notify(ReceiveQueue);
        Tell(0, 0, DeviceReady);
        Tell(1, Port, PortReady);
        Tell(2, Port, PortOpen);
        return true;
    }

    /// <summary>How many messages the device has room for now.</summary>
    internal int CountRoom()
    {
        while (_transmit.TryTake(out _, out _))
        {
        }

        return _transmit.OurCount;
    }

    /// <summary>
    /// Where the next message is to be written; there is room for one. <see cref="Send"/> sends it.
    /// </summary>
    internal readonly Span<byte> NextMessage() =>
        _transmit.TryFind(out int index) ? _transmit.BufferAt(index) : default;

    /// <summary>Sends so many bytes of <see cref="NextMessage"/>.</summary>
    internal void Send(int bytes)
    {
        if (bytes > 0 && _transmit.TryFind(out int index))
        {
            _transmit.Offer(index, bytes);
            _device.Notify(TransmitQueue);
        }
    }

    /// <summary>The next byte that came in.</summary>
    internal bool TryRead(out byte value)
    {
        while (_readAt == _readBytes)
        {
            if (!_receive.TryTake(out _readIndex, out _readBytes))
            {
                _readBytes = _readAt;
                value = 0;
                return false;
            }

            _readAt = 0;
            GiveBackWhenRead();
        }

        value = _receive.BufferAt(_readIndex)[_readAt];
        _readAt++;
        GiveBackWhenRead();
        return true;
    }

    /// <summary>Acknowledges the interrupt. What it is about is in the queues.</summary>
    internal readonly void AcknowledgeInterrupt() => _device.AcknowledgeInterrupt();

    private void GiveBackWhenRead()
    {
        if (_readAt == _readBytes)
        {
            _receive.Offer(_readIndex, ReceiveBytes);
            _device.Notify(ReceiveQueue);
        }
    }

    private void Tell(int index, uint port, uint what)
    {
        // id 4 | event 2 | value 2, little-endian as all of virtio.
        *(uint*)(_memory + (3 * DriverQueue.RingBytes) + (index * ControlBytes)) = port;
        *(uint*)(_memory + (3 * DriverQueue.RingBytes) + (index * ControlBytes) + 4) = what | (1 << 16);
        _control.Offer(index, ControlBytes);
        _device.Notify(ControlQueue);
    }
}

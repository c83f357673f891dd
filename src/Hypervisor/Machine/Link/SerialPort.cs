using System;
using Quietus.Hypervisor.DeviceTrees;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Driver of the machine's virtio serial port (Virtual I/O Device 1.2, 5.3, port 1), which carries whole frames where
/// the PL011 takes a byte at a time. It is looked for once, by the device tree; a machine without one is as good.
/// </summary>
/// <remarks>
/// Port 1, not the console (port 0), because QEMU drops what a console cannot get rid of at once, and lets a port wait.
/// Only version 2 of the transport, and only where it is coherent (<c>dma-coherent</c>). The caller locks.
/// Invariant: queues and buffers are memory that was taken for this driver at boot, EL2's own: no guest can reach it.
/// The registers' address comes from the device tree and is mapped as Device memory.
/// </remarks>
internal unsafe struct SerialPort
{
    /// <summary>Bytes of a message at most.</summary>
    internal const int MostBytes = 2048;

    /// <summary>Memory that it takes at boot, in bytes.</summary>
    internal const ulong MemoryBytes = 4096 + (DriverQueue.Entries * (MostBytes + ReceiveBytes));

    private const int ReceiveBytes = 512;
    private const int ControlBytes = 8;

    // Virtual I/O Device 1.2, 4.2.2.
    private const ulong Magic = 0x000;
    private const ulong Version = 0x004;
    private const ulong DeviceId = 0x008;
    private const ulong DeviceFeatures = 0x010;
    private const ulong DeviceFeaturesSelect = 0x014;
    private const ulong DriverFeatures = 0x020;
    private const ulong DriverFeaturesSelect = 0x024;
    private const ulong QueueSelect = 0x030;
    private const ulong QueueSizeMax = 0x034;
    private const ulong QueueSize = 0x038;
    private const ulong QueueReady = 0x044;
    private const ulong QueueNotify = 0x050;
    private const ulong InterruptStatus = 0x060;
    private const ulong InterruptAcknowledge = 0x064;
    private const ulong Status = 0x070;
    private const ulong QueueDescriptors = 0x080;
    private const ulong QueueAvailable = 0x090;
    private const ulong QueueUsed = 0x0A0;
    private const ulong MostPorts = 0x104;
    private const ulong RegisterBytes = 0x200;

    private const uint MagicValue = 0x7472_6976;
    private const uint ModernVersion = 2;
    private const uint ConsoleId = 3;

    private const uint StatusDriver = 3;
    private const uint StatusFeaturesOk = 11;
    private const uint StatusDriverOk = 15;
    private const uint FeatureMultiPort = 1 << 1;
    private const uint FeatureVersion1High = 1;

    // 5.3.2: queue 3 carries control messages to the device; port 1 has 4 and 5.
    private const uint ControlQueue = 3;
    private const uint ReceiveQueue = 4;
    private const uint TransmitQueue = 5;
    private const uint Port = 1;

    // 5.3.6.2: events of control messages.
    private const uint DeviceReady = 0;
    private const uint PortReady = 3;
    private const uint PortOpen = 6;

    private ulong _base;
    private byte* _memory;
    private DriverQueue _control;
    private DriverQueue _receive;
    private DriverQueue _transmit;
    private int _readIndex;
    private int _readAt;
    private int _readBytes;

    /// <summary>Whether there is one, and it works.</summary>
    internal readonly bool Exists => _base != 0 && !_receive.IsBroken && !_transmit.IsBroken;

    /// <summary>Its interrupt, when it exists.</summary>
    internal uint Interrupt { get; private set; }

    /// <summary>Looks for a port, maps it, and starts it. EL2's own tables are in use, and no other core is.</summary>
    internal static SerialPort Find(ReadOnlySpan<byte> deviceTree)
    {
        SerialPort port = default;
        if (FlatDeviceTree.Open(deviceTree, out FlatDeviceTree tree) != DeviceTreeError.None)
        {
            return default;
        }

        DeviceTreeNode node = tree.Root;
        while (tree.TryNext(node, out node))
        {
            if (MachineDescription.TryReadVirtio(ref tree, node, out AddressRange registers, out uint interrupt)
                && registers.Size >= RegisterBytes
                && Platform.TryMapDevice(registers)
                && IsSerial(registers.Start))
            {
                port._base = registers.Start;
                port._memory = (byte*)Platform.Memory.Take(MemoryBytes, 4096);
                port.Interrupt = interrupt;
                return port._memory != null && port.TryStart() ? port : default;
            }
        }

        return default;
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

        Write(Status, 0);
        Write(Status, StatusDriver);
        Write(DeviceFeaturesSelect, 0);
        bool hasPorts = (Read(DeviceFeatures) & FeatureMultiPort) != 0;
        Write(DriverFeaturesSelect, 0);
        Write(DriverFeatures, FeatureMultiPort);
        Write(DriverFeaturesSelect, 1);
        Write(DriverFeatures, FeatureVersion1High);
        Write(Status, StatusFeaturesOk);
        if (!hasPorts || Read(MostPorts) <= Port || Read(Status) != StatusFeaturesOk
            || !TryEnable(ControlQueue, in _control)
            || !TryEnable(ReceiveQueue, in _receive)
            || !TryEnable(TransmitQueue, in _transmit))
        {
            Write(Status, 0);
            return false;
        }

        Write(Status, StatusDriverOk);
        for (int i = 0; i < DriverQueue.Entries; i++)
        {
            _receive.Offer(i, ReceiveBytes);
        }

        Write(QueueNotify, ReceiveQueue);
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
            Write(QueueNotify, TransmitQueue);
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
    internal readonly void AcknowledgeInterrupt() => Write(InterruptAcknowledge, Read(InterruptStatus));

    private static bool IsSerial(ulong registers) =>
        Mmio.Read32(registers + Magic) == MagicValue
        && Mmio.Read32(registers + Version) == ModernVersion
        && Mmio.Read32(registers + DeviceId) == ConsoleId;

    private void GiveBackWhenRead()
    {
        if (_readAt == _readBytes)
        {
            _receive.Offer(_readIndex, ReceiveBytes);
            Write(QueueNotify, ReceiveQueue);
        }
    }

    private void Tell(int index, uint port, uint what)
    {
        // id 4 | event 2 | value 2, little-endian as all of virtio.
        *(uint*)(_memory + (3 * DriverQueue.RingBytes) + (index * ControlBytes)) = port;
        *(uint*)(_memory + (3 * DriverQueue.RingBytes) + (index * ControlBytes) + 4) = what | (1 << 16);
        _control.Offer(index, ControlBytes);
        Write(QueueNotify, ControlQueue);
    }

    private readonly bool TryEnable(uint queue, in DriverQueue rings)
    {
        Write(QueueSelect, queue);
        if (Read(QueueSizeMax) < DriverQueue.Entries)
        {
            return false;
        }

        Write(QueueSize, DriverQueue.Entries);
        WriteAddress(QueueDescriptors, rings.Descriptors);
        WriteAddress(QueueAvailable, rings.Available);
        WriteAddress(QueueUsed, rings.Used);
        Write(QueueReady, 1);
        return Read(QueueReady) == 1;
    }

    private readonly void WriteAddress(ulong register, ulong address)
    {
        Write(register, (uint)address);
        Write(register + 4, (uint)(address >> 32));
    }

    private readonly uint Read(ulong register) => Mmio.Read32(_base + register);

    private readonly void Write(ulong register, uint value) => Mmio.Write32(_base + register, value);
}

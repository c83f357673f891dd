namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The machine's PL011 (DDI 0183), polled for output, interrupting for input. Boot loaders and QEMU leave it enabled
/// and at its speed; only interrupts and the FIFO are set up here.
/// </summary>
internal struct PhysicalUart
{
    private const ulong Data = 0x00;
    private const ulong Flags = 0x18;
    private const ulong LineControl = 0x2C;
    private const ulong Control = 0x30;
    private const ulong FifoLevels = 0x34;
    private const ulong InterruptMask = 0x38;
    private const ulong InterruptClear = 0x44;
    private const uint TransmitFull = 1 << 5;
    private const uint TransmitEmpty = 1 << 7;

    /// <summary>Bytes that an empty transmit FIFO takes (DDI 0183: 16, or 32 since revision r1p5).</summary>
    private const int FifoBytes = 16;
    private const uint ReceiveEmpty = 1 << 4;
    private const uint Transmitting = 1 << 3;
    private const uint ReceiveAndTimeout = (1 << 4) | (1 << 6);

    private readonly ulong _base;

    /// <summary>Bytes that the FIFO is known to have room for.</summary>
    private int _room;

    /// <param name="registers">The registers' physical address, mapped as Device memory before first use.</param>
    internal PhysicalUart(ulong registers)
    {
        _base = registers;
        _room = 0;
    }

    internal readonly bool Exists => _base != 0;

    /// <summary>FIFOs on (8 bits, no parity), receive interrupts at the lowest level and on time-out.</summary>
    internal readonly void EnableReceive()
    {
        Mmio.Write32(_base + InterruptMask, 0);
        Mmio.Write32(_base + InterruptClear, 0x7FF);
        Mmio.Write32(_base + LineControl, 0x70);
        Mmio.Write32(_base + FifoLevels, 0);
        Mmio.Write32(_base + Control, 0x301);
        // The FIFO's reset above has dropped what came in before. QEMU 10 then goes on believing that the UART
        // has no room, until the data register is read.
        _ = Mmio.Read32(_base + Data);
        Mmio.Write32(_base + InterruptMask, ReceiveAndTimeout);
    }

    /// <summary>Waits until there is room, then sends.</summary>
    internal void Write(byte value)
    {
        while (_room == 0)
        {
            uint flags = Mmio.Read32(_base + Flags);
            _room = (flags & TransmitEmpty) != 0 ? FifoBytes : (flags & TransmitFull) == 0 ? 1 : 0;
        }

        _room--;
        Mmio.Write32(_base + Data, value);
    }

    internal readonly bool TryRead(out byte value)
    {
        if ((Mmio.Read32(_base + Flags) & ReceiveEmpty) != 0)
        {
            value = 0;
            return false;
        }

        value = (byte)Mmio.Read32(_base + Data);
        return true;
    }

    /// <summary>Looks at the FIFO before the next byte, as another core may have filled it.</summary>
    internal void ForgetRoom() => _room = 0;

    /// <summary>Waits until the last byte has left, so that a power-off does not swallow it.</summary>
    internal readonly void Drain()
    {
        while ((Mmio.Read32(_base + Flags) & Transmitting) != 0)
        {
        }
    }
}

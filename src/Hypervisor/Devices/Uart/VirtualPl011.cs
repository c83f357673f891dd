using System;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A guest's UART: a PL011 (Arm DDI 0183, revision r1p5 with FIFOs of 32) whose line never fails. What the guest sends
/// collects in a ring, and the transmitter is as fast as the ring is emptied: a full one shows as a full FIFO. What the
/// guest receives waits in a ring of its own, from which the receive FIFO fills.
/// All members need the VM's device lock. Zeroed memory reads as a disabled UART until <see cref="Reset"/>.
/// </summary>
/// <remarks>
/// The UART sends and receives whether it is enabled in UARTCR or not, so that early consoles work that rely on
/// firmware having enabled it.
/// A driver that starts up empties the receive FIFO before it enables its interrupts, and what it finds there is lost
/// (Linux, pl011_enable_interrupts). So after UARTICR has cleared a receive interrupt that is masked, the next read of
/// UARTFR finds the FIFO empty, once: what was typed before the driver came up waits in the ring.
/// </remarks>
public struct VirtualPl011
{
    /// <summary>Bytes that wait for the guest at most.</summary>
    public const int InputCapacity = 2048;

    /// <summary>Bytes of the guest that are held back at most.</summary>
    public const int OutputCapacity = 4096;

    private const uint Dr = 0x000;
    private const uint Rsr = 0x004;
    private const uint Fr = 0x018;
    private const uint Ilpr = 0x020;
    private const uint Ibrd = 0x024;
    private const uint Fbrd = 0x028;
    private const uint LcrH = 0x02C;
    private const uint Cr = 0x030;
    private const uint Ifls = 0x034;
    private const uint Imsc = 0x038;
    private const uint Ris = 0x03C;
    private const uint Mis = 0x040;
    private const uint Icr = 0x044;
    private const uint Dmacr = 0x048;
    private const uint PeripheralId0 = 0xFE0;
    private const uint CellId0 = 0xFF0;

    /// <summary>Part 0x011, designer 0x41 (Arm), revision 3: UARTPeriphID3..0, a byte each.</summary>
    private const uint PeripheralId = 0x0034_1011;
    private const uint CellId = 0xB105_F00D;

    // UARTFR. Clear to send, data set ready and carrier are always asserted.
    private const uint FrModem = 0x007;
    private const uint FrReceiveEmpty = 1 << 4;
    private const uint FrTransmitFull = 1 << 5;
    private const uint FrReceiveFull = 1 << 6;
    private const uint FrTransmitEmpty = 1 << 7;

    // UARTRIS, UARTMIS, UARTIMSC, UARTICR.
    private const uint InterruptReceive = 1 << 4;
    private const uint InterruptTransmit = 1 << 5;
    private const uint InterruptTimeout = 1 << 6;
    private const uint InterruptOverrun = 1 << 10;
    private const uint InterruptMask = 0x7FF;

    private const uint LcrHFifoEnable = 1 << 4;
    private const uint CrLoopback = 1 << 7;
    private const uint DataOverrun = 1 << 11;
    private const uint RsrOverrun = 1 << 3;
    private const int FifoDepth = 32;

    /// <summary>Bytes in the ring up to which the transmit FIFO counts as below its trigger level.</summary>
    private const int TransmitTrigger = OutputCapacity - FifoDepth;

    private InputRing input;
    private OutputRing output;
    private int outputStart;
    private int inputStart;
    private int inputCount;
    private int outputCount;
    private uint integerBaud;
    private uint fractionalBaud;
    private uint lowPower;
    private uint lineControl;
    private uint control;
    private uint triggerLevels;
    private uint interruptMask;
    private uint interrupts;
    private uint dma;
    private bool overrun;
    private bool looksEmpty;

    /// <summary>Whether the UART's interrupt line (UARTINTR) is asserted.</summary>
    public readonly bool InterruptLine => (interrupts & interruptMask) != 0;

    /// <summary>Bytes that the guest has sent and that have not been taken.</summary>
    public readonly int OutputCount => outputCount;

    /// <summary>Bytes that wait for the guest.</summary>
    public readonly int InputCount => inputCount;

    /// <summary>Bytes that the guest sent while the output was full, and that are lost.</summary>
    public ulong LostOutput { get; private set; }

    private readonly int TriggerLevel
    {
        get
        {
            if ((lineControl & LcrHFifoEnable) == 0)
            {
                return 1;
            }

            // UARTIFLS.RXIFLSEL; reserved values count as one half.
            return ((triggerLevels >> 3) & 7) switch
            {
                0 => FifoDepth / 8,
                1 => FifoDepth / 4,
                3 => FifoDepth * 3 / 4,
                4 => FifoDepth * 7 / 8,
                _ => FifoDepth / 2,
            };
        }
    }

    /// <summary>The state after power-on: nothing to receive, all interrupts masked.</summary>
    public void Reset()
    {
        this = default;
        control = 0x300;
        triggerLevels = 0x12;
    }

    /// <summary>
    /// Becomes a copy of another VM's UART all of whose output has been taken: registers, and what waits for the guest.
    /// </summary>
    public void Inherit(ref VirtualPl011 other)
    {
        outputStart = 0;
        outputCount = 0;
        LostOutput = 0;
        integerBaud = other.integerBaud;
        fractionalBaud = other.fractionalBaud;
        lowPower = other.lowPower;
        lineControl = other.lineControl;
        control = other.control;
        triggerLevels = other.triggerLevels;
        interruptMask = other.interruptMask;
        interrupts = other.interrupts;
        dma = other.dma;
        overrun = other.overrun;
        looksEmpty = other.looksEmpty;
        inputStart = 0;
        inputCount = other.inputCount;
        for (int i = 0; i < inputCount; i++)
        {
            input[i] = other.input[(other.inputStart + i) % InputCapacity];
        }
    }

    /// <summary>Reads a register. Reading UARTDR takes a byte out of the receive FIFO.</summary>
    /// <param name="offset">Byte offset in the UART's 4 KB; any value.</param>
    /// <param name="size">1, 2 or 4 bytes; 8 reads as 0.</param>
    public uint Read(ulong offset, int size)
    {
        if (size > 4 || offset >= 0x1000)
        {
            return 0;
        }

        switch ((uint)offset)
        {
            case Dr:
                return ReadData();
            case Rsr:
                return overrun ? RsrOverrun : 0;
            case Fr:
                return ReadFlags();
            case Ilpr:
                return lowPower;
            case Ibrd:
                return integerBaud;
            case Fbrd:
                return fractionalBaud;
            case LcrH:
                return lineControl;
            case Cr:
                return control;
            case Ifls:
                return triggerLevels;
            case Imsc:
                return interruptMask;
            case Ris:
                return interrupts;
            case Mis:
                return interrupts & interruptMask;
            case Dmacr:
                return dma;
            default:
                return ReadIdentification((uint)offset);
        }
    }

    /// <summary>Writes a register.</summary>
    /// <param name="offset">Byte offset in the UART's 4 KB; any value.</param>
    /// <param name="size">1, 2 or 4 bytes; 8 is ignored.</param>
    /// <param name="value">The value; bits beyond the register are ignored.</param>
    /// <returns>True when there is output to be taken since now, or so much that it should not wait.</returns>
    public bool Write(ulong offset, int size, ulong value)
    {
        if (size > 4 || offset >= 0x1000)
        {
            return false;
        }

        switch ((uint)offset)
        {
            case Dr:
                return WriteData((byte)value);
            case Rsr:
                overrun = false;
                break;
            case Ilpr:
                lowPower = (uint)value & 0xFF;
                break;
            case Ibrd:
                integerBaud = (uint)value & 0xFFFF;
                break;
            case Fbrd:
                fractionalBaud = (uint)value & 0x3F;
                break;
            case LcrH:
                lineControl = (uint)value & 0xFF;
                break;
            case Cr:
                control = (uint)value & 0xFF87;
                break;
            case Ifls:
                triggerLevels = (uint)value & 0x3F;
                break;
            case Imsc:
                interruptMask = (uint)value & InterruptMask;
                looksEmpty = false;
                interrupts |= inputCount != 0 ? InterruptTimeout : 0;
                break;
            case Icr:
                interrupts &= ~(uint)value;
                looksEmpty = ((uint)value & ~interruptMask & (InterruptReceive | InterruptTimeout)) != 0;
                break;
            case Dmacr:
                dma = (uint)value & 7;
                break;
        }

        return false;
    }

    /// <summary>Gives bytes to the guest.</summary>
    /// <returns>How many found room; the rest is for the caller to offer again.</returns>
    public int PushInput(scoped ReadOnlySpan<byte> bytes)
    {
        int accepted = 0;
        while (accepted < bytes.Length && inputCount < InputCapacity)
        {
            Receive(bytes[accepted]);
            accepted++;
        }

        return accepted;
    }

    /// <summary>Takes what the guest has sent, oldest first.</summary>
    /// <returns>How many bytes were written to <paramref name="destination"/>.</returns>
    public int TakeOutput(scoped Span<byte> destination)
    {
        int taken = outputCount < destination.Length ? outputCount : destination.Length;
        for (int i = 0; i < taken; i++)
        {
            destination[i] = output[outputStart];
            outputStart = (outputStart + 1) % OutputCapacity;
        }

        bool wasAbove = outputCount > TransmitTrigger;
        outputCount -= taken;
        interrupts |= wasAbove && outputCount <= TransmitTrigger ? InterruptTransmit : 0;
        return taken;
    }

    /// <summary>
    /// What another device of the guest's has to say, after what the UART has sent. There is room for it.
    /// </summary>
    public void PushOutput(scoped ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length && outputCount < OutputCapacity; i++)
        {
            Append(bytes[i]);
        }
    }

    private void Append(byte value)
    {
        output[(outputStart + outputCount) % OutputCapacity] = value;
        outputCount++;
        interrupts &= outputCount > TransmitTrigger ? ~InterruptTransmit : uint.MaxValue;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint ReadFlags()
    {
        bool isEmpty = inputCount == 0 || looksEmpty;
        looksEmpty = false;
        return FrModem
            | (outputCount == OutputCapacity ? FrTransmitFull : FrTransmitEmpty)
            | (isEmpty ? FrReceiveEmpty : 0)
            | (inputCount >= ((lineControl & LcrHFifoEnable) != 0 ? FifoDepth : 1) ? FrReceiveFull : 0);
    }

    private static uint ReadIdentification(uint offset)
    {
        if (offset % 4 != 0 || offset < PeripheralId0)
        {
            return 0;
        }

        return offset < CellId0
            ? (PeripheralId >> ((int)(offset - PeripheralId0) * 2)) & 0xFF
            : (CellId >> ((int)(offset - CellId0) * 2)) & 0xFF;
    }

    private uint ReadData()
    {
        if (inputCount == 0)
        {
            return 0;
        }

        uint data = input[inputStart];
        inputStart = (inputStart + 1) % InputCapacity;
        inputCount--;
        if (inputCount < TriggerLevel)
        {
            interrupts &= ~InterruptReceive;
        }

        // The receive timeout ends when the FIFO is empty; with something left in it, time runs out once more.
        interrupts = inputCount == 0 ? interrupts & ~InterruptTimeout : interrupts | InterruptTimeout;
        return overrun ? data | DataOverrun : data;
    }

    private bool WriteData(byte value)
    {
        if ((control & CrLoopback) != 0)
        {
            interrupts |= InterruptTransmit;
            Receive(value);
            return false;
        }

        if (outputCount == OutputCapacity)
        {
            LostOutput++;
            return true;
        }

        Append(value);

        // Below the trigger level the FIFO has passed it at once, as what is in it counts as sent.
        interrupts |= outputCount <= TransmitTrigger ? InterruptTransmit : 0;
        return outputCount is 1 or OutputCapacity / 2 or OutputCapacity;
    }

    private void Receive(byte value)
    {
        if (inputCount == InputCapacity)
        {
            overrun = true;
            interrupts |= InterruptOverrun;
            return;
        }

        input[(inputStart + inputCount) % InputCapacity] = value;
        inputCount++;
        interrupts |= InterruptTimeout;
        if (inputCount >= TriggerLevel)
        {
            interrupts |= InterruptReceive;
        }
    }

    [InlineArray(InputCapacity)]
    private struct InputRing
    {
        private byte first;
    }

    [InlineArray(OutputCapacity)]
    private struct OutputRing
    {
        private byte first;
    }
}

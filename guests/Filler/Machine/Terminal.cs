using System;

namespace Quietus.Filler.Machine;

/// <summary>Text on the PL011 (DDI 0183), by polling. Numbers go out digit by digit: there is no line buffer.</summary>
internal static class Terminal
{
    private const ulong DataRegister = 0x00;
    internal const ulong FlagRegister = 0x18;
    private const ulong LineControlRegister = 0x2C;
    private const ulong ControlRegister = 0x30;
    private const ulong InterruptMaskRegister = 0x38;

    private const ulong TransmitFull = 1 << 5;
    private const ulong EightBitsWithFifo = 0x70;
    private const ulong EnabledBothWays = 0x301;

    /// <summary>Makes the UART usable, whatever was written to it before.</summary>
    internal static void Initialize()
    {
        Instructions.Store32(Board.Uart + InterruptMaskRegister, 0);
        Instructions.Store32(Board.Uart + LineControlRegister, EightBitsWithFifo);
        Instructions.Store32(Board.Uart + ControlRegister, EnabledBothWays);
    }

    internal static void Byte(byte value)
    {
        while ((Instructions.Load32(Board.Uart + FlagRegister) & TransmitFull) != 0)
        {
        }

        Instructions.Store32(Board.Uart + DataRegister, value);
    }

    internal static void Text(ReadOnlySpan<byte> text)
    {
        foreach (byte character in text)
        {
            Byte(character);
        }
    }

    internal static void EndLine() => Text("\r\n"u8);

    /// <summary>A whole line with our name before it.</summary>
    internal static void Line(ReadOnlySpan<byte> text)
    {
        Begin();
        Text(text);
        EndLine();
    }

    /// <summary>Begins a line with our name.</summary>
    internal static void Begin() => Text("filler: "u8);

    internal static void Decimal(ulong value)
    {
        ulong power = 1;
        while (value / power >= 10)
        {
            power *= 10;
        }

        for (; power != 0; power /= 10)
        {
            Byte((byte)('0' + (value / power % 10)));
        }
    }

    internal static void Hexadecimal(ulong value)
    {
        Text("0x"u8);
        int shift = 60;
        while (shift > 0 && value >> shift == 0)
        {
            shift -= 4;
        }

        for (; shift >= 0; shift -= 4)
        {
            uint digit = (uint)(value >> shift) & 0xF;
            Byte((byte)(digit < 10 ? '0' + digit : 'a' + digit - 10));
        }
    }
}

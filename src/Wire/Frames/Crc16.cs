using System;
using System.Runtime.CompilerServices;

namespace Quietus.Wire;

/// <summary>
/// CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, nothing reflected, no final inversion. Its check
/// value, over the ASCII digits 1 to 9, is 0x29B1.
/// </summary>
public static class Crc16
{
    /// <summary>The checksum of nothing: where every computation starts.</summary>
    public const ushort Initial = 0xFFFF;

    /// <summary>The checksum after one more byte.</summary>
    /// <remarks>
    /// The eight steps of the shift register in closed form: the polynomial has the terms 12, 5 and 0, and the
    /// feedback of the upper four bits into the lower four is the only one that happens within a byte.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Append(ushort checksum, byte value)
    {
        uint x = ((uint)checksum >> 8) ^ value;
        x ^= x >> 4;
        return (ushort)(((uint)checksum << 8) ^ (x << 12) ^ (x << 5) ^ x);
    }

    /// <summary>The checksum of all the bytes.</summary>
    public static ushort Compute(ReadOnlySpan<byte> bytes)
    {
        ushort checksum = Initial;
        for (int i = 0; i < bytes.Length; i++)
        {
            checksum = Append(checksum, bytes[i]);
        }

        return checksum;
    }
}

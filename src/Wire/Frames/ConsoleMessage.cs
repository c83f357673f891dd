using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>A message of <see cref="Channel.Console"/>: raw bytes of the console of the VM in a slot.</summary>
/// <remarks>
/// <code>
///   [slot 2, little endian][bytes]
/// </code>
/// </remarks>
public static class ConsoleMessage
{
    /// <summary>Bytes before the console's.</summary>
    public const int HeaderBytes = 2;

    /// <summary>The most console bytes in a message.</summary>
    public const int MostBytes = FrameFormat.MaximumPayload - HeaderBytes;

    /// <summary>Writes what stands before the bytes: a slot, as every message that names one begins.</summary>
    public static void WriteSlot(Span<byte> destination, int slot) =>
        BinaryPrimitives.WriteUInt16LittleEndian(destination, (ushort)slot);

    /// <summary>Reads a slot; false when there is none, or it is not below <see cref="FrameFormat.Slots"/>.</summary>
    public static bool TryReadSlot(ReadOnlySpan<byte> payload, out int slot)
    {
        slot = payload.Length < HeaderBytes ? FrameFormat.Slots : BinaryPrimitives.ReadUInt16LittleEndian(payload);
        return slot < FrameFormat.Slots;
    }
}

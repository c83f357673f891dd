using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>
/// What one end has taken of the other's console bytes, so that the other knows how many more it may send: at most the
/// window beyond what has been taken. Each end counts for each slot and direction, from the switch to frames on, modulo
/// 2^32; only totals travel, so that a lost message is made good by the next.
/// </summary>
/// <remarks>
/// <code>
///   [slot 2][total 4], little endian
/// </code>
/// </remarks>
public readonly struct FlowMessage
{
    /// <summary>Bytes of a message.</summary>
    public const int Length = ConsoleMessage.HeaderBytes + 4;

    /// <summary>How far ahead of the guest the host may send: what the guest's UART holds back for it.</summary>
    public const uint InputWindow = 2048;

    /// <summary>How far ahead of the host's reader EL2 may send.</summary>
    public const uint OutputWindow = 64 * 1024;

    /// <summary>The VM's slot, below <see cref="FrameFormat.Slots"/>.</summary>
    public int Slot { get; private init; }

    /// <summary>Console bytes of this slot that the sender of the message has taken.</summary>
    public uint Total { get; private init; }

    /// <summary>Writes a message.</summary>
    public static void Write(Span<byte> destination, int slot, uint total)
    {
        ConsoleMessage.WriteSlot(destination, slot);
        BinaryPrimitives.WriteUInt32LittleEndian(destination.Slice(ConsoleMessage.HeaderBytes), total);
    }

    /// <summary>Reads a message; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out FlowMessage message)
    {
        message = default;
        if (payload.Length != Length || !ConsoleMessage.TryReadSlot(payload, out int slot))
        {
            return false;
        }

        message = new FlowMessage
        {
            Slot = slot,
            Total = BinaryPrimitives.ReadUInt32LittleEndian(payload.Slice(ConsoleMessage.HeaderBytes)),
        };
        return true;
    }

    /// <summary>Bytes that may still be sent.</summary>
    /// <param name="sent">What has been sent so far.</param>
    /// <param name="taken">What the other end has said that it has taken.</param>
    /// <param name="window">The direction's window.</param>
    public static uint Room(uint sent, uint taken, uint window)
    {
        uint inFlight = unchecked(sent - taken);
        return inFlight < window ? window - inFlight : 0;
    }

    /// <summary>Whether a total is news: later than the one before, whatever has wrapped around.</summary>
    public static bool IsLater(uint total, uint before) => unchecked((int)(total - before)) > 0;
}

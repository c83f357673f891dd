using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>
/// How the job protocol cuts a stream into frames. The other end's bytes are an allegation: a length that is too large
/// ends the conversation, since there is no way back to a frame's start.
/// </summary>
/// <remarks>
/// <code>
///   [payload's length 4, little endian][kind 1][payload]
/// </code>
/// </remarks>
public static class JobFrame
{
    /// <summary>What <see cref="JobHello"/> says: both ends must have the same.</summary>
    public const ushort Version = 1;

    /// <summary>The port of AF_VSOCK on which the agent listens.</summary>
    public const uint Port = 1;

    /// <summary>Bytes before the payload.</summary>
    public const int HeaderBytes = 5;

    /// <summary>The largest payload, in bytes: arguments and environment of a program must fit.</summary>
    public const int MaximumPayload = 64 * 1024;

    /// <summary>The largest frame.</summary>
    public const int MaximumFrame = HeaderBytes + MaximumPayload;

    /// <summary>Writes a header.</summary>
    public static void WriteHeader(Span<byte> destination, JobKind kind, int payloadBytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)payloadBytes);
        destination[4] = (byte)kind;
    }

    /// <summary>Reads a header; false when it is none, and then nothing after it makes sense.</summary>
    /// <param name="header">At least <see cref="HeaderBytes"/>.</param>
    /// <param name="kind">Any value: the caller knows which it takes.</param>
    /// <param name="payloadBytes">At most <see cref="MaximumPayload"/>.</param>
    public static bool TryReadHeader(ReadOnlySpan<byte> header, out JobKind kind, out int payloadBytes)
    {
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        kind = (JobKind)header[4];
        payloadBytes = length <= MaximumPayload ? (int)length : 0;
        return length <= MaximumPayload;
    }
}

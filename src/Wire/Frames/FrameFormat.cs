namespace Quietus.Wire;

/// <summary>The figures of the frame format.</summary>
/// <remarks>
/// <code>
///   body   [channel 1][sequence 1][payload 0..1024][CRC-16 2, little endian, over all before it]
///   wire   COBS(body) 00
/// </code>
/// COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) removes every zero from the body, so
/// that 00 on the wire is always the end of a frame: a receiver that lost its place finds it again there.
/// The sequence number counts the frames of one direction, over all channels, modulo 256, and starts at 0.
/// </remarks>
public static class FrameFormat
{
    /// <summary>The byte that ends every frame and occurs nowhere within one.</summary>
    public const byte Delimiter = 0;

    /// <summary>Channel and sequence number: bytes of the body before the payload.</summary>
    public const int HeaderLength = 2;

    /// <summary>Bytes of the body after the payload.</summary>
    public const int ChecksumLength = 2;

    /// <summary>The largest payload, in bytes; also the longest line of the monitor.</summary>
    public const int MaximumPayload = 1024;

    /// <summary>The largest body, in bytes: how large a receiver's buffer has to be.</summary>
    public const int MaximumBody = HeaderLength + MaximumPayload + ChecksumLength;

    /// <summary>The longest frame on the wire, in bytes: COBS adds one byte, and one more per 254.</summary>
    public const int MaximumFrame = MaximumBody + 1 + (MaximumBody / LongestRun) + 1;

    /// <summary>What `version` answers: another number is another format of messages.</summary>
    public const int Protocol = 2;

    /// <summary>
    /// How many VM slots there can be: messages name one by two bytes, and any other number is refused.
    /// </summary>
    public const int Slots = 4096;

    /// <summary>The longest run of bytes between two COBS code bytes.</summary>
    internal const int LongestRun = 254;
}

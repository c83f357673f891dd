using System;

namespace Quietus.Wire;

/// <summary>What one more received byte amounted to.</summary>
public enum DecodeStep : byte
{
    /// <summary>The byte was taken; nothing is complete yet.</summary>
    None,

    /// <summary>No delimiter has been seen yet: the byte is another program's output, firmware's for example.</summary>
    Noise,

    /// <summary>A frame is complete and its checksum is right.</summary>
    Frame,

    /// <summary>Bytes up to a delimiter that are no frame were dropped, and counted.</summary>
    Damaged,
}

/// <summary>
/// Finds frames in a stream of received bytes, whatever else is in it. It never fails: what cannot be decoded is
/// counted and skipped up to the next delimiter. The value with all bits zero is ready to receive.
/// </summary>
/// <remarks>
/// The buffer belongs to the caller, who passes the same one for every byte (so that this type can live in static
/// memory). A frame that does not fit into it counts as damaged; one of <see cref="FrameFormat.MaximumBody"/> bytes
/// holds every frame.
/// </remarks>
public struct FrameDecoder
{
    private int _length;
    private byte _runRemaining;
    private bool _zeroPending;
    private bool _started;
    private bool _overflowed;
    private bool _synchronised;
    private byte _expectedSequence;

    /// <summary>Frames received whole.</summary>
    public uint Frames { get; private set; }

    /// <summary>Stretches between two delimiters that were no frame. They show among the lost ones, too.</summary>
    public uint DamagedFrames { get; private set; }

    /// <summary>
    /// Frames that the sender counted but that did not arrive. The number is modulo 256 for each gap: a receiver that
    /// loses more than 255 frames in a row has other worries.
    /// </summary>
    public uint LostFrames { get; private set; }

    /// <summary>The channel of the frame last completed.</summary>
    public Channel Channel { get; private set; }

    /// <summary>The sequence number of the frame last completed.</summary>
    public byte Sequence { get; private set; }

    /// <summary>Bytes of payload of the frame last completed.</summary>
    public int PayloadLength { get; private set; }

    /// <summary>
    /// The payload of the frame that the last step completed, within the caller's buffer. Valid until the next byte.
    /// </summary>
    public readonly ReadOnlySpan<byte> Payload(ReadOnlySpan<byte> buffer) =>
        buffer.Slice(FrameFormat.HeaderLength, PayloadLength);

    /// <summary>Takes one received byte.</summary>
    public DecodeStep Feed(byte value, Span<byte> buffer)
    {
        if (value == FrameFormat.Delimiter)
        {
            return Complete(buffer);
        }

        if (!_synchronised)
        {
            return DecodeStep.Noise;
        }

        _started = true;
        if (_runRemaining != 0)
        {
            _runRemaining--;
            Append(value, buffer);
            return DecodeStep.None;
        }

        if (_zeroPending)
        {
            Append(0, buffer);
        }

        _runRemaining = (byte)(value - 1);
        _zeroPending = _runRemaining != FrameFormat.LongestRun;
        return DecodeStep.None;
    }

    private DecodeStep Complete(ReadOnlySpan<byte> buffer)
    {
        int length = _length;
        bool started = _started;
        bool whole = _runRemaining == 0 && !_overflowed;
        _length = 0;
        _runRemaining = 0;
        _zeroPending = false;
        _started = false;
        _overflowed = false;
        _synchronised = true;
        if (!started)
        {
            return DecodeStep.None;
        }

        if (!whole || !ChecksumHolds(buffer, length))
        {
            DamagedFrames++;
            return DecodeStep.Damaged;
        }

        Channel = (Channel)buffer[0];
        Sequence = buffer[1];
        PayloadLength = length - FrameFormat.HeaderLength - FrameFormat.ChecksumLength;
        LostFrames += (byte)(Sequence - _expectedSequence);
        _expectedSequence = (byte)(Sequence + 1);
        Frames++;
        return DecodeStep.Frame;
    }

    private void Append(byte value, Span<byte> buffer)
    {
        if (_length == buffer.Length || _length == FrameFormat.MaximumBody)
        {
            _overflowed = true;
            return;
        }

        buffer[_length] = value;
        _length++;
    }

    private static bool ChecksumHolds(ReadOnlySpan<byte> buffer, int length)
    {
        if (length < FrameFormat.HeaderLength + FrameFormat.ChecksumLength)
        {
            return false;
        }

        int covered = length - FrameFormat.ChecksumLength;
        int stated = buffer[covered] | (buffer[covered + 1] << 8);
        return Crc16.Compute(buffer.Slice(0, covered)) == stated;
    }
}

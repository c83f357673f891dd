using System;

namespace Quietus.Wire;

/// <summary>
/// One frame, handed out byte by byte as it goes onto the wire, its delimiter included. Nothing is buffered: the body
/// exists only as the positions of header, payload and checksum, and COBS looks ahead in those.
/// </summary>
public ref struct FrameEncoder
{
    private readonly ReadOnlySpan<byte> _payload;
    private readonly ushort _checksum;
    private readonly byte _channel;
    private readonly byte _sequence;
    private readonly int _length;

    private int _position;
    private int _runEnd;
    private bool _zeroFollows;
    private State _state;

    private enum State : byte
    {
        Code,
        Run,
        Delimiter,
        Done,
    }

    /// <summary>Prepares a frame.</summary>
    /// <param name="channel">Which stream it belongs to.</param>
    /// <param name="sequence">The sender's frame counter, modulo 256.</param>
    /// <param name="payload">At most <see cref="FrameFormat.MaximumPayload"/> bytes; what exceeds is cut off.</param>
    public FrameEncoder(Channel channel, byte sequence, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > FrameFormat.MaximumPayload)
        {
            payload = payload.Slice(0, FrameFormat.MaximumPayload);
        }

        ushort checksum = Crc16.Append(Crc16.Append(Crc16.Initial, (byte)channel), sequence);
        for (int i = 0; i < payload.Length; i++)
        {
            checksum = Crc16.Append(checksum, payload[i]);
        }

        _payload = payload;
        _checksum = checksum;
        _channel = (byte)channel;
        _sequence = sequence;
        _length = FrameFormat.HeaderLength + payload.Length + FrameFormat.ChecksumLength;
        _position = 0;
        _runEnd = 0;
        _zeroFollows = false;
        _state = State.Code;
    }

    /// <summary>The next byte of the frame; false once the delimiter has been handed out.</summary>
    public bool TryNext(out byte value)
    {
        switch (_state)
        {
            case State.Code:
                value = StartRun();
                return true;
            case State.Run:
                value = Body(_position);
                _position++;
                EndRunWhenReached();
                return true;
            case State.Delimiter:
                value = FrameFormat.Delimiter;
                _state = State.Done;
                return true;
            default:
                value = 0;
                return false;
        }
    }

    /// <summary>Writes the whole frame to a sink.</summary>
    public void WriteTo<TSink>(ref TSink sink)
        where TSink : struct, IByteSink
    {
        while (TryNext(out byte value))
        {
            sink.Write(value);
        }
    }

    /// <summary>
    /// Writes the whole frame into a buffer and says how many bytes it took; 0 when the buffer is too small. One of
    /// <see cref="FrameFormat.MaximumFrame"/> bytes is always large enough.
    /// </summary>
    public int WriteTo(Span<byte> destination)
    {
        int written = 0;
        while (TryNext(out byte value))
        {
            if (written == destination.Length)
            {
                return 0;
            }

            destination[written] = value;
            written++;
        }

        return written;
    }

    /// <summary>A code byte: one more than the number of bytes until the next zero, 254 of them at most.</summary>
    private byte StartRun()
    {
        int limit = _length - _position < FrameFormat.LongestRun ? _length : _position + FrameFormat.LongestRun;
        int end = _position;
        while (end < limit && Body(end) != 0)
        {
            end++;
        }

        byte code = (byte)(end - _position + 1);
        _runEnd = end;
        _zeroFollows = end < limit;
        _state = State.Run;
        EndRunWhenReached();
        return code;
    }

    /// <summary>
    /// A body that ends with a zero needs one more, empty run after it: the zero is implied by the run that follows,
    /// never by the end. So only a run that reaches the end of the body closes the frame.
    /// </summary>
    private void EndRunWhenReached()
    {
        if (_position != _runEnd)
        {
            return;
        }

        if (_zeroFollows)
        {
            _position++;
            _state = State.Code;
        }
        else
        {
            _state = _position == _length ? State.Delimiter : State.Code;
        }
    }

    private readonly byte Body(int position)
    {
        int index = position - FrameFormat.HeaderLength;
        if ((uint)index < (uint)_payload.Length)
        {
            return _payload[index];
        }

        return position switch
        {
            0 => _channel,
            1 => _sequence,
            _ => index == _payload.Length ? (byte)_checksum : (byte)(_checksum >> 8),
        };
    }
}

using System;
using System.IO;

namespace Quietus.Traces;

/// <summary>
/// Lines of bytes out of a stream, without a copy and without a string. No input takes more memory than the buffer: of
/// a line longer than <see cref="LongestLine"/>, which no trace has, only that is told.
/// </summary>
internal sealed class LineReader(Stream stream)
{
    public const int LongestLine = 64 * 1024;

    private readonly byte[] _buffer = new byte[LongestLine];
    private int _start;
    private int _end;
    private bool _isAtEnd;

    /// <summary>Stands for a line that was too long to be looked at: no event, no comment, and not empty.</summary>
    public static ReadOnlySpan<byte> TooLong => "(too long)"u8;

    /// <summary>The line that was read last, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>Whether that line ended with a line feed; the last one of a file may not.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>The next line without its end; false when there is none. Valid until the next call.</summary>
    public bool TryRead(out ReadOnlySpan<byte> line)
    {
        bool isTooLong = false;
        int searched = 0;
        int length;
        while ((length = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n')) < 0
            && !_isAtEnd)
        {
            if (_end - _start == LongestLine)
            {
                isTooLong = true;
                _start = _end;
            }

            searched = _end - _start;
            Fill();
        }

        IsWhole = length >= 0;
        int taken = IsWhole ? searched + length : _end - _start;
        line = _buffer.AsSpan(_start, taken);
        _start += IsWhole ? taken + 1 : taken;
        if (isTooLong)
        {
            line = TooLong;
        }
        else if (line.EndsWith("\r"u8))
        {
            line = line[..^1];
        }

        bool found = IsWhole || isTooLong || taken > 0;
        Number += found ? 1 : 0;
        return found;
    }

    private void Fill()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        int read = stream.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        _isAtEnd = read == 0;
    }
}

using System;
using System.IO;

namespace Quietus.Traces.Packing;

/// <summary>A stream whose next bytes can be looked at, a pipe's too. It counts what was read.</summary>
internal sealed class PeekedStream : ReadOnlyStream
{
    /// <summary>As many as it takes to tell what a file is.</summary>
    private const int HeadBytes = 6;

    private readonly byte[] _head = new byte[HeadBytes];
    private readonly Stream _stream;
    private int _headStart;
    private int _headEnd;

    public PeekedStream(Stream stream)
    {
        _stream = stream;
        Peek();
    }

    /// <summary>Bytes that were read out of it.</summary>
    public long Taken { get; private set; }

    /// <summary>The same; the decoder of xz aligns by it.</summary>
    public override long Position
    {
        get => Taken;
        set => throw new NotSupportedException();
    }

    /// <summary>Looks at the next bytes; false where there are none.</summary>
    public bool Peek()
    {
        _head.AsSpan(_headStart, _headEnd - _headStart).CopyTo(_head);
        _headEnd -= _headStart;
        _headStart = 0;
        _headEnd += _stream.ReadAtLeast(_head.AsSpan(_headEnd), HeadBytes - _headEnd, throwOnEndOfStream: false);
        return _headEnd > 0;
    }

    /// <summary>Whether the bytes that were looked at, and not read since, begin so.</summary>
    public bool StartsWith(ReadOnlySpan<byte> bytes) => _head.AsSpan(_headStart.._headEnd).StartsWith(bytes);

    /// <summary>Passes over some of the bytes that were looked at.</summary>
    public void Skip(int bytes)
    {
        _headStart += bytes;
        Taken += bytes;
    }

    public override int Read(Span<byte> buffer)
    {
        int read = Math.Min(buffer.Length, _headEnd - _headStart);
        if (read > 0)
        {
            _head.AsSpan(_headStart, read).CopyTo(buffer);
            _headStart += read;
        }
        else
        {
            read = _stream.Read(buffer);
        }

        Taken += read;
        return read;
    }
}

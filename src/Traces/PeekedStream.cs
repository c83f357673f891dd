using System;
using System.IO;

namespace Quietus.Traces;

/// <summary>A stream whose first bytes were looked at, a pipe's too. It counts what was read.</summary>
internal sealed class PeekedStream : Stream
{
    private readonly byte[] _head = new byte[2];
    private readonly Stream _stream;
    private int _headStart;
    private readonly int _headEnd;

    public PeekedStream(Stream stream)
    {
        _stream = stream;
        _headEnd = stream.ReadAtLeast(_head, _head.Length, throwOnEndOfStream: false);
    }

    /// <summary>Bytes that were read out of it.</summary>
    public long Taken { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public bool StartsWith(ReadOnlySpan<byte> bytes) => _head.AsSpan(0, _headEnd).StartsWith(bytes);

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

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

using System;
using System.IO;

namespace Quietus.Traces;

/// <summary>
/// What a gzip stream holds, within bounds: ftrace's text packs 15 to 30 times, so what packs a hundred times is no
/// trace, and would only take time and memory.
/// </summary>
internal sealed class UnpackedStream(Stream gzip, PeekedStream packed) : Stream
{
    public const int MostTimes = 100;

    /// <summary>Below this much text the ratio says nothing.</summary>
    private const long Free = 64 << 20;

    private long _read;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        int read = gzip.Read(buffer);
        _read += read;
        return _read <= Free + (packed.Taken * MostTimes)
            ? read
            : throw new TraceException(
                0, $"the gzip data unpacks to more than {MostTimes} times its size: no trace does",
                "unpack it first, if it is one");
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

using System;
using System.IO;
using Quietus.Cli.Terminals;
using Quietus.Traces.Packing;

namespace Quietus.Cli.Images;

/// <summary>
/// What a decoder unpacks, as long as it is not too much. Whatever a decoder throws is damage: decoders are other
/// people's programs, fed with anything.
/// </summary>
internal sealed class BoundedStream(Stream decoder, long most) : ReadOnlyStream
{
    private long _taken;

    public override int Read(Span<byte> buffer)
    {
        int count;
        try
        {
            count = decoder.Read(buffer);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            throw new ImageException($"it is damaged: {Printable.Line(error.Message)}", error);
        }

        _taken += count;
        return _taken <= most ? count : throw new ImageException($"unpacked it has more than {most} bytes");
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            decoder.Dispose();
        }

        base.Dispose(disposing);
    }
}

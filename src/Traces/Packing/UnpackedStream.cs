using System;
using System.IO;

namespace Quietus.Traces.Packing;

/// <summary>
/// What a packed stream holds, within bounds: a trace's text packs 10 to 50 times, so what packs some hundred times is
/// none, and would only take time; and a decoder that wants more memory than any trace needs is stopped.
/// </summary>
/// <remarks>
/// Every failure of a decoder is damage. They are other people's programs, fed with anything, and throw what they like.
/// </remarks>
internal sealed class UnpackedStream(string name, PeekedStream packed, Stream decoder) : ReadOnlyStream
{
    public const int MostTimes = 200;

    /// <summary>xz -9 takes 64 MB, zstd --ultra -22 128 MB.</summary>
    public const long MostMemory = 160 << 20;

    /// <summary>Below this much text the ratio says nothing.</summary>
    private const long Free = 16 << 20;

    private long _read;

    public override int Read(Span<byte> buffer)
    {
        int read;
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            read = decoder.Read(buffer);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            throw error.Message.Contains("too much memory", StringComparison.Ordinal)
                ? TooLarge()
                : new InvalidDataException($"the {name} data is damaged or ends too early", error);
        }

        // The decoder's window is reserved at once, and touched only as text comes: this is before it fills.
        if (GC.GetAllocatedBytesForCurrentThread() - before > MostMemory)
        {
            throw TooLarge();
        }

        _read += read;
        return _read <= Free + (packed.Taken * MostTimes)
            ? read
            : throw new TraceException(
                0, $"the {name} data unpacks to more than {MostTimes} times its size: no trace does",
                "unpack it first, if it is one");
    }

    protected override void Dispose(bool disposing)
    {
        decoder.Dispose();
        base.Dispose(disposing);
    }

    private TraceException TooLarge() => new(
        0, $"the {name} data takes more than {MostMemory >> 20} MB of memory to unpack: it was packed with --long or a "
            + "large dictionary",
        $"unpack it with {name} itself, and give the text");
}

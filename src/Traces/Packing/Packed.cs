using System;
using System.IO;
using System.IO.Compression;
using SharpCompress.Compressors.Xz;
using SharpCompress.Compressors.ZStandard;

namespace Quietus.Traces.Packing;

/// <summary>How a file is packed, by its first bytes, whatever it is called.</summary>
internal static class Packed
{
    /// <summary>Opens a stream as text. What it holds is unpacked as it is read, and never beyond its bounds.</summary>
    /// <exception cref="TraceException">It is packed in a way that is not read, or is no text at all.</exception>
    public static Stream Open(PeekedStream head)
    {
        if (head.StartsWith([0x1f, 0x8b]))
        {
            return new UnpackedStream("gzip", head, new GZipStream(head, CompressionMode.Decompress, leaveOpen: true));
        }

        if (head.StartsWith([0x28, 0xb5, 0x2f, 0xfd]))
        {
            return new UnpackedStream("zstd", head, new DecompressionStream(head));
        }

        if (head.StartsWith([0xfd, .. "7zXZ\0"u8]))
        {
            return new UnpackedStream("xz", head, new XzStreams(head));
        }

        Refuse(head);
        return head;
    }

    /// <summary>Names what people give by mistake.</summary>
    private static void Refuse(PeekedStream head)
    {
        if (head.StartsWith([0x17, 0x08, 0x44, .. "tra"u8]))
        {
            throw new TraceException(
                1, "this is trace-cmd's own file, not text", "write it out: trace-cmd report FILE > trace.txt");
        }

        if (head.StartsWith("PERFIL"u8))
        {
            throw new TraceException(
                1, "this is perf's own file, not text", "write it out: perf script -i FILE --ns > trace.txt");
        }

        if (head.StartsWith("BZh"u8) || head.StartsWith([(byte)'P', (byte)'K', 3, 4]) || head.StartsWith("7z"u8)
            || head.StartsWith([0x04, 0x22, 0x4d, 0x18]))
        {
            throw new TraceException(
                0, "this is packed by bzip2, zip, 7z or lz4", "unpack it, or pack it by gzip, zstd or xz");
        }

        if (head.StartsWith([0xff, 0xfe]) || head.StartsWith([0xfe, 0xff]))
        {
            throw new TraceException(
                1, "this is text in UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > trace.txt");
        }
    }

    /// <summary>One xz stream after the other, as xz -dc reads them: the library stops at the first's end.</summary>
    private sealed class XzStreams(Stream packed) : ReadOnlyStream
    {
        private XZStream? _current;
        private bool _isAtEnd;

        public override int Read(Span<byte> buffer)
        {
            while (!_isAtEnd)
            {
                _current ??= new XZStream(packed);
                int read = _current.Read(buffer);
                if (read > 0 || buffer.IsEmpty)
                {
                    return read;
                }

                _current = null;
                _isAtEnd = !HasMore();
            }

            return 0;
        }

        /// <summary>Whether another stream follows; four zero bytes, any times, may lie between two.</summary>
        private bool HasMore()
        {
            var peeked = (PeekedStream)packed;
            while (peeked.Peek() && peeked.StartsWith([0, 0, 0, 0]))
            {
                peeked.Skip(4);
            }

            return peeked.Peek();
        }
    }
}

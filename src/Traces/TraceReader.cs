using System;
using System.Buffers.Text;
using System.IO;
using System.IO.Compression;
using System.Threading;

namespace Quietus.Traces;

/// <summary>
/// Reads the text that ftrace writes (trace, trace_pipe, trace-cmd report), gzipped or not: one VM on a KVM/arm64 host.
/// </summary>
/// <remarks>
/// What cannot be right is an error with its line. What merely is not about Stage-2, or is no event at all, is counted:
/// see <see cref="TraceCounts"/>. Reading takes memory by the VM's operations, not by the trace's size.
/// </remarks>
public static class TraceReader
{
    private const int LinesBetweenChecks = 4096;

    private const string HowToRecord = "docs/replay.md says how to record a trace that can be replayed";

    /// <summary>
    /// A gzip stream that ends early is an error: by default .NET takes it for the end. The switch is read when the
    /// first stream is made.
    /// </summary>
    static TraceReader() => AppContext.SetSwitch("System.IO.Compression.UseStrictValidation", true);

    /// <summary>Reads a file; whether it is gzipped, its first bytes say.</summary>
    /// <exception cref="TraceException">It is no trace, or none that can be replayed.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static HostTrace ReadFile(string path, CancellationToken cancellation)
    {
        using FileStream file = File.OpenRead(path);
        return Read(file, cancellation);
    }

    /// <summary>Reads a stream, from where it stands.</summary>
    /// <param name="stream">It can seek: its first bytes are looked at, and read again.</param>
    /// <param name="cancellation">Looked at every few thousand lines.</param>
    /// <exception cref="TraceException">It is no trace, or none that can be replayed.</exception>
    public static HostTrace Read(Stream stream, CancellationToken cancellation)
    {
        if (!stream.CanSeek)
        {
            throw new TraceException(0, "a trace cannot be read from a pipe", "give it as a file");
        }

        long start = stream.Position;
        Span<byte> magic = stackalloc byte[2];
        int read = stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        stream.Position = start;
        if (!magic[..read].SequenceEqual((ReadOnlySpan<byte>)[0x1f, 0x8b]))
        {
            return ReadText(stream, cancellation);
        }

        using var unpacked = new GZipStream(stream, CompressionMode.Decompress, leaveOpen: true);
        return ReadText(unpacked, cancellation);
    }

    private static HostTrace ReadText(Stream text, CancellationToken cancellation)
    {
        var counts = new TraceCounts();
        var builder = new TraceBuilder(counts);
        var lines = new LineReader(text);
        try
        {
            while (lines.TryRead(out ReadOnlySpan<byte> line))
            {
                counts.Lines = lines.Number;
                if (counts.Lines % LinesBetweenChecks == 0)
                {
                    cancellation.ThrowIfCancellationRequested();
                }

                ReadLine(line, lines.IsWhole, counts, builder);
            }
        }
        catch (InvalidDataException)
        {
            throw new TraceException(
                lines.Number + 1, "the gzip data is damaged or ends too early", "get the file again, or unpack it");
        }

        HostTrace trace = builder.Finish();
        CheckUse(trace);
        return trace;
    }

    private static void ReadLine(ReadOnlySpan<byte> line, bool isWhole, TraceCounts counts, TraceBuilder builder)
    {
        if (line.IsEmpty)
        {
            return;
        }

        if (counts.Lines == 1 && line.IndexOf("tracing"u8) == 3 && line[0] == 0x17)
        {
            throw new TraceException(
                1, "this is trace-cmd's own file, not text", "write it out: trace-cmd report FILE > trace.txt");
        }

        if (!isWhole)
        {
            // Whoever stops reading trace_pipe cuts the last line somewhere, maybe in the middle of a number.
            counts.LastLineIsCut = true;
            return;
        }

        if (line[0] == '#')
        {
            CountOverwritten(line, counts);
            return;
        }

        if (!FtraceLine.TryParse(line, out FtraceLine parsed))
        {
            CountOther(line, counts);
            return;
        }

        HostEvent what = HostEvents.Of(in parsed);
        if (what == HostEvent.Other)
        {
            counts.OtherEvents++;
            return;
        }

        builder.Add(what, in parsed);
        counts.Used++;
    }

    private static void CountOther(ReadOnlySpan<byte> line, TraceCounts counts)
    {
        // "CPU:1 [LOST 123 EVENTS]"
        int lost = line.IndexOf("[LOST "u8);
        if (lost >= 0 && line.StartsWith("CPU:"u8)
            && Utf8Parser.TryParse(line[(lost + 6)..], out uint count, out _))
        {
            counts.Lost += count;
        }
        else if (line.TrimStart(" \t"u8).Length > 0 && !line.StartsWith("cpus="u8))
        {
            counts.FirstForeign = counts.Foreign == 0 ? counts.Lines : counts.FirstForeign;
            counts.Foreign++;
        }
    }

    /// <summary>"# entries-in-buffer/entries-written: 158/200": the ring buffer kept only the last ones.</summary>
    private static void CountOverwritten(ReadOnlySpan<byte> line, TraceCounts counts)
    {
        ReadOnlySpan<byte> title = "# entries-in-buffer/entries-written: "u8;
        if (line.StartsWith(title)
            && Utf8Parser.TryParse(line[title.Length..], out long kept, out int used)
            && line[(title.Length + used)..] is [(byte)'/', .. var rest]
            && Utf8Parser.TryParse(rest, out long written, out _)
            && written > kept)
        {
            counts.Lost += written - kept;
        }
    }

    private static void CheckUse(HostTrace trace)
    {
        TraceCounts counts = trace.Counts;
        if (counts.Lines == 0)
        {
            throw new TraceException(0, "the trace is empty", HowToRecord);
        }

        if (counts.Used + counts.OtherEvents == 0)
        {
            throw new TraceException(
                counts.FirstForeign == 0 ? 1 : counts.FirstForeign, "this is no text of ftrace", HowToRecord);
        }

        foreach (TraceOperation operation in trace.Operations)
        {
            if (operation.Kind == TraceOperationKind.Map)
            {
                return;
            }
        }

        throw new TraceException(
            0, $"none of the {counts.Lines} lines is a map of Stage-2 (kvm_pgtable_stage2_map with its arguments)",
            HowToRecord);
    }
}

using System;
using System.Buffers.Text;
using System.Collections.Generic;
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

    private const string HowToRecord =
        "./quietus replay --record-script prints a script that records one (docs/replay.md)";

    /// <summary>
    /// A gzip stream that ends early is an error: by default .NET takes it for the end. The switch is read when the
    /// first stream is made.
    /// </summary>
    static TraceReader() => AppContext.SetSwitch("System.IO.Compression.UseStrictValidation", true);

    /// <summary>Reads a stream to its end; it may be a pipe.</summary>
    /// <param name="stream">Text, or gzipped text: its first bytes say.</param>
    /// <param name="cancellation">Looked at every few thousand lines.</param>
    /// <param name="process">The process whose VM is meant; null where the trace has one VM.</param>
    /// <exception cref="TraceException">It is no trace, or none that can be replayed.</exception>
    public static HostTrace Read(Stream stream, CancellationToken cancellation, int? process = null)
    {
        var counts = new TraceCounts();
        var builder = new TraceBuilder(counts, process);
        ReadAll(stream, counts, builder, cancellation);
        HostTrace trace = builder.Finish();
        CheckUse(trace);
        return trace;
    }

    /// <summary>The VMs that a trace has.</summary>
    /// <exception cref="TraceException">It is no trace.</exception>
    public static IReadOnlyCollection<TracedVm> List(Stream stream, CancellationToken cancellation)
    {
        var counts = new TraceCounts();
        var builder = new TraceBuilder(counts, process: null) { OnlyCounts = true };
        ReadAll(stream, counts, builder, cancellation);
        CheckText(counts);
        return builder.Vms;
    }

    private static void ReadAll(
        Stream stream, TraceCounts counts, TraceBuilder builder, CancellationToken cancellation)
    {
        using var head = new PeekedStream(stream);
        if (!head.StartsWith([0x1f, 0x8b]))
        {
            ReadText(head, counts, builder, cancellation);
            return;
        }

        using var gzip = new GZipStream(head, CompressionMode.Decompress, leaveOpen: true);
        using var unpacked = new UnpackedStream(gzip, head);
        ReadText(unpacked, counts, builder, cancellation);
    }

    private static void ReadText(
        Stream text, TraceCounts counts, TraceBuilder builder, CancellationToken cancellation)
    {
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
            // A reader that stops reading trace_pipe cuts the last line somewhere, maybe in the middle of a number.
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
        if (IsLoss(line, out uint lost))
        {
            counts.Lost += lost;
        }
        else if (line.TrimStart(" \t"u8).Length > 0 && !line.StartsWith("cpus="u8))
        {
            counts.FirstForeign = counts.Foreign == 0 ? counts.Lines : counts.FirstForeign;
            counts.Foreign++;
        }
    }

    /// <summary>
    /// "CPU:1 [LOST 123 EVENTS]", of the kernel, or "CPU:1 [123 EVENTS DROPPED]", of trace-cmd. Where neither knows how
    /// many, the number is missing: one at least.
    /// </summary>
    private static bool IsLoss(ReadOnlySpan<byte> line, out uint lost)
    {
        lost = 1;
        line = line.TrimStart(" \t"u8);
        int open = line.IndexOf((byte)'[');
        if (!line.StartsWith("CPU:"u8) || open < 0)
        {
            return false;
        }

        ReadOnlySpan<byte> text = line[(open + 1)..];
        text = text.StartsWith("LOST "u8) ? text[5..] : text;
        bool isLoss = line.IndexOf("LOST "u8) >= 0 || line.IndexOf("EVENTS DROPPED"u8) >= 0;
        lost = isLoss && Utf8Parser.TryParse(text, out uint count, out _) ? count : lost;
        return isLoss;
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

    private static void CheckText(TraceCounts counts)
    {
        if (counts.Lines == 0)
        {
            throw new TraceException(0, "the trace is empty", HowToRecord);
        }

        if (counts.Used + counts.OtherEvents == 0)
        {
            throw new TraceException(
                counts.FirstForeign == 0 ? 1 : counts.FirstForeign, "this is no text of ftrace", HowToRecord);
        }
    }

    private static void CheckUse(HostTrace trace)
    {
        TraceCounts counts = trace.Counts;
        CheckText(counts);
        foreach (TraceOperation operation in trace.Operations)
        {
            if (operation.Kind == TraceOperationKind.Map)
            {
                return;
            }
        }

        throw new TraceException(
            0,
            trace.GuestFaults > 0
                ? $"it has {trace.GuestFaults} guest faults, and no map: KVM's own events do not tell what was mapped, "
                    + "and the kprobe on kvm_pgtable_stage2_map is missing"
                : $"none of the {counts.Lines} lines is a map of Stage-2 (kvm_pgtable_stage2_map with its arguments)",
            HowToRecord);
    }
}

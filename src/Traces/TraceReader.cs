using System;
using System.Buffers;
using System.Buffers.Text;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Quietus.Traces.Forms;
using Quietus.Traces.Packing;

namespace Quietus.Traces;

/// <summary>
/// Reads the text that ftrace, trace-cmd and perf write, packed or not: one VM on a KVM host.
/// </summary>
/// <remarks>
/// What cannot be right is an error with its line. What merely is not about Stage-2, or is no event at all, is counted:
/// see <see cref="TraceCounts"/>. Reading takes memory by the VM's operations, not by the trace's size.
/// </remarks>
public static class TraceReader
{
    private const int LinesBetweenChecks = 4096;

    private static readonly SearchValues<byte> _hexDigits = SearchValues.Create("0123456789abcdef"u8);

    private const string HowToRecord =
        "./quietus replay --record-script prints a script that records one (docs/replay.md)";

    /// <summary>
    /// A gzip stream that ends early is an error: by default .NET takes it for the end. The switch is read when the
    /// first stream is made.
    /// </summary>
    static TraceReader() => AppContext.SetSwitch("System.IO.Compression.UseStrictValidation", true);

    /// <summary>Reads a stream to its end; it may be a pipe.</summary>
    /// <param name="stream">Text, also packed by gzip, zstd or xz: its first bytes say.</param>
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
        return builder.Vms.Count > 0 ? builder.Vms : throw NoMap(counts);
    }

    private static void ReadAll(
        Stream stream, TraceCounts counts, TraceBuilder builder, CancellationToken cancellation)
    {
        using var head = new PeekedStream(stream);
        using Stream text = Packed.Open(head);
        ReadText(text, counts, builder, cancellation);
    }

    private static void ReadText(
        Stream text, TraceCounts counts, TraceBuilder builder, CancellationToken cancellation)
    {
        var lines = new LineReader(text);
        var forms = new LineForms();
        try
        {
            while (lines.TryRead(out ReadOnlySpan<byte> line))
            {
                counts.Lines = lines.Number;
                if (counts.Lines % LinesBetweenChecks == 0)
                {
                    cancellation.ThrowIfCancellationRequested();
                }

                ReadLine(line, lines.IsWhole, forms, counts, builder);
            }
        }
        catch (InvalidDataException error)
        {
            throw new TraceException(lines.Number + 1, error.Message, "get the file again, or unpack it");
        }
    }

    private static void ReadLine(
        ReadOnlySpan<byte> line, bool isWhole, LineForms forms, TraceCounts counts, TraceBuilder builder)
    {
        if (counts.Lines == 1 && line.StartsWith("\uFEFF"u8))
        {
            line = line["\uFEFF"u8.Length..];
        }

        if (line.IsEmpty)
        {
            return;
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

        if (!forms.TryParse(line, out TraceLine parsed))
        {
            CountOther(line, counts);
            return;
        }

        counts.Clockless += parsed.HasTime ? 0 : 1;
        counts.IsPerfScript |= forms.Last == LineForm.PerfScript;
        HostEvent what = HostEvents.Of(in parsed);
        counts.X86Faults += what == HostEvent.X86Fault ? 1 : 0;
        counts.IsX86 |= what is HostEvent.X86Fault or HostEvent.X86Other or HostEvent.SpteChanged;
        if (what is HostEvent.Other or HostEvent.X86Fault or HostEvent.X86Other)
        {
            counts.Others.Add(parsed.Name);
            return;
        }

        counts.GuestFaults += what == HostEvent.GuestFault ? 1 : 0;
        counts.Ends += what is HostEvent.Destroy or HostEvent.ProcessEnd ? 1 : 0;
        builder.Add(what, in parsed);
        counts.Used++;
    }

    private static void CountOther(ReadOnlySpan<byte> line, TraceCounts counts)
    {
        ReadOnlySpan<byte> text = Scan.TrimStart(line);
        if (IsLoss(text, out uint lost))
        {
            counts.Lost += lost;
        }
        else if (IsStack(text))
        {
            counts.StackLines++;
        }
        else if (!text.IsEmpty && !IsRemark(text))
        {
            counts.FirstForeign = counts.Foreign == 0 ? counts.Lines : counts.FirstForeign;
            counts.Foreign++;
        }
    }

    /// <summary>What trace-cmd and perf say beside the events: how many CPUs there are, which saw none.</summary>
    private static bool IsRemark(ReadOnlySpan<byte> text) =>
        text.StartsWith("cpus="u8) || text.IndexOf(": cpus="u8) > 0 || text.StartsWith("version = "u8)
        || (text.StartsWith("CPU "u8) && text.EndsWith(" is empty"u8))
        || (text.StartsWith("CPU:"u8) && text.IndexOf("[SUBBUFFER START]"u8) > 0)
        || text.IndexOf(" PERF_RECORD_"u8) > 0 || text.StartsWith("[ perf "u8);

    /// <summary>
    /// A line of a call chain: " => function" of ftrace, "address function+0x10 (module)" of perf, and what announces
    /// one.
    /// </summary>
    private static bool IsStack(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("=> "u8) || text.EndsWith("<stack trace>"u8) || text.EndsWith("<user stack trace>"u8))
        {
            return true;
        }

        ReadOnlySpan<byte> address = Scan.Token(text);
        return text.EndsWith(")"u8) && address.Length is >= 4 and <= 16 && address.Length < text.Length
            && address.IndexOfAnyExcept(_hexDigits) < 0;
    }

    /// <summary>
    /// "CPU:1 [LOST 123 EVENTS]" of the kernel, "CPU:1 [123 EVENTS DROPPED]" of trace-cmd, "… PERF_RECORD_LOST lost
    /// 123" of perf script, "LOST 123 events!" of perf trace, and what perf says on stderr. Where the number is
    /// missing: one at least.
    /// </summary>
    private static bool IsLoss(ReadOnlySpan<byte> text, out uint lost)
    {
        lost = 1;
        bool isOfCpu = text.StartsWith("CPU:"u8);
        bool isLoss = isOfCpu
            ? text.IndexOf("LOST "u8) >= 0 || text.IndexOf("EVENTS DROPPED"u8) >= 0
            : text.IndexOf("PERF_RECORD_LOST"u8) >= 0 || text.StartsWith("LOST "u8)
                || (text.StartsWith("Processed "u8) && text.IndexOf(" lost "u8) >= 0);
        if (!isLoss)
        {
            return false;
        }

        int before = text.LastIndexOf("lost "u8);
        before = before >= 0 ? before : text.LastIndexOf("LOST "u8);
        text = before >= 0 ? text[(before + 5)..] : text[(text.IndexOf((byte)'[') + 1)..];
        lost = Utf8Parser.TryParse(text, out uint count, out _) ? count : lost;
        return true;
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
                counts.FirstForeign == 0 ? 1 : counts.FirstForeign, "this is no trace of ftrace, trace-cmd or perf",
                HowToRecord);
        }
    }

    private static void CheckUse(HostTrace trace)
    {
        CheckText(trace.Counts);
        foreach (TraceOperation operation in trace.Operations)
        {
            if (operation.Kind == TraceOperationKind.Map)
            {
                return;
            }
        }

        throw NoMap(trace.Counts);
    }

    /// <summary>What is missing where a trace maps nothing, and how to get it.</summary>
    private static TraceException NoMap(TraceCounts counts) =>
        new(
            0,
            counts.IsX86
                ? $"this is KVM/x86, with {counts.X86Faults} memory faults: which pages came and went is told by "
                    + "kvm_tdp_mmu_spte_changed alone (Linux 5.13 and later with tdp_mmu), and it is not traced"
            : counts.IsPerfScript && counts.Ends > 0
                ? $"{counts.Ends} ends of a VM or a process are in it, and no map: perf script leaves out what the "
                    + "kernel did for a loaded vCPU, which it takes for the guest's"
            : counts.GuestFaults > 0
                ? $"it has {counts.GuestFaults} guest faults, and no map: KVM's own events do not tell what was "
                    + "mapped, and the kprobe on kvm_pgtable_stage2_map is missing"
            : $"none of the {counts.Lines} lines is a map of Stage-2 (kvm_pgtable_stage2_map with its arguments)",
            counts.IsX86 ? "docs/replay.md says how to record KVM/x86"
            : counts.IsPerfScript && counts.Ends > 0
                ? "perf script --guestkallsyms=/proc/kallsyms --ns -F +pid prints all of the same perf.data"
            : HowToRecord);
}

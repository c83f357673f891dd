using System;
using System.Buffers.Text;

namespace Quietus.Traces.Forms;

/// <summary>
/// An event as ftrace writes it with options/latency-format, and with options/verbose as well; and trace-cmd report -l:
/// <code>
///   task-pid  cpu flags  micros"us" mark: event: arguments
///   task-pid  cpu flags  seconds.micros: event: arguments                       trace-cmd
///   task  pid cpu flags preempt index [time] millis"ms" (+difference"ms"): event: arguments
/// </code>
/// CPU and flags stand in one word, "1d..1."; the mark says that the next event was late: one of "+ ! # * @ $".
/// </summary>
internal static class FtraceLatencyForm
{
    /// <summary>Takes a line of the short form apart; false when it is none.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out TraceLine result)
    {
        result = default;
        for (int dash = line.IndexOf((byte)'-'); dash >= 0; dash = Next(line, dash))
        {
            ReadOnlySpan<byte> rest = line[(dash + 1)..];
            ReadOnlySpan<byte> thread = Scan.Token(rest);
            if (thread.Length == rest.Length || !Scan.TryReadId(thread, out result.Thread))
            {
                continue;
            }

            rest = Scan.TrimStart(rest[thread.Length..]);
            ReadOnlySpan<byte> cpu = Scan.Token(rest);
            if (Scan.Digits(cpu) is 0 or > 4)
            {
                continue;
            }

            rest = Scan.TrimStart(rest[cpu.Length..]);
            bool hasFlags = Scan.Digits(cpu) < cpu.Length;
            if (TryReadStamp(rest, hasFlags, ref result, out int length))
            {
                return FtraceForm.TryReadBody(Scan.TrimStart(rest[length..]), ref result);
            }
        }

        return false;
    }

    /// <summary>Takes a line of the verbose form apart; false when it is none.</summary>
    public static bool TryParseVerbose(ReadOnlySpan<byte> line, out TraceLine result)
    {
        result = default;
        int open = line.IndexOf(" ["u8);
        int unit = line.IndexOf("ms (+"u8);
        int end = unit < 0 ? -1 : line[unit..].IndexOf("ms): "u8);
        if (open < 0 || end < 0 || unit < open)
        {
            return false;
        }

        // From the right: the index, the preempt count, the flags, the CPU, and then the thread.
        ReadOnlySpan<byte> head = Scan.TrimEnd(line[..open]);
        for (int column = 0; column < 4; column++)
        {
            head = Scan.TrimEnd(head[..^Scan.LastToken(head).Length]);
        }

        result.HasTime = Scan.TryReadTime(Scan.LastToken(line[..unit]), 1_000_000, out result.Nanoseconds);
        return result.HasTime && Scan.TryReadId(Scan.LastToken(head), out result.Thread)
            && FtraceForm.TryReadBody(Scan.TrimStart(line[(unit + end + 5)..]), ref result);
    }

    private static int Next(ReadOnlySpan<byte> line, int dash)
    {
        int next = line[(dash + 1)..].IndexOf((byte)'-');
        return next < 0 ? -1 : dash + 1 + next;
    }

    /// <summary>
    /// "123us+: ", "123us : ", or behind flags a stamp as in the other form: without them it may be perf script's
    /// "name-1 thread stamp".
    /// </summary>
    private static bool TryReadStamp(ReadOnlySpan<byte> text, bool hasFlags, ref TraceLine result, out int length)
    {
        length = Scan.Digits(text);
        if (length > 0 && text[length..].StartsWith("us"u8) && text.Length > length + 3 && text[length + 3] == ':')
        {
            result.HasTime = Utf8Parser.TryParse(text, out long micros, out _) && micros <= long.MaxValue / 1000;
            result.Nanoseconds = result.HasTime ? micros * 1000 : 0;
            length += 4;
            return result.HasTime;
        }

        ReadOnlySpan<byte> token = Scan.Token(text);
        length = token.Length;
        return hasFlags && FtraceForm.TryReadStamp(token, ref result);
    }
}

using System;
using System.Buffers.Text;

namespace Quietus.Traces.Forms;

/// <summary>
/// An event as /sys/kernel/tracing/trace, trace_pipe and trace-cmd report have it:
/// <code>
///   task-pid (tgid) [cpu] flags  seconds.micros: event: arguments
///   task-pid        [cpu]        seconds.micros: function &lt;-caller
///   file: task-pid  [cpu] flags  seconds.nanos: (+difference)  event:   arguments
/// </code>
/// The tgid and the flags may be missing; a task's name may hold blanks, brackets and dashes. trace-cmd names the file
/// where it was given several, and writes flags from version 2.8 on, nanoseconds with -t, differences with --ts-diff.
/// </summary>
internal static class FtraceForm
{
    /// <summary>Beyond it "[digits]" is no CPU: a file's and a task's name are shorter.</summary>
    private const int LongestTaskName = 256;

    /// <summary>Takes a line apart; false when it is no event.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out TraceLine result)
    {
        result = default;
        int close = 0;
        do
        {
            if (!TryFindCpu(line, close, out int open, out close))
            {
                return false;
            }

            if (TryReadThread(line[..open], out result.Thread, out result.Process)
                && TryReadRest(Scan.TrimStart(line[(close + 1)..]), ref result))
            {
                return true;
            }
        }
        while (close < LongestTaskName);

        return false;
    }

    private static bool TryReadRest(ReadOnlySpan<byte> rest, ref TraceLine result)
    {
        ReadOnlySpan<byte> token = Scan.Token(rest);
        if (!TryReadStamp(token, ref result))
        {
            rest = Scan.TrimStart(rest[token.Length..]);
            token = Scan.Token(rest);
            if (!TryReadStamp(token, ref result))
            {
                return false;
            }
        }

        return TryReadBody(Scan.TrimStart(rest[token.Length..]), ref result);
    }

    /// <summary>"event: arguments", or "function &lt;-caller"; a difference in time may stand before it.</summary>
    public static bool TryReadBody(ReadOnlySpan<byte> body, ref TraceLine result)
    {
        ReadOnlySpan<byte> name = Scan.Token(body);
        if (name.StartsWith("(+"u8) && name.EndsWith(")"u8))
        {
            body = Scan.TrimStart(body[name.Length..]);
            name = Scan.Token(body);
        }

        if (name.Length > 1 && name[^1] == ':')
        {
            result.Name = name[..^1];
            result.Arguments = Scan.Trim(body[name.Length..]);
            if (result.Name.SequenceEqual("function"u8))
            {
                // trace-cmd's word for what the function tracer says.
                result.IsFunction = true;
                result.Name = Scan.Token(result.Arguments);
                result.Arguments = result.Arguments[result.Name.Length..];
            }

            return !result.Name.IsEmpty;
        }

        int arrow = body.IndexOf("<-"u8);
        result.IsFunction = true;
        result.Name = name;
        result.Arguments = arrow < 0 ? default : Scan.Trim(body[(arrow + 2)..]);
        return arrow > 0 && !name.IsEmpty;
    }

    /// <summary>"seconds.micros:", or "number:" under a clock that counts something else than time.</summary>
    public static bool TryReadStamp(ReadOnlySpan<byte> token, ref TraceLine result)
    {
        if (token.Length < 2 || token[^1] != ':')
        {
            return false;
        }

        result.HasTime = Scan.TryReadTime(token[..^1], 1_000_000_000, out result.Nanoseconds);
        return result.HasTime || Scan.Digits(token) == token.Length - 1;
    }

    /// <summary>The next "[digits]"; a task may be called so, too.</summary>
    private static bool TryFindCpu(ReadOnlySpan<byte> line, int from, out int open, out int close)
    {
        open = close = from;
        while (true)
        {
            int at = line[close..].IndexOf((byte)'[');
            if (at < 0)
            {
                return false;
            }

            open = close + at;
            close = open + 1 + Scan.Digits(line[(open + 1)..]);
            if (close > open + 1 && close < line.Length && line[close] == ']')
            {
                return true;
            }
        }
    }

    /// <summary>The number behind the last dash, and that of a "(tgid)" behind it.</summary>
    private static bool TryReadThread(ReadOnlySpan<byte> head, out int thread, out int process)
    {
        thread = process = 0;
        head = Scan.TrimEnd(head);
        int open = !head.IsEmpty && head[^1] == ')' ? head.LastIndexOf((byte)'(') : -1;
        if (open >= 0)
        {
            // "(-----)" where the kernel does not know it.
            process = Utf8Parser.TryParse(Scan.TrimStart(head[(open + 1)..]), out int known, out _)
                ? Math.Max(known, 0)
                : 0;
            head = Scan.TrimEnd(head[..open]);
        }

        int dash = head.LastIndexOf((byte)'-');
        return dash >= 0 && Scan.TryReadId(head[(dash + 1)..], out thread);
    }
}

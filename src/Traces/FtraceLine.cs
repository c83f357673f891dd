using System;
using System.Buffers.Text;

namespace Quietus.Traces;

/// <summary>
/// One event of ftrace's text, as /sys/kernel/tracing/trace, trace_pipe and trace-cmd report have it:
/// <code>
///   task-pid (tgid) [cpu] flags  seconds.micros: event: arguments
///   task-pid        [cpu]        seconds.micros: function &lt;-caller
/// </code>
/// The tgid and the flags may be missing; a task's name may hold blanks, brackets and dashes.
/// </summary>
internal ref struct FtraceLine
{
    /// <summary>The thread that it happened in.</summary>
    public int Thread;

    /// <summary>The process of that thread, where the trace has it (record-tgid); 0 where it has not.</summary>
    public int Process;

    /// <summary>The time stamp; 0 under a trace clock that counts something else.</summary>
    public long Nanoseconds;

    /// <summary>The event, or the function of the function tracer.</summary>
    public ReadOnlySpan<byte> Name;

    /// <summary>What is behind the name.</summary>
    public ReadOnlySpan<byte> Arguments;

    /// <summary>Whether <see cref="Name"/> is a function that was entered, and the arguments its caller.</summary>
    public bool IsFunction;

    /// <summary>Takes a line apart; false when it is no event.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out FtraceLine result)
    {
        result = default;
        if (!TryFindCpu(line, out int open, out int close)
            || !TryReadThread(line[..open], out result.Thread, out result.Process))
        {
            return false;
        }

        ReadOnlySpan<byte> rest = TrimStart(line[(close + 1)..]);
        ReadOnlySpan<byte> token = Token(rest);
        if (!TryReadTime(token, out result.Nanoseconds))
        {
            rest = TrimStart(rest[token.Length..]);
            token = Token(rest);
            if (!TryReadTime(token, out result.Nanoseconds))
            {
                return false;
            }
        }

        return TryReadBody(TrimStart(rest[token.Length..]), ref result);
    }

    /// <summary>
    /// The kernel function that an event is about: of a kprobe's "(symbol+0x0/0x140)"; empty where it names none.
    /// </summary>
    public readonly ReadOnlySpan<byte> ProbedFunction
    {
        get
        {
            if (IsFunction || Arguments.IsEmpty || Arguments[0] != '(')
            {
                return default;
            }

            int end = Arguments.IndexOfAny((byte)'+', (byte)')');
            return end < 0 ? default : Arguments[1..end];
        }
    }

    /// <summary>Reads the number of "key=number" among the arguments, decimal or 0x….</summary>
    public readonly bool TryGetNumber(ReadOnlySpan<byte> key, out ulong value)
    {
        value = 0;
        ReadOnlySpan<byte> rest = Arguments;
        while (true)
        {
            int at = rest.IndexOf(key);
            if (at < 0)
            {
                return false;
            }

            bool isWord = at == 0 || rest[at - 1] == ' ';
            rest = rest[(at + key.Length)..];
            if (isWord && !rest.IsEmpty && rest[0] == '=')
            {
                return TryReadNumber(rest[1..], out value);
            }
        }
    }

    /// <summary>The two numbers of "…: 0x… -- 0x…".</summary>
    public readonly bool TryGetRange(out ulong start, out ulong end)
    {
        start = end = 0;
        int dash = Arguments.IndexOf(" -- "u8);
        int colon = dash < 0 ? -1 : Arguments[..dash].LastIndexOf(": "u8);
        return colon >= 0
            && TryReadNumber(Arguments[(colon + 2)..], out start)
            && TryReadNumber(Arguments[(dash + 4)..], out end)
            && end > start;
    }

    private static bool TryReadNumber(ReadOnlySpan<byte> text, out ulong value)
    {
        bool isHex = text.StartsWith("0x"u8);
        text = isHex ? text[2..] : text;
        return Utf8Parser.TryParse(text, out value, out int used, isHex ? 'x' : 'D')
            && (used == text.Length || text[used] is (byte)' ' or (byte)',' or (byte)'\t');
    }

    private static bool TryReadBody(ReadOnlySpan<byte> body, ref FtraceLine result)
    {
        ReadOnlySpan<byte> name = Token(body);
        if (name.Length > 1 && name[^1] == ':')
        {
            result.Name = name[..^1];
            result.Arguments = Trim(body[name.Length..]);
            if (result.Name.SequenceEqual("function"u8))
            {
                // trace-cmd's word for what the function tracer says.
                result.IsFunction = true;
                result.Name = Token(result.Arguments);
                result.Arguments = result.Arguments[result.Name.Length..];
            }

            return !result.Name.IsEmpty;
        }

        int arrow = body.IndexOf("<-"u8);
        result.IsFunction = true;
        result.Name = name;
        result.Arguments = arrow < 0 ? default : Trim(body[(arrow + 2)..]);
        return arrow > 0 && !name.IsEmpty;
    }

    /// <summary>The first "[digits]".</summary>
    private static bool TryFindCpu(ReadOnlySpan<byte> line, out int open, out int close)
    {
        open = close = 0;
        while (true)
        {
            int at = line[close..].IndexOf((byte)'[');
            if (at < 0)
            {
                return false;
            }

            open = close + at;
            close = open + 1;
            while (close < line.Length && IsDigit(line[close]))
            {
                close++;
            }

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
        head = TrimEnd(head);
        int open = !head.IsEmpty && head[^1] == ')' ? head.LastIndexOf((byte)'(') : -1;
        if (open >= 0)
        {
            // "(-----)" where the kernel does not know it.
            process = Utf8Parser.TryParse(TrimStart(head[(open + 1)..]), out int known, out _) ? Math.Max(known, 0) : 0;
            head = TrimEnd(head[..open]);
        }

        int dash = head.LastIndexOf((byte)'-');
        return dash >= 0
            && Utf8Parser.TryParse(head[(dash + 1)..], out thread, out int used)
            && used == head.Length - dash - 1;
    }

    /// <summary>"seconds.micros:", or "number:" under a clock that counts something else than time.</summary>
    private static bool TryReadTime(ReadOnlySpan<byte> token, out long nanoseconds)
    {
        nanoseconds = 0;
        if (token.Length < 2 || token[^1] != ':'
            || !Utf8Parser.TryParse(token, out uint seconds, out int used))
        {
            return false;
        }

        if (token[used] == ':')
        {
            return used == token.Length - 1;
        }

        ReadOnlySpan<byte> fraction = token[(used + 1)..^1];
        if (token[used] != '.' || fraction.IsEmpty || fraction.Length > 9
            || !Utf8Parser.TryParse(fraction, out uint part, out used) || used != fraction.Length)
        {
            return false;
        }

        long scaled = part;
        for (int digits = fraction.Length; digits < 9; digits++)
        {
            scaled *= 10;
        }

        nanoseconds = (seconds * 1_000_000_000L) + scaled;
        return true;
    }

    private static bool IsDigit(byte c) => c is >= (byte)'0' and <= (byte)'9';

    private static ReadOnlySpan<byte> Token(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOfAny((byte)' ', (byte)'\t');
        return end < 0 ? text : text[..end];
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text) => TrimStart(TrimEnd(text));

    private static ReadOnlySpan<byte> TrimStart(ReadOnlySpan<byte> text) => text.TrimStart(" \t"u8);

    private static ReadOnlySpan<byte> TrimEnd(ReadOnlySpan<byte> text) => text.TrimEnd(" \t"u8);
}

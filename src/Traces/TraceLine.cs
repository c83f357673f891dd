using System;

namespace Quietus.Traces;

/// <summary>One event of a trace, whatever program wrote the line: see <see cref="Forms.LineForms"/>.</summary>
internal ref struct TraceLine
{
    /// <summary>The thread that it happened in.</summary>
    public int Thread;

    /// <summary>The process of that thread, where the trace has it (record-tgid, pid/tid); else 0.</summary>
    public int Process;

    /// <summary>The time stamp; 0 under a trace clock that counts something else.</summary>
    public long Nanoseconds;

    /// <summary>Whether the time stamp is one: some trace clocks count events or cycles.</summary>
    public bool HasTime;

    /// <summary>The event without its group, or the function of the function tracer.</summary>
    public ReadOnlySpan<byte> Name;

    /// <summary>What is behind the name.</summary>
    public ReadOnlySpan<byte> Arguments;

    /// <summary>Whether <see cref="Name"/> is a function that was entered, and the arguments its caller.</summary>
    public bool IsFunction;

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

    /// <summary>
    /// Whether it is a function's return: "(caller+0x10/0x20 &lt;- function)", whose arguments are others.
    /// </summary>
    public readonly bool IsReturn =>
        !IsFunction && !Arguments.IsEmpty && Arguments[0] == '('
        && Arguments.IndexOf((byte)')') is var end && end > 0 && Arguments[..end].IndexOf(" <- "u8) >= 0;

    /// <summary>
    /// Reads the number of "key=number", or of perf trace's "key: number"; decimal, 0x…, or negative, as a 64-bit
    /// value is that a program took for signed.
    /// </summary>
    public readonly bool TryGetNumber(ReadOnlySpan<byte> key, out ulong value)
    {
        ReadOnlySpan<byte> text = Value(key);
        value = 0;
        return !text.IsEmpty && Scan.TryReadNumber(text, out value);
    }

    /// <summary>Reads the number of "key hex", as KVM's events of x86 have it, or of "key: number".</summary>
    public readonly bool TryGetHex(ReadOnlySpan<byte> key, out ulong value)
    {
        ReadOnlySpan<byte> text = Value(key);
        value = 0;
        return text.IsEmpty ? false
            : text[0] == ' ' ? Scan.TryReadHex(text[1..], out value)
            : Scan.TryReadNumber(text, out value);
    }

    /// <summary>The two numbers of "…: 0x… -- 0x…", or of "start: …, end: …".</summary>
    public readonly bool TryGetRange(out ulong start, out ulong end)
    {
        start = end = 0;
        int dash = Arguments.IndexOf(" -- "u8);
        int colon = dash < 0 ? -1 : Arguments[..dash].LastIndexOf(": "u8);
        bool isRead = colon >= 0
            ? Scan.TryReadNumber(Arguments[(colon + 2)..], out start)
                && Scan.TryReadNumber(Arguments[(dash + 4)..], out end)
            : TryGetNumber("start"u8, out start) && TryGetNumber("end"u8, out end);
        return isRead && end > start;
    }

    /// <summary>
    /// What stands behind a key, "=" and ": " taken away; a blank is left where only that is between.
    /// </summary>
    private readonly ReadOnlySpan<byte> Value(ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> rest = Arguments;
        while (true)
        {
            int at = rest.IndexOf(key);
            if (at < 0)
            {
                return default;
            }

            bool isWord = at == 0 || rest[at - 1] is (byte)' ' or (byte)'(';
            rest = rest[(at + key.Length)..];
            if (isWord && !rest.IsEmpty)
            {
                ReadOnlySpan<byte> found =
                    rest[0] == '=' ? rest[1..] : rest.StartsWith(": "u8) ? rest[2..] : rest[0] == ' ' ? rest : default;
                if (!found.IsEmpty)
                {
                    return found;
                }
            }
        }
    }
}

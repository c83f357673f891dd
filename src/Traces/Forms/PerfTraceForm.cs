using System;

namespace Quietus.Traces.Forms;

/// <summary>
/// An event or a system call as perf trace writes it, with its time in milliseconds:
/// <code>
///   millis.micros              task/tid group:event(key: value, key: value)
///   millis.micros (         ): task/tid group:event:arguments)                  perf before 5.0
///   millis.micros ( 0.003 ms): task/tid ioctl(fd: 12, …)       = 0
/// </code>
/// Values are decimal, and those above 2^63 negative. A task's name may hold blanks and slashes.
/// </summary>
internal static class PerfTraceForm
{
    /// <summary>Takes a line apart; false when it is no event.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out TraceLine result)
    {
        result = default;
        ReadOnlySpan<byte> rest = Scan.TrimStart(line);
        ReadOnlySpan<byte> time = Scan.Token(rest);
        result.HasTime = Scan.TryReadTime(time, 1_000_000, out result.Nanoseconds);
        if (!result.HasTime)
        {
            return false;
        }

        rest = Scan.TrimStart(rest[time.Length..]);
        if (rest.StartsWith("("u8))
        {
            int end = rest.IndexOf("): "u8);
            rest = end < 0 ? default : Scan.TrimStart(rest[(end + 3)..]);
        }

        int thread = ThreadLength(rest, out result.Thread);
        return thread > 0 && TryReadBody(Scan.TrimStart(rest[thread..]), ref result);
    }

    /// <summary>
    /// How long "task/tid" is: up to the first word that ends in a slash and a number. 0 where there is none.
    /// </summary>
    private static int ThreadLength(ReadOnlySpan<byte> text, out int thread)
    {
        thread = 0;
        int end = 0;
        while (end < text.Length)
        {
            ReadOnlySpan<byte> token = Scan.Token(text[end..]);
            end += token.Length;
            int slash = token.LastIndexOf((byte)'/');
            if (slash >= 0 && Scan.TryReadId(token[(slash + 1)..], out thread))
            {
                return end;
            }

            end += end < text.Length ? 1 : 0;
        }

        return 0;
    }

    private static bool TryReadBody(ReadOnlySpan<byte> body, ref TraceLine result)
    {
        // What a system call comes to, when others came in between.
        body = body.StartsWith("... [continued]: "u8) ? body["... [continued]: "u8.Length..] : body;
        int open = body.IndexOf((byte)'(');
        int colon = body.IndexOf((byte)':');
        if (colon < 0 || (open >= 0 && open < colon))
        {
            // A system call.
            result.Name = open < 0 ? Scan.Token(body) : Scan.TrimEnd(body[..open]);
            return open > 0;
        }

        ReadOnlySpan<byte> rest = body[(colon + 1)..];
        int end = rest.IndexOfAny((byte)'(', (byte)':');
        if (end <= 0)
        {
            return false;
        }

        result.Name = rest[..end];
        result.Arguments = Scan.TrimEnd(rest[(end + 1)..]);
        if (result.Arguments.EndsWith(")"u8))
        {
            result.Arguments = result.Arguments[..^1];
        }

        return true;
    }
}

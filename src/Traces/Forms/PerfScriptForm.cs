using System;

namespace Quietus.Traces.Forms;

/// <summary>
/// An event as perf script writes it:
/// <code>
///   task  tid      [cpu] seconds.micros:         group:event: arguments
///   task  pid/tid  [cpu] seconds.nanos: period   group:event: arguments
/// </code>
/// Which columns there are is the user's choice (-F): task, CPU, period and the process may be missing, the thread and
/// the time may not. A task's name may hold blanks. perf writes the group of an event before it.
/// </summary>
internal static class PerfScriptForm
{
    /// <summary>Takes a line apart; false when it is no event.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out TraceLine result)
    {
        result = default;
        if (!TryFindTime(line, ref result, out int begin, out int end)
            || !TryReadThread(line[..begin], ref result))
        {
            return false;
        }

        ReadOnlySpan<byte> body = Scan.TrimStart(line[end..]);
        ReadOnlySpan<byte> name = Scan.Token(body);
        if (Scan.Digits(name) == name.Length)
        {
            body = Scan.TrimStart(body[name.Length..]);
            name = Scan.Token(body);
        }

        if (name.Length < 2 || name[^1] != ':')
        {
            return false;
        }

        result.Arguments = Scan.Trim(body[name.Length..]);
        name = name[..^1];
        result.Name = name[(name.IndexOf((byte)':') + 1)..];
        return !result.Name.IsEmpty;
    }

    /// <summary>The first "seconds.fraction:" that is a word.</summary>
    private static bool TryFindTime(ReadOnlySpan<byte> line, ref TraceLine result, out int begin, out int end)
    {
        begin = end = 0;
        while (true)
        {
            begin = end + line[end..].IndexOfAnyExcept((byte)' ', (byte)'\t');
            if (begin < end)
            {
                return false;
            }

            ReadOnlySpan<byte> token = Scan.Token(line[begin..]);
            end = begin + token.Length;
            if (token[^1] == ':' && FtraceForm.TryReadStamp(token, ref result) && result.HasTime)
            {
                return true;
            }
        }
    }

    /// <summary>"tid" or "pid/tid", before a "[cpu]" that may be missing.</summary>
    private static bool TryReadThread(ReadOnlySpan<byte> head, ref TraceLine result)
    {
        head = Scan.TrimEnd(head);
        ReadOnlySpan<byte> token = Scan.LastToken(head);
        if (token.Length > 2 && token[0] == '[' && Scan.Digits(token[1..]) == token.Length - 2)
        {
            head = Scan.TrimEnd(head[..^token.Length]);
            token = Scan.LastToken(head);
        }

        int slash = token.IndexOf((byte)'/');
        return slash < 0
            ? Scan.TryReadId(token, out result.Thread)
            : Scan.TryReadId(token[..slash], out result.Process)
                && Scan.TryReadId(token[(slash + 1)..], out result.Thread);
    }
}

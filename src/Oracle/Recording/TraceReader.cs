using System.Globalization;
using System.IO;
using System.Text;
using System.Threading;
using Quietus.Oracle.Judging;

namespace Quietus.Oracle.Recording;

/// <summary>What a trace came to.</summary>
/// <param name="Violation">The rule that was broken; null when none was.</param>
/// <param name="Line">The line that broke it; 0 when none did.</param>
/// <param name="Events">Checked operations.</param>
public readonly record struct TraceOutcome(Violation? Violation, int Line, long Events);

/// <summary>
/// Reads a trace and has it judged. There is a verdict for a trace that was read to its last line only: everything
/// else is a <see cref="TraceFormatException"/>, also after a violation.
/// </summary>
public static class TraceReader
{
    /// <summary>Judges a trace.</summary>
    /// <param name="trace">The bytes; a file may hold anything.</param>
    /// <param name="listener">Hears the events that are judged.</param>
    /// <param name="cancellation">Ends the reading with an exception.</param>
    /// <exception cref="TraceFormatException">It is broken, or not whole.</exception>
    public static TraceOutcome Judge(
        Stream trace, IEventListener? listener = null, CancellationToken cancellation = default)
    {
        var buffer = new StringBuilder();
        using var bytes = new BufferedStream(trace, 1 << 16);
        int number = 1;
        if (NextLine(bytes, buffer, number) != TraceFormat.Heading)
        {
            throw new TraceFormatException(1, $"no trace of this oracle: it begins with '{TraceFormat.Heading}'");
        }

        var replay = new TraceReplay(listener);
        long events = 0;
        Violation? violation = null;
        int violationLine = 0;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            number++;
            if (NextLine(bytes, buffer, number) is not string text)
            {
                throw new TraceFormatException(number, "the trace ends here without its 'end' line: it is not whole");
            }

            if (text.Length == 0 || text[0] == '#')
            {
                continue;
            }

            var line = new TraceLine(number, text);
            if (line.Word == "end")
            {
                if (line.Number64("events", ulong.MaxValue) != (ulong)events)
                {
                    throw line.Wrong(string.Create(
                        CultureInfo.InvariantCulture,
                        $"the trace is not whole: {events} events came before this line"));
                }

                line.End();
                break;
            }

            events++;
            try
            {
                replay.Take(ref line);
            }
            catch (ViolationException broken)
            {
                violation = broken.Violation;
                violationLine = number;
                replay.StopJudging();
            }
        }

        if (NextLine(bytes, buffer, number + 1) is not null)
        {
            throw new TraceFormatException(number + 1, "nothing may come after the 'end' line");
        }

        replay.End(number);
        return new TraceOutcome(violation, violationLine, replay.Events);
    }

    /// <summary>The next line; null at the end.</summary>
    private static string? NextLine(BufferedStream bytes, StringBuilder buffer, int number)
    {
        buffer.Clear();
        while (true)
        {
            int next = bytes.ReadByte();
            switch (next)
            {
                case -1 when buffer.Length == 0:
                    return null;
                case -1:
                    throw new TraceFormatException(number, "the trace breaks off inside this line: it is not whole");
                case '\n':
                    return buffer.ToString();
                case < ' ' or > '~':
                    throw new TraceFormatException(number, string.Create(
                        CultureInfo.InvariantCulture, $"a byte 0x{next:x2}: a trace is printable ASCII, and \\n"));
                default:
                    if (buffer.Length == TraceFormat.LongestLine)
                    {
                        throw new TraceFormatException(number, string.Create(
                            CultureInfo.InvariantCulture, $"longer than {TraceFormat.LongestLine} characters"));
                    }

                    buffer.Append((char)next);
                    break;
            }
        }
    }
}

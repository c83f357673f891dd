using System;
using Quietus.Probe.Linux;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>Text on its way to a file, a line or a part of one at a time.</summary>
/// <remarks>Invariant: the room is mapped from <see cref="SetUp"/> to the program's end.</remarks>
internal static unsafe class Sink
{
    private const int Room = 1 << 16;
    private const int MostPart = 1 << 12;

    private static byte* room;
    private static int length;
    private static int descriptor = 1;

    internal static void SetUp() => room = (byte*)Problem.Checked(
        SystemCalls.MapMemory(Room, 3, 0x22, -1), "mapping memory for output"u8);

    /// <summary>Sends what there is, and goes on with another file.</summary>
    internal static void Turn(int to)
    {
        Flush();
        descriptor = to;
    }

    internal static void Text(ReadOnlySpan<byte> text)
    {
        if (text.Length > Room - length)
        {
            Flush();
        }

        text.CopyTo(new Span<byte>(room + length, Room - length));
        length += text.Length;
    }

    internal static void Number(ulong value)
    {
        Span<byte> buffer = stackalloc byte[20];
        var line = new LineBuilder(buffer);
        line.Number(value);
        Text(line.Written);
    }

    /// <summary>A JSON string: what is not printable ASCII is a question mark.</summary>
    internal static void Quoted(ReadOnlySpan<byte> text)
    {
        Span<byte> buffer = stackalloc byte[MostPart];
        var line = new LineBuilder(buffer);
        line.Quoted(text);
        Text(line.Written);
    }

    /// <summary>A text in a column, on its left or on its right side.</summary>
    internal static void Cell(ReadOnlySpan<byte> text, int width, bool isLeft)
    {
        if (isLeft)
        {
            Text(text);
        }

        for (int i = text.Length; i < width; i++)
        {
            Text(" "u8);
        }

        if (!isLeft)
        {
            Text(text);
        }
    }

    /// <summary>Words, each with a blank or a line's end before it, within 80 columns.</summary>
    /// <param name="text">The words.</param>
    /// <param name="column">How much of the first line there is.</param>
    internal static void Paragraph(ReadOnlySpan<byte> text, int column)
    {
        const int Columns = 80;
        while (text.Length != 0)
        {
            int blank = text.IndexOf((byte)' ');
            ReadOnlySpan<byte> word = blank < 0 ? text : text.Slice(0, blank);
            text = text.Slice(blank < 0 ? text.Length : blank + 1);
            bool fits = column + 1 + word.Length <= Columns;
            Text(fits ? " "u8 : "\n  "u8);
            Text(word);
            column = word.Length + (fits ? column + 1 : 2);
        }

        Text("\n"u8);
    }

    internal static void Flush()
    {
        int sent = 0;
        while (sent < length)
        {
            long result = SystemCalls.Write(descriptor, new ReadOnlySpan<byte>(room + sent, length - sent));
            sent += (int)Problem.Checked(result, "writing the result"u8);
        }

        length = 0;
    }
}

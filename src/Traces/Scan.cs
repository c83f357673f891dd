using System;
using System.Buffers.Text;

namespace Quietus.Traces;

/// <summary>Words and numbers of a line.</summary>
internal static class Scan
{
    public static bool IsDigit(byte c) => c is >= (byte)'0' and <= (byte)'9';

    public static bool IsBlank(byte c) => c is (byte)' ' or (byte)'\t';

    /// <summary>What is before the first blank.</summary>
    public static ReadOnlySpan<byte> Token(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOfAny((byte)' ', (byte)'\t');
        return end < 0 ? text : text[..end];
    }

    /// <summary>What is behind the last blank.</summary>
    public static ReadOnlySpan<byte> LastToken(ReadOnlySpan<byte> text) =>
        text[(text.LastIndexOfAny((byte)' ', (byte)'\t') + 1)..];

    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text) => TrimStart(TrimEnd(text));

    public static ReadOnlySpan<byte> TrimStart(ReadOnlySpan<byte> text) => text.TrimStart(" \t"u8);

    public static ReadOnlySpan<byte> TrimEnd(ReadOnlySpan<byte> text) => text.TrimEnd(" \t"u8);

    /// <summary>How many digits a text begins with.</summary>
    public static int Digits(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOfAnyExceptInRange((byte)'0', (byte)'9');
        return end < 0 ? text.Length : end;
    }

    /// <summary>A number of processes or threads, all of the text.</summary>
    public static bool TryReadId(ReadOnlySpan<byte> text, out int id) =>
        Utf8Parser.TryParse(text, out id, out int used) && used == text.Length && id >= 0;

    /// <summary>A number that a blank, a comma or a bracket ends: decimal, 0x…, or negative.</summary>
    public static bool TryReadNumber(ReadOnlySpan<byte> text, out ulong value)
    {
        if (text.StartsWith("0x"u8))
        {
            return TryReadHex(text[2..], out value);
        }

        if (text.StartsWith("-"u8))
        {
            bool isRead = Utf8Parser.TryParse(text, out long negative, out int length) && IsEnd(text, length);
            value = (ulong)negative;
            return isRead;
        }

        return Utf8Parser.TryParse(text, out value, out int used) && IsEnd(text, used);
    }

    /// <summary>A hexadecimal number without 0x.</summary>
    public static bool TryReadHex(ReadOnlySpan<byte> text, out ulong value) =>
        Utf8Parser.TryParse(text, out value, out int used, 'x') && IsEnd(text, used);

    /// <summary>
    /// "number.fraction": a fraction of up to nine digits, in units of <paramref name="unit"/> nanoseconds.
    /// </summary>
    public static bool TryReadTime(ReadOnlySpan<byte> text, long unit, out long nanoseconds)
    {
        nanoseconds = 0;
        int whole = Digits(text);
        if (whole == 0 || whole >= text.Length - 1 || text[whole] != '.'
            || !Utf8Parser.TryParse(text, out long units, out _) || units > long.MaxValue / unit - unit)
        {
            return false;
        }

        ReadOnlySpan<byte> fraction = text[(whole + 1)..];
        if (fraction.Length > 9 || Digits(fraction) != fraction.Length)
        {
            return false;
        }

        nanoseconds = units * unit;
        foreach (byte digit in fraction)
        {
            unit /= 10;
            nanoseconds += (digit - '0') * unit;
        }

        return true;
    }

    private static bool IsEnd(ReadOnlySpan<byte> text, int at) =>
        at == text.Length || text[at] is (byte)' ' or (byte)',' or (byte)'\t' or (byte)')';
}

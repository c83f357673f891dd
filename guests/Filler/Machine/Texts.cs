using System;

namespace Quietus.Filler.Machine;

/// <summary>ASCII texts, as bytes.</summary>
internal static class Texts
{
    /// <summary>What stands before the first <paramref name="end"/>; everything when there is none.</summary>
    internal static ReadOnlySpan<byte> Until(ReadOnlySpan<byte> text, byte end)
    {
        int length = text.IndexOf(end);
        return length < 0 ? text : text.Slice(0, length);
    }

    /// <summary>Whether two texts are the same.</summary>
    internal static bool Are(ReadOnlySpan<byte> text, ReadOnlySpan<byte> other) => text.SequenceEqual(other);

    /// <summary>The index of a word in a list of words with single spaces between; -1 when it is not there.</summary>
    internal static int IndexIn(ReadOnlySpan<byte> words, ReadOnlySpan<byte> word)
    {
        for (int index = 0; words.Length != 0; index++)
        {
            ReadOnlySpan<byte> first = Until(words, (byte)' ');
            if (Are(first, word))
            {
                return index;
            }

            words = words.Slice(Math.Min(first.Length + 1, words.Length));
        }

        return -1;
    }

    /// <summary>A size in bytes: decimal, with an optional K, M or G; false when it is none or does not fit.</summary>
    internal static bool TryReadSize(ReadOnlySpan<byte> text, out ulong bytes)
    {
        bytes = 0;
        int shift = text.Length == 0 ? 0 : text[text.Length - 1] switch
        {
            (byte)'K' or (byte)'k' => 10,
            (byte)'M' or (byte)'m' => 20,
            (byte)'G' or (byte)'g' => 30,
            _ => 0,
        };
        ReadOnlySpan<byte> digits = shift == 0 ? text : text.Slice(0, text.Length - 1);
        if (digits.Length is 0 or > 15)
        {
            return false;
        }

        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9')
            {
                return false;
            }

            bytes = (bytes * 10) + digit - '0';
        }

        if (bytes > ulong.MaxValue >> shift)
        {
            return false;
        }

        bytes <<= shift;
        return true;
    }
}

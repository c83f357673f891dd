using System;

namespace Quietus.Wire;

/// <summary>
/// Cores as a person writes them, and taskset and docker do: numbers and ranges with commas, such as <c>1,3</c> or
/// <c>1-3</c>. Cores are 0 to 63.
/// </summary>
public static class CoreList
{
    /// <summary>Cores that can be named.</summary>
    public const int Most = 64;

    /// <summary>Reads a list. False where it is none, or names a core beyond 63.</summary>
    /// <param name="text">The list.</param>
    /// <param name="cores">Bit n for core n; 0 where the text is no list.</param>
    public static bool TryParse(ReadOnlySpan<byte> text, out ulong cores)
    {
        ulong found = 0;
        cores = 0;
        int position = 0;
        do
        {
            int end = position;
            while (end < text.Length && text[end] != (byte)',')
            {
                end++;
            }

            if (!TryParseRange(text.Slice(position, end - position), out ulong range))
            {
                return false;
            }

            found |= range;
            position = end + 1;
        }
        while (position <= text.Length);

        cores = found;
        return true;
    }

    /// <summary>Writes the shortest list of some cores; nothing for none.</summary>
    public static void Write(ref LineBuilder line, ulong cores)
    {
        bool isFirst = true;
        for (int core = 0; core < Most; core++)
        {
            if (!Has(cores, core))
            {
                continue;
            }

            int last = core;
            while (last + 1 < Most && Has(cores, last + 1))
            {
                last++;
            }

            line.Text(isFirst ? default : ","u8);
            line.Number((ulong)core);
            if (last > core)
            {
                line.Character(last == core + 1 ? (byte)',' : (byte)'-');
                line.Number((ulong)last);
            }

            isFirst = false;
            core = last;
        }
    }

    private static bool Has(ulong cores, int core) => ((cores >> core) & 1) != 0;

    /// <summary>One number, or two with a dash between, the lower one first.</summary>
    private static bool TryParseRange(ReadOnlySpan<byte> text, out ulong cores)
    {
        cores = 0;
        int dash = 0;
        while (dash < text.Length && text[dash] != (byte)'-')
        {
            dash++;
        }

        if (Numbers.TryParse(text.Slice(0, dash), out ulong first) != NumberError.None)
        {
            return false;
        }

        ulong last = first;
        if (dash < text.Length && Numbers.TryParse(text.Slice(dash + 1), out last) != NumberError.None)
        {
            return false;
        }

        if (first > last || last >= Most)
        {
            return false;
        }

        cores = (ulong.MaxValue >> (Most - 1 - (int)(last - first))) << (int)first;
        return true;
    }
}

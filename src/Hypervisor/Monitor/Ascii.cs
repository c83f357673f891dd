using System;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// Comparisons of byte strings, as the hypervisor has no string class: every text in it is ASCII or UTF-8 bytes.
/// </summary>
public static class Ascii
{
    /// <summary>Whether two byte strings have the same length and the same bytes.</summary>
    public static bool Equal(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        for (int i = 0; i < left.Length; i++)
        {
            if (left[i] != right[i])
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether <paramref name="text"/> begins with <paramref name="prefix"/>.</summary>
    public static bool StartsWith(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix) =>
        text.Length >= prefix.Length && Equal(text.Slice(0, prefix.Length), prefix);

    /// <summary>The index of the first <paramref name="wanted"/> in <paramref name="text"/>, or -1.</summary>
    public static int IndexOf(ReadOnlySpan<byte> text, byte wanted)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == wanted)
            {
                return i;
            }
        }

        return -1;
    }
}

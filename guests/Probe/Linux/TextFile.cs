using System;
using Quietus.Wire;

namespace Quietus.Probe.Linux;

/// <summary>Small files of /proc and /sys, read whole.</summary>
/// <remarks>Invariant: a read stays within the buffer that the caller hands over.</remarks>
internal static unsafe class TextFile
{
    private const int MostPath = 256;

    /// <summary>
    /// What a file holds, without the line's end; empty where it cannot be read. What does not fit is left out.
    /// </summary>
    /// <param name="path">Ends in 0, as u8 literals do in memory.</param>
    /// <param name="buffer">Where it goes.</param>
    internal static ReadOnlySpan<byte> Read(scoped ReadOnlySpan<byte> path, Span<byte> buffer)
    {
        long file = SystemCalls.Open(path, 0);
        if (file < 0)
        {
            return default;
        }

        int length = 0;
        while (length < buffer.Length)
        {
            Span<byte> rest = buffer.Slice(length);
            long got;
            fixed (byte* to = &System.Runtime.InteropServices.MemoryMarshal.GetReference(rest))
            {
                got = SystemCalls.Read((int)file, to, (ulong)rest.Length);
            }

            if (got <= 0)
            {
                break;
            }

            length += (int)got;
        }

        SystemCalls.Close((int)file);
        while (length > 0 && buffer[length - 1] is (byte)'\n' or 0)
        {
            length--;
        }

        return buffer.Slice(0, length);
    }

    /// <summary>The same of FOLDER/NAME.</summary>
    internal static ReadOnlySpan<byte> Read(
        scoped ReadOnlySpan<byte> folder, scoped ReadOnlySpan<byte> name, Span<byte> buffer)
    {
        Span<byte> room = stackalloc byte[MostPath];
        var path = new LineBuilder(room);
        path.Text(folder);
        path.Character((byte)'/');
        path.Text(name);
        path.Character(0);
        return path.Truncated ? default : Read(path.Written, buffer);
    }

    /// <summary>A number in a file, alone or followed by something; false where there is none.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> path, out ulong value)
    {
        Span<byte> buffer = stackalloc byte[64];
        return TryFirstNumber(Read(path, buffer), out value);
    }

    /// <summary>The value of a line "KEY   : value" or "KEY: value"; empty where there is none.</summary>
    internal static ReadOnlySpan<byte> Field(ReadOnlySpan<byte> text, ReadOnlySpan<byte> key)
    {
        while (text.Length != 0)
        {
            int end = text.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? text : text.Slice(0, end);
            text = text.Slice(end < 0 ? text.Length : end + 1);
            if (!line.StartsWith(key))
            {
                continue;
            }

            int at = key.Length;
            while (at < line.Length && line[at] is (byte)' ' or (byte)'\t')
            {
                at++;
            }

            if (at == line.Length || line[at] != (byte)':')
            {
                continue;
            }

            at++;
            while (at < line.Length && line[at] is (byte)' ' or (byte)'\t')
            {
                at++;
            }

            return line.Slice(at);
        }

        return default;
    }

    /// <summary>A line of /proc/meminfo or smaps_rollup in bytes; 0 where there is none.</summary>
    internal static ulong Kilobytes(ReadOnlySpan<byte> text, ReadOnlySpan<byte> key) =>
        TryFirstNumber(Field(text, key), out ulong value) ? value * 1024 : 0;

    /// <summary>The digits that a text begins with.</summary>
    internal static bool TryFirstNumber(ReadOnlySpan<byte> text, out ulong value)
    {
        int length = 0;
        while (length < text.Length && text[length] is >= (byte)'0' and <= (byte)'9')
        {
            length++;
        }

        return Numbers.TryParse(text.Slice(0, length), out value) == NumberError.None;
    }

    /// <summary>Whether a text has a word in it, between spaces or its ends.</summary>
    internal static bool HasWord(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word)
    {
        int start = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || text[i] is (byte)' ' or (byte)'\n' or (byte)'\t')
            {
                if (text.Slice(start, i - start).SequenceEqual(word))
                {
                    return true;
                }

                start = i + 1;
            }
        }

        return false;
    }
}

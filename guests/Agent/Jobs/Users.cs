using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Jobs;

/// <summary>The guest's users and groups, by /etc/passwd and /etc/group.</summary>
/// <remarks>Invariant: the buffer is static memory, and ends in 0 behind what was read.</remarks>
internal static unsafe class Users
{
    /// <summary>As much of each file as is read.</summary>
    private const int MostBytes = 32 * 1024;

    private static FileBuffer _file;

    /// <summary>Who a user is, and the home: / for root that was not named. False: there is no such user.</summary>
    /// <param name="text">Empty, or a name or number, and :GROUP.</param>
    /// <param name="user">The user's number.</param>
    /// <param name="group">The group's.</param>
    /// <param name="home">A text that ends in 0, good until the next call.</param>
    internal static bool TryFind(ReadOnlySpan<byte> text, out uint user, out uint group, out byte* home)
    {
        user = 0;
        group = 0;
        home = Root;
        if (text.IsEmpty)
        {
            return true;
        }

        int colon = 0;
        while (colon < text.Length && text[colon] != ':')
        {
            colon++;
        }

        ReadOnlySpan<byte> groupName = colon < text.Length ? text.Slice(colon + 1) : default;
        text = text.Slice(0, colon);
        if (!groupName.IsEmpty && !TryFindGroup(groupName, out group))
        {
            return false;
        }

        bool isNumber = Numbers.TryParse(text, out ulong number) == NumberError.None && number < uint.MaxValue;
        if (TryFindLine("/etc/passwd"u8, text, isNumber, out ReadOnlySpan<byte> line))
        {
            uint own = 0;
            bool isGood = TryNumber(Field(line, 2), out user) && TryNumber(Field(line, 3), out own);
            group = groupName.IsEmpty ? own : group;
            home = TerminateHome(Field(line, 5));
            return isGood;
        }

        user = (uint)number;
        return isNumber;
    }

    private static byte* Root => (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference("/"u8));

    private static bool TryFindGroup(ReadOnlySpan<byte> name, out uint group)
    {
        if (TryNumber(name, out group))
        {
            return true;
        }

        return TryFindLine("/etc/group"u8, name, false, out ReadOnlySpan<byte> line)
            && TryNumber(Field(line, 2), out group);
    }

    private static bool TryNumber(ReadOnlySpan<byte> text, out uint number)
    {
        bool isGood = Numbers.TryParse(text, out ulong value) == NumberError.None && value < uint.MaxValue;
        number = (uint)value;
        return isGood;
    }

    /// <summary>The line of a name, or with that number in its third field.</summary>
    private static bool TryFindLine(
        ReadOnlySpan<byte> path, ReadOnlySpan<byte> name, bool isNumber, out ReadOnlySpan<byte> line)
    {
        line = default;
        byte* start = StaticMemory.AddressOf(ref _file);
        long file = SystemCalls.Open(path, 0);
        if (file < 0)
        {
            return false;
        }

        int length = 0;
        long got;
        while (length < MostBytes
            && (got = SystemCalls.Read((int)file, start + length, (ulong)(MostBytes - length))) > 0)
        {
            length += (int)got;
        }

        SystemCalls.Close((int)file);
        var rest = new ReadOnlySpan<byte>(start, length);
        while (!rest.IsEmpty)
        {
            int end = 0;
            while (end < rest.Length && rest[end] != '\n')
            {
                end++;
            }

            line = rest.Slice(0, end);
            if (Field(line, isNumber ? 2 : 0).SequenceEqual(name))
            {
                return true;
            }

            rest = rest.Slice(Math.Min(end + 1, rest.Length));
        }

        return false;
    }

    private static ReadOnlySpan<byte> Field(ReadOnlySpan<byte> line, int index)
    {
        while (true)
        {
            int end = 0;
            while (end < line.Length && line[end] != ':')
            {
                end++;
            }

            if (index == 0)
            {
                return line.Slice(0, end);
            }

            if (end == line.Length)
            {
                return default;
            }

            line = line.Slice(end + 1);
            index--;
        }
    }

    /// <summary>Ends the home's text with a 0, in the file's buffer, over the colon behind it.</summary>
    private static byte* TerminateHome(ReadOnlySpan<byte> home)
    {
        if (home.IsEmpty)
        {
            return Root;
        }

        byte* text = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(home));
        text[home.Length] = 0;
        return text;
    }

    [InlineArray(MostBytes + 1)]
    private struct FileBuffer
    {
        private byte _first;
    }
}

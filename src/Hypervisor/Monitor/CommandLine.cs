using System;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Monitor;

/// <summary>Why a line is no command.</summary>
public enum CommandLineError
{
    /// <summary>It is a command.</summary>
    None,

    /// <summary>The line has nothing but spaces; no answer is due.</summary>
    Empty,

    /// <summary>The line is longer than <see cref="CommandLine.MaximumLength"/> bytes.</summary>
    TooLong,

    /// <summary>A control character, or a byte outside ASCII that is not in quotes.</summary>
    BadCharacter,

    /// <summary>The verb has something else in it than lower-case letters, digits and hyphens.</summary>
    BadVerb,

    /// <summary>An argument is not of the form key=value.</summary>
    BadKey,

    /// <summary>Nothing stands after the equals sign.</summary>
    MissingValue,

    /// <summary>A quote in the middle of a bare value, or text directly after a closing quote.</summary>
    StrayQuote,

    /// <summary>The closing quote is missing.</summary>
    UnterminatedQuote,

    /// <summary>A backslash is followed by something else than a quote or a backslash.</summary>
    BadEscape,

    /// <summary>There are more than <see cref="CommandLine.MaximumArguments"/> arguments.</summary>
    TooManyArguments,

    /// <summary>A key is given twice.</summary>
    DuplicateKey,
}

/// <summary>
/// One line of the monitor, taken apart: <c>verb { SP key=value }</c>, where a value is bare (no space, no quote)
/// or in quotes with \" and \\ as escapes.
/// Invariant: every argument's bounds lie within <c>line</c>, because only <see cref="Parse"/> makes them.
/// </summary>
public ref struct CommandLine
{
    /// <summary>The longest line in bytes, without its end.</summary>
    public const int MaximumLength = 1024;

    /// <summary>The greatest number of key=value pairs.</summary>
    public const int MaximumArguments = 16;

    private ReadOnlySpan<byte> line;
    private Arguments arguments;
    private int verbStart;
    private int verbLength;
    private int count;

    /// <summary>The first word.</summary>
    public readonly ReadOnlySpan<byte> Verb => line.Slice(verbStart, verbLength);

    /// <summary>How many arguments follow the verb.</summary>
    public readonly int Count => count;

    /// <summary>
    /// Takes a line apart. Escapes are undone within the line itself, so that nothing has to be allocated: the
    /// caller's buffer changes and must live as long as the command.
    /// </summary>
    /// <param name="line">The line without its end; a carriage return at the end is ignored.</param>
    /// <param name="command">The command; empty when the result is an error.</param>
    public static CommandLineError Parse(Span<byte> line, out CommandLine command)
    {
        command = default;
        if (line.Length != 0 && line[line.Length - 1] == (byte)'\r')
        {
            line = line.Slice(0, line.Length - 1);
        }

        if (line.Length > MaximumLength)
        {
            return CommandLineError.TooLong;
        }

        CommandLine parsed = default;
        parsed.line = line;
        int position = SkipSpaces(line, 0);
        if (position == line.Length)
        {
            return CommandLineError.Empty;
        }

        parsed.verbStart = position;
        while (position < line.Length && IsNameCharacter(line[position]))
        {
            position++;
        }

        parsed.verbLength = position - parsed.verbStart;
        if (parsed.verbLength == 0 || (position < line.Length && line[position] != (byte)' '))
        {
            return CommandLineError.BadVerb;
        }

        while ((position = SkipSpaces(line, position)) < line.Length)
        {
            CommandLineError error = parsed.ParseArgument(line, ref position);
            if (error != CommandLineError.None)
            {
                return error;
            }
        }

        command = parsed;
        return CommandLineError.None;
    }

    /// <summary>What is wrong with a line, for people.</summary>
    public static ReadOnlySpan<byte> Describe(CommandLineError error) => error switch
    {
        CommandLineError.None => "the command is well formed"u8,
        CommandLineError.Empty => "the line is empty"u8,
        CommandLineError.TooLong => "the line is longer than 1024 bytes"u8,
        CommandLineError.BadCharacter => "a character outside printable ASCII; put other text in quotes"u8,
        CommandLineError.BadVerb => "the command's name may have lower-case letters, digits and hyphens only"u8,
        CommandLineError.BadKey => "an argument must have the form key=value"u8,
        CommandLineError.MissingValue => "a value is missing after the equals sign"u8,
        CommandLineError.StrayQuote => "a quote must stand at both ends of a value"u8,
        CommandLineError.UnterminatedQuote => "the closing quote is missing"u8,
        CommandLineError.BadEscape => "a backslash may only stand before a quote or a backslash"u8,
        CommandLineError.TooManyArguments => "more than 16 arguments"u8,
        _ => "an argument is given twice"u8,
    };

    /// <summary>The key of argument <paramref name="index"/>; empty when there is no such argument.</summary>
    public readonly ReadOnlySpan<byte> KeyAt(int index) =>
        (uint)index < (uint)count
            ? line.Slice(arguments[index].KeyStart, arguments[index].KeyLength)
            : default;

    /// <summary>
    /// The value of argument <paramref name="index"/>, unescaped; empty when there is no such argument.
    /// </summary>
    public readonly ReadOnlySpan<byte> ValueAt(int index) =>
        (uint)index < (uint)count
            ? line.Slice(arguments[index].ValueStart, arguments[index].ValueLength)
            : default;

    /// <summary>Whether the verb is <paramref name="verb"/>.</summary>
    public readonly bool VerbIs(scoped ReadOnlySpan<byte> verb) => Verb.SequenceEqual(verb);

    /// <summary>Finds an argument by its key.</summary>
    public readonly bool TryGet(scoped ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        for (int i = 0; i < count; i++)
        {
            if (KeyAt(i).SequenceEqual(key))
            {
                value = ValueAt(i);
                return true;
            }
        }

        value = default;
        return false;
    }

    /// <summary>Finds the first argument whose key is none of those that the command knows.</summary>
    /// <param name="known">The keys, a space between two.</param>
    /// <param name="key">The other key.</param>
    public readonly bool TryFindOther(scoped ReadOnlySpan<byte> known, out ReadOnlySpan<byte> key)
    {
        for (int i = 0; i < count; i++)
        {
            if (!IsAmong(KeyAt(i), known))
            {
                key = KeyAt(i);
                return true;
            }
        }

        key = default;
        return false;
    }

    private static bool IsAmong(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> names)
    {
        int start = 0;
        while (start < names.Length)
        {
            int end = start;
            while (end < names.Length && names[end] != (byte)' ')
            {
                end++;
            }

            if (names.Slice(start, end - start).SequenceEqual(name))
            {
                return true;
            }

            start = end + 1;
        }

        return false;
    }

    private CommandLineError ParseArgument(Span<byte> text, ref int position)
    {
        int keyStart = position;
        while (position < text.Length && IsNameCharacter(text[position]))
        {
            position++;
        }

        int keyLength = position - keyStart;
        if (position < text.Length && IsForbidden(text[position]))
        {
            return CommandLineError.BadCharacter;
        }

        if (keyLength == 0 || position == text.Length || text[position] != (byte)'=')
        {
            return CommandLineError.BadKey;
        }

        position++;
        int valueStart = position;
        int valueLength;
        CommandLineError error;
        if (position < text.Length && text[position] == (byte)'"')
        {
            valueStart++;
            error = ParseQuoted(text, ref position, out valueLength);
        }
        else
        {
            error = ParseBare(text, ref position, out valueLength);
        }

        if (error != CommandLineError.None)
        {
            return error;
        }

        if (TryGet(text.Slice(keyStart, keyLength), out _))
        {
            return CommandLineError.DuplicateKey;
        }

        if (count == MaximumArguments)
        {
            return CommandLineError.TooManyArguments;
        }

        // MaximumLength bounds every position, so that 16 bits hold it.
        ref Argument argument = ref arguments[count];
        argument.KeyStart = (ushort)keyStart;
        argument.KeyLength = (ushort)keyLength;
        argument.ValueStart = (ushort)valueStart;
        argument.ValueLength = (ushort)valueLength;
        count++;
        return CommandLineError.None;
    }

    private static CommandLineError ParseBare(Span<byte> text, ref int position, out int length)
    {
        int start = position;
        length = 0;
        while (position < text.Length && text[position] != (byte)' ')
        {
            if (text[position] == (byte)'"')
            {
                return CommandLineError.StrayQuote;
            }

            if (IsForbidden(text[position]))
            {
                return CommandLineError.BadCharacter;
            }

            position++;
        }

        length = position - start;
        return length == 0 ? CommandLineError.MissingValue : CommandLineError.None;
    }

    private static CommandLineError ParseQuoted(Span<byte> text, ref int position, out int length)
    {
        int start = position + 1;
        int read = start;
        int write = start;
        length = 0;
        while (read < text.Length && text[read] != (byte)'"')
        {
            byte character = text[read];
            if (character == (byte)'\\')
            {
                read++;
                if (read == text.Length)
                {
                    return CommandLineError.UnterminatedQuote;
                }

                character = text[read];
                if (character != (byte)'"' && character != (byte)'\\')
                {
                    return CommandLineError.BadEscape;
                }
            }
            else if (character < (byte)' ' || character == 0x7F)
            {
                return CommandLineError.BadCharacter;
            }

            text[write] = character;
            write++;
            read++;
        }

        if (read == text.Length)
        {
            return CommandLineError.UnterminatedQuote;
        }

        read++;
        if (read < text.Length && text[read] != (byte)' ')
        {
            return CommandLineError.StrayQuote;
        }

        position = read;
        length = write - start;
        return CommandLineError.None;
    }

    private static int SkipSpaces(ReadOnlySpan<byte> text, int position)
    {
        while (position < text.Length && text[position] == (byte)' ')
        {
            position++;
        }

        return position;
    }

    private static bool IsNameCharacter(byte character) =>
        character is (>= (byte)'a' and <= (byte)'z') or (>= (byte)'0' and <= (byte)'9') or (byte)'-' or (byte)'_';

    private static bool IsForbidden(byte character) => character is < (byte)' ' or >= 0x7F;

    private struct Argument
    {
        public ushort KeyStart;
        public ushort KeyLength;
        public ushort ValueStart;
        public ushort ValueLength;
    }

    [InlineArray(MaximumArguments)]
    private struct Arguments
    {
        private Argument first;
    }
}

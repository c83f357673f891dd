using System;

namespace Quietus.Wire;

/// <summary>
/// Formats a line of text into memory that the caller owns. What does not fit is left out and
/// <see cref="Truncated"/> becomes true and stays so; nothing is ever written past the buffer's end.
/// </summary>
public ref struct LineBuilder
{
    private readonly Span<byte> buffer;
    private int length;

    /// <summary>Starts an empty line in <paramref name="buffer"/>.</summary>
    public LineBuilder(Span<byte> buffer)
    {
        this.buffer = buffer;
        length = 0;
        Truncated = false;
    }

    /// <summary>Whether something did not fit.</summary>
    public bool Truncated { get; private set; }

    /// <summary>The number of bytes written so far.</summary>
    public readonly int Length => length;

    /// <summary>What has been written so far.</summary>
    public readonly ReadOnlySpan<byte> Written => buffer.Slice(0, length);

    /// <summary>Empties the line, and forgets that something did not fit.</summary>
    public void Clear()
    {
        length = 0;
        Truncated = false;
    }

    /// <summary>Appends one byte.</summary>
    public void Character(byte character)
    {
        if (length == buffer.Length)
        {
            Truncated = true;
            return;
        }

        buffer[length] = character;
        length++;
    }

    /// <summary>Appends text as it stands; of text that does not fit, its beginning.</summary>
    public void Text(scoped ReadOnlySpan<byte> text)
    {
        int room = buffer.Length - length;
        if (text.Length > room)
        {
            Truncated = true;
            text = text.Slice(0, room);
        }

        text.CopyTo(buffer.Slice(length));
        length += text.Length;
    }

    /// <summary>Appends a number in decimal, whole or not at all.</summary>
    public void Number(ulong value)
    {
        int digits = 1;
        for (ulong rest = value / 10; rest != 0; rest /= 10)
        {
            digits++;
        }

        if (!Reserve(digits))
        {
            return;
        }

        for (int i = length - 1; i >= length - digits; i--)
        {
            ulong tenth = value / 10;
            buffer[i] = (byte)('0' + (value - (tenth * 10)));
            value = tenth;
        }
    }

    /// <summary>Appends a number in hexadecimal with 0x before it, whole or not at all.</summary>
    /// <param name="value">The number.</param>
    /// <param name="minimumDigits">Zeros are put before it up to this many digits, at most 16.</param>
    public void Hexadecimal(ulong value, int minimumDigits = 1)
    {
        int digits = 1;
        while (digits < 16 && (value >> (digits * 4)) != 0)
        {
            digits++;
        }

        if (digits < minimumDigits)
        {
            digits = minimumDigits < 16 ? minimumDigits : 16;
        }

        if (!Reserve(digits + 2))
        {
            return;
        }

        int start = length - digits;
        buffer[start - 2] = (byte)'0';
        buffer[start - 1] = (byte)'x';
        for (int i = 0; i < digits; i++)
        {
            uint nibble = (uint)(value >> ((digits - 1 - i) * 4)) & 0xF;
            buffer[start + i] = (byte)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
        }
    }

    /// <summary>
    /// Appends text in quotes, with \" and \\ escaped, and control characters shown as '?' so that they cannot end
    /// the line. When it does not fit, its beginning with both quotes; when not even those fit, nothing.
    /// </summary>
    public void Quoted(scoped ReadOnlySpan<byte> text)
    {
        if (buffer.Length - length < 2)
        {
            Truncated = true;
            return;
        }

        Character((byte)'"');
        for (int i = 0; i < text.Length; i++)
        {
            byte character = text[i];
            bool escape = character is (byte)'"' or (byte)'\\';

            // One byte is kept for the closing quote.
            if (buffer.Length - length - 1 < (escape ? 2 : 1))
            {
                Truncated = true;
                break;
            }

            if (escape)
            {
                Character((byte)'\\');
            }

            Character(character is < (byte)' ' or 0x7F ? (byte)'?' : character);
        }

        Character((byte)'"');
    }

    /// <summary>
    /// Appends <c>key=value</c> with the value in decimal, and a space before it unless a line starts here.
    /// </summary>
    public void Field(scoped ReadOnlySpan<byte> key, ulong value)
    {
        Key(key);
        Number(value);
    }

    /// <summary>Appends <c>key=value</c> with a bare value: it must have neither space nor quote in it.</summary>
    public void Field(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value)
    {
        Key(key);
        Text(value);
    }

    /// <summary>Appends <c>key=0x…</c>.</summary>
    public void HexadecimalField(scoped ReadOnlySpan<byte> key, ulong value, int minimumDigits = 1)
    {
        Key(key);
        Hexadecimal(value, minimumDigits);
    }

    /// <summary>Appends <c>key="value"</c>.</summary>
    public void QuotedField(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value)
    {
        Key(key);
        Quoted(value);
    }

    private void Key(scoped ReadOnlySpan<byte> key)
    {
        if (length != 0 && buffer[length - 1] is not ((byte)' ' or (byte)'\n'))
        {
            Character((byte)' ');
        }

        Text(key);
        Character((byte)'=');
    }

    /// <summary>
    /// Moves the end by <paramref name="bytes"/>, which the caller then fills; false when there is no room.
    /// </summary>
    private bool Reserve(int bytes)
    {
        if (bytes > buffer.Length - length)
        {
            Truncated = true;
            return false;
        }

        length += bytes;
        return true;
    }
}

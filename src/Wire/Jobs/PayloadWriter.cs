using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>
/// Writes a payload into memory that the caller owns. What does not fit is left out, <see cref="Overflowed"/> becomes
/// true and stays so.
/// </summary>
public ref struct PayloadWriter
{
    private readonly Span<byte> _buffer;
    private int _length;

    /// <summary>Begins at the buffer's start.</summary>
    public PayloadWriter(Span<byte> buffer)
    {
        _buffer = buffer;
        _length = 0;
        Overflowed = false;
    }

    /// <summary>Whether something did not fit, or was a text with a 0 in it.</summary>
    public bool Overflowed { get; private set; }

    /// <summary>What has been written so far.</summary>
    public readonly ReadOnlySpan<byte> Written => _buffer.Slice(0, _length);

    /// <summary>One byte.</summary>
    public void Byte(byte value)
    {
        Span<byte> place = Take(1);
        if (place.Length != 0)
        {
            place[0] = value;
        }
    }

    /// <summary>Two bytes.</summary>
    public void Half(ushort value)
    {
        Span<byte> place = Take(sizeof(ushort));
        if (place.Length != 0)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(place, value);
        }
    }

    /// <summary>Four bytes.</summary>
    public void Word(uint value)
    {
        Span<byte> place = Take(sizeof(uint));
        if (place.Length != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(place, value);
        }
    }

    /// <summary>Eight bytes.</summary>
    public void Quad(ulong value)
    {
        Span<byte> place = Take(sizeof(ulong));
        if (place.Length != 0)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(place, value);
        }
    }

    /// <summary>A text and the 0 that ends it. A text that has one inside is refused as what does not fit.</summary>
    public void Text(scoped ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == 0)
            {
                Overflowed = true;
                return;
            }
        }

        Span<byte> place = Take(text.Length + 1);
        if (place.Length != 0)
        {
            text.CopyTo(place);
            place[text.Length] = 0;
        }
    }

    private Span<byte> Take(int bytes)
    {
        if (Overflowed || bytes > _buffer.Length - _length)
        {
            Overflowed = true;
            return default;
        }

        Span<byte> place = _buffer.Slice(_length, bytes);
        _length += bytes;
        return place;
    }
}

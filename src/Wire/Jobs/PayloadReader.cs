using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>
/// Reads a payload from its start. What is not there reads as 0 or empty, <see cref="Failed"/> becomes true and stays
/// so: a reader of a whole message looks once, at the end.
/// </summary>
public ref struct PayloadReader
{
    private ReadOnlySpan<byte> _rest;

    /// <summary>Begins at the payload's start.</summary>
    public PayloadReader(ReadOnlySpan<byte> payload)
    {
        _rest = payload;
        Failed = false;
    }

    /// <summary>Whether something was missing.</summary>
    public bool Failed { get; private set; }

    /// <summary>Whether nothing was missing and nothing is left.</summary>
    public readonly bool IsWhole => !Failed && _rest.Length == 0;

    /// <summary>One byte.</summary>
    public byte Byte()
    {
        ReadOnlySpan<byte> place = Take(1);
        return place.Length != 0 ? place[0] : (byte)0;
    }

    /// <summary>Two bytes.</summary>
    public ushort Half()
    {
        ReadOnlySpan<byte> place = Take(sizeof(ushort));
        return place.Length != 0 ? BinaryPrimitives.ReadUInt16LittleEndian(place) : (ushort)0;
    }

    /// <summary>Four bytes.</summary>
    public uint Word()
    {
        ReadOnlySpan<byte> place = Take(sizeof(uint));
        return place.Length != 0 ? BinaryPrimitives.ReadUInt32LittleEndian(place) : 0;
    }

    /// <summary>Eight bytes.</summary>
    public ulong Quad()
    {
        ReadOnlySpan<byte> place = Take(sizeof(ulong));
        return place.Length != 0 ? BinaryPrimitives.ReadUInt64LittleEndian(place) : 0;
    }

    /// <summary>A text, without the 0 that ends it; the 0 is there, in the payload.</summary>
    public ReadOnlySpan<byte> Text()
    {
        for (int i = 0; i < _rest.Length && !Failed; i++)
        {
            if (_rest[i] == 0)
            {
                return Take(i + 1).Slice(0, i);
            }
        }

        Failed = true;
        return default;
    }

    private ReadOnlySpan<byte> Take(int bytes)
    {
        if (Failed || bytes > _rest.Length)
        {
            Failed = true;
            return default;
        }

        ReadOnlySpan<byte> place = _rest.Slice(0, bytes);
        _rest = _rest.Slice(bytes);
        return place;
    }
}

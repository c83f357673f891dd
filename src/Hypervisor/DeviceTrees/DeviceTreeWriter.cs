using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>
/// Writes a flattened device tree (Devicetree Specification v0.4, chapter 5, version 17) into memory that the caller
/// owns. The first thing that does not fit is remembered; <see cref="Finish"/> tells.
/// </summary>
/// <remarks>
/// While writing, property names collect in the buffer's last <see cref="StringsRoom"/> bytes, and move up behind
/// the structure block at the end:
/// <code>
///  header | reservations (none) | structure ----> (room)        | strings --> (room) |
/// </code>
/// </remarks>
public ref struct DeviceTreeWriter
{
    /// <summary>Bytes kept for the names of all properties.</summary>
    public const int StringsRoom = 1024;

    private const int ReservationsLength = 16;
    private const int StructureStart = FlatDeviceTree.HeaderLength + ReservationsLength;

    private readonly Span<byte> buffer;
    private int end;
    private int stringsLength;
    private int depth;
    private DeviceTreeError error;

    /// <summary>Starts an empty tree.</summary>
    public DeviceTreeWriter(Span<byte> buffer)
    {
        this.buffer = buffer;
        end = StructureStart;
        stringsLength = 0;
        depth = 0;
        error = buffer.Length < StructureStart + StringsRoom ? DeviceTreeError.NoRoom : DeviceTreeError.None;
        if (error == DeviceTreeError.None)
        {
            buffer.Slice(0, StructureStart).Clear();
        }
    }

    private readonly Span<byte> Strings => buffer.Slice(buffer.Length - StringsRoom);

    /// <summary>Begins a node without a unit address; the root's name is empty.</summary>
    public void BeginNode(scoped ReadOnlySpan<byte> name)
    {
        AppendCell(FlatDeviceTree.TokenBeginNode);
        AppendPadded(name, default, terminate: true);
        depth++;
    }

    /// <summary>Begins a node with a unit address, which is written in hexadecimal.</summary>
    public void BeginNode(scoped ReadOnlySpan<byte> name, ulong unit)
    {
        Span<byte> suffix = stackalloc byte[17];
        int first = 17;
        do
        {
            uint nibble = (uint)unit & 0xF;
            first--;
            suffix[first] = (byte)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
            unit >>= 4;
        }
        while (unit != 0);

        first--;
        suffix[first] = (byte)'@';
        AppendCell(FlatDeviceTree.TokenBeginNode);
        AppendPadded(name, suffix.Slice(first), terminate: true);
        depth++;
    }

    /// <summary>Ends the node that was begun last.</summary>
    public void EndNode()
    {
        depth--;
        AppendCell(FlatDeviceTree.TokenEndNode);
    }

    /// <summary>A property without a value.</summary>
    public void Property(scoped ReadOnlySpan<byte> name) => BeginProperty(name, 0);

    /// <summary>A property with any bytes as its value.</summary>
    public void Property(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        BeginProperty(name, value.Length);
        AppendPadded(value, default, terminate: false);
    }

    /// <summary>A property with one cell.</summary>
    public void Cell(scoped ReadOnlySpan<byte> name, uint value)
    {
        BeginProperty(name, 4);
        AppendCell(value);
    }

    /// <summary>A property with a list of cells.</summary>
    public void Cells(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<uint> values)
    {
        BeginProperty(name, values.Length * 4);
        for (int i = 0; i < values.Length; i++)
        {
            AppendCell(values[i]);
        }
    }

    /// <summary>A property with a number of two cells.</summary>
    public void DoubleCell(scoped ReadOnlySpan<byte> name, ulong value)
    {
        BeginProperty(name, 8);
        AppendDoubleCell(value);
    }

    /// <summary>A property with numbers of two cells each: <c>reg</c> where a parent has 2 and 2 cells.</summary>
    public void DoubleCells(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<ulong> values)
    {
        BeginProperty(name, values.Length * 8);
        for (int i = 0; i < values.Length; i++)
        {
            AppendDoubleCell(values[i]);
        }
    }

    /// <summary>A property with one string; its terminating zero is added.</summary>
    public void Text(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> text)
    {
        BeginProperty(name, text.Length + 1);
        AppendPadded(text, default, terminate: true);
    }

    /// <summary>Completes the blob.</summary>
    /// <param name="length">Its length in bytes; 0 when it did not fit.</param>
    /// <returns><see cref="DeviceTreeError.BadNesting"/> when nodes were not ended as they were begun.</returns>
    public DeviceTreeError Finish(out int length)
    {
        length = 0;
        AppendCell(FlatDeviceTree.TokenEnd);
        if (error != DeviceTreeError.None)
        {
            return error;
        }

        if (depth != 0)
        {
            return DeviceTreeError.BadNesting;
        }

        int structureLength = end - StructureStart;
        Strings.Slice(0, stringsLength).CopyTo(buffer.Slice(end));
        length = end + stringsLength;
        WriteHeader(0, FlatDeviceTree.Magic);
        WriteHeader(4, (uint)length);
        WriteHeader(8, StructureStart);
        WriteHeader(12, (uint)end);
        WriteHeader(16, FlatDeviceTree.HeaderLength);
        WriteHeader(20, 17);
        WriteHeader(24, 16);
        WriteHeader(28, 0);
        WriteHeader(32, (uint)stringsLength);
        WriteHeader(36, (uint)structureLength);
        return DeviceTreeError.None;
    }

    private readonly void WriteHeader(int offset, uint value) =>
        BinaryPrimitives.WriteUInt32BigEndian(buffer.Slice(offset), value);

    private void BeginProperty(scoped ReadOnlySpan<byte> name, int length)
    {
        int nameOffset = InternName(name);
        AppendCell(FlatDeviceTree.TokenProperty);
        AppendCell((uint)length);
        AppendCell((uint)nameOffset);
    }

    private int InternName(scoped ReadOnlySpan<byte> name)
    {
        if (error != DeviceTreeError.None)
        {
            return 0;
        }

        Span<byte> names = Strings;
        for (int offset = 0; offset < stringsLength;)
        {
            int length = names.Slice(offset).IndexOf((byte)0);
            if (names.Slice(offset, length).SequenceEqual(name))
            {
                return offset;
            }

            offset += length + 1;
        }

        if (name.Length + 1 > StringsRoom - stringsLength)
        {
            error = DeviceTreeError.NoRoom;
            return 0;
        }

        int added = stringsLength;
        name.CopyTo(names.Slice(added));
        names[added + name.Length] = 0;
        stringsLength = added + name.Length + 1;
        return added;
    }

    private void AppendCell(uint value)
    {
        if (Reserve(4))
        {
            BinaryPrimitives.WriteUInt32BigEndian(buffer.Slice(end - 4), value);
        }
    }

    private void AppendDoubleCell(ulong value)
    {
        if (Reserve(8))
        {
            BinaryPrimitives.WriteUInt64BigEndian(buffer.Slice(end - 8), value);
        }
    }

    /// <summary>Appends two pieces of bytes and zeros up to the next cell, at least one when it is a string.</summary>
    private void AppendPadded(scoped ReadOnlySpan<byte> first, scoped ReadOnlySpan<byte> second, bool terminate)
    {
        int length = first.Length + second.Length + (terminate ? 1 : 0);
        int start = end;
        if (!Reserve((length + 3) & ~3))
        {
            return;
        }

        Span<byte> place = buffer.Slice(start, end - start);
        place.Clear();
        first.CopyTo(place);
        second.CopyTo(place.Slice(first.Length));
    }

    private bool Reserve(int bytes)
    {
        if (error != DeviceTreeError.None || bytes > buffer.Length - StringsRoom - end)
        {
            error = DeviceTreeError.NoRoom;
            return false;
        }

        end += bytes;
        return true;
    }
}

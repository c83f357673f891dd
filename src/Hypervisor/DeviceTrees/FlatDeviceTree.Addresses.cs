using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>A range of addresses as a CPU sees them.</summary>
public struct AddressRange
{
    /// <summary>The first byte's address.</summary>
    public ulong Start;

    /// <summary>
    /// The length in bytes. Start + Size never wraps around in a range that this folder's code hands out.
    /// </summary>
    public ulong Size;

    /// <summary>The address after the last byte.</summary>
    public readonly ulong End => Start + Size;
}

/// <summary>Addresses of a device tree: <c>reg</c>, and the <c>ranges</c> of the buses above it.</summary>
public ref partial struct FlatDeviceTree
{
    /// <summary>The nodes above a node, the root first.</summary>
    /// <param name="node">The node.</param>
    /// <param name="ancestors">Room for <see cref="MaximumDepth"/> nodes.</param>
    /// <returns>How many there are: 0 for the root.</returns>
    public readonly int Ancestors(DeviceTreeNode node, scoped Span<DeviceTreeNode> ancestors)
    {
        int depth = 0;
        for (int offset = rootOffset; offset < node.Offset; offset = After(offset))
        {
            uint token = Token(offset);
            if (token == TokenBeginNode)
            {
                ancestors[depth] = new DeviceTreeNode(offset);
                depth++;
            }
            else if (token == TokenEndNode)
            {
                depth--;
            }
        }

        return depth;
    }

    /// <summary>
    /// Entry <paramref name="index"/> of a node's <c>reg</c>, translated through the <c>ranges</c> of every bus
    /// above it to the CPU's addresses (Devicetree Specification 2.3.6 and 2.3.8).
    /// </summary>
    public readonly DeviceTreeError TryReadRegister(DeviceTreeNode node, int index, out AddressRange range)
    {
        range = default;
        if (!TryGetProperty(node, "reg"u8, out ReadOnlySpan<byte> value))
        {
            return DeviceTreeError.NotFound;
        }

        Span<DeviceTreeNode> buses = stackalloc DeviceTreeNode[MaximumDepth];
        int depth = Ancestors(node, buses);
        if (depth == 0)
        {
            return DeviceTreeError.NotFound;
        }

        if (!TryReadCellCounts(buses[depth - 1], out int addressCells, out int sizeCells))
        {
            return DeviceTreeError.BadCells;
        }

        int entry = (addressCells + sizeCells) * 4;
        if (entry == 0 || value.Length % entry != 0)
        {
            return DeviceTreeError.BadCells;
        }

        if ((uint)index >= (uint)(value.Length / entry))
        {
            return DeviceTreeError.NotFound;
        }

        value = value.Slice(index * entry);
        range.Start = ReadCells(value, addressCells);
        range.Size = ReadCells(value.Slice(addressCells * 4), sizeCells);
        for (int bus = depth - 1; bus > 0; bus--)
        {
            DeviceTreeError error = Translate(buses[bus], buses[bus - 1], ref range);
            if (error != DeviceTreeError.None)
            {
                return error;
            }
        }

        return range.Start + range.Size < range.Start ? DeviceTreeError.BadCells : DeviceTreeError.None;
    }

    /// <summary>
    /// A node's <c>#address-cells</c> and <c>#size-cells</c>, 2 and 1 where they are absent; false when an address
    /// or a size does not fit into 64 bits.
    /// </summary>
    public readonly bool TryReadCellCounts(DeviceTreeNode bus, out int addressCells, out int sizeCells)
    {
        uint address = TryGetCell(bus, "#address-cells"u8, out uint cells) ? cells : 2;
        uint size = TryGetCell(bus, "#size-cells"u8, out cells) ? cells : 1;
        addressCells = address <= 2 ? (int)address : 0;
        sizeCells = size <= 2 ? (int)size : 0;
        return address <= 2 && size <= 2;
    }

    /// <summary>A number of 0, 1 or 2 cells at the beginning of <paramref name="value"/>.</summary>
    internal static ulong ReadCells(ReadOnlySpan<byte> value, int cells) => cells switch
    {
        0 => 0,
        1 => BinaryPrimitives.ReadUInt32BigEndian(value),
        _ => BinaryPrimitives.ReadUInt64BigEndian(value),
    };

    private readonly DeviceTreeError Translate(DeviceTreeNode bus, DeviceTreeNode parent, ref AddressRange range)
    {
        if (!TryGetProperty(bus, "ranges"u8, out ReadOnlySpan<byte> ranges))
        {
            return DeviceTreeError.NotTranslatable;
        }

        if (ranges.Length == 0)
        {
            return DeviceTreeError.None;
        }

        if (!TryReadCellCounts(bus, out int childCells, out int sizeCells)
            || !TryReadCellCounts(parent, out int parentCells, out _))
        {
            return DeviceTreeError.BadCells;
        }

        int entry = (childCells + parentCells + sizeCells) * 4;
        if (entry == 0 || ranges.Length % entry != 0)
        {
            return DeviceTreeError.BadCells;
        }

        for (; ranges.Length != 0; ranges = ranges.Slice(entry))
        {
            ulong childStart = ReadCells(ranges, childCells);
            ulong parentStart = ReadCells(ranges.Slice(childCells * 4), parentCells);
            ulong size = ReadCells(ranges.Slice((childCells + parentCells) * 4), sizeCells);
            ulong within = range.Start - childStart;
            if (range.Start >= childStart && within <= size && range.Size <= size - within)
            {
                range.Start = parentStart + within;
                return range.Start < parentStart ? DeviceTreeError.NotTranslatable : DeviceTreeError.None;
            }
        }

        return DeviceTreeError.NotTranslatable;
    }
}

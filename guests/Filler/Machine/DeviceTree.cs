using System;
using System.Buffers.Binary;

namespace Quietus.Filler.Machine;

/// <summary>
/// A reader of the flattened device tree (Devicetree Specification v0.4, chapter 5), written apart from the
/// hypervisor's, so that the two check each other. It goes over the structure block once, token by token.
/// </summary>
/// <remarks>The guest believes its tree: a malformed one ends in a failed check, and the guest says so.</remarks>
internal ref struct DeviceTree
{
    private const uint Magic = 0xD00DFEED;
    private const uint BeginNode = 1;
    private const uint EndNode = 2;
    private const uint PropertyToken = 3;
    private const uint Nop = 4;

    private readonly ReadOnlySpan<byte> _structure;
    private readonly ReadOnlySpan<byte> _strings;
    private int _offset;

    private DeviceTree(ReadOnlySpan<byte> structure, ReadOnlySpan<byte> strings)
    {
        _structure = structure;
        _strings = strings;
        _offset = 0;
    }

    /// <summary>Whether the reader has just entered a node.</summary>
    internal bool HasEntered { get; private set; }

    /// <summary>How many nodes the reader is in: 1 in the root.</summary>
    internal int Depth { get; private set; }

    /// <summary>The name of the node that was entered last.</summary>
    internal ReadOnlySpan<byte> NodeName { get; private set; }

    /// <summary>The property's name; empty when the reader has just entered or left a node.</summary>
    internal ReadOnlySpan<byte> PropertyName { get; private set; }

    /// <summary>The property's value.</summary>
    internal ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>The size that a blob's header gives, or 0 when it is no device tree.</summary>
    internal static int Size(ReadOnlySpan<byte> header) =>
        BinaryPrimitives.ReadUInt32BigEndian(header) == Magic
            ? (int)BinaryPrimitives.ReadUInt32BigEndian(header.Slice(4))
            : 0;

    /// <summary>A reader at the beginning of a whole blob.</summary>
    internal static DeviceTree Open(ReadOnlySpan<byte> blob) => new(
        blob.Slice((int)BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(8))),
        blob.Slice((int)BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(12))));

    /// <summary>Goes to the next beginning of a node, end of a node, or property; false at the tree's end.</summary>
    internal bool Next()
    {
        uint token = Word();
        while (token == Nop)
        {
            token = Word();
        }

        PropertyName = default;
        HasEntered = token == BeginNode;
        switch (token)
        {
            case BeginNode:
                NodeName = Texts.Until(_structure.Slice(_offset), 0);
                _offset = (_offset + NodeName.Length + 4) & ~3;
                Depth++;
                return true;
            case EndNode:
                Depth--;
                return true;
            case PropertyToken:
                int length = (int)Word();
                PropertyName = Texts.Until(_strings.Slice((int)Word()), 0);
                Value = _structure.Slice(_offset, length);
                _offset = (_offset + length + 3) & ~3;
                return true;
            default:
                return false;
        }
    }

    private uint Word()
    {
        uint word = BinaryPrimitives.ReadUInt32BigEndian(_structure.Slice(_offset));
        _offset += 4;
        return word;
    }
}

using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>
/// A node of a <see cref="FlatDeviceTree"/>: where its FDT_BEGIN_NODE token is in the structure block.
/// </summary>
public readonly struct DeviceTreeNode
{
    /// <summary>Made by the tree only.</summary>
    internal DeviceTreeNode(int offset) => Offset = offset;

    /// <summary>Byte offset in the structure block.</summary>
    internal int Offset { get; }
}

/// <summary>
/// Reader of a flattened device tree (Devicetree Specification v0.4, chapter 5).
/// Invariant: <see cref="Open"/> has gone over the whole structure block once, so that every token, name and
/// property that the other members meet is complete and nested; they are loops that only move forward.
/// </summary>
/// <remarks>
/// <code>
///  header | reservations | structure                                     | strings
///         | address,size | BEGIN "" PROP len nameoff value.. BEGIN .. END | "compatible\0reg\0..."
///         | ... 0,0      | ... END FDT_END                               |
/// </code>
/// </remarks>
public ref partial struct FlatDeviceTree
{
    /// <summary>How deep nodes may be nested, the root counted as 1.</summary>
    public const int MaximumDepth = 32;

    /// <summary>The header's length in bytes in version 17.</summary>
    public const int HeaderLength = 40;

    /// <summary>The longest blob in bytes: eight times what the arm64 boot protocol allows.</summary>
    public const int MaximumLength = 16 << 20;

    internal const uint Magic = 0xD00DFEED;
    internal const uint TokenBeginNode = 1;
    internal const uint TokenEndNode = 2;
    internal const uint TokenProperty = 3;
    internal const uint TokenNop = 4;
    internal const uint TokenEnd = 9;

    private const int TotalSizeOffset = 4;
    private const int StructureOffsetOffset = 8;
    private const int StringsOffsetOffset = 12;
    private const int ReservationOffsetOffset = 16;
    private const int VersionOffset = 20;
    private const int CompatibleVersionOffset = 24;
    private const int StringsSizeOffset = 32;
    private const int StructureSizeOffset = 36;

    private ReadOnlySpan<byte> reservations;
    private ReadOnlySpan<byte> structure;
    private ReadOnlySpan<byte> strings;
    private int rootOffset;

    /// <summary>The root node.</summary>
    public readonly DeviceTreeNode Root => new(rootOffset);

    /// <summary>The number of entries in the memory reservation block.</summary>
    public readonly int ReservationCount => reservations.Length / 16;

    /// <summary>
    /// The total size in bytes that a blob's header gives, for a caller who has only its address so far.
    /// </summary>
    /// <param name="header">At least <see cref="HeaderLength"/> bytes.</param>
    /// <param name="bytes">The size; at most <see cref="MaximumLength"/>.</param>
    public static DeviceTreeError ReadTotalSize(ReadOnlySpan<byte> header, out int bytes)
    {
        bytes = 0;
        if (header.Length < HeaderLength)
        {
            return DeviceTreeError.TooShort;
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(header) != Magic)
        {
            return DeviceTreeError.BadMagic;
        }

        uint size = BinaryPrimitives.ReadUInt32BigEndian(header.Slice(TotalSizeOffset));
        if (size is < HeaderLength or > MaximumLength)
        {
            return DeviceTreeError.BadLayout;
        }

        bytes = (int)size;
        return DeviceTreeError.None;
    }

    /// <summary>Checks a whole blob, and makes it readable.</summary>
    public static DeviceTreeError Open(ReadOnlySpan<byte> blob, out FlatDeviceTree tree)
    {
        tree = default;
        DeviceTreeError error = ReadTotalSize(blob, out int size);
        if (error != DeviceTreeError.None)
        {
            return error;
        }

        if (size > blob.Length)
        {
            return DeviceTreeError.TooShort;
        }

        blob = blob.Slice(0, size);
        uint version = BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(VersionOffset));
        if (version < 16 || BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(CompatibleVersionOffset)) > 17)
        {
            return DeviceTreeError.BadVersion;
        }

        FlatDeviceTree opened = default;
        uint structureOffset = BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(StructureOffsetOffset));
        uint structureSize = version >= 17
            ? BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(StructureSizeOffset))
            : (uint)size - structureOffset;
        uint stringsOffset = BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(StringsOffsetOffset));
        uint stringsSize = BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(StringsSizeOffset));
        if (structureOffset % 4 != 0
            || !TrySlice(blob, structureOffset, structureSize, out opened.structure)
            || !TrySlice(blob, stringsOffset, stringsSize, out opened.strings))
        {
            return DeviceTreeError.BadLayout;
        }

        error = ReadReservations(
            blob, BinaryPrimitives.ReadUInt32BigEndian(blob.Slice(ReservationOffsetOffset)), out opened.reservations);
        if (error == DeviceTreeError.None)
        {
            error = opened.CheckStructure();
        }

        if (error == DeviceTreeError.None)
        {
            tree = opened;
        }

        return error;
    }

    /// <summary>An entry of the memory reservation block; both 0 when there is no such entry.</summary>
    public readonly void ReservationAt(int index, out ulong address, out ulong size)
    {
        address = 0;
        size = 0;
        if ((uint)index < (uint)ReservationCount)
        {
            address = BinaryPrimitives.ReadUInt64BigEndian(reservations.Slice(index * 16));
            size = BinaryPrimitives.ReadUInt64BigEndian(reservations.Slice((index * 16) + 8));
        }
    }

    /// <summary>A node's name with its unit address; the root's is empty.</summary>
    public readonly ReadOnlySpan<byte> Name(DeviceTreeNode node) => TextAt(structure, node.Offset + 4);

    /// <summary>A node's first child.</summary>
    public readonly bool TryFirstChild(DeviceTreeNode node, out DeviceTreeNode child)
    {
        int offset = SkipProperties(AfterName(node.Offset));
        child = new DeviceTreeNode(offset);
        return Token(offset) == TokenBeginNode;
    }

    /// <summary>The next child of a node's parent.</summary>
    public readonly bool TryNextSibling(DeviceTreeNode node, out DeviceTreeNode sibling)
    {
        int depth = 0;
        int offset = node.Offset;
        do
        {
            uint token = Token(offset);
            depth += token == TokenBeginNode ? 1 : token == TokenEndNode ? -1 : 0;
            offset = After(offset);
        }
        while (depth != 0);

        while (Token(offset) == TokenNop)
        {
            offset += 4;
        }

        sibling = new DeviceTreeNode(offset);
        return Token(offset) == TokenBeginNode;
    }

    /// <summary>The next node in the order in which the blob has them, parents before children.</summary>
    public readonly bool TryNext(DeviceTreeNode node, out DeviceTreeNode next)
    {
        int offset = After(node.Offset);
        while (Token(offset) is not (TokenBeginNode or TokenEnd))
        {
            offset = After(offset);
        }

        next = new DeviceTreeNode(offset);
        return Token(offset) == TokenBeginNode;
    }

    /// <summary>Goes over a node's properties.</summary>
    /// <param name="node">The node.</param>
    /// <param name="cursor">0 at first; then what the call before left there.</param>
    /// <param name="name">The property's name.</param>
    /// <param name="value">The property's value.</param>
    public readonly bool TryNextProperty(
        DeviceTreeNode node, scoped ref int cursor, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        int offset = cursor == 0 ? AfterName(node.Offset) : cursor;
        while (Token(offset) == TokenNop)
        {
            offset += 4;
        }

        if (Token(offset) != TokenProperty)
        {
            name = default;
            value = default;
            return false;
        }

        int length = (int)ReadStructure(offset + 4);
        name = TextAt(strings, (int)ReadStructure(offset + 8));
        value = structure.Slice(offset + 12, length);
        cursor = After(offset);
        return true;
    }

    /// <summary>A node's property by its name.</summary>
    public readonly bool TryGetProperty(
        DeviceTreeNode node, scoped ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        int cursor = 0;
        while (TryNextProperty(node, ref cursor, out ReadOnlySpan<byte> found, out value))
        {
            if (found.SequenceEqual(name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A property that is one cell of 32 bits.</summary>
    public readonly bool TryGetCell(DeviceTreeNode node, scoped ReadOnlySpan<byte> name, out uint value)
    {
        value = 0;
        if (!TryGetProperty(node, name, out ReadOnlySpan<byte> bytes) || bytes.Length != 4)
        {
            return false;
        }

        value = BinaryPrimitives.ReadUInt32BigEndian(bytes);
        return true;
    }

    /// <summary>A property that is a string: its text without the terminating zero.</summary>
    public readonly bool TryGetText(DeviceTreeNode node, scoped ReadOnlySpan<byte> name, out ReadOnlySpan<byte> text)
    {
        if (!TryGetProperty(node, name, out text))
        {
            return false;
        }

        int end = text.IndexOf((byte)0);
        if (end < 0)
        {
            return false;
        }

        text = text.Slice(0, end);
        return true;
    }

    /// <summary>The index of <paramref name="text"/> in a property that is a list of strings, or -1.</summary>
    public readonly int IndexInTexts(
        DeviceTreeNode node, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> text)
    {
        if (!TryGetProperty(node, name, out ReadOnlySpan<byte> list))
        {
            return -1;
        }

        for (int index = 0; list.Length != 0; index++)
        {
            int end = list.IndexOf((byte)0);
            if (end < 0)
            {
                return -1;
            }

            if (list.Slice(0, end).SequenceEqual(text))
            {
                return index;
            }

            list = list.Slice(end + 1);
        }

        return -1;
    }

    /// <summary>Whether <paramref name="compatible"/> is one of the values of a node's <c>compatible</c>.</summary>
    public readonly bool IsCompatible(DeviceTreeNode node, scoped ReadOnlySpan<byte> compatible) =>
        IndexInTexts(node, "compatible"u8, compatible) >= 0;

    /// <summary>
    /// Whether a node may be used: it has no <c>status</c>, or <c>okay</c> (Devicetree Specification 2.3.4).
    /// </summary>
    public readonly bool IsAvailable(DeviceTreeNode node) =>
        !TryGetText(node, "status"u8, out ReadOnlySpan<byte> status)
        || status.SequenceEqual("okay"u8)
        || status.SequenceEqual("ok"u8);

    /// <summary>Whether a node's <c>device_type</c> is <paramref name="type"/>.</summary>
    public readonly bool IsOfType(DeviceTreeNode node, scoped ReadOnlySpan<byte> type) =>
        TryGetText(node, "device_type"u8, out ReadOnlySpan<byte> found) && found.SequenceEqual(type);

    /// <summary>The first available node that is compatible with <paramref name="compatible"/>.</summary>
    public readonly bool TryFindCompatible(scoped ReadOnlySpan<byte> compatible, out DeviceTreeNode node)
    {
        node = Root;
        do
        {
            if (IsCompatible(node, compatible) && IsAvailable(node))
            {
                return true;
            }
        }
        while (TryNext(node, out node));

        return false;
    }

    /// <summary>The node that /chosen's stdout-path names: a path or an alias, with options after a colon.</summary>
    public readonly bool TryFindConsole(out DeviceTreeNode node)
    {
        if (!TryFindPath("/chosen"u8, out node) || !TryGetText(node, "stdout-path"u8, out ReadOnlySpan<byte> path))
        {
            return false;
        }

        int options = path.IndexOf((byte)':');
        return TryFindPath(options < 0 ? path : path.Slice(0, options), out node);
    }

    /// <summary>The node whose <c>phandle</c> is <paramref name="phandle"/>.</summary>
    public readonly bool TryFindPhandle(uint phandle, out DeviceTreeNode node)
    {
        node = Root;
        do
        {
            if (TryGetCell(node, "phandle"u8, out uint found) && found == phandle)
            {
                return true;
            }
        }
        while (TryNext(node, out node));

        return false;
    }

    /// <summary>
    /// Finds a node by its path, or by an alias when the path does not begin with a slash. A component without a
    /// unit address matches the first node of that name with any unit address.
    /// </summary>
    public readonly bool TryFindPath(scoped ReadOnlySpan<byte> path, out DeviceTreeNode node)
    {
        node = Root;
        if (path.Length == 0)
        {
            return false;
        }

        if (path[0] != (byte)'/')
        {
            // An alias is followed once: its own value must be a full path.
            if (!TryFindPath("/aliases"u8, out DeviceTreeNode aliases)
                || !TryGetText(aliases, path, out path)
                || path.Length == 0
                || path[0] != (byte)'/')
            {
                return false;
            }
        }

        while (path.Length != 0)
        {
            path = path.Slice(1);
            int end = path.IndexOf((byte)'/');
            ReadOnlySpan<byte> component = end < 0 ? path : path.Slice(0, end);
            path = end < 0 ? default : path.Slice(end);
            if (component.Length != 0 && !TryFindChild(node, component, out node))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A node's child by its name, with or without its unit address.</summary>
    public readonly bool TryFindChild(DeviceTreeNode parent, scoped ReadOnlySpan<byte> name, out DeviceTreeNode child)
    {
        bool anyUnit = name.IndexOf((byte)'@') < 0;
        for (bool more = TryFirstChild(parent, out child); more; more = TryNextSibling(child, out child))
        {
            ReadOnlySpan<byte> found = Name(child);
            int unit = anyUnit ? found.IndexOf((byte)'@') : -1;
            if ((unit < 0 ? found : found.Slice(0, unit)).SequenceEqual(name))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TrySlice(ReadOnlySpan<byte> blob, uint offset, uint size, out ReadOnlySpan<byte> slice)
    {
        slice = default;
        if (offset > (uint)blob.Length || size > (uint)blob.Length - offset)
        {
            return false;
        }

        slice = blob.Slice((int)offset, (int)size);
        return true;
    }

    private static DeviceTreeError ReadReservations(
        ReadOnlySpan<byte> blob, uint offset, out ReadOnlySpan<byte> reservations)
    {
        reservations = default;
        if (offset % 8 != 0 || offset > (uint)blob.Length)
        {
            return DeviceTreeError.BadLayout;
        }

        ReadOnlySpan<byte> rest = blob.Slice((int)offset);
        for (int end = 0; end + 16 <= rest.Length; end += 16)
        {
            if (BinaryPrimitives.ReadUInt64BigEndian(rest.Slice(end)) == 0
                && BinaryPrimitives.ReadUInt64BigEndian(rest.Slice(end + 8)) == 0)
            {
                reservations = rest.Slice(0, end);
                return DeviceTreeError.None;
            }
        }

        return DeviceTreeError.BadReservationMap;
    }

    /// <summary>The text that begins at an offset; the offset and the terminating zero have been checked.</summary>
    private static ReadOnlySpan<byte> TextAt(ReadOnlySpan<byte> block, int offset)
    {
        ReadOnlySpan<byte> rest = block.Slice(offset);
        int length = rest.IndexOf((byte)0);
        return length < 0 ? rest : rest.Slice(0, length);
    }

    private static int Align(int offset) => (offset + 3) & ~3;

    /// <summary>One pass over all tokens: what it accepts, every other member can rely on.</summary>
    private DeviceTreeError CheckStructure()
    {
        int depth = 0;
        bool rootSeen = false;
        bool childSeen = false;
        int offset = 0;
        while (offset <= structure.Length - 4)
        {
            switch (Token(offset))
            {
                case TokenBeginNode:
                    if (depth == 0 && rootSeen)
                    {
                        return DeviceTreeError.BadNesting;
                    }

                    if (depth == MaximumDepth)
                    {
                        return DeviceTreeError.TooDeep;
                    }

                    if (structure.Slice(offset + 4).IndexOf((byte)0) < 0)
                    {
                        return DeviceTreeError.BadName;
                    }

                    if (!rootSeen)
                    {
                        rootOffset = offset;
                        rootSeen = true;
                    }

                    depth++;
                    childSeen = false;
                    break;
                case TokenEndNode:
                    if (depth == 0)
                    {
                        return DeviceTreeError.BadNesting;
                    }

                    depth--;
                    childSeen = true;
                    break;
                case TokenProperty:
                    if (depth == 0 || childSeen)
                    {
                        return DeviceTreeError.BadNesting;
                    }

                    DeviceTreeError error = CheckProperty(offset);
                    if (error != DeviceTreeError.None)
                    {
                        return error;
                    }

                    break;
                case TokenNop:
                    break;
                case TokenEnd:
                    return rootSeen && depth == 0 ? DeviceTreeError.None : DeviceTreeError.BadNesting;
                default:
                    return DeviceTreeError.BadToken;
            }

            offset = After(offset);
        }

        return DeviceTreeError.BadToken;
    }

    private readonly DeviceTreeError CheckProperty(int offset)
    {
        if (structure.Length - offset < 12)
        {
            return DeviceTreeError.BadToken;
        }

        if (ReadStructure(offset + 4) > (uint)(structure.Length - offset - 12))
        {
            return DeviceTreeError.BadToken;
        }

        uint name = ReadStructure(offset + 8);
        return name >= (uint)strings.Length || strings.Slice((int)name).IndexOf((byte)0) < 0
            ? DeviceTreeError.BadName
            : DeviceTreeError.None;
    }

    private readonly uint ReadStructure(int offset) => BinaryPrimitives.ReadUInt32BigEndian(structure.Slice(offset));

    /// <summary>The token at an offset; past the end of the block the end token, so that every loop ends.</summary>
    private readonly uint Token(int offset) =>
        (uint)offset <= (uint)(structure.Length - 4) ? ReadStructure(offset) : TokenEnd;

    /// <summary>The offset of the token after the one at <paramref name="offset"/>.</summary>
    private readonly int After(int offset) => Token(offset) switch
    {
        TokenBeginNode => AfterName(offset),
        TokenProperty => Align(offset + 12 + (int)ReadStructure(offset + 4)),
        _ => offset + 4,
    };

    private readonly int AfterName(int node) => Align(node + 4 + TextAt(structure, node + 4).Length + 1);

    private readonly int SkipProperties(int offset)
    {
        while (Token(offset) is TokenProperty or TokenNop)
        {
            offset = After(offset);
        }

        return offset;
    }
}

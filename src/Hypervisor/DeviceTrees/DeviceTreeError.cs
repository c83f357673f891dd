using System;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>What is wrong with a device tree blob, or with what is asked of it.</summary>
public enum DeviceTreeError
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The blob is shorter than its header, or than the total size that the header gives.</summary>
    TooShort,

    /// <summary>The blob does not begin with 0xd00dfeed.</summary>
    BadMagic,

    /// <summary>The blob's version is older than 16, or not compatible with 17.</summary>
    BadVersion,

    /// <summary>A block lies outside of the blob, or is not aligned as it must be.</summary>
    BadLayout,

    /// <summary>The memory reservation block has no end.</summary>
    BadReservationMap,

    /// <summary>The structure block has an unknown token in it, or ends in the middle of one.</summary>
    BadToken,

    /// <summary>A node's or property's name has no end, or lies outside of its block.</summary>
    BadName,

    /// <summary>
    /// Nodes are not properly nested, there is no root or more than one, or a property follows a child node.
    /// </summary>
    BadNesting,

    /// <summary>Nodes are nested deeper than <see cref="FlatDeviceTree.MaximumDepth"/>.</summary>
    TooDeep,

    /// <summary>There is no such node, property or entry.</summary>
    NotFound,

    /// <summary>
    /// A property has not the length that its meaning requires, or its number of cells is not supported.
    /// </summary>
    BadCells,

    /// <summary>
    /// An address cannot be translated: a bus on the way to the root has no <c>ranges</c> that covers it.
    /// </summary>
    NotTranslatable,

    /// <summary>The memory given to a writer is too small.</summary>
    NoRoom,
}

/// <summary>Texts for people.</summary>
public static class DeviceTreeErrors
{
    /// <summary>What <paramref name="error"/> means, as a clause without an end mark.</summary>
    public static ReadOnlySpan<byte> Describe(DeviceTreeError error) => error switch
    {
        DeviceTreeError.None => "the device tree is well formed"u8,
        DeviceTreeError.TooShort => "the device tree is shorter than it says"u8,
        DeviceTreeError.BadMagic => "there is no device tree (its magic number is missing)"u8,
        DeviceTreeError.BadVersion => "the device tree's version is not supported (16 or 17 is)"u8,
        DeviceTreeError.BadLayout => "a block of the device tree lies outside of it or is misaligned"u8,
        DeviceTreeError.BadReservationMap => "the device tree's memory reservation block has no end"u8,
        DeviceTreeError.BadToken => "the device tree's structure block has an unknown or cut-off token"u8,
        DeviceTreeError.BadName => "a name in the device tree has no end"u8,
        DeviceTreeError.BadNesting => "the device tree's nodes are not properly nested"u8,
        DeviceTreeError.TooDeep => "the device tree's nodes are nested too deeply"u8,
        DeviceTreeError.NotFound => "the device tree lacks a node or property"u8,
        DeviceTreeError.BadCells => "a device tree property has the wrong length or unsupported cells"u8,
        DeviceTreeError.NotTranslatable => "an address in the device tree cannot be translated to the CPU's view"u8,
        _ => "the device tree does not fit into its memory"u8,
    };
}

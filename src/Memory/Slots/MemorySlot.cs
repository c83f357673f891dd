using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>Who owns the frames behind a slot.</summary>
public enum SlotBacking : byte
{
    /// <summary>This layer: frames come from the pool on demand, zeroed, and go back when they are unmapped.</summary>
    Pool,

    /// <summary>
    /// Another owner, called the host here: a device's registers, a flash image, another process. Faults ask
    /// the caller for the page; unmapping only unmaps.
    /// </summary>
    Host,
}

/// <summary>In what sizes a slot's memory is mapped.</summary>
public enum PageSizing : byte
{
    /// <summary>Granule pages only.</summary>
    Pages,

    /// <summary>
    /// 2 MB blocks wherever the slot holds the whole aligned block, granule pages elsewhere. A pool that has no
    /// whole chunk left is out of memory.
    /// </summary>
    Blocks,

    /// <summary>As <see cref="Blocks"/>, but granule pages where no whole chunk is left.</summary>
    Auto,
}

/// <summary>What a new slot is to be.</summary>
public readonly struct SlotOptions
{
    /// <summary>Ordinary guest RAM out of the pool.</summary>
    public static SlotOptions Ram(PageSizing sizing) => new(
        SlotBacking.Pool, sizing, MemoryType.NormalWriteBack, false, PageFate.AnonymousLastMappingFreed);

    /// <param name="backing">Whose frames they are.</param>
    /// <param name="sizing">In what sizes they are mapped. A host's supply decides for itself.</param>
    /// <param name="type">The memory type at Stage-2; pool memory is always Normal write-back.</param>
    /// <param name="isReadOnly">Guest writes are answered with <see cref="FaultResult.ReadOnly"/>.</param>
    /// <param name="fateAtRemoval">
    /// What becomes of the pages when the slot is removed or the VM dies. Of pool memory it is always
    /// <see cref="PageFate.AnonymousLastMappingFreed"/>.
    /// </param>
    public SlotOptions(
        SlotBacking backing, PageSizing sizing, MemoryType type, bool isReadOnly, PageFate fateAtRemoval)
    {
        Backing = backing;
        Sizing = sizing;
        Type = type;
        IsReadOnly = isReadOnly;
        FateAtRemoval = fateAtRemoval;
    }

    /// <summary>Whose frames they are.</summary>
    public SlotBacking Backing { get; }

    /// <summary>In what sizes they are mapped.</summary>
    public PageSizing Sizing { get; }

    /// <summary>The memory type at Stage-2.</summary>
    public MemoryType Type { get; }

    /// <summary>Guest writes are refused.</summary>
    public bool IsReadOnly { get; }

    /// <summary>What becomes of the pages at the end.</summary>
    public PageFate FateAtRemoval { get; }

    /// <summary>
    /// A template's pages of it are no child's: a freeze unmaps them, and each child's first touch gives it its own.
    /// </summary>
    public bool IsPrivate { get; init; }

    internal bool IsSound =>
        Backing <= SlotBacking.Host && Sizing <= PageSizing.Auto && Type <= MemoryType.Device
        && FateAtRemoval <= PageFate.StaysInPlace
        && (Backing == SlotBacking.Host
            || (Type == MemoryType.NormalWriteBack && FateAtRemoval == PageFate.AnonymousLastMappingFreed));
}

/// <summary>
/// A region of guest-physical memory. Slots do not overlap; whatever lies in none is not memory, and an access
/// to it is the device emulation's.
/// </summary>
public struct MemorySlot
{
    internal ulong First;
    internal ulong Bytes;
    internal SlotOptions Slot;
    internal UnmanagedArray<ulong> Dirty;
    internal bool IsLogged;

    /// <summary>
    /// <see cref="LeafAttributes.Bits"/> of a leaf that is mapped by a write: for others some are taken away.
    /// </summary>
    internal uint Attributes;

    /// <summary>
    /// What a fault of data maps here but for the address, encoded once; 0 where that is not all there is to a fault:
    /// before the first, while writes are logged, where <see cref="GivesOrdinaryPages"/> is false.
    /// </summary>
    internal ulong OrdinaryLeaf;

    /// <summary>Bit n: the guest may try <see cref="AccessKind"/> n.</summary>
    internal byte Permitted;

    /// <summary>The first address.</summary>
    public readonly Ipa Start => new(First);

    /// <summary>The first address past the slot.</summary>
    public readonly Ipa End => new(First + Bytes);

    /// <summary>What it was made as.</summary>
    public readonly SlotOptions Options => Slot;

    internal readonly bool Exists => Bytes != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly bool Contains(ulong address) => address - First < Bytes;

    /// <summary>Faults are answered by pages of the pool, and nothing has to be written down about them.</summary>
    internal readonly bool GivesOrdinaryPages
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Slot.Backing == SlotBacking.Pool && Slot.Sizing == PageSizing.Pages && !IsLogged;
    }

    /// <summary>Whether an access of this kind is memory's to answer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly bool Permits(AccessKind access) => ((Permitted >> (int)access) & 1) != 0;

    internal static byte PermittedBy(SlotOptions options)
    {
        int permitted = 1 << (int)AccessKind.Read;
        permitted |= options.IsReadOnly ? 0 : 1 << (int)AccessKind.Write;
        permitted |= options.Type == MemoryType.Device ? 0 : 1 << (int)AccessKind.Execute;
        return (byte)permitted;
    }

    /// <summary>Whether the slot holds the whole aligned block around an address.</summary>
    internal readonly bool HoldsBlock(ulong address, ulong blockBytes)
    {
        ulong block = address & ~(blockBytes - 1);
        return block >= First && Bytes >= blockBytes && block - First <= Bytes - blockBytes;
    }
}

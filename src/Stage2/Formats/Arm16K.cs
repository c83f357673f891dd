using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// Stage-2 with the 16K granule: tables of 2048 entries; pages of 16K at level 3, blocks of 32M at 2.
/// The descriptors are drawn at <see cref="ArmDescriptor"/>.
/// </summary>
public readonly struct Arm16K : IDescriptorFormat
{
    public static int GranuleShift => 14;

    public static int BitsPerLevel => 11;

    public static int MaximumOutputBits => 48;

    public static int GranuleCode => 2;

    public static ulong Invalid => 0;

    public static bool HasLeafAt(int level) => level is >= 2 and <= Stage2Geometry.LastLevel;

    /// <summary>Runs of 128 pages or 32 blocks.</summary>
    public static int ContiguousShift(int level) => level switch
    {
        3 => 7,
        2 => 5,
        _ => 0,
    };

    public static bool IsValid(ulong entry) => ArmDescriptor.IsValid(entry);

    public static bool IsTable(ulong entry, int level) => ArmDescriptor.IsTable(entry, level);

    public static ulong Table(Pa table) => ArmDescriptor.Table(table);

    public static Pa TableAddress(ulong entry) => ArmDescriptor.Address(entry, GranuleShift);

    public static int TableCount(ulong entry) => ArmDescriptor.TableCount(entry);

    public static ulong WithTableCount(ulong entry, int count) => ArmDescriptor.WithTableCount(entry, count);

    public static ulong CountingOneMore(ulong entry) => WithTableCount(entry, TableCount(entry) + 1);

    public static ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        ArmDescriptor.LeafTemplate(attributes, level, forcedWriteBack);

    public static ulong Leaf(ulong attributes, Pa output) => attributes | output.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NextPage(ulong page) => page + (1UL << GranuleShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pa OutputAddress(ulong entry, int level) =>
        ArmDescriptor.Address(entry, Stage2Geometry.LevelShift<Arm16K>(level));

    public static LeafAttributes Attributes(ulong entry, bool forcedWriteBack) =>
        ArmDescriptor.Attributes(entry, forcedWriteBack);

    public static bool IsDevice(ulong entry, bool forcedWriteBack) => ArmDescriptor.IsDevice(entry, forcedWriteBack);

    public static ulong WithAccessed(ulong entry, bool accessed) => ArmDescriptor.WithAccessed(entry, accessed);

    public static ulong WithPermissions(ulong entry, LeafAttributes attributes) =>
        ArmDescriptor.WithPermissions(entry, attributes);

    public static ulong WithoutWrite(ulong entry) => ArmDescriptor.WithoutWrite(entry);

    public static bool IsContiguous(ulong entry) => ArmDescriptor.IsContiguous(entry);

    public static ulong WithContiguous(ulong entry, bool contiguous) =>
        ArmDescriptor.WithContiguous(entry, contiguous);

    public static ulong Park(ulong leaf) => ArmDescriptor.Park(leaf);

    public static ulong Unpark(ulong parked) => ArmDescriptor.Unpark(parked);

    public static bool IsParked(ulong entry) => ArmDescriptor.IsParked(entry);

    /// <summary>An aligned address has a clear valid bit: it is an invalid descriptor as it stands.</summary>
    public static ulong Link(Pa table) => table.Value;

    public static Pa LinkTarget(ulong link) => new(link);
}

namespace Quietus.Stage2;

/// <summary>
/// A translation table's descriptor format. All members are static, so that each format is compiled into the engine
/// by itself. Levels are the architecture's: pages are at level 3, and tables are at 0 (some day -1) to 3.
/// <para>
/// Descriptors are 64 bits. Three rules bind every format: a zeroed table is a table of invalid descriptors; a table
/// descriptor has room, in bits that hardware ignores, for a count from 0 to the entries of one table; and table
/// descriptors look alike at every level that has them. Leaves need not: they are encoded and read with their level.
/// </para>
/// </summary>
public interface IDescriptorFormat
{
    /// <summary>log2 of the bytes of a page, and of the size and alignment of a table.</summary>
    static abstract int GranuleShift { get; }

    /// <summary>Input address bits that one table resolves.</summary>
    static abstract int BitsPerLevel { get; }

    /// <summary>Output address bits, at most: 48 for the formats built so far.</summary>
    static abstract int MaximumOutputBits { get; }

    /// <summary>What the engine writes to break or remove an entry.</summary>
    static abstract ulong Invalid { get; }

    /// <summary>Whether a leaf may be at <paramref name="level"/>.</summary>
    static abstract bool HasLeafAt(int level);

    /// <summary>
    /// log2 of the entries of an aligned run that may carry the contiguous bit at this level; 0 where there is none.
    /// </summary>
    static abstract int ContiguousShift(int level);

    /// <summary>Whether hardware uses the descriptor at all. False for parked entries.</summary>
    static abstract bool IsValid(ulong entry);

    /// <summary>Whether a valid descriptor at <paramref name="level"/> leads to a table of the next level.</summary>
    static abstract bool IsTable(ulong entry, int level);

    /// <summary>A descriptor of a table of the next level, with a count of zero.</summary>
    static abstract ulong Table(Pa table);

    /// <summary>Where a table descriptor leads.</summary>
    static abstract Pa TableAddress(ulong entry);

    /// <summary>
    /// The number of valid entries in the table to which this descriptor leads. It is kept in bits that hardware
    /// ignores, because a walk has the descriptor in a register already: no other place costs fewer instructions.
    /// </summary>
    static abstract int TableCount(ulong entry);

    /// <summary>The same table descriptor with another count.</summary>
    static abstract ulong WithTableCount(ulong entry, int count);

    /// <summary>The same table descriptor, counting one more. The count is less than the entries of a table.</summary>
    static abstract ulong CountingOneMore(ulong entry);

    /// <summary>
    /// All of a leaf descriptor but its output address: attributes in the format's own layout, valid. To be combined
    /// by <see cref="Leaf"/>, so that a range encodes its attributes once.
    /// </summary>
    static abstract ulong LeafTemplate(LeafAttributes attributes, int level, bool forcedWriteBack);

    /// <summary>
    /// A leaf descriptor from a template of the same level. The address is aligned to the leaf's size.
    /// </summary>
    static abstract ulong Leaf(ulong attributes, Pa output);

    /// <summary>The page, valid or parked, that follows in memory: the same attributes, one granule further.</summary>
    static abstract ulong NextPage(ulong page);

    /// <summary>The output address of a leaf, valid or parked.</summary>
    static abstract Pa OutputAddress(ulong entry, int level);

    /// <summary>The attributes of a leaf, valid or parked.</summary>
    static abstract LeafAttributes Attributes(ulong entry, bool forcedWriteBack);

    /// <summary>
    /// Whether the leaf's memory, valid or parked, is mapped as a device: then it has no cache lines.
    /// </summary>
    static abstract bool IsDevice(ulong entry, bool forcedWriteBack);

    /// <summary>The leaf with its access flag (AF) set or clear.</summary>
    static abstract ulong WithAccessed(ulong entry, bool accessed);

    /// <summary>The leaf with the read, write and execute-never permissions of <paramref name="attributes"/>.</summary>
    static abstract ulong WithPermissions(ulong entry, LeafAttributes attributes);

    static abstract ulong WithoutWrite(ulong entry);

    static abstract bool IsContiguous(ulong entry);

    static abstract ulong WithContiguous(ulong entry, bool contiguous);

    /// <summary>
    /// The leaf or table made invalid, but with all the rest kept: so that what was broken can be made again, or
    /// maintained and freed once the TLB has been invalidated.
    /// </summary>
    static abstract ulong Park(ulong leaf);

    /// <summary>The leaf or table that was parked, valid again.</summary>
    static abstract ulong Unpark(ulong parked);

    /// <summary>Whether an invalid entry of the last level is a parked leaf.</summary>
    static abstract bool IsParked(ulong entry);
}

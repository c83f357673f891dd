using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// The most that a slot of pool memory can come to, tables included: what a VM is promised when it is made, so that it
/// never finds the pool empty while it is within its own size.
/// </summary>
/// <remarks>
/// Why the bound holds. A chunk is cut into frames only when every frame of the VM's other cut chunks is in use, but
/// for those few that one operation reserves for tables at once. So the cut chunks are as many as their frames fill,
/// and one for that rest. A block has a chunk of its own. A page or block that two vCPUs fault on at once is taken
/// twice for a moment: the second waits, see <see cref="VmFrames.MayHaveMoreSoon"/>.
/// <para>
/// It does not hold for blocks of which a host takes parts away one by one: what is left of each holds its chunk. Such
/// a VM can have more only while the pool has chunks that are promised to no other.
/// </para>
/// </remarks>
public static class MemoryBound
{
    /// <summary>Table pages that one operation reserves at most, on two edges of a range.</summary>
    private const ulong MostReserved = 8;

    /// <summary>Whether a whole chunk is a block of this format.</summary>
    internal static bool HasPoolBlocks<TFormat>()
        where TFormat : struct, IDescriptorFormat =>
        Stage2Geometry.LevelShift<TFormat>(Stage2Geometry.LastLevel - 1) == FramePool.ChunkShift
        && TFormat.HasLeafAt(Stage2Geometry.LastLevel - 1);

    /// <summary>Table pages that a slot can come to, the root's included.</summary>
    /// <param name="geometry">The VM's, of the same format.</param>
    /// <param name="start">The slot's first address.</param>
    /// <param name="bytes">Its size, not 0; the slot is inside the geometry.</param>
    /// <param name="sizing">In what sizes it is mapped.</param>
    public static ulong Tables<TFormat>(Stage2Geometry geometry, Ipa start, ulong bytes, PageSizing sizing)
        where TFormat : struct, IDescriptorFormat
    {
        ulong tables = (ulong)geometry.RootTables;
        for (int level = geometry.StartLevel + 1; level < Stage2Geometry.LastLevel; level++)
        {
            tables += Entries<TFormat>(start, bytes, level - 1);
        }

        ulong last = Entries<TFormat>(start, bytes, Stage2Geometry.LastLevel - 1);
        return tables + (IsByBlocks<TFormat>(sizing) ? last - WholeBlocks(start, bytes) : last);
    }

    /// <summary>Chunks that a slot can come to, with its tables.</summary>
    /// <param name="geometry">The VM's, of the same format.</param>
    /// <param name="start">The slot's first address.</param>
    /// <param name="bytes">Its size, not 0; the slot is inside the geometry.</param>
    /// <param name="sizing">In what sizes it is mapped.</param>
    /// <param name="otherFrames">Pages and tables of other, small slots of the VM.</param>
    public static ulong Chunks<TFormat>(
        Stage2Geometry geometry, Ipa start, ulong bytes, PageSizing sizing, ulong otherFrames = 0)
        where TFormat : struct, IDescriptorFormat
    {
        // With PageSizing.Auto each block may be pages instead: as many chunks, and a table for each.
        ulong blocks = HasPoolBlocks<TFormat>() && sizing != PageSizing.Pages ? WholeBlocks(start, bytes) : 0;
        ulong pages = (bytes - (blocks << FramePool.ChunkShift)) >> TFormat.GranuleShift;
        ulong frames = pages + Tables<TFormat>(geometry, start, bytes, sizing) + MostReserved + otherFrames;
        ulong perChunk = FramePool.ChunkBytes >> TFormat.GranuleShift;
        return blocks + ((frames + perChunk - 1) / perChunk);
    }

    private static bool IsByBlocks<TFormat>(PageSizing sizing)
        where TFormat : struct, IDescriptorFormat => HasPoolBlocks<TFormat>() && sizing == PageSizing.Blocks;

    /// <summary>Entries of a level that a range touches.</summary>
    private static ulong Entries<TFormat>(Ipa start, ulong bytes, int level)
        where TFormat : struct, IDescriptorFormat
    {
        int shift = Stage2Geometry.LevelShift<TFormat>(level);
        return ((start.Value + bytes - 1) >> shift) - (start.Value >> shift) + 1;
    }

    /// <summary>Aligned chunks that a range holds whole.</summary>
    private static ulong WholeBlocks(Ipa start, ulong bytes)
    {
        ulong first = (start.Value + FramePool.ChunkBytes - 1) >> FramePool.ChunkShift;
        ulong end = (start.Value + bytes) >> FramePool.ChunkShift;
        return end > first ? end - first : 0;
    }
}

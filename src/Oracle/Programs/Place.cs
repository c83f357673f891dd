using System;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>The slots of a program's VM.</summary>
internal enum Region : byte
{
    /// <summary>The pool's memory, by pages.</summary>
    Small,

    /// <summary>The pool's memory, by blocks where there may be some.</summary>
    Block,

    /// <summary>A file of the host's, the same one for all VMs.</summary>
    File,

    /// <summary>Anonymous memory of the VMM.</summary>
    Anonymous,

    /// <summary>A file of the host's in huge pages, the same one for all VMs.</summary>
    Huge,
}

/// <summary>An address that programs use.</summary>
internal readonly record struct Place(Region Region, int Index, ulong Ipa);

/// <summary>Where a VM's slots lie, and which of their pages programs use.</summary>
internal static class Places<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    /// <summary>Pages of the file, and of the VMM's memory.</summary>
    public const int FilePages = 8;

    /// <summary>Pages of the pool's small slot.</summary>
    public const int SmallPages = 16;

    /// <summary>Pages of each block of the huge file that programs use.</summary>
    public const int PlacesPerBlock = 4;

    /// <summary>The level of a leaf that maps one block of the huge file.</summary>
    public const int HostBlockLevel = Stage2Geometry.LastLevel - 1;

    /// <summary>Steps name the huge file's pages from here on.</summary>
    private const int FirstHugePage = 64;

    /// <summary>Where blocks begin, end, and lie inside, in 4K.</summary>
    private static readonly int[] _blockPages = [0, 1, 7, 511, 512, 513, 700, 1023];

    public static ulong Granule => 1UL << TFormat.GranuleShift;

    public static ulong BlockSize => Stage2Geometry.LevelBytes<TFormat>(HostBlockLevel);

    /// <summary>Two, so that a range ends between them; one where each is 32 MB or 512 MB to track.</summary>
    public static int HugeBlocks => TFormat.GranuleShift == 12 ? 2 : 1;

    public static int HugePlaces => HugeBlocks * PlacesPerBlock;

    public static ulong StartOf(Region region) => region switch
    {
        Region.Small => 0x8000_0000,
        Region.Block => 0xC000_0000,
        Region.File => 0x1_0000_0000,
        Region.Anonymous => 0x1_4000_0000,
        _ => 0x1_8000_0000,
    };

    public static ulong BytesOf(Region region) => region switch
    {
        Region.Small => SmallPages * Granule,
        Region.Block => 2 * FramePool.ChunkBytes,
        Region.Huge => (ulong)HugeBlocks * BlockSize,
        _ => FilePages * Granule,
    };

    public static ulong EndOf(Region region) => StartOf(region) + BytesOf(region);

    /// <summary>The place that a step's page names.</summary>
    public static Place Of(int page) => page >= FirstHugePage
        ? Huge((page - FirstHugePage) % HugePlaces)
        : At((Region)(page & 3), page >> 2);

    /// <summary>A place of a region that is not the huge file, by its number there.</summary>
    public static Place At(Region region, int index)
    {
        index %= CountIn(region);
        ulong offset = region == Region.Block
            ? ((ulong)_blockPages[index] << 12) & ~(Granule - 1)
            : (ulong)index * Granule;
        return new Place(region, index, StartOf(region) + offset);
    }

    /// <summary>A place of the huge file: at a block's edges and inside.</summary>
    public static Place Huge(int index)
    {
        ulong pages = BlockSize / Granule;
        ulong inside = (index % PlacesPerBlock) switch
        {
            0 => 0,
            1 => 1,
            2 => pages / 2,
            _ => pages - 1,
        };
        ulong block = (ulong)(index / PlacesPerBlock);
        return new Place(Region.Huge, index, StartOf(Region.Huge) + (((block * pages) + inside) * Granule));
    }

    public static int CountIn(Region region) => region switch
    {
        Region.Small => SmallPages,
        Region.Block => _blockPages.Length,
        Region.Huge => HugePlaces,
        _ => FilePages,
    };

    /// <summary>The huge file's block that an address is in.</summary>
    public static int BlockOf(ulong ipa) => (int)((ipa - StartOf(Region.Huge)) / BlockSize);

    /// <summary>The place in words.</summary>
    public static string WhereOf(Place place) => place.Region switch
    {
        Region.Small => $"page {place.Index} of its memory",
        Region.Block => $"page {(place.Ipa - StartOf(Region.Block)) / Granule} of its block memory",
        Region.File => $"page {place.Index} of the file",
        Region.Huge => $"page {(place.Ipa - StartOf(Region.Huge)) / Granule} of the huge file",
        _ => $"page {place.Index} of its VMM's memory",
    };

    /// <summary>
    /// Who reads there, without a name: VMs are alike, and a violation is shrunk to the one that takes the fewest
    /// steps.
    /// </summary>
    public static string ReaderOf(Place place) =>
        place.Region is Region.File or Region.Huge ? "a VM that maps the file" : "the VM itself";
}

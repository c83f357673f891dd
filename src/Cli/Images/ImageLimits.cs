using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Images;

/// <summary>
/// What an image may come to, whatever it says of itself: an archive of a megabyte can hold a terabyte of zeros. The
/// root file system lies in the VM's memory, so none of this is small.
/// </summary>
internal sealed record ImageLimits
{
    public static ImageLimits Standard { get; } = new();

    /// <summary>Bytes of all files, unpacked; also of those that a later layer replaces.</summary>
    public long MostBytes { get; init; } = ByteSize.Gigabyte;

    /// <summary>Files, folders, links and devices, also those that a later layer replaces.</summary>
    public int MostEntries { get; init; } = 500_000;

    /// <summary>Folders in folders.</summary>
    public int MostDepth { get; init; } = 256;

    public int MostLayers { get; init; } = 256;

    /// <summary>Bytes of a path, or of a link's target: PATH_MAX of Linux, with its NUL.</summary>
    public const int MostPath = 4095;

    /// <summary>Bytes of one name: NAME_MAX of Linux.</summary>
    public const int MostName = 255;
}

using System.Collections.Generic;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Images;

/// <summary>A file, folder, link or device of an image. Two names of one file lead to the same node.</summary>
internal sealed class ImageNode
{
    private const int Permissions = 0xFFF;

    private ImageNode(int type, int permissions) => Mode = type | (permissions & Permissions);

    /// <summary>As inode(7) has it: the type and the permissions.</summary>
    public int Mode { get; private set; }

    public uint Owner { get; init; }

    public uint Group { get; init; }

    /// <summary>Seconds since 1970, as far as 32 bits go.</summary>
    public uint Modified { get; init; }

    /// <summary>Where a symbolic link leads; null for anything else.</summary>
    public string? Target { get; private init; }

    /// <summary>What is in a regular file; null for anything else.</summary>
    public ImageContent? Content { get; private init; }

    /// <summary>The device that it stands for, where it is one.</summary>
    public (uint Major, uint Minor) Special { get; private init; }

    /// <summary>A folder's names; null for anything else.</summary>
    public SortedDictionary<string, ImageName>? Names { get; private init; }

    public bool IsFolder => Names is not null;

    public bool IsLink => Target is not null;

    public static ImageNode Folder(int permissions, uint owner = 0, uint group = 0, uint modified = 0) =>
        new(FileStatus.Folder, permissions)
        {
            Owner = owner,
            Group = group,
            Modified = modified,
            Names = new SortedDictionary<string, ImageName>(System.StringComparer.Ordinal),
        };

    public static ImageNode File(
        ImageContent content, int permissions, uint owner = 0, uint group = 0, uint modified = 0) =>
        new(FileStatus.Regular, permissions)
        {
            Owner = owner,
            Group = group,
            Modified = modified,
            Content = content,
        };

    public static ImageNode Link(string target, uint owner = 0, uint group = 0, uint modified = 0) =>
        new(FileStatus.Link, Permissions & 0x1FF)
        {
            Owner = owner,
            Group = group,
            Modified = modified,
            Target = target,
        };

    /// <param name="type">A character or block device, or a pipe, as <see cref="FileStatus"/> has it.</param>
    public static ImageNode Device(
        int type, (uint Major, uint Minor) special, int permissions, uint owner, uint group, uint modified) =>
        new(type, permissions)
        {
            Owner = owner,
            Group = group,
            Modified = modified,
            Special = special,
        };

    /// <summary>This folder with another's owner and permissions, and its own names.</summary>
    public ImageNode As(ImageNode other) => new(FileStatus.Folder, other.Mode)
    {
        Owner = other.Owner,
        Group = other.Group,
        Modified = other.Modified,
        Names = Names,
    };
}

/// <summary>A name in a folder.</summary>
/// <param name="Node">What it leads to.</param>
/// <param name="Layer">The layer that the name came with: a whiteout takes those of lower layers only.</param>
internal readonly record struct ImageName(ImageNode Node, int Layer);

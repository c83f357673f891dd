using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Images;

/// <summary>
/// A root file system as people have it: a folder, a tar archive of one (<c>docker export</c>), an image in OCI's
/// layout (a folder, or a tar archive of it), or an ext4 file system in a file.
/// </summary>
internal sealed class RootImage : IDisposable
{
    /// <summary>s_magic at its place in ext2, ext3 and ext4: the superblock is at 1024.</summary>
    private const int ExtendedMagicAt = 1024 + 56;
    private const ushort ExtendedMagic = 0xEF53;

    private const string Next =
        "give a folder, a tar archive (docker export), an OCI image layout, or an ext4 file; docs/exec.md";

    private readonly ContentSpool? _spool;

    private RootImage(string path, ImageTree? tree, ContentSpool? spool, ImageConfiguration configuration)
    {
        Path = path;
        Tree = tree;
        _spool = spool;
        Configuration = configuration;
    }

    public string Path { get; }

    /// <summary>The root file system; null where it is a disk.</summary>
    public ImageTree? Tree { get; }

    /// <summary>It is an ext4 file system: what is in it only the guest can tell.</summary>
    public bool IsDisk => Tree is null;

    public ImageConfiguration Configuration { get; }

    /// <summary>Reads an image. An error of usage says what is wrong with it.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="folder">A folder of this process's own, for what has to wait there.</param>
    /// <param name="limits">What it may come to.</param>
    public static RootImage Open(string path, string folder, ImageLimits limits)
    {
        try
        {
            return FileStatus.Of(path) is { IsFolder: true } ? OpenFolder(path, folder, limits)
                : OpenFile(path, folder, limits);
        }
        catch (ImageException error)
        {
            throw CliException.Usage($"the image {path} cannot be taken: {error.Message}", Next);
        }
    }

    public void Dispose() => _spool?.Dispose();

    private static RootImage OpenFolder(string path, string folder, ImageLimits limits)
    {
        var files = new ImageTree(limits);
        new FolderImage(files, limits).Read(path);
        return OciImage.IsLayout(files)
            ? OpenLayout(path, files, folder, limits)
            : new RootImage(path, files, spool: null, ImageConfiguration.None);
    }

    private static RootImage OpenFile(string path, string folder, ImageLimits limits)
    {
        using FileStream file = InputFile.Open("the image", path, "check the path given with --image");
        byte[] head = new byte[2048];
        int count = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        if (count == head.Length && BitConverter.ToUInt16(head, ExtendedMagicAt) == ExtendedMagic)
        {
            return new RootImage(path, tree: null, spool: null, ImageConfiguration.None);
        }

        if (!TarLayer.IsArchive(head.AsSpan(0, count)))
        {
            throw new ImageException("it is none that is known here");
        }

        file.Position = 0;
        var spool = new ContentSpool(folder, limits.MostBytes);
        try
        {
            var files = new ImageTree(limits);
            new TarLayer(files, spool, limits).Read(file, hasWhiteouts: false);
            if (!OciImage.IsLayout(files) && !OciImage.IsSaved(files))
            {
                var image = new RootImage(path, files, spool, ImageConfiguration.None);
                spool = null;
                return image;
            }

            return OpenLayout(path, files, folder, limits);
        }
        finally
        {
            spool?.Dispose();
        }
    }

    private static RootImage OpenLayout(string path, ImageTree files, string folder, ImageLimits limits)
    {
        var spool = new ContentSpool(folder, limits.MostBytes);
        try
        {
            var root = new ImageTree(limits);
            ImageConfiguration configuration = new OciImage(files, limits).Read(root, spool);
            return new RootImage(path, root, spool, configuration);
        }
        catch
        {
            spool.Dispose();
            throw;
        }
    }
}

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Images;

/// <summary>
/// A folder of this host as a root file system: modes, links, devices and owners as they are, but that what belongs to
/// the person who runs this belongs to root in the image. It does not leave the folder's file system: what is mounted
/// in it is an empty folder. Sockets are left out.
/// </summary>
internal sealed class FolderImage(ImageTree tree, ImageLimits limits)
{
    private readonly Dictionary<string, string> _paths = [];
    private readonly (uint Owner, uint Group) _person = Person();
    private (uint Major, uint Minor) _device;
    private long _bytes;

    /// <summary>Adds all that is in it.</summary>
    public void Read(string folder)
    {
        try
        {
            FileStatus root = FileStatus.Of(folder) ?? throw new ImageException("it is not there");
            _device = root.Device;
            tree.Add("/", ImageNode.Folder(root.Mode, Owner(root), Group(root), Modified(root)));
            ReadFolder(folder, string.Empty);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageException(error.Message, error);
        }
    }

    private static (uint Owner, uint Group) Person() =>
        FileStatus.Of("/proc/self") is { } self ? (self.Owner, self.Group) : default;

    private void ReadFolder(string folder, string place)
    {
        foreach (string path in Directory.EnumerateFileSystemEntries(folder).Order(StringComparer.Ordinal))
        {
            string name = place + "/" + Path.GetFileName(path);
            FileStatus status = FileStatus.Of(path, follow: false)
                ?? throw new ImageException($"{path} cannot be looked at, or its name is not UTF-8");
            if (status.Links > 1 && !status.IsFolder && !_paths.TryAdd(status.Identity, name))
            {
                tree.AddName(name, _paths[status.Identity]);
                continue;
            }

            if (Node(path, status) is { } node)
            {
                tree.Add(name, node);
                if (status.IsFolder && status.Device == _device)
                {
                    ReadFolder(path, name);
                }
            }
        }
    }

    private ImageNode? Node(string path, FileStatus status)
    {
        switch (status.Type)
        {
            case FileStatus.Folder:
                return ImageNode.Folder(status.Mode, Owner(status), Group(status), Modified(status));
            case FileStatus.Regular:
                _bytes += status.Size;
                return _bytes <= limits.MostBytes
                    ? ImageNode.File(
                        new ContentOfFile(path, status.Size), status.Mode, Owner(status), Group(status),
                        Modified(status))
                    : throw new ImageException($"its files have more than {limits.MostBytes} bytes");
            case FileStatus.Link:
                string target = new FileInfo(path).LinkTarget
                    ?? throw new ImageException($"{path} has changed while it was read");
                return ImageNode.Link(target, Owner(status), Group(status), Modified(status));
            case FileStatus.Socket:
                return null;
            default:
                return ImageNode.Device(
                    status.Type, status.Special, status.Mode, Owner(status), Group(status), Modified(status));
        }
    }

    private uint Owner(FileStatus status) => status.Owner == _person.Owner ? 0 : status.Owner;

    private uint Group(FileStatus status) =>
        status.Group == _person.Group && status.Owner == _person.Owner ? 0 : status.Group;

    private static uint Modified(FileStatus status) => (uint)Math.Clamp(status.Modified, 0, uint.MaxValue);
}

using System;
using System.Collections.Generic;
using System.IO;
using Quietus.Cli.Processes;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Images;

/// <summary>
/// Writes a tree that a guest made into a folder of this host. The folder is new and this process's own until it is
/// whole, a tree's names are single names, and each is made, never opened: so nothing is written outside of it,
/// whatever links the tree has. Devices and pipes are an error.
/// </summary>
internal sealed class FolderWriter
{
    private const int Permissions = 0x1FF; // no set-user-ID and the like from a guest
    private const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly Dictionary<ImageNode, string> _written = [];

    private FolderWriter()
    {
    }

    /// <summary>Writes a tree to where nothing is yet; on an error nothing is left.</summary>
    /// <exception cref="ImageException">It has what a folder here cannot have.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(ImageTree tree, string folder)
    {
        string part = folder + ".part";
        try
        {
            Directory.CreateDirectory(part, Own);
            new FolderWriter().Fill(tree.Root, part);
            Directory.Move(part, folder);
        }
        finally
        {
            if (Directory.Exists(part))
            {
                Directory.Delete(part, recursive: true);
            }
        }
    }

    private void Fill(ImageNode folder, string path)
    {
        foreach ((string name, ImageName entry) in folder.Names!)
        {
            string place = Path.Combine(path, name);
            ImageNode node = entry.Node;
            if (node.IsFolder)
            {
                Directory.CreateDirectory(place, Own);
                Fill(node, place);
            }
            else if (node.Target is { } target)
            {
                File.CreateSymbolicLink(place, target);
            }
            else if (node.Content is { } content)
            {
                WriteFile(node, content, place);
            }
            else
            {
                throw new ImageException($"'{Printable.Line(name)}' is a device or a pipe");
            }
        }

        // Now, since one without the right to write could not be filled.
        File.SetUnixFileMode(path, (UnixFileMode)(folder.Mode & Permissions) | Own);
    }

    private void WriteFile(ImageNode node, ImageContent content, string place)
    {
        if (!_written.TryAdd(node, place))
        {
            File.Copy(_written[node], place); // another name of the same file
            return;
        }

        using (Stream from = content.Open())
        using (var to = new FileStream(place, FileMode.CreateNew, FileAccess.Write))
        {
            from.CopyTo(to);
            File.SetUnixFileMode(to.SafeFileHandle, (UnixFileMode)(node.Mode & Permissions));
        }

        File.SetLastWriteTimeUtc(place, DateTime.UnixEpoch.AddSeconds(node.Modified));
    }
}

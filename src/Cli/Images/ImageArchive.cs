using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Quietus.Cli.Guests;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Images;

/// <summary>
/// A tree as an initial RAM disk: names in the order of their bytes, folders before what is in them, so that the same
/// tree gives the same archive. Modes, owners, times, links, hard links and devices are kept.
/// </summary>
internal sealed class ImageArchive
{
    private readonly CpioWriter _archive;
    private readonly Dictionary<ImageNode, uint> _names = [];
    private readonly Dictionary<ImageNode, uint> _written = [];

    private ImageArchive(Stream stream) => _archive = new CpioWriter(stream);

    /// <summary>Writes the whole archive.</summary>
    public static void Write(ImageTree tree, Stream stream)
    {
        var writer = new ImageArchive(stream);
        writer.CountNames(tree.Root);
        writer.Write(tree.Root, string.Empty);
        writer._archive.Finish();
    }

    private void CountNames(ImageNode folder)
    {
        foreach (ImageName name in folder.Names!.Values)
        {
            _names[name.Node] = _names.GetValueOrDefault(name.Node) + 1;
            if (name.Node.IsFolder)
            {
                CountNames(name.Node);
            }
        }
    }

    private void Write(ImageNode folder, string place)
    {
        foreach ((string key, ImageName name) in folder.Names!)
        {
            string path = place.Length == 0 ? key : place + "/" + key;
            if (Encoding.UTF8.GetByteCount(path) > ImageLimits.MostPath)
            {
                throw new ImageException($"'{Printable.Line(path[..64])}…': its path is too long");
            }

            Write(name.Node, path, _names[name.Node]);
            if (name.Node.IsFolder)
            {
                Write(name.Node, path);
            }
        }
    }

    private void Write(ImageNode node, string path, uint names)
    {
        bool isAgain = _written.TryGetValue(node, out uint number);
        var entry = new CpioEntry(path, node.Mode)
        {
            Owner = node.Owner,
            Group = node.Group,
            Modified = node.Modified,
            Special = node.Special,
            Names = node.IsFolder ? 2 : names,
            SameAs = isAgain ? number : null,
        };
        ImageContent? content = node.Target is { } target ? new ContentOfBytes(target)
            : isAgain ? null
            : node.Content;
        if (content is null)
        {
            _written.TryAdd(node, _archive.Add(entry));
            return;
        }

        using Stream stream = content.Open();
        _written.TryAdd(node, _archive.Add(entry, stream, content.Length));
    }
}

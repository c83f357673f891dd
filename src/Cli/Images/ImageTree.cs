using System;
using System.Collections.Generic;
using System.Text;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Images;

/// <summary>
/// An image's root file system, as names in this process's memory. Nothing of it is ever written to the host's file
/// system, so that no path, link or device of an archive can reach it: links are followed within the tree, as the
/// guest will follow them.
/// </summary>
internal sealed class ImageTree(ImageLimits limits)
{
    /// <summary>Links that one path may lead over, as in Linux (path_resolution(7)).</summary>
    private const int MostLinks = 40;

    private int _layer;

    public ImageNode Root { get; private set; } = ImageNode.Folder(0x1ED);

    /// <summary>How often something was added.</summary>
    public int Entries { get; private set; }

    /// <summary>What comes now is another layer's.</summary>
    public void BeginLayer() => _layer++;

    /// <summary>
    /// Adds a file, link or device, or a folder, at a path; folders on the way there are made. It replaces what has
    /// that name; a folder that meets a folder keeps the names in it.
    /// </summary>
    public void Add(string path, ImageNode node)
    {
        Count(path);
        string[] names = Names(path);
        if (names.Length == 0)
        {
            Root = node.IsFolder ? Root.As(node) : throw Refused(path, "it stands for the root and is no folder");
            return;
        }

        ImageNode folder = Parent(path, names);
        if (node.IsFolder && folder.Names!.TryGetValue(names[^1], out ImageName present) && present.Node.IsFolder)
        {
            node = present.Node.As(node);
        }

        folder.Names![names[^1]] = new ImageName(node, _layer);
    }

    /// <summary>Gives a file that is there another name (a hard link).</summary>
    public void AddName(string path, string target)
    {
        Count(path);
        string[] names = Names(path);
        ImageNode? node = Walk(target, Names(target), creates: false, followsLast: false);
        if (node is null || node.IsFolder || names.Length == 0)
        {
            throw Refused(path, $"it is another name of '{Printable.Line(target)}', which is no file of the image");
        }

        Parent(path, names).Names![names[^1]] = new ImageName(node, _layer);
    }

    /// <summary>A whiteout: takes a name of the layers below away.</summary>
    public void Remove(string path)
    {
        Count(path);
        string[] names = Names(path);
        if (names.Length == 0)
        {
            throw Refused(path, "it removes the root");
        }

        if (Find(string.Join('/', names[..^1])) is { IsFolder: true } folder)
        {
            RemoveLower(folder, names[^1]);
        }
    }

    /// <summary>An opaque whiteout: takes all names of the layers below out of a folder.</summary>
    public void Empty(string path)
    {
        Count(path);
        if (Find(path) is { IsFolder: true } folder)
        {
            EmptyLower(folder);
        }
    }

    /// <summary>What a path leads to, links followed within the tree; null where there is nothing.</summary>
    public ImageNode? Find(string path) => Walk(path, Names(path), creates: false, followsLast: true);

    /// <summary>The names of a path; an error for one that climbs, or that no Linux has.</summary>
    private string[] Names(string path)
    {
        if (Encoding.UTF8.GetByteCount(path) > ImageLimits.MostPath)
        {
            throw Refused(path, "its path is too long");
        }

        string[] names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        names = Array.FindAll(names, name => name != ".");
        foreach (string name in names)
        {
            if (name == "..")
            {
                throw Refused(path, "its path climbs with ..");
            }

            if (name.Contains('\0', StringComparison.Ordinal) || name.Contains('\uFFFD', StringComparison.Ordinal))
            {
                throw Refused(path, "its name is not UTF-8");
            }

            if (Encoding.UTF8.GetByteCount(name) > ImageLimits.MostName)
            {
                throw Refused(path, "its name is too long");
            }
        }

        return names.Length <= limits.MostDepth ? names : throw Refused(path, "it lies too deep");
    }

    private ImageNode Parent(string path, string[] names) =>
        Walk(path, names[..^1], creates: true, followsLast: true) ?? throw Refused(path, "a file lies on its path");

    /// <summary>Follows names and links from the root, which no link leaves; null where the way ends.</summary>
    private ImageNode? Walk(string path, string[] names, bool creates, bool followsLast)
    {
        var left = new Stack<string>();
        Push(names);
        List<ImageNode> trail = [Root];
        int links = 0;
        while (left.TryPop(out string? name))
        {
            ImageNode here = trail[^1];
            if (name == "..")
            {
                if (trail.Count > 1)
                {
                    trail.RemoveAt(trail.Count - 1);
                }

                continue;
            }

            if (!here.Names!.TryGetValue(name, out ImageName found))
            {
                if (!creates)
                {
                    return null;
                }

                if (trail.Count > limits.MostDepth)
                {
                    throw Refused(path, "it lies too deep");
                }

                Count(path);
                found = new ImageName(ImageNode.Folder(0x1ED), _layer);
                here.Names[name] = found;
            }

            if (found.Node.IsLink && (left.Count > 0 || followsLast))
            {
                if (++links > MostLinks)
                {
                    throw Refused(path, "its links lead in a circle");
                }

                string target = found.Node.Target!;
                if (target.StartsWith('/'))
                {
                    trail = [Root];
                }

                Push(Array.FindAll(target.Split('/', StringSplitOptions.RemoveEmptyEntries), part => part != "."));
            }
            else if (found.Node.IsFolder)
            {
                trail.Add(found.Node);
            }
            else
            {
                return left.Count == 0 && !creates ? found.Node : null;
            }
        }

        return trail[^1];

        void Push(string[] more)
        {
            for (int i = more.Length - 1; i >= 0; i--)
            {
                left.Push(more[i]);
            }
        }
    }

    private void RemoveLower(ImageNode folder, string name)
    {
        if (!folder.Names!.TryGetValue(name, out ImageName present))
        {
            return;
        }

        if (present.Node.IsFolder)
        {
            EmptyLower(present.Node);
        }

        // What this layer has put there, or below it, stays.
        if (present.Layer < _layer && present.Node.Names is not { Count: > 0 })
        {
            folder.Names.Remove(name);
        }
    }

    private void EmptyLower(ImageNode folder)
    {
        foreach (string name in (string[])[.. folder.Names!.Keys])
        {
            RemoveLower(folder, name);
        }
    }

    private void Count(string path)
    {
        if (++Entries > limits.MostEntries)
        {
            throw Refused(path, $"there are more than {limits.MostEntries} entries");
        }
    }

    private static ImageException Refused(string path, string why) => new($"'{Printable.Line(path)}': {why}");
}

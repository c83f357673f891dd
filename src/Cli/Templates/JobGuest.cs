using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Images;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Templates;

/// <summary>
/// A guest in which a host runs programs: the fetched kernel, an image as its root file system, and a folder
/// <c>/.quietus</c> of ours in it, with an init that starts the agent. The kernel unpacks two archives, one behind the
/// other: the image's, which can be kept, and ours, which is made anew each time.
/// </summary>
internal static class JobGuest
{
    /// <summary>What the kernel starts (<c>rdinit=</c>).</summary>
    public const string Init = "/.quietus/init";

    private const string Folder = ".quietus";

    /// <summary>A busybox of ours, also where the image has none.</summary>
    public const string Busybox = "/.quietus/busybox";

    /// <summary>
    /// The archive is in memory while it is unpacked, and what is unpacked may take half of the memory that is left:
    /// the image four times, and this much for the kernel.
    /// </summary>
    private const long BesideImage = 64 * ByteSize.Megabyte;

    private const int Program = 0x1ED;
    private const int ReadOnly = 0x124;
    private const int Anyone = 0x3FF; // 01777
    private const string Refetch = "build/fetch-linux-guest --refresh fetches it, with a network";

    /// <summary>The folders that a root file system has, and an image may lack.</summary>
    private static readonly string[] _folders = ["dev", "proc", "sys", "run", "etc", "root"];

    /// <summary>Packs a root file system, without what is ours, into an archive.</summary>
    /// <param name="image">Null for Debian's busybox.</param>
    /// <param name="path">The archive.</param>
    public static StoredImage Pack(RootImage? image, string path)
    {
        ImageTree tree = image?.Tree ?? new ImageTree(ImageLimits.Standard);
        try
        {
            tree.BeginLayer();
            tree.Remove(Folder);
            AddFolders(tree);
            switch (image)
            {
                case null:
                    AddBare(tree);
                    break;
                case { IsDisk: true }:
                    tree.Add(Folder + "/disk", Text(string.Empty));
                    break;
                default:
                    break;
            }

            Write(tree, path);
            return new StoredImage(path, image is { IsDisk: true } ? image.Path : null);
        }
        catch (ImageException error)
        {
            throw CliException.Usage(
                $"the image {image?.Path} cannot be taken: {error.Message}", "docs/exec.md says what an image is");
        }
    }

    /// <summary>Makes the guest of a packed image; its RAM disk is written into a folder.</summary>
    public static GuestPayload Make(StoredImage image, string folder)
    {
        LinuxGuest cached = LinuxGuest.Cached() ?? throw CliException.NotSupported(
            $"there is no Linux guest in {Folders.Cache}", "run ./quietus run with a network to fetch it");
        var ours = new ImageTree(ImageLimits.Standard);
        AddOurs(ours, cached);
        string path = Path.Combine(folder, "root.cpio");
        try
        {
            using FileStream file = File.Create(path);
            using (FileStream packed = File.OpenRead(image.Archive))
            {
                packed.CopyTo(file);
            }

            // The kernel looks for the next archive at a multiple of four bytes.
            file.Write(new byte[(4 - (file.Length % 4)) % 4]);
            ImageArchive.Write(ours, file);
        }
        catch (IOException error)
        {
            throw Full(folder, error);
        }

        GuestPayload guest = GuestPayload.MakeLinux(cached.Kernel, path, image.Disk);
        return guest with
        {
            LeastMemory = Math.Max(guest.LeastMemory, (4 * new FileInfo(path).Length) + BesideImage),
        };
    }

    private static void AddFolders(ImageTree tree)
    {
        foreach (string name in _folders)
        {
            Ensure(tree, name, Program);
        }

        Ensure(tree, "tmp", Anyone);
    }

    private static void AddBare(ImageTree tree)
    {
        // The init puts busybox' names into bin.
        Ensure(tree, "bin", Program);
        tree.Add(Folder + "/bare", Text(string.Empty));
        tree.Add("etc/passwd", Text("root:x:0:0:root:/root:/bin/sh\n"));
        tree.Add("etc/group", Text("root:x:0:\n"));
    }

    private static void AddOurs(ImageTree tree, LinuxGuest cached)
    {
        string linux = Path.GetDirectoryName(cached.Kernel)!;
        tree.Add(Init, Script("job-init"));
        tree.Add(Init + "-ready", Script("job-init-ready"));
        tree.Add(Folder + "/busybox", Tool(Path.Combine(linux, "busybox"), Refetch));
        tree.Add(Folder + "/agent", Tool(
            Path.Combine(Path.GetDirectoryName(Path.GetFullPath(Folders.Image))!, "agent"),
            "./quietus builds it: dotnet build guests/Agent -c Release"));
        foreach (string module in Modules(Path.Combine(linux, "modules")))
        {
            tree.Add($"{Folder}/modules/{Path.GetFileName(module)}", Tool(module, Refetch));
        }
    }

    private static IEnumerable<string> Modules(string folder) => Directory.Exists(folder)
        ? Directory.GetFiles(folder, "*.ko").Order(StringComparer.Ordinal)
        : throw CliException.NotSupported($"the Linux guest has no modules in {folder}", Refetch);

    private static void Write(ImageTree tree, string path)
    {
        try
        {
            using FileStream file = File.Create(path);
            ImageArchive.Write(tree, file);
        }
        catch (IOException error)
        {
            throw Full(Path.GetDirectoryName(path)!, error);
        }
    }

    private static CliException Full(string folder, IOException error) => new(
        ExitCode.Failed, $"the guest cannot be packed: {error.Message}", $"make room in {folder}");

    private static ImageNode Text(string text) => ImageNode.File(new ContentOfBytes(text), ReadOnly);

    private static ImageNode Tool(string path, string next) => FileStatus.Of(path) is { IsRegular: true } status
        ? ImageNode.File(new ContentOfFile(path, status.Size), Program)
        : throw CliException.NotSupported($"{path} is missing", next);

    private static void Ensure(ImageTree tree, string name, int permissions)
    {
        if (tree.Find(name) is not { IsFolder: true })
        {
            tree.Add(name, ImageNode.Folder(permissions));
        }
    }

    private static ImageNode Script(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        byte[] script = new byte[stream.Length];
        stream.ReadExactly(script);
        return ImageNode.File(new ContentOfBytes(script), Program);
    }
}

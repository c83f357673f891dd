using System;
using System.Collections.Generic;
using System.Formats.Tar;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Quietus.Cli.Images;

namespace Quietus.Cli.Tests.Images;

/// <summary>A folder of a test's own, and images made in it.</summary>
internal sealed class ImageFolder : IDisposable
{
    /// <summary>When every file was written; without a time it would be the moment of the test.</summary>
    private static readonly DateTimeOffset _written = DateTimeOffset.FromUnixTimeSeconds(1_600_000_000);

    public string Path { get; } = Directory.CreateTempSubdirectory("quietus-image-").FullName;

    public string At(string name)
    {
        string path = System.IO.Path.Combine(Path, name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return path;
    }

    public string Write(string name, byte[] bytes)
    {
        System.IO.File.WriteAllBytes(At(name), bytes);
        return At(name);
    }

    public string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    public RootImage Open(string path, ImageLimits? limits = null) =>
        RootImage.Open(path, Path, limits ?? ImageLimits.Standard);

    /// <summary>The tree of an archive with these entries.</summary>
    public ImageTree Tree(params TarEntry[] entries) => Open(Write("root.tar", Tar(entries))).Tree!;

    /// <summary>An OCI image layout with these layers, in a folder.</summary>
    public string Layout(string configuration, params byte[][] layers)
    {
        string folder = At("oci/x")[..^2];
        Write("oci/oci-layout", """{"imageLayoutVersion":"1.0.0"}""");
        string blobs = string.Join(',', layers.Select(layer => Blob("application/x", layer)));
        string manifest = $$"""
            {"schemaVersion":2,"config":{{Blob("application/x", Encoding.UTF8.GetBytes(configuration))}},
            "layers":[{{blobs}}]}
            """;
        const string Platform = ",\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}";
        Write("oci/index.json", $$"""
            {"schemaVersion":2,"manifests":[
            {"mediaType":"m","digest":"sha256:00","size":1,"platform":{"architecture":"amd64"} },
            {{Blob("m", Encoding.UTF8.GetBytes(manifest), Platform)}}]}
            """);
        return folder;
    }

    /// <summary>Writes a blob and returns its descriptor.</summary>
    private string Blob(string type, byte[] bytes, string more = "")
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
        Write("oci/blobs/sha256/" + digest, bytes);
        return string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"mediaType":"{{type}}","digest":"sha256:{{digest}}","size":{{bytes.Length}}{{more}}}""");
    }

    public static byte[] Tar(params TarEntry[] entries)
    {
        using var stream = new MemoryStream();
        using (var writer = new TarWriter(stream, leaveOpen: true))
        {
            foreach (TarEntry entry in entries)
            {
                writer.WriteEntry(entry);
            }
        }

        return stream.ToArray();
    }

    public static byte[] Gzip(byte[] bytes)
    {
        using var stream = new MemoryStream();
        using (var gzip = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(bytes);
        }

        return stream.ToArray();
    }

    public static TarEntry File(string name, string text = "", int mode = 0x1A4) =>
        new PaxTarEntry(TarEntryType.RegularFile, name)
        {
            DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)),
            Mode = (UnixFileMode)mode,
            ModificationTime = _written,
        };

    public static TarEntry Folder(string name, int mode = 0x1ED) =>
        new PaxTarEntry(TarEntryType.Directory, name) { Mode = (UnixFileMode)mode };

    public static TarEntry Link(string name, string target) =>
        new PaxTarEntry(TarEntryType.SymbolicLink, name) { LinkName = target };

    public static TarEntry HardLink(string name, string target) =>
        new PaxTarEntry(TarEntryType.HardLink, name) { LinkName = target };

    public static string Text(ImageTree tree, string path) =>
        Encoding.UTF8.GetString(tree.Find(path)!.Content!.Read(1 << 20));

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>A member of a cpio archive in the "newc" form, as the kernel reads it.</summary>
internal sealed record CpioMember(
    string Name, uint Inode, int Mode, uint Owner, uint Group, uint Names, uint Major, uint Minor, byte[] Content)
{
    public static IReadOnlyList<CpioMember> Read(byte[] archive)
    {
        List<CpioMember> members = [];
        int at = 0;
        while (true)
        {
            uint[] fields = [.. Enumerable.Range(0, 13).Select(field => uint.Parse(
                Encoding.ASCII.GetString(archive, at + 6 + (8 * field), 8),
                NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))];
            int nameLength = (int)fields[11];
            string name = Encoding.UTF8.GetString(archive, at + 110, nameLength - 1);
            at = (at + 110 + nameLength + 3) & ~3;
            if (name == "TRAILER!!!")
            {
                return members;
            }

            byte[] content = archive[at..(at + (int)fields[6])];
            at = (at + content.Length + 3) & ~3;
            members.Add(new CpioMember(
                name, fields[0], (int)fields[1], fields[2], fields[3], fields[4], fields[9], fields[10], content));
        }
    }
}

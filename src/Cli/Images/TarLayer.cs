using System;
using System.Collections.Generic;
using System.Formats.Tar;
using System.IO;
using System.IO.Compression;
using System.Linq;
using Quietus.Cli.Processes;
using Quietus.Cli.Terminals;
using Quietus.Traces.Packing;
using SharpCompress.Compressors.ZStandard;

namespace Quietus.Cli.Images;

/// <summary>
/// A tar archive into a tree: as <c>tar</c>, <c>docker export</c> and <c>buildah</c> write them (ustar, pax and GNU),
/// plain or packed by gzip or zstd. It is read once, from start to end.
/// </summary>
/// <remarks>Whatever .NET's reader throws is damage: it is fed with anything.</remarks>
internal sealed class TarLayer(ImageTree tree, ContentSpool spool, ImageLimits limits)
{
    private const string Whiteout = ".wh.";
    private const string Opaque = ".wh..wh..opq";
    private const string NoWhiteout = ".wh..wh.";
    private const int RecordBytes = 512;

    /// <summary>
    /// Headers take little more than this for an entry; what a name may have besides is bounded with it.
    /// </summary>
    private const int HeaderBytes = 4 * RecordBytes;

    /// <summary>
    /// Whether an archive, or what it is packed by, begins like this: 512 bytes, or all that there are.
    /// </summary>
    public static bool IsArchive(ReadOnlySpan<byte> head) =>
        IsGzip(head) || IsZstandard(head)
        || (head.Length >= RecordBytes && head.Slice(257, 5).SequenceEqual("ustar"u8));

    /// <summary>Adds all entries.</summary>
    /// <param name="packed">The archive, at its start.</param>
    /// <param name="hasWhiteouts">Whether <c>.wh.</c> names take others away, as in an image's layers.</param>
    public void Read(Stream packed, bool hasWhiteouts)
    {
        try
        {
            using Stream archive = Unpack(packed);
            using var reader = new TarReader(archive);
            while (reader.GetNextEntry() is { } entry)
            {
                Take(entry, hasWhiteouts);
            }
        }
        catch (Exception error) when (error is not (OutOfMemoryException or ImageException))
        {
            throw new ImageException($"it is damaged: {Printable.Line(error.Message)}", error);
        }
    }

    private static bool IsGzip(ReadOnlySpan<byte> head) => head.StartsWith((byte[])[0x1f, 0x8b]);

    private static bool IsZstandard(ReadOnlySpan<byte> head) => head.StartsWith((byte[])[0x28, 0xb5, 0x2f, 0xfd]);

    private BoundedStream Unpack(Stream packed)
    {
        byte[] head = new byte[RecordBytes];
        int count = packed.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        Stream whole = new PrefixedStream(head.AsMemory(0, count), packed);
        Stream plain = IsGzip(head) ? new GZipStream(whole, CompressionMode.Decompress)
            : IsZstandard(head) ? new DecompressionStream(whole)
            : whole;
        return new BoundedStream(plain, limits.MostBytes + ((long)limits.MostEntries * HeaderBytes));
    }

    private void Take(TarEntry entry, bool hasWhiteouts)
    {
        string name = entry.Name[(entry.Name.TrimEnd('/').LastIndexOf('/') + 1)..];
        if (hasWhiteouts && name.StartsWith(Whiteout, StringComparison.Ordinal))
        {
            TakeWhiteout(entry.Name[..^name.Length], name);
            return;
        }

        if (entry is PaxTarEntry pax
            && pax.ExtendedAttributes.Keys.Any(key => key.StartsWith("GNU.sparse.", StringComparison.Ordinal)))
        {
            throw Refused(entry, "a sparse file, which is not read; pack the archive without --sparse");
        }

        uint owner = (uint)entry.Uid;
        uint group = (uint)entry.Gid;
        uint modified = (uint)Math.Clamp(entry.ModificationTime.ToUnixTimeSeconds(), 0, uint.MaxValue);
        int permissions = (int)entry.Mode;
        switch (entry.EntryType)
        {
            case TarEntryType.Directory or TarEntryType.DirectoryList:
                tree.Add(entry.Name, ImageNode.Folder(permissions, owner, group, modified));
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile:
                ImageContent content = spool.Add(entry.DataStream, entry.Length);
                tree.Add(entry.Name, ImageNode.File(content, permissions, owner, group, modified));
                break;
            case TarEntryType.SymbolicLink:
                CheckTarget(entry);
                tree.Add(entry.Name, ImageNode.Link(entry.LinkName, owner, group, modified));
                break;
            case TarEntryType.HardLink:
                tree.AddName(entry.Name, entry.LinkName);
                break;
            case TarEntryType.CharacterDevice or TarEntryType.BlockDevice:
                (int major, int minor) = entry is PosixTarEntry posix ? (posix.DeviceMajor, posix.DeviceMinor) : (0, 0);
                int type = entry.EntryType == TarEntryType.BlockDevice
                    ? FileStatus.BlockDevice : FileStatus.CharacterDevice;
                tree.Add(entry.Name, ImageNode.Device(
                    type, ((uint)major, (uint)minor), permissions, owner, group, modified));
                break;
            case TarEntryType.Fifo:
                tree.Add(entry.Name, ImageNode.Device(
                    FileStatus.Pipe, default, permissions, owner, group, modified));
                break;
            case TarEntryType.GlobalExtendedAttributes or TarEntryType.TapeVolume:
                break;
            default:
                throw Refused(entry, $"an entry of the kind '{(char)entry.EntryType}', which is not read");
        }
    }

    private void TakeWhiteout(string folder, string name)
    {
        name = name.TrimEnd('/');
        if (name == Opaque)
        {
            tree.Empty(folder);
        }
        else if (!name.StartsWith(NoWhiteout, StringComparison.Ordinal))
        {
            tree.Remove(folder + name[Whiteout.Length..]);
        }
    }

    private static void CheckTarget(TarEntry entry)
    {
        if (entry.LinkName.Length is 0 or > ImageLimits.MostPath
            || entry.LinkName.Contains('\0', StringComparison.Ordinal))
        {
            throw Refused(entry, "a link that leads nowhere");
        }
    }

    private static ImageException Refused(TarEntry entry, string why) =>
        new($"'{Printable.Line(entry.Name)}' is {why}");

    /// <summary>What was read of a stream, and then the rest of it.</summary>
    private sealed class PrefixedStream(ReadOnlyMemory<byte> head, Stream rest) : ReadOnlyStream
    {
        private ReadOnlyMemory<byte> _head = head;

        public override int Read(Span<byte> buffer)
        {
            if (_head.IsEmpty)
            {
                return rest.Read(buffer);
            }

            int count = Math.Min(buffer.Length, _head.Length);
            _head.Span[..count].CopyTo(buffer);
            _head = _head[count..];
            return count;
        }
    }
}

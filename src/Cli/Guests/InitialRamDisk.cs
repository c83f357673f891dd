using System;
using System.Buffers.Binary;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>Checks an initial RAM disk before a guest has to find out that it is cut off.</summary>
internal static class InitialRamDisk
{
    private const int NewcHeader = 110;
    private const string Next = "give a file that the kernel understands: for Linux a cpio archive (newc)";

    /// <summary>
    /// Checks the file and returns its length; a usage error when it is empty, or begins as an archive and is none.
    /// Anything else is for the kernel to understand.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="isArchive">It begins as Linux's RAM disks do: a cpio archive, plain or compressed.</param>
    public static long Check(string path, out bool isArchive)
    {
        try
        {
            using FileStream file = InputFile.Open(
                "the initial RAM disk", path, "check the path given with --initrd");
            byte[] magic = new byte[6];
            int have = file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
            if (have == 0)
            {
                throw CliException.Usage($"the initial RAM disk {path} is empty", Next);
            }

            file.Position = 0;
            bool isKnown = true;
            bool whole = magic switch
            {
                [0x30, 0x37, 0x30, 0x37, 0x30, 0x31 or 0x32] => HasTrailer(file),
                [0x1f, 0x8b, ..] => IsWholeGzip(file),
                [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] => file.Length % 4 == 0 && EndsWith(file, "YZ"u8),
                [0x28, 0xb5, 0x2f, 0xfd, ..] or [0x02, 0x21, 0x4c, 0x18, ..] or [0x42, 0x5a, 0x68, ..]
                    or [0x5d, 0x00, 0x00, ..] or [0x89, 0x4c, 0x5a, 0x4f, ..] => true,
                _ => !(isKnown = false),
            };
            isArchive = isKnown;
            return whole
                ? file.Length
                : throw CliException.Usage(
                    $"the initial RAM disk {path} is truncated or damaged", "fetch or make it again");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage(
                $"the initial RAM disk cannot be read: {error.Message}", "check the path given with --initrd");
        }
    }

    /// <summary>Walks the members up to the trailer, within the file.</summary>
    private static bool HasTrailer(FileStream file)
    {
        byte[] header = new byte[NewcHeader];
        long at = 0;
        while (at + NewcHeader <= file.Length)
        {
            file.Position = at;
            file.ReadExactly(header);
            if (!TryHex(header, 54, out long size) || !TryHex(header, 94, out long nameLength)
                || nameLength is < 1 or > 4096)
            {
                return false;
            }

            byte[] name = new byte[nameLength];
            if (file.ReadAtLeast(name, name.Length, throwOnEndOfStream: false) < name.Length)
            {
                return false;
            }

            if (name.AsSpan().StartsWith("TRAILER!!!"u8))
            {
                return true;
            }

            at = Align(Align(at + NewcHeader + nameLength) + size);
        }

        return false;
    }

    /// <summary>The last four bytes of a gzip member are its length unpacked, modulo 2^32 (RFC 1952).</summary>
    private static bool IsWholeGzip(FileStream file)
    {
        if (file.Length < 18)
        {
            return false;
        }

        byte[] stated = new byte[4];
        file.Position = file.Length - 4;
        file.ReadExactly(stated);
        file.Position = 0;
        try
        {
            using var unpacked = new GZipStream(file, CompressionMode.Decompress, leaveOpen: true);
            byte[] buffer = new byte[128 * 1024];
            long total = 0;
            int count;
            while ((count = unpacked.Read(buffer)) > 0)
            {
                total += count;
            }

            // Several members in a row are allowed, and padding after them: then the last length is not the whole.
            return (uint)total == BinaryPrimitives.ReadUInt32LittleEndian(stated) || file.Position < file.Length
                || total > uint.MaxValue;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private static bool EndsWith(FileStream file, ReadOnlySpan<byte> end)
    {
        byte[] last = new byte[end.Length];
        file.Position = file.Length - end.Length;
        file.ReadExactly(last);
        return last.AsSpan().SequenceEqual(end);
    }

    private static bool TryHex(byte[] header, int at, out long value)
    {
        bool good = uint.TryParse(
            Encoding.ASCII.GetString(header, at, 8),
            NumberStyles.AllowHexSpecifier,
            CultureInfo.InvariantCulture,
            out uint number);
        value = number;
        return good;
    }

    private static long Align(long value) => (value + 3) & ~3L;
}

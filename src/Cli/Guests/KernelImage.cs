using System;
using System.Buffers;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>
/// A kernel: what the header of an arm64 Linux Image says (the kernel's documentation, "Booting AArch64 Linux", section
/// 4), or a flat image, which has none. Either may be packed by gzip (Image.gz).
/// </summary>
/// <remarks>
/// <code>
///    0  code0, code1     8  text_offset    16  image_size    24  flags
///   32  reserved        56  magic "ARM\x64"                  60  offset of the PE header, or 0
/// </code>
/// All little endian. image_size is what the kernel occupies in memory, its zeroed data included, so that it is larger
/// than the file: only the PE header's section table tells whether the file is whole.
/// </remarks>
internal sealed record KernelImage
{
    /// <summary>Where a flat image is put, from the start of memory on: as QEMU's virt machine does.</summary>
    public const long FlatOffset = 512 * 1024;

    /// <summary>What a packed kernel may unpack to.</summary>
    private const long MostUnpacked = ByteSize.Gigabyte;

    private const int HeaderLength = 64;
    private const uint Magic = 0x644d5241;
    private const uint PeSignature = 0x0000_4550;
    private const int PeSectionLength = 40;
    private const string WhatIsNeeded =
        "give an arm64 Linux Image, as arch/arm64/boot/Image of a kernel build, Image.gz, or a flat image";

    private static readonly SearchValues<byte> _text = SearchValues.Create(
        [(byte)'\t', (byte)'\n', (byte)'\r', .. Enumerable.Range(' ', 95).Select(code => (byte)code)]);

    private readonly string _path;
    private readonly bool _isPacked;

    private KernelImage(string path, bool isPacked)
    {
        _path = path;
        _isPacked = isPacked;
    }

    /// <summary>Length of the image, unpacked.</summary>
    public required long FileBytes { get; init; }

    /// <summary>
    /// What it needs from the start of RAM on: text_offset and image_size together; of a flat image what it is known
    /// to need.
    /// </summary>
    public required long MemoryBytes { get; init; }

    /// <summary>It has no Linux header: it is started at its first byte, where QEMU would put it.</summary>
    public required bool IsFlat { get; init; }

    /// <summary>The image, unpacked, for one reading from its start to its end.</summary>
    public Stream Open() => Open(_path, _isPacked);

    /// <summary>Reads and checks the start; a usage error that says what the file is instead.</summary>
    public static KernelImage Check(string path)
    {
        byte[] start = new byte[4096];
        long length;
        int have;
        bool isPacked;
        try
        {
            using (FileStream file = InputFile.Open("the kernel", path, "check the path given with --kernel"))
            {
                length = file.Length;
                have = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
            }

            isPacked = have >= 2 && start[0] == 0x1f && start[1] == 0x8b;
            if (isPacked)
            {
                (have, length) = Unpack(path, start);
            }
        }
        catch (InvalidDataException)
        {
            throw CliException.Usage($"the packed kernel {path} is truncated or damaged", "fetch or build it again");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage(
                $"the kernel cannot be read: {error.Message}", "check the path given with --kernel");
        }

        ReadOnlySpan<byte> header = start.AsSpan(0, have);
        if (have < HeaderLength || BinaryPrimitives.ReadUInt32LittleEndian(header[56..]) != Magic)
        {
            return WhatItIs(header) is string other
                ? throw NoImage(path, other)
                : new KernelImage(path, isPacked)
                {
                    FileBytes = length,
                    MemoryBytes = FlatOffset + length,
                    IsFlat = true,
                };
        }

        ulong textOffset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        ulong imageSize = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
        if ((flags & 1) != 0)
        {
            throw NoImage(path, "it is a big-endian kernel");
        }

        if (textOffset > (ulong)ByteSize.Gigabyte || imageSize > (ulong)(64 * ByteSize.Gigabyte))
        {
            throw NoImage(path, "the sizes in its header make no sense");
        }

        long expected = ExpectedFileLength(header);
        if (length < expected)
        {
            throw CliException.Usage(
                $"the kernel {path} is truncated: {length} bytes of at least {expected}", "fetch or build it again");
        }

        // Kernels before 3.17 say 0: then the file is the best guess.
        return new KernelImage(path, isPacked)
        {
            FileBytes = length,
            MemoryBytes = (long)textOffset + Math.Max((long)imageSize, length),
            IsFlat = false,
        };
    }

    private static Stream Open(string path, bool isPacked)
    {
        FileStream file = File.OpenRead(path);
        return isPacked ? new GZipStream(file, CompressionMode.Decompress) : file;
    }

    /// <summary>Reads a packed kernel to its end: how long it is, and how much of its start is there.</summary>
    private static (int Have, long Length) Unpack(string path, byte[] start)
    {
        using Stream unpacked = Open(path, isPacked: true);
        int have = unpacked.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        byte[] buffer = new byte[128 * 1024];
        long length = have;
        int count;
        while ((count = unpacked.Read(buffer)) > 0)
        {
            length += count;
            if (length > MostUnpacked)
            {
                throw NoImage(path, "it unpacks to more than " + ByteSize.Format(MostUnpacked));
            }
        }

        return (have, length);
    }

    /// <summary>
    /// How long the file has to be by its own section table (Microsoft's PE format, which the EFI stub uses); 0 where
    /// it has none.
    /// </summary>
    private static long ExpectedFileLength(ReadOnlySpan<byte> header)
    {
        uint pe = BinaryPrimitives.ReadUInt32LittleEndian(header[60..]);
        if (pe == 0 || pe > header.Length - 24
            || BinaryPrimitives.ReadUInt32LittleEndian(header[(int)pe..]) != PeSignature)
        {
            return 0;
        }

        int sections = BinaryPrimitives.ReadUInt16LittleEndian(header[((int)pe + 6)..]);
        int optional = BinaryPrimitives.ReadUInt16LittleEndian(header[((int)pe + 20)..]);
        long expected = 0;
        for (int i = 0; i < sections; i++)
        {
            int at = (int)pe + 24 + optional + (i * PeSectionLength);
            if (at + PeSectionLength > header.Length)
            {
                break;
            }

            long size = BinaryPrimitives.ReadUInt32LittleEndian(header[(at + 16)..]);
            long offset = BinaryPrimitives.ReadUInt32LittleEndian(header[(at + 20)..]);
            expected = Math.Max(expected, size == 0 ? 0 : offset + size);
        }

        return expected;
    }

    /// <summary>What a file without the header is, when it cannot be a flat image either; else null.</summary>
    private static string? WhatItIs(ReadOnlySpan<byte> start)
    {
        if (start.Length < sizeof(uint))
        {
            return "it is too short for an instruction";
        }

        if (start[0] == 0x7f && start[1..].StartsWith("ELF"u8))
        {
            return "it is an ELF file (vmlinux); aarch64-linux-gnu-objcopy -O binary makes a flat image of one";
        }

        if (start.Length >= 8 && start[4..].StartsWith("zimg"u8))
        {
            return "it is a self-unpacking EFI kernel (zboot)";
        }

        if (start.Length > 0x206 && start[0x202..].StartsWith("HdrS"u8))
        {
            return "it is a kernel for x86";
        }

        if (start.StartsWith("MZ"u8))
        {
            return "it is an EFI program without the arm64 magic, or cut off";
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(start) == 0)
        {
            return "the arm64 magic is not there, and its first instruction is undefined";
        }

        return start[..Math.Min(start.Length, HeaderLength)].ContainsAnyExcept(_text)
            ? null
            : "the arm64 magic is not there, and it begins as a text does";
    }

    private static CliException NoImage(string path, string why) =>
        CliException.Usage($"{path} is no kernel that can be started: {why}", WhatIsNeeded);
}

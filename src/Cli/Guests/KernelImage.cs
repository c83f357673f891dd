using System;
using System.Buffers.Binary;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>
/// What the header of an arm64 Linux Image says (the kernel's documentation, "Booting AArch64 Linux", section 4).
/// </summary>
/// <remarks>
/// <code>
///    0  code0, code1     8  text_offset    16  image_size    24  flags
///   32  reserved        56  magic "ARM\x64"                  60  offset of the PE header, or 0
/// </code>
/// All little endian. image_size is what the kernel occupies in memory, its zeroed data included, so that it is larger
/// than the file: only the PE header's section table tells whether the file is whole.
/// </remarks>
/// <param name="FileBytes">Length of the file.</param>
/// <param name="MemoryBytes">What it needs from the start of RAM on: text_offset and image_size together.</param>
internal sealed record KernelImage(long FileBytes, long MemoryBytes)
{
    private const int HeaderLength = 64;
    private const uint Magic = 0x644d5241;
    private const uint PeSignature = 0x0000_4550;
    private const int PeSectionLength = 40;
    private const string WhatIsNeeded = "give an uncompressed arm64 Image, as arch/arm64/boot/Image of a kernel build";

    /// <summary>Reads and checks the header; a usage error that says what the file is instead.</summary>
    public static KernelImage Check(string path)
    {
        byte[] start = new byte[4096];
        long length;
        int have;
        try
        {
            using FileStream file = InputFile.Open("the kernel", path, "check the path given with --kernel");
            length = file.Length;
            have = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw CliException.Usage(
                $"the kernel cannot be read: {error.Message}", "check the path given with --kernel");
        }

        ReadOnlySpan<byte> header = start.AsSpan(0, have);
        if (have < HeaderLength)
        {
            throw NoImage(path, $"it is only {length} bytes long");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(header[56..]) != Magic)
        {
            throw NoImage(path, WhatItIs(header));
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

        // Kernels before 3.17 say 0 and mean "unknown": then the file is the best guess.
        return new KernelImage(length, (long)textOffset + Math.Max((long)imageSize, length));
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

    private static string WhatItIs(ReadOnlySpan<byte> header)
    {
        if (header[0] == 0x7f && header[1..].StartsWith("ELF"u8))
        {
            return "it is an ELF file (vmlinux)";
        }

        if (header[0] == 0x1f && header[1] == 0x8b)
        {
            return "it is compressed with gzip: unpack it with gunzip first";
        }

        if (header[4..].StartsWith("zimg"u8))
        {
            return "it is a self-unpacking EFI kernel (zboot)";
        }

        if (header.Length > 0x206 && header[0x202..].StartsWith("HdrS"u8))
        {
            return "it is a kernel for x86";
        }

        return "the arm64 magic is not there";
    }

    private static CliException NoImage(string path, string why) =>
        CliException.Usage($"{path} is no arm64 Linux Image: {why}", WhatIsNeeded);
}

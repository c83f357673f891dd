using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.Guests;

/// <summary>Why a file cannot be booted as an arm64 kernel.</summary>
public enum LinuxImageError
{
    /// <summary>It can.</summary>
    None,

    /// <summary>It is shorter than the 64 bytes of the header.</summary>
    TooShort,

    /// <summary>It is compressed by gzip: Image.gz, or a vmlinuz that has to be unpacked first.</summary>
    Compressed,

    /// <summary>It is an EFI program that unpacks itself (zboot), which needs EFI.</summary>
    SelfExtracting,

    /// <summary>It is an ELF file: vmlinux instead of Image.</summary>
    Elf,

    /// <summary>The header's magic number is missing.</summary>
    NotAnImage,

    /// <summary>It is a big-endian kernel.</summary>
    BigEndian,

    /// <summary>Its size in memory is not given: it is older than Linux 3.17.</summary>
    TooOld,

    /// <summary>Its offset or size is beyond all reason.</summary>
    BadSize,
}

/// <summary>
/// The header of an arm64 kernel image (Linux, Documentation/arch/arm64/booting.rst).
/// </summary>
/// <remarks>
/// <code>
///  0 code0 | 4 code1 | 8 text_offset | 16 image_size | 24 flags | 32 reserved | 56 "ARM\x64" | 60 reserved
///  flags: 0 = big-endian, 2..1 = page size (0 unknown, 1 4K, 2 16K, 3 64K), 3 = may be anywhere in memory
/// </code>
/// The image stands <c>text_offset</c> bytes after a boundary of 2 MB, needs <c>image_size</c> bytes there, and is
/// entered at its first byte.
/// </remarks>
public struct LinuxImage
{
    private const int HeaderLength = 64;

    /// <summary>Bounds for offset and size, so that sums of them cannot wrap around.</summary>
    private const ulong GreatestOffset = 1UL << 30;
    private const ulong GreatestSize = 1UL << 40;

    /// <summary>Bytes from a boundary of 2 MB to the image.</summary>
    public ulong TextOffset;

    /// <summary>Bytes that the kernel needs from its first byte on, more than the file for what it zeroes.</summary>
    public ulong ImageSize;

    /// <summary>The size of the kernel's pages in bytes; 0 when it does not say.</summary>
    public uint PageBytes;

    /// <summary>Checks a file's header.</summary>
    public static LinuxImageError Read(ReadOnlySpan<byte> file, out LinuxImage image)
    {
        image = default;
        if (file.Length < HeaderLength)
        {
            return LinuxImageError.TooShort;
        }

        if (!file.Slice(56, 4).SequenceEqual("ARMd"u8))
        {
            return file[0] == 0x1F && file[1] == 0x8B ? LinuxImageError.Compressed
                : file.Slice(4).StartsWith("zimg"u8) ? LinuxImageError.SelfExtracting
                : file[0] == 0x7F && file.Slice(1).StartsWith("ELF"u8) ? LinuxImageError.Elf
                : LinuxImageError.NotAnImage;
        }

        ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(24));
        if ((flags & 1) != 0)
        {
            return LinuxImageError.BigEndian;
        }

        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(8));
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(16));
        if (size == 0)
        {
            return LinuxImageError.TooOld;
        }

        if (offset > GreatestOffset || size > GreatestSize)
        {
            return LinuxImageError.BadSize;
        }

        image.TextOffset = offset;
        image.ImageSize = size;
        uint pages = (uint)(flags >> 1) & 3;
        image.PageBytes = pages == 0 ? 0 : 1024U << (int)(pages * 2);
        return LinuxImageError.None;
    }

    /// <summary>What is wrong and what would help, for people.</summary>
    public static ReadOnlySpan<byte> Describe(LinuxImageError error) => error switch
    {
        LinuxImageError.None => "the kernel can be booted"u8,
        LinuxImageError.TooShort => "the kernel is cut off: it is shorter than its header"u8,
        LinuxImageError.Compressed => "the kernel is compressed; unpack it with gunzip first"u8,
        LinuxImageError.SelfExtracting => "the kernel unpacks itself under EFI only; use the plain Image"u8,
        LinuxImageError.Elf => "the kernel is an ELF file; use arch/arm64/boot/Image"u8,
        LinuxImageError.BigEndian => "the kernel is big-endian"u8,
        LinuxImageError.TooOld => "the kernel does not say how much memory it needs (it is older than Linux 3.17)"u8,
        LinuxImageError.BadSize => "the kernel's header gives an impossible offset or size"u8,
        _ => "the file is no arm64 kernel image"u8,
    };
}

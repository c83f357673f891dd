using System;

namespace Quietus.Hypervisor.Guests;

/// <summary>What is wrong with an archive, or with what is asked of it.</summary>
public enum CpioError
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The archive is whole, but has no such regular file.</summary>
    NotFound,

    /// <summary>It does not begin as a cpio archive in the "newc" format.</summary>
    NotAnArchive,

    /// <summary>A member's header is broken, or the archive ends in the middle of a member.</summary>
    Malformed,
}

/// <summary>
/// Reader of cpio archives in the "newc" format, as the Linux kernel takes them for its initial ramdisk. The boot
/// bundle of guests is one, handed over by the boot loader.
/// </summary>
/// <remarks>
/// <code>
///  "070701" | 13 fields of 8 hexadecimal digits | name, 0 | to 4 | data | to 4 | next header ... "TRAILER!!!"
///           mode is field 1, file size 6, name size 11
/// </code>
/// </remarks>
public static class CpioArchive
{
    private const int HeaderLength = 110;
    private const int ModeOffset = 14;
    private const int FileSizeOffset = 54;
    private const int NameSizeOffset = 94;
    private const uint ModeTypeMask = 0xF000;
    private const uint ModeRegular = 0x8000;

    /// <summary>Finds a member's contents by its name; a leading "./" in the archive does not count.</summary>
    public static bool TryFind(
        ReadOnlySpan<byte> archive, scoped ReadOnlySpan<byte> name, out ReadOnlySpan<byte> data) =>
        Find(archive, name, out data) == CpioError.None;

    /// <summary>Finds a member's contents by its name, and says why not.</summary>
    /// <param name="archive">The archive, or more.</param>
    /// <param name="name">The whole name, as in <c>linux/Image</c>.</param>
    /// <param name="data">The first such member's contents; empty when there is none.</param>
    public static CpioError Find(
        ReadOnlySpan<byte> archive, scoped ReadOnlySpan<byte> name, out ReadOnlySpan<byte> data)
    {
        data = default;
        CpioError broken = CpioError.NotAnArchive;

        // Every member is at least as long as its header, so that this ends.
        while (archive.Length >= HeaderLength
            && (archive.StartsWith("070701"u8) || archive.StartsWith("070702"u8))
            && TryReadHexadecimal(archive.Slice(ModeOffset), out uint mode)
            && TryReadHexadecimal(archive.Slice(FileSizeOffset), out uint fileSize)
            && TryReadHexadecimal(archive.Slice(NameSizeOffset), out uint nameSize))
        {
            broken = CpioError.Malformed;
            ulong dataStart = Align(HeaderLength + (ulong)nameSize);
            ulong dataEnd = dataStart + fileSize;
            if (nameSize == 0 || dataEnd > (ulong)archive.Length)
            {
                return broken;
            }

            ReadOnlySpan<byte> member = archive.Slice(HeaderLength, (int)nameSize - 1);
            if (member.SequenceEqual("TRAILER!!!"u8))
            {
                return CpioError.NotFound;
            }

            member = member.StartsWith("./"u8) ? member.Slice(2) : member;
            if ((mode & ModeTypeMask) == ModeRegular && member.SequenceEqual(name))
            {
                data = archive.Slice((int)dataStart, (int)fileSize);
                return CpioError.None;
            }

            ulong next = Align(dataEnd);
            archive = next < (ulong)archive.Length ? archive.Slice((int)next) : default;
        }

        return broken;
    }

    /// <summary>What is wrong, for people.</summary>
    public static ReadOnlySpan<byte> Describe(CpioError error) => error switch
    {
        CpioError.None => "the file is there"u8,
        CpioError.NotFound => "the archive of guests lacks the file"u8,
        CpioError.NotAnArchive => "what the boot loader handed over is no cpio archive (newc format)"u8,
        _ => "the archive of guests is damaged or cut off"u8,
    };

    private static ulong Align(ulong offset) => (offset + 3) & ~3UL;

    /// <summary>Eight hexadecimal digits; the header's length has been checked.</summary>
    private static bool TryReadHexadecimal(ReadOnlySpan<byte> text, out uint value)
    {
        value = 0;
        for (int i = 0; i < 8; i++)
        {
            uint character = text[i];
            uint digit = character is >= '0' and <= '9' ? character - '0'
                : (character | 0x20) is >= 'a' and <= 'f' ? (character | 0x20) - 'a' + 10
                : 16;
            if (digit > 15)
            {
                return false;
            }

            value = (value << 4) | digit;
        }

        return true;
    }
}

using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Quietus.Cli.Guests;

/// <summary>
/// Writes a cpio archive in the "newc" form (the kernel's documentation, "initramfs buffer format"): the hypervisor's
/// guests travel in one, as QEMU's initial RAM disk. Times and owners are zero, so that the same guests give the same
/// bytes.
/// </summary>
internal sealed class CpioWriter(Stream archive)
{
    private const string Trailer = "TRAILER!!!";
    private const int RegularFile = 0x81A4; // S_IFREG and 0644
    private const int Program = 0x81ED; // S_IFREG and 0755
    private uint _inode = 1;
    private long _written;

    /// <summary>Adds a file; the format holds less than 4 GB in each.</summary>
    public void Add(string name, Stream content, long length, bool isProgram = false)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, uint.MaxValue);
        Header(name, isProgram ? Program : RegularFile, (uint)length);
        content.CopyTo(archive);
        _written += length;
        Pad();
    }

    /// <summary>Adds a file that exists on this host.</summary>
    public void AddFile(string name, string path, bool isProgram = false)
    {
        using FileStream file = File.OpenRead(path);
        Add(name, file, file.Length, isProgram);
    }

    /// <summary>Ends the archive.</summary>
    public void Finish() => Header(Trailer, 0, 0);

    private void Header(string name, int mode, uint length)
    {
        uint inode = name == Trailer ? 0 : _inode++;
        int nameLength = Encoding.UTF8.GetByteCount(name) + 1;

        // magic, inode, mode, uid, gid, links, time, size, 2 x device, 2 x special device, name with its NUL, checksum
        byte[] header = Encoding.UTF8.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"070701{inode:X8}{mode:X8}{0:X8}{0:X8}{1:X8}{0:X8}{length:X8}"
                + $"{0:X8}{0:X8}{0:X8}{0:X8}{nameLength:X8}{0:X8}{name}\0"));
        archive.Write(header);
        _written += header.Length;
        Pad();
    }

    private void Pad()
    {
        while (_written % 4 != 0)
        {
            archive.WriteByte(0);
            _written++;
        }
    }
}

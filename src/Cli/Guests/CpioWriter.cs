using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Quietus.Cli.Guests;

/// <summary>
/// Writes a cpio archive in the "newc" form (the kernel's documentation, "initramfs buffer format"): the hypervisor's
/// guests travel in one, as QEMU's initial RAM disk, and a guest's root file system in another. The same members give
/// the same bytes.
/// </summary>
internal sealed class CpioWriter(Stream archive)
{
    private const string Trailer = "TRAILER!!!";
    private const int RegularFile = 0x81A4; // S_IFREG and 0644
    private const int Program = 0x81ED; // S_IFREG and 0755
    private uint _inode;
    private long _written;

    /// <summary>Adds a file of root's, without a time.</summary>
    public void Add(string name, Stream content, long length, bool isProgram = false) =>
        Add(new CpioEntry(name, isProgram ? Program : RegularFile), content, length);

    /// <summary>
    /// Adds a member and returns its number. The format holds less than 4 GB in each; an error when the content has
    /// another length than was said.
    /// </summary>
    public uint Add(in CpioEntry entry, Stream? content = null, long length = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, uint.MaxValue);
        uint inode = entry.SameAs ?? ++_inode;
        Header(entry, inode, (uint)length);
        long copied = Copy(content);
        if (copied != length)
        {
            throw new IOException($"'{entry.Name}' has changed while it was read");
        }

        _written += copied;
        Pad();
        return inode;
    }

    /// <summary>Adds a file that exists on this host.</summary>
    public void AddFile(string name, string path, bool isProgram = false)
    {
        using FileStream file = File.OpenRead(path);
        Add(name, file, file.Length, isProgram);
    }

    /// <summary>Ends the archive.</summary>
    public void Finish() => Header(new CpioEntry(Trailer, 0), 0, 0);

    private void Header(in CpioEntry entry, uint inode, uint length)
    {
        int nameLength = Encoding.UTF8.GetByteCount(entry.Name) + 1;

        // magic, inode, mode, uid, gid, links, time, size, 2 x device, 2 x special device, name with its NUL, checksum
        byte[] header = Encoding.UTF8.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"070701{inode:X8}{entry.Mode:X8}{entry.Owner:X8}{entry.Group:X8}{entry.Names:X8}{entry.Modified:X8}"
                + $"{length:X8}{0:X8}{0:X8}{entry.Special.Major:X8}{entry.Special.Minor:X8}"
                + $"{nameLength:X8}{0:X8}{entry.Name}\0"));
        archive.Write(header);
        _written += header.Length;
        Pad();
    }

    private long Copy(Stream? content)
    {
        byte[] buffer = new byte[content is null ? 0 : 64 * 1024];
        long copied = 0;
        int count;
        while ((count = content?.Read(buffer) ?? 0) > 0)
        {
            archive.Write(buffer, 0, count);
            copied += count;
        }

        return copied;
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

using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;

namespace Quietus.Image.Tests.Machines;

/// <summary>
/// The filler with a disk. Only what comes in a bundle has one, so the filler comes in a bundle, in Linux's place.
/// </summary>
internal static class DiskGuest
{
    private const int Bytes = (int)ByteSize.Megabyte;
    private const byte Kept = 0xA5;

    /// <summary>Its disk's upper half is what <c>test=virtio</c> expects (guests/Filler/Tests/DiskTests.cs).</summary>
    internal static GuestPayload Make(RunFolder folder)
    {
        byte[] contents = new byte[Bytes];
        contents.AsSpan(Bytes / 2).Fill(Kept);
        string disk = Path.Combine(folder.Path, "disk");
        File.WriteAllBytes(disk, contents);
        string filler = Path.Combine(Path.GetDirectoryName(Folders.Image)!, "filler.img");
        return GuestPayload.MakeLinux(filler, initrd: null, disk);
    }
}

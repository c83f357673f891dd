using System;
using System.Buffers.Binary;
using System.IO;
using Quietus.Cli.Guests;

namespace Quietus.Cli.Tests.Guests;

/// <summary>Files that look like a fetched Linux guest, as far as the command line looks.</summary>
internal static class FakeGuest
{
    /// <summary>Puts them where the command line finds them.</summary>
    public static Cli Install(Cli cli)
    {
        cli.WriteFile("cache/linux/Image", MakeImage());
        cli.WriteFile("cache/linux/initrd", MakeArchive(("init", [1])));
        cli.WriteFile("cache/linux/busybox", [1, 2, 3]);
        cli.WriteFile("cache/linux/modules/vsock.ko", [4]);
        cli.WriteFile("agent", [5]);
        return cli;
    }

    /// <summary>A kernel.</summary>
    public static byte[] MakeImage(int length = 65536, long imageSize = 1 << 20, ulong flags = 0xa)
    {
        byte[] image = new byte[length];
        Span<byte> span = image;
        BinaryPrimitives.WriteUInt64LittleEndian(span[16..], (ulong)imageSize);
        BinaryPrimitives.WriteUInt64LittleEndian(span[24..], flags);
        "ARM\x64"u8.CopyTo(span[56..]);
        BinaryPrimitives.WriteUInt32LittleEndian(span[60..], 64);
        "PE\0\0"u8.CopyTo(span[64..]);
        BinaryPrimitives.WriteUInt16LittleEndian(span[70..], 1);
        BinaryPrimitives.WriteUInt16LittleEndian(span[84..], 160);
        int section = 64 + 24 + 160;
        BinaryPrimitives.WriteUInt32LittleEndian(span[(section + 16)..], (uint)length - 4096);
        BinaryPrimitives.WriteUInt32LittleEndian(span[(section + 20)..], 4096);
        return image;
    }

    /// <summary>A RAM disk.</summary>
    public static byte[] MakeArchive(params (string Name, byte[] Content)[] files)
    {
        using var stream = new MemoryStream();
        var archive = new CpioWriter(stream);
        foreach ((string name, byte[] content) in files)
        {
            using var source = new MemoryStream(content);
            archive.Add(name, source, content.Length);
        }

        archive.Finish();
        return stream.ToArray();
    }
}

using System;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Guests;

public sealed class KernelImageTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    /// <summary>A kernel with a section table that reaches to its last byte, as a real one's does.</summary>
    internal static byte[] MakeImage(int length = 65536, long imageSize = 1 << 20, ulong flags = 0xa) =>
        FakeGuest.MakeImage(length, imageSize, flags);

    [Fact]
    public void A_good_image_tells_what_it_needs()
    {
        File.WriteAllBytes(_path, MakeImage());
        KernelImage image = KernelImage.Check(_path);
        image.FileBytes.ShouldBe(65536);
        image.MemoryBytes.ShouldBe(1 << 20);
    }

    [Fact]
    public void Every_truncation_is_noticed()
    {
        byte[] image = MakeImage();
        foreach (int length in (int[])[0, 1, 63, 64 + 23, 4096, 65535])
        {
            File.WriteAllBytes(_path, image[..length]);
            if (length == 64 + 23)
            {
                // The section table itself is cut off: the header alone cannot tell.
                continue;
            }

            CliException error = Should.Throw<CliException>(() => KernelImage.Check(_path));
            error.ExitCode.ShouldBe(ExitCode.Usage);
        }
    }

    [Theory]
    [InlineData("elf", "ELF")]
    [InlineData("gzip", "truncated")]
    [InlineData("text", "text")]
    [InlineData("zeroes", "magic")]
    [InlineData("zboot", "zboot")]
    [InlineData("x86", "x86")]
    [InlineData("big-endian", "big-endian")]
    [InlineData("absurd", "no sense")]
    public void What_is_no_image_is_named(string kind, string says)
    {
        byte[] file = new byte[4096];
        switch (kind)
        {
            case "elf":
                "\x7f"u8.CopyTo(file);
                "ELF"u8.CopyTo(file.AsSpan(1));
                break;
            case "gzip":
                file = Pack(MakeImage())[..^4096];
                break;
            case "zeroes":
                break;
            case "zboot":
                "MZ\0\0zimg"u8.CopyTo(file);
                break;
            case "x86":
                "HdrS"u8.CopyTo(file.AsSpan(0x202));
                break;
            case "big-endian":
                file = MakeImage(flags: 1);
                break;
            case "absurd":
                file = MakeImage(imageSize: long.MaxValue);
                break;
            default:
                file = Encoding.ASCII.GetBytes(new string('#', 70) + "hello");
                break;
        }

        File.WriteAllBytes(_path, file);
        Should.Throw<CliException>(() => KernelImage.Check(_path)).Message.ShouldContain(says);
    }

    [Fact]
    public void A_packed_image_is_unpacked_and_a_flat_one_taken_as_it_is()
    {
        byte[] image = MakeImage();
        File.WriteAllBytes(_path, Pack(image));
        KernelImage packed = KernelImage.Check(_path);
        packed.FileBytes.ShouldBe(image.Length);
        packed.IsFlat.ShouldBeFalse();
        using var content = new MemoryStream();
        using (Stream unpacked = packed.Open())
        {
            unpacked.CopyTo(content);
        }

        content.ToArray().ShouldBe(image);

        // wfi; b .-4
        File.WriteAllBytes(_path, [0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17]);
        KernelImage flat = KernelImage.Check(_path);
        flat.IsFlat.ShouldBeTrue();
        flat.MemoryBytes.ShouldBe(KernelImage.FlatOffset + 8);
    }

    [Fact]
    public void No_header_of_random_bytes_is_more_than_an_error()
    {
        var random = new Random(11);
        for (int round = 0; round < 2000; round++)
        {
            byte[] image = MakeImage(8192);
            for (int flips = random.Next(1, 8); flips > 0; flips--)
            {
                image[random.Next(512)] = (byte)random.Next(256);
            }

            File.WriteAllBytes(_path, image);
            try
            {
                KernelImage.Check(_path).MemoryBytes.ShouldBeGreaterThan(0);
            }
            catch (CliException error)
            {
                error.ExitCode.ShouldBe(ExitCode.Usage);
            }
        }
    }

    private static byte[] Pack(byte[] image)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.NoCompression, leaveOpen: true))
        {
            gzip.Write(image);
        }

        return packed.ToArray();
    }
}

using System;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Guests;

public sealed class CpioWriterTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    internal static byte[] MakeArchive(params (string Name, byte[] Content)[] files) => FakeGuest.MakeArchive(files);

    [Fact]
    public void Members_are_where_the_format_says()
    {
        byte[] archive = MakeArchive(("linux/Image", [1, 2, 3, 4, 5]), ("linux/initrd", [6]));
        Encoding.ASCII.GetString(archive, 0, 6).ShouldBe("070701");
        Hex(archive, 54).ShouldBe(5);
        Hex(archive, 94).ShouldBe("linux/Image".Length + 1);
        Encoding.ASCII.GetString(archive, 110, 11).ShouldBe("linux/Image");
        archive[124..129].ShouldBe([1, 2, 3, 4, 5]);
        int second = 132;
        Encoding.ASCII.GetString(archive, second, 6).ShouldBe("070701");
        Hex(archive, second + 54).ShouldBe(1);
        (archive.Length % 4).ShouldBe(0);
        Encoding.ASCII.GetString(archive).ShouldContain("TRAILER!!!");
    }

    [Fact]
    public void The_same_files_give_the_same_bytes() =>
        MakeArchive(("a", [1]), ("b", [])).ShouldBe(MakeArchive(("a", [1]), ("b", [])));

    [Fact]
    public void A_plain_RAM_disk_is_whole_or_it_is_an_error()
    {
        byte[] archive = MakeArchive(("init", new byte[1000]), ("bin/busybox", new byte[5000]));
        File.WriteAllBytes(_path, archive);
        InitialRamDisk.Check(_path, out _).ShouldBe(archive.Length);
        foreach (int length in (int[])[0, 100, 1200, 5000])
        {
            File.WriteAllBytes(_path, archive[..length]);
            Should.Throw<CliException>(() => InitialRamDisk.Check(_path, out _)).ExitCode.ShouldBe(ExitCode.Usage);
        }
    }

    [Fact]
    public void A_compressed_RAM_disk_is_whole_or_it_is_an_error()
    {
        byte[] content = new byte[100_000];
        new Random(3).NextBytes(content);
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(MakeArchive(("init", content)));
        }

        byte[] whole = packed.ToArray();
        File.WriteAllBytes(_path, whole);
        InitialRamDisk.Check(_path, out _).ShouldBe(whole.Length);
        File.WriteAllBytes(_path, whole[..(whole.Length / 2)]);
        Should.Throw<CliException>(() => InitialRamDisk.Check(_path, out _)).Message.ShouldContain("truncated");
    }

    [Fact]
    public void Something_else_is_handed_over_as_it_is()
    {
        File.WriteAllText(_path, "hello");
        InitialRamDisk.Check(_path, out bool isArchive).ShouldBe(5);
        isArchive.ShouldBeFalse();
    }

    private static int Hex(byte[] archive, int at) =>
        int.Parse(
            Encoding.ASCII.GetString(archive, at, 8), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

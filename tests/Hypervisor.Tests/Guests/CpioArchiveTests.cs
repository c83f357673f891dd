using System;
using System.Globalization;
using System.IO;
using System.Text;
using Quietus.Hypervisor.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Guests;

public class CpioArchiveTests
{
    [Fact]
    public void Members_are_found_by_name()
    {
        byte[] archive = Example();
        CpioArchive.TryFind(archive, "linux/Image"u8, out ReadOnlySpan<byte> data).ShouldBeTrue();
        Encoding.ASCII.GetString(data).ShouldBe("kernel");
        CpioArchive.TryFind(archive, "linux/initrd"u8, out data).ShouldBeTrue();
        Encoding.ASCII.GetString(data).ShouldBe("ramdisk!");
        CpioArchive.TryFind(archive, "empty"u8, out data).ShouldBeTrue();
        data.Length.ShouldBe(0);
        CpioArchive.Find(archive, "linux"u8, out _).ShouldBe(CpioError.NotFound);
        CpioArchive.Find(archive, "linux/Imag"u8, out _).ShouldBe(CpioError.NotFound);
        CpioArchive.Find(archive, "TRAILER!!!"u8, out _).ShouldBe(CpioError.NotFound);
    }

    [Fact]
    public void What_is_no_archive_is_said_to_be_none()
    {
        CpioArchive.Find(default, "a"u8, out _).ShouldBe(CpioError.NotAnArchive);
        CpioArchive.Find(new byte[200], "a"u8, out _).ShouldBe(CpioError.NotAnArchive);
        CpioArchive.Find(Encoding.ASCII.GetBytes("070707" + new string('0', 200)), "a"u8, out _)
            .ShouldBe(CpioError.NotAnArchive);
        CpioArchive.Find(Encoding.ASCII.GetBytes("070701" + new string('x', 200)), "a"u8, out _)
            .ShouldBe(CpioError.NotAnArchive);
        foreach (CpioError error in Enum.GetValues<CpioError>())
        {
            CpioArchive.Describe(error).Length.ShouldBeGreaterThan(5);
        }
    }

    [Theory]
    [InlineData(94, "00000000")]
    [InlineData(94, "FFFFFFFF")]
    [InlineData(94, "7FFFFFFF")]
    [InlineData(54, "FFFFFFFF")]
    [InlineData(54, "80000000")]
    public void A_hostile_size_is_refused(int offset, string digits)
    {
        byte[] archive = Example();
        Encoding.ASCII.GetBytes(digits).CopyTo(archive, offset);
        CpioArchive.Find(archive, "linux/initrd"u8, out ReadOnlySpan<byte> data).ShouldBe(CpioError.Malformed);
        data.Length.ShouldBe(0);
    }

    [Fact]
    public void A_cut_off_archive_never_throws_and_never_finds_a_cut_off_member()
    {
        byte[] archive = Example();
        int found = 0;
        for (int length = 0; length < archive.Length; length++)
        {
            if (CpioArchive.TryFind(archive.AsSpan(0, length), "linux/initrd"u8, out ReadOnlySpan<byte> data))
            {
                found++;
                data.Length.ShouldBe(8);
            }
        }

        found.ShouldBeInRange(1, archive.Length - 1);
    }

    [Fact]
    public void Damaged_archives_never_throw()
    {
        byte[] whole = Example();
        var random = new Random(9);
        for (int round = 0; round < 100_000; round++)
        {
            byte[] archive = (byte[])whole.Clone();
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                archive[random.Next(archive.Length)] = (byte)"0123456789abcdefF\0x"[random.Next(19)];
            }

            CpioArchive.Find(archive, "linux/initrd"u8, out _);
        }
    }

    private static byte[] Example()
    {
        using var archive = new MemoryStream();
        Add(archive, "linux", 0x41ED, "");
        Add(archive, "linux/Image", 0x81A4, "kernel");
        Add(archive, "empty", 0x81A4, "");
        Add(archive, "./linux/initrd", 0x81A4, "ramdisk!");
        Add(archive, "TRAILER!!!", 0, "");
        return archive.ToArray();
    }

    private static void Add(MemoryStream archive, string name, uint mode, string data)
    {
        var header = new StringBuilder("070701");
        uint[] fields = [1, mode, 0, 0, 1, 0, (uint)data.Length, 0, 0, 0, 0, (uint)name.Length + 1, 0];
        foreach (uint field in fields)
        {
            header.Append(field.ToString("X8", CultureInfo.InvariantCulture));
        }

        archive.Write(Encoding.ASCII.GetBytes(header.Append(name).Append('\0').ToString()));
        Pad(archive);
        archive.Write(Encoding.ASCII.GetBytes(data));
        Pad(archive);
    }

    private static void Pad(MemoryStream archive)
    {
        while (archive.Length % 4 != 0)
        {
            archive.WriteByte(0);
        }
    }
}

using System;
using System.IO;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Guests;

/// <summary>A disk for a guest: what is taken, and how it reaches the hypervisor.</summary>
public sealed class DiskImageTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("quietus-disk");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_disk_is_packed_beside_the_kernel_and_needs_its_room_twice()
    {
        string kernel = Write("Image", KernelImageTests.MakeImage());
        string disk = Write("disk", Encoding.ASCII.GetBytes("what is on the disk"));
        GuestPayload without = GuestPayload.MakeLinux(kernel, null);
        GuestPayload with = GuestPayload.MakeLinux(kernel, null, disk);
        (with.PayloadBytes - without.PayloadBytes).ShouldBe(2 * new FileInfo(disk).Length);

        Packed(without).ShouldNotContain("linux/disk");
        string archive = Packed(with);
        archive.ShouldContain("linux/disk\0");
        archive.ShouldContain("what is on the disk");
    }

    [Theory]
    [InlineData(0L, "is empty")]
    [InlineData((1L << 30) + 1, "more than 1 GB")]
    public void A_disk_has_a_size_that_fits(long bytes, string says)
    {
        string path = Path.Combine(_folder.FullName, "disk");
        using (FileStream file = File.Create(path))
        {
            file.SetLength(bytes);
        }

        Should.Throw<CliException>(() => DiskImage.Check(path)).Message.ShouldContain(says);
    }

    private string Packed(GuestPayload payload) =>
        Encoding.Latin1.GetString(File.ReadAllBytes(payload.Pack(_folder.FullName)!));

    private string Write(string name, byte[] content)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllBytes(path, content);
        return path;
    }
}

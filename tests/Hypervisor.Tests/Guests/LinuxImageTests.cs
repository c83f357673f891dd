using System;
using System.Buffers.Binary;
using Quietus.Hypervisor.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Guests;

public class LinuxImageTests
{
    [Theory]
    [InlineData(0UL, 0u)]
    [InlineData(1UL << 1, 4096u)]
    [InlineData(2UL << 1, 16384u)]
    [InlineData(3UL << 1, 65536u)]
    [InlineData((1UL << 1) | 8, 4096u)]
    public void A_good_header_is_read(ulong flags, uint pageBytes)
    {
        LinuxImage.Read(Image(0x8_0000, 0x180_0000, flags), out LinuxImage image).ShouldBe(LinuxImageError.None);
        image.TextOffset.ShouldBe(0x8_0000UL);
        image.ImageSize.ShouldBe(0x180_0000UL);
        image.PageBytes.ShouldBe(pageBytes);
    }

    [Fact]
    public void What_cannot_be_booted_is_named()
    {
        LinuxImage.Read(default, out _).ShouldBe(LinuxImageError.TooShort);
        LinuxImage.Read(Image(0, 1, 0).AsSpan(0, 63), out _).ShouldBe(LinuxImageError.TooShort);
        LinuxImage.Read(new byte[64], out _).ShouldBe(LinuxImageError.NotAnImage);
        LinuxImage.Read(Begin([0x1F, 0x8B, 8]), out _).ShouldBe(LinuxImageError.Compressed);
        LinuxImage.Read(Begin("MZ\0\0zimg"u8), out _).ShouldBe(LinuxImageError.SelfExtracting);
        LinuxImage.Read(Begin("\u007fELF"u8), out _).ShouldBe(LinuxImageError.Elf);
        LinuxImage.Read(Image(0, 1, 1), out _).ShouldBe(LinuxImageError.BigEndian);
        LinuxImage.Read(Image(0, 0, 0), out _).ShouldBe(LinuxImageError.TooOld);
        LinuxImage.Read(Image(ulong.MaxValue, 1, 0), out _).ShouldBe(LinuxImageError.BadSize);
        LinuxImage.Read(Image(0, ulong.MaxValue, 0), out LinuxImage image).ShouldBe(LinuxImageError.BadSize);
        image.ImageSize.ShouldBe(0UL);
        foreach (LinuxImageError error in Enum.GetValues<LinuxImageError>())
        {
            LinuxImage.Describe(error).Length.ShouldBeGreaterThan(10);
        }
    }

    private static byte[] Begin(ReadOnlySpan<byte> start)
    {
        byte[] file = new byte[128];
        start.CopyTo(file);
        return file;
    }

    private static byte[] Image(ulong textOffset, ulong size, ulong flags)
    {
        byte[] file = new byte[128];
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(8), textOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(16), size);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(24), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(56), 0x644D_5241);
        return file;
    }
}

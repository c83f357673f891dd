using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class AbsentDevicesTests
{
    [Fact]
    public void A_virtio_place_says_that_it_has_no_device()
    {
        ulong last = GuestMemoryMap.VirtioEnd - GuestMemoryMap.VirtioBytes;
        foreach (ulong place in (ulong[])[GuestMemoryMap.VirtioStart, last])
        {
            AbsentDevices.Contains(place).ShouldBeTrue();
            AbsentDevices.Read(place).ShouldBe(0x7472_6976UL);
            AbsentDevices.Read(place + 4).ShouldBe(2UL);
            AbsentDevices.Read(place + 8).ShouldBe(0UL);
            AbsentDevices.Read(place + 0x1F8).ShouldBe(0UL);
        }
    }

    [Theory]
    [InlineData(0UL, true)]
    [InlineData(0x07FF_FFFFUL, true)]
    [InlineData(0x0800_0000UL, false)]
    [InlineData(0x0900_FFFFUL, false)]
    [InlineData(0x0901_0000UL, true)]
    [InlineData(0x0904_0000UL, false)]
    [InlineData(0x0A00_3FFFUL, true)]
    [InlineData(0x0A00_4000UL, false)]
    [InlineData(0x3EFF_0000UL, false)]
    [InlineData(0x4000_0000UL, false)]
    [InlineData(ulong.MaxValue, false)]
    public void Only_where_QEMU_has_a_device_something_is_absent(ulong address, bool expected)
    {
        AbsentDevices.Contains(address).ShouldBe(expected);
        if (expected && address < GuestMemoryMap.VirtioStart)
        {
            AbsentDevices.Read(address).ShouldBe(0UL);
        }
    }
}

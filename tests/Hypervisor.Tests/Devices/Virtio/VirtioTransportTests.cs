using System;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The registers: what a driver that follows the specification finds, and one that does not.</summary>
public sealed class VirtioTransportTests
{
    private const ulong Magic = 0x000;
    private const ulong DeviceId = 0x008;
    private const ulong DeviceFeatures = 0x010;
    private const ulong DeviceFeaturesSelect = 0x014;
    private const ulong QueueSelect = 0x030;
    private const ulong QueueSizeMax = 0x034;
    private const ulong QueueSize = 0x038;
    private const ulong QueueReady = 0x044;
    private const ulong InterruptStatus = 0x060;
    private const ulong InterruptAcknowledge = 0x064;
    private const ulong Status = 0x070;

    private const uint FeaturesOk = 8;
    private const uint DriverOk = 4;
    private const uint NeedsReset = 0x40;

    private readonly GuestRam _ram = new(64 << 10);

    [Fact]
    public void A_place_without_a_device_says_so()
    {
        VirtioTransport transport = default;
        transport.Read(Magic, 4).ShouldBe(0x7472_6976UL);
        transport.Read(4, 4).ShouldBe(2UL);
        transport.Read(DeviceId, 4).ShouldBe(0UL);
        var driver = new TransportDriver(_ram);
        driver.Write(ref transport, Status, 3);
        transport.Read(Status, 4).ShouldBe(0UL);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void Registers_are_words(int size)
    {
        VirtioTransport transport = Installed();
        transport.Read(Magic, size).ShouldBe(0UL);
        var ram = new GuestRam.View(_ram);
        transport.Write(ref ram, Status, size, 1);
        transport.Read(Status, 4).ShouldBe(0UL);
        transport.Read(2, 4).ShouldBe(0UL);
    }

    [Fact]
    public void Features_are_offered_in_halves()
    {
        VirtioTransport transport = Installed(0x8000_0001_0000_0002);
        var driver = new TransportDriver(_ram);
        driver.Write(ref transport, DeviceFeaturesSelect, 0);
        transport.Read(DeviceFeatures, 4).ShouldBe(0x3000_0002UL);
        driver.Write(ref transport, DeviceFeaturesSelect, 1);
        transport.Read(DeviceFeatures, 4).ShouldBe(0x8000_0001UL);
        driver.Write(ref transport, DeviceFeaturesSelect, 2);
        transport.Read(DeviceFeatures, 4).ShouldBe(0UL);
    }

    [Theory]
    [InlineData(0x1_0000_0000, true)]
    [InlineData(0x1_3000_0001, true)]
    [InlineData(0x3000_0001, false)] // without VERSION_1
    [InlineData(0x1_0000_0002, false)] // not offered
    public void Features_that_were_not_offered_are_not_agreed_on(ulong features, bool isAgreed)
    {
        VirtioTransport transport = Installed(1);
        var driver = new TransportDriver(_ram);
        driver.Agree(ref transport, features);
        ((transport.Read(Status, 4) & FeaturesOk) != 0).ShouldBe(isAgreed);
        if (isAgreed)
        {
            transport.Features.ShouldBe(features & 1);
            driver.Agree(ref transport, 0x1_0000_0000);
            transport.Features.ShouldBe(features & 1); // they stay as they were agreed on
        }
    }

    [Fact]
    public void A_request_is_heard_of_when_the_driver_is_ready_and_not_before()
    {
        VirtioTransport transport = Installed();
        var driver = new TransportDriver(_ram);
        driver.Agree(ref transport, 0x1_0000_0000);
        driver.Notify(ref transport, 0);
        transport.HasWork.ShouldBeFalse();
        driver.Write(ref transport, Status, DriverOk);
        driver.Notify(ref transport, 2);
        driver.Notify(ref transport, uint.MaxValue);
        transport.HasWork.ShouldBeFalse();
        driver.Notify(ref transport, 1);
        transport.HasWork.ShouldBeTrue();
        transport.TryBegin(0).ShouldBeFalse();
        transport.TryBegin(1).ShouldBeTrue();
        transport.TryBegin(1).ShouldBeFalse();
        transport.HasWork.ShouldBeFalse();
    }

    [Fact]
    public void A_queue_that_is_ready_stays_where_it_is()
    {
        VirtioTransport transport = Installed();
        var driver = new TransportDriver(_ram);
        driver.Agree(ref transport, 0x1_0000_0000);
        driver.GiveQueue(ref transport, 1, new QueueDriver(_ram, 8, false));
        transport.Read(QueueReady, 4).ShouldBe(1UL);
        driver.Write(ref transport, QueueSize, 64);
        driver.Write(ref transport, 0x080, 0);
        transport.QueueAt(1).Size.ShouldBe(8U);
        transport.QueueAt(1).Descriptors.ShouldBe(GuestRam.Start);
        driver.Write(ref transport, QueueReady, 0);
        transport.Read(QueueReady, 4).ShouldBe(0UL);
        driver.Write(ref transport, QueueSelect, 2);
        transport.Read(QueueSizeMax, 4).ShouldBe(0UL);
        driver.Write(ref transport, QueueReady, 1);
        transport.Read(QueueReady, 4).ShouldBe(0UL);
    }

    [Fact]
    public void A_queue_that_is_wrong_breaks_the_device_until_its_reset()
    {
        VirtioTransport transport = Installed();
        var driver = new TransportDriver(_ram);
        driver.Agree(ref transport, 0x1_0000_0000);
        driver.Write(ref transport, Status, DriverOk);
        driver.GiveQueue(ref transport, 0, new QueueDriver(_ram, 8, false) { Used = 0 });
        transport.Problem.ShouldBe(VirtqueueResult.BadPlace);
        transport.Read(Status, 4).ShouldBe(3 | FeaturesOk | DriverOk | NeedsReset);
        transport.Read(InterruptStatus, 4).ShouldBe(2UL);
        transport.InterruptLine.ShouldBeTrue();
        driver.Notify(ref transport, 0);
        transport.HasWork.ShouldBeFalse();
        driver.Write(ref transport, InterruptAcknowledge, 2);
        transport.InterruptLine.ShouldBeFalse();

        driver.Write(ref transport, Status, 0);
        transport.Read(Status, 4).ShouldBe(0UL);
        transport.Problem.ShouldBe(VirtqueueResult.Ok);
        transport.Read(DeviceId, 4).ShouldBe(4UL);
        driver.Start(ref transport, 0x1_0000_0000, new QueueDriver(_ram, 8, false));
        driver.Notify(ref transport, 0);
        transport.HasWork.ShouldBeTrue();
    }

    [Fact]
    public void A_driver_takes_no_status_back_but_by_a_reset_and_cannot_set_what_is_the_devices()
    {
        VirtioTransport transport = Installed();
        var driver = new TransportDriver(_ram);
        driver.Write(ref transport, Status, 0x43);
        transport.Read(Status, 4).ShouldBe(3UL);
        driver.Write(ref transport, Status, 1);
        transport.Read(Status, 4).ShouldBe(3UL);
    }

    [Fact]
    public void Random_writes_never_do_harm()
    {
        var random = new Random(20261127);
        var ram = new GuestRam.View(_ram);
        for (int round = 0; round < 20_000; round++)
        {
            VirtioTransport transport = Installed();
            for (int i = 0; i < 40; i++)
            {
                ulong offset = (ulong)random.Next(0x200);
                offset = random.Next(4) == 0 ? offset : offset & 0xFC;
                uint value = random.Next(4) switch
                {
                    0 => (uint)random.Next(16),
                    1 => (uint)GuestRam.Start + (uint)random.Next(1 << 16),
                    2 => 1U << random.Next(32),
                    _ => (uint)random.NextInt64(),
                };
                transport.Write(ref ram, offset, random.Next(8) == 0 ? random.Next(1, 9) : 4, value);
                transport.Read((ulong)random.Next(0x200), 4);
            }

            for (int queue = 0; queue < 2; queue++)
            {
                ref Virtqueue now = ref transport.QueueAt(queue);
                if (now.IsReady)
                {
                    _ram.Contains(now.Descriptors, now.Size * 16).ShouldBeTrue();
                    _ram.Contains(now.Used, 4 + (now.Size * 8)).ShouldBeTrue();
                }
            }
        }

        _ram.Written.ShouldBeEmpty();
    }

    private static VirtioTransport Installed(ulong features = 0)
    {
        VirtioTransport transport = default;
        transport.Install(4, features, 2);
        return transport;
    }
}

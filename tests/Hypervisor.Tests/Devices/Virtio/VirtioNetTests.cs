using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices.Network;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The network device, with a driver that follows the specification and with hostile ones.</summary>
public sealed class VirtioNetTests
{
    private const ulong Vm = 5;
    private const ulong Data = GuestRam.Start + 0x4000;
    private const ulong Features = 0x1_3000_0020;
    private const int Header = 12;

    private readonly GuestRam _ram = new(128 << 10);
    private readonly TransportDriver _driver;
    private QueueDriver _input;
    private QueueDriver _output;
    private GuestRam.View _view;
    private NetBuffers _buffers;
    private VirtioNet _device;

    public VirtioNetTests()
    {
        _view = new GuestRam.View(_ram);
        _driver = new TransportDriver(_ram);
        _input = new QueueDriver(_ram, 16, true);
        _output = Output(16);
        _device.Install(Vm);
    }

    [Fact]
    public void Its_MAC_is_its_VMs_and_a_childs_is_another()
    {
        Enumerable.Range(0, 6).Select(i => _device.ReadConfiguration((ulong)i, 1)).ShouldBe([2, 0x51, 0, 0, 0, 5]);
        _device.ReadConfiguration(6, 2).ShouldBe(0UL);
        Start();
        Send(0, 60, first: 1);
        _device.TryGive(ref _buffers, new byte[60]).ShouldBeTrue();
        VirtioNet child = _device;
        child.BeBorn(6);
        child.ReadConfiguration(5, 1).ShouldBe(6UL);
        child.HasFrame.ShouldBeFalse();
        child.Transport.IsRunning.ShouldBeTrue();
    }

    [Fact]
    public void Frames_go_both_ways_as_they_are()
    {
        Start();
        Send(0, 1514, first: 7);
        Send(1, 14, first: 9);
        Taken().ShouldBe(Bytes(1514, 7));
        Taken().ShouldBe(Bytes(14, 9));
        _device.HasFrame.ShouldBeFalse();
        _output.Take().ShouldBe((0U, 0U));
        _output.Take().ShouldBe((1U, 0U));

        Room(0, 1526);
        Room(1, 2000);
        _device.TryGive(ref _buffers, Bytes(1514, 3)).ShouldBeTrue();
        _device.TryGive(ref _buffers, Bytes(60, 4)).ShouldBeTrue();
        Work();
        _input.Take().ShouldBe((0U, 1526U));
        _input.Take().ShouldBe((1U, 72U));
        _ram.At(Data, Header).ToArray().ShouldBe([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        _ram.At(Data + Header, 1514).ToArray().ShouldBe(Bytes(1514, 3));
        _ram.At(Data + 0x1000 + Header, 60).ToArray().ShouldBe(Bytes(60, 4));
        (_device.Sent, _device.Given).ShouldBe((2u, 2u));
    }

    [Fact]
    public void A_guest_that_sends_more_than_the_switch_takes_waits_and_loses_nothing()
    {
        Start();
        for (int i = 0; i < 12; i++)
        {
            Send(i, 60, first: i);
        }

        _device.Transport.HasWork.ShouldBeFalse();
        for (int i = 0; i < 12; i++)
        {
            Taken().ShouldBe(Bytes(60, i));
            Work();
        }

        _device.HasFrame.ShouldBeFalse();
    }

    [Fact]
    public void A_switch_that_comes_after_a_reset_takes_nothing()
    {
        Start();
        Send(0, 60, first: 1);
        _device.HasFrame.ShouldBeTrue();

        // The guest resets its device between the switch's look and its taking.
        _driver.Write(ref _device.Transport, VirtioRegisters.Status, 0);
        _device.Settle();
        _device.Drop();
        _device.HasFrame.ShouldBeFalse();
    }

    [Fact]
    public void What_comes_while_there_is_no_driver_or_no_room_is_dropped()
    {
        _device.TryGive(ref _buffers, Bytes(60, 0)).ShouldBeFalse();
        Start();
        for (int i = 0; i < NetBuffers.Frames; i++)
        {
            _device.TryGive(ref _buffers, Bytes(60, i)).ShouldBeTrue();
        }

        _device.TryGive(ref _buffers, Bytes(60, 0)).ShouldBeFalse();
        _driver.Write(ref _device.Transport, VirtioRegisters.Status, 0);
        _device.Settle();
        Start();
        _device.TryGive(ref _buffers, Bytes(60, 9)).ShouldBeTrue();
        Room(0, 1526);
        Work();
        _ram.At(Data + Header, 60).ToArray().ShouldBe(Bytes(60, 9), "what came for the driver before is gone");
    }

    [Theory]
    [InlineData(5, true)] // no header
    [InlineData(Header + 13, false)]
    [InlineData(Header + 1515, false)]
    [InlineData(0x1_8000, false)]
    public void A_frame_of_a_length_that_is_none_is_dropped_and_one_without_a_header_breaks_the_device(
        int bytes, bool isBroken)
    {
        Start();
        _output.Describe(0, Data, (uint)bytes, 0);
        _output.Offer(0);
        _driver.Notify(ref _device.Transport, 1);
        Work();
        _device.HasFrame.ShouldBeFalse();
        _device.Transport.Problem.ShouldBe(isBroken ? VirtqueueResult.BadRequest : VirtqueueResult.Ok);
        if (!isBroken)
        {
            _output.Take().ShouldBe((0U, 0U));
        }
    }

    [Fact]
    public void A_buffer_that_a_frame_does_not_fit_into_breaks_the_device()
    {
        Start();
        Room(0, Header + 59);
        _device.TryGive(ref _buffers, Bytes(60, 0)).ShouldBeTrue();
        Work();
        _device.Transport.Problem.ShouldBe(VirtqueueResult.BadRequest);
    }

    [Theory]
    [InlineData(0x0)]
    [InlineData(0x1000)]
    [InlineData(0x2000)]
    [InlineData(0x4000)]
    public void A_page_that_is_missing_is_waited_for_and_nothing_comes_twice(int missing)
    {
        Start();
        _ram.Gone = (GuestRam.Start + (ulong)missing, GuestRam.Start + (ulong)missing + 0x1000);
        Send(0, 60, first: 5, isWorked: false);
        for (int i = 0; i < 3; i++)
        {
            _device.TryStep(ref _view, ref _buffers).ShouldBeFalse();
            _device.HasFrame.ShouldBeFalse();
        }

        _ram.Gone = default;
        Work();
        Taken().ShouldBe(Bytes(60, 5));
        _device.HasFrame.ShouldBeFalse();
        _output.Take().ShouldBe((0U, 0U));
        _output.Take().ShouldBeNull();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_hundred_thousand_hostile_queues_change_nothing_but_what_they_offered(bool isRacing)
    {
        var random = new Random(isRacing ? 5 : 6);
        var ends = new HashSet<VirtqueueResult>();
        int taken = 0;
        for (int round = 0; round < 50_000; round++)
        {
            _ram.BeforeRead = null;
            _ram.Written.Clear();
            int size = 1 << random.Next(0, 7);
            _input = new QueueDriver(_ram, size, true);
            _output = Output(size);
            _device.Install(Vm);
            ulong features = random.Next(2) == 0 ? Features : Features & ~(1UL << 29);
            _driver.Start(ref _device.Transport, features, _input, _output);
            HostileQueue.Fill(random, _input, Data);
            HostileQueue.Fill(random, _output, Data);
            _ram.BeforeRead = !isRacing ? null
                : () => HostileQueue.Disturb(random, random.Next(2) == 0 ? _input : _output, Data);
            for (int i = random.Next(4); i > 0; i--)
            {
                _device.TryGive(ref _buffers, new byte[random.Next(14, 1515)]);
            }

            _driver.Notify(ref _device.Transport, 1);
            for (int steps = 0; _device.Transport.HasWork; steps++)
            {
                steps.ShouldBeLessThan(500);
                _device.TryStep(ref _view, ref _buffers).ShouldBeTrue();
                if (random.Next(100) == 0)
                {
                    _driver.Write(ref _device.Transport, VirtioRegisters.Status, 0);
                }

                _device.Settle();
                if (_device.HasFrame && random.Next(2) == 0)
                {
                    _device.Peek(ref _buffers).Length.ShouldBeInRange(FrameRules.HeaderBytes, FrameRules.MostBytes);
                    _device.Drop();
                    taken++;
                }
            }

            HostileQueue.ShouldHoldAllWrites(_ram, _input, _output, Data, round);

            ends.Add(_device.Transport.Problem);
        }

        taken.ShouldBeGreaterThan(1000);
        ends.Order().ShouldBe(Enum.GetValues<VirtqueueResult>().Where(result => result is VirtqueueResult.Ok
            or VirtqueueResult.BadAvailableIndex or VirtqueueResult.BadDescriptor or VirtqueueResult.TooLong
            or VirtqueueResult.BadBuffer or VirtqueueResult.BadOrder or VirtqueueResult.BadIndirectTable
            or VirtqueueResult.BadRequest));
    }

    private static byte[] Bytes(int length, int first) =>
        [.. Enumerable.Range(first, length).Select(i => (byte)i)];

    private QueueDriver Output(int size) => new(_ram, size, true)
    {
        Descriptors = GuestRam.Start + 0x800,
        Available = GuestRam.Start + 0x1800,
        Used = GuestRam.Start + 0x2800,
    };

    private void Start()
    {
        _input = new QueueDriver(_ram, 16, true);
        _output = Output(16);
        _ram.At(GuestRam.Start, 0x4000).Clear();
        _driver.Start(ref _device.Transport, Features, _input, _output);
    }

    private void Send(int index, int length, int first, bool isWorked = true)
    {
        ulong at = Data + ((ulong)index * 0x1000);
        Bytes(length, first).CopyTo(_ram.At(at + Header, length));
        _output.Describe(index, at, (uint)(Header + length), 0);
        _output.Offer(index);
        _driver.Notify(ref _device.Transport, 1);
        if (isWorked)
        {
            Work();
        }
    }

    private void Room(int index, int bytes)
    {
        _input.Describe(index, Data + ((ulong)index * 0x1000), (uint)bytes, QueueDriver.Write);
        _input.Offer(index);
        _driver.Notify(ref _device.Transport, 0);
    }

    private byte[] Taken()
    {
        _device.HasFrame.ShouldBeTrue();
        byte[] frame = _device.Peek(ref _buffers).ToArray();
        _device.Drop();
        return frame;
    }

    private void Work()
    {
        for (int steps = 0; _device.Transport.HasWork; steps++)
        {
            steps.ShouldBeLessThan(1000);
            _device.TryStep(ref _view, ref _buffers).ShouldBeTrue();
        }
    }
}

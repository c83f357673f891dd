using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The console, with a driver that follows the specification and with hostile ones.</summary>
public sealed class VirtioConsoleTests
{
    private const ulong Data = GuestRam.Start + 0x4000;
    private const ulong Features = 0x1_3000_0001;

    private readonly GuestRam _ram = new(128 << 10);
    private readonly TransportDriver _driver;
    private readonly QueueDriver _input;
    private readonly QueueDriver _output;
    private GuestRam.View _view;
    private VirtualPl011 _uart;
    private VirtioConsole _device;

    public VirtioConsoleTests()
    {
        _view = new GuestRam.View(_ram);
        _driver = new TransportDriver(_ram);
        _input = new QueueDriver(_ram, 16, true);
        _output = Output(16);
        _uart.Reset();
        _device.Install(80, 24);
    }

    [Fact]
    public void What_the_guest_prints_joins_its_UART_s_output_in_order()
    {
        Start();
        _uart.Write(0, 1, 'a');
        Print(0, "bc");
        _uart.Write(0, 1, 'd');
        Print(1, "e");
        Taken(100).ShouldBe("abcde");
        _output.Take().ShouldBe((0U, 0U));
        _output.Take().ShouldBe((1U, 0U));
        _device.Transport.Problem.ShouldBe(VirtqueueResult.Ok);
    }

    [Fact]
    public void What_is_typed_waits_for_the_driver_and_for_its_buffers()
    {
        _device.PushInput("early"u8);
        _device.Transport.HasWork.ShouldBeFalse();
        Start();
        _input.Describe(0, Data, 3, QueueDriver.Write);
        _input.Offer(0);
        _driver.Notify(ref _device.Transport, 0);
        Work();
        _input.Take().ShouldBe((0U, 3U));
        _input.Describe(1, Data + 16, 100, QueueDriver.Write);
        _input.Offer(1);
        _driver.Notify(ref _device.Transport, 0);
        Work();
        _input.Take().ShouldBe((1U, 2U));
        Encoding.ASCII.GetString(_ram.At(Data, 18)).ShouldBe("ear" + new string('\0', 13) + "ly");
        _device.InputCount.ShouldBe(0);
        _device.Transport.InterruptLine.ShouldBeTrue();
    }

    [Fact]
    public void Output_that_finds_no_room_waits_and_none_of_it_is_lost_or_told_twice()
    {
        Start();
        string text = string.Concat(Enumerable.Range(0, 3000).Select(i => $"{i:d4}."));
        Print(0, text);
        _output.Take().ShouldBeNull();
        _device.TryMakeRoom().ShouldBeTrue();
        Work();
        _device.TryMakeRoom().ShouldBeTrue("there is no more room than before");
        var heard = new StringBuilder();
        while (heard.Length < text.Length)
        {
            string piece = Taken(777);
            piece.ShouldNotBeEmpty();
            heard.Append(piece);
            _device.TryMakeRoom();
            Work();
        }

        heard.ToString().ShouldBe(text);
        _output.Take().ShouldBe((0U, 0U));
        _device.TryMakeRoom().ShouldBeFalse();
    }

    [Fact]
    public void Input_beyond_what_can_wait_is_dropped()
    {
        _device.PushInput(new byte[VirtioConsole.InputCapacity + 5]);
        _device.InputCount.ShouldBe(VirtioConsole.InputCapacity);
    }

    [Fact]
    public void A_new_size_is_told()
    {
        Start();
        _device.ReadConfiguration(0, 4).ShouldBe((24UL << 16) | 80);
        _device.ReadConfiguration(4, 4).ShouldBe(1UL);
        ulong generation = _device.Transport.Read(0x0FC, 4);
        _device.Resize(132, 50);
        (_device.ReadConfiguration(0, 2), _device.ReadConfiguration(2, 2)).ShouldBe((132UL, 50UL));
        _device.Transport.Read(0x060, 4).ShouldBe(2UL);
        _device.Transport.Read(0x0FC, 4).ShouldNotBe(generation);
    }

    [Theory]
    [InlineData(0x0)]
    [InlineData(0x1000)]
    [InlineData(0x2000)]
    [InlineData(0x4000)]
    public void A_request_whose_memory_is_missing_is_carried_out_once_when_it_is_there(int missing)
    {
        Start();
        _ram.Gone = (GuestRam.Start + (ulong)missing, GuestRam.Start + (ulong)missing + 0x1000);
        Put(0, "once");
        for (int i = 0; i < 3; i++)
        {
            _device.TryStep(ref _view, ref _uart).ShouldBeFalse();
            _device.Transport.HasWork.ShouldBeTrue();
        }

        _ram.Gone = default;
        Work();
        Taken(100).ShouldBe("once");
        _output.Take().ShouldBe((0U, 0U));
        _output.Take().ShouldBeNull();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_hundred_thousand_hostile_queues_change_nothing_but_what_they_offered(bool isRacing)
    {
        var random = new Random(isRacing ? 3 : 4);
        var ends = new HashSet<VirtqueueResult>();
        for (int round = 0; round < 50_000; round++)
        {
            _ram.BeforeRead = null;
            _ram.Written.Clear();
            int size = 1 << random.Next(0, 7);
            var input = new QueueDriver(_ram, size, true);
            QueueDriver output = Output(size);
            _device.Install(80, 24);
            ulong features = random.Next(2) == 0 ? Features : Features & ~(1UL << 29);
            _driver.Start(ref _device.Transport, features, input, output);
            HostileQueue.Fill(random, input, Data);
            HostileQueue.Fill(random, output, Data);
            _ram.BeforeRead = !isRacing ? null
                : () => HostileQueue.Disturb(random, random.Next(2) == 0 ? input : output, Data);
            _device.PushInput(new byte[random.Next(200)]);
            _driver.Notify(ref _device.Transport, 1);
            for (int steps = 0; _device.Transport.HasWork; steps++)
            {
                steps.ShouldBeLessThan(500);
                _device.TryStep(ref _view, ref _uart).ShouldBeTrue();
                if (random.Next(100) == 0)
                {
                    _driver.Write(ref _device.Transport, 0x070, 0);
                }

                if (random.Next(4) == 0)
                {
                    Taken(random.Next(5000));
                    _device.TryMakeRoom();
                }
            }

            Taken(VirtualPl011.OutputCapacity);
            HostileQueue.ShouldHoldAllWrites(_ram, input, output, Data, round);

            ends.Add(_device.Transport.Problem);
        }

        ends.Order().ShouldBe(Enum.GetValues<VirtqueueResult>().Where(result => result is VirtqueueResult.Ok
            or VirtqueueResult.BadAvailableIndex or VirtqueueResult.BadDescriptor or VirtqueueResult.TooLong
            or VirtqueueResult.BadBuffer or VirtqueueResult.BadOrder or VirtqueueResult.BadIndirectTable
            or VirtqueueResult.BadRequest));
    }

    private QueueDriver Output(int size) => new(_ram, size, true)
    {
        Descriptors = GuestRam.Start + 0x800,
        Available = GuestRam.Start + 0x1800,
        Used = GuestRam.Start + 0x2800,
    };

    private void Start() => _driver.Start(ref _device.Transport, Features, _input, _output);

    private void Print(int index, string text)
    {
        Put(index, text);
        Work();
    }

    private void Put(int index, string text)
    {
        ulong at = Data + ((ulong)index * 0x8000);
        Encoding.ASCII.GetBytes(text).CopyTo(_ram.At(at, text.Length));
        _output.Describe(index, at, (uint)text.Length, 0);
        _output.Offer(index);
        _driver.Notify(ref _device.Transport, 1);
    }

    private void Work()
    {
        while (_device.Transport.HasWork)
        {
            _device.TryStep(ref _view, ref _uart).ShouldBeTrue();
        }
    }

    private string Taken(int most)
    {
        byte[] bytes = new byte[most];
        return Encoding.ASCII.GetString(bytes, 0, _uart.TakeOutput(bytes));
    }
}

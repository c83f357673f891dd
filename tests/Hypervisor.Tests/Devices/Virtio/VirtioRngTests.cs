using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The entropy device, with a driver that follows the specification and with hostile ones.</summary>
public sealed class VirtioRngTests
{
    private const ulong Data = GuestRam.Start + 0x4000;
    private const ulong Features = 0x1_3000_0000;

    private GuestRam _ram = new(64 << 10);
    private GuestRam.View _view;
    private Bytes _source;

    public VirtioRngTests() => _view = new GuestRam.View(_ram);

    [Fact]
    public void Each_buffer_comes_back_with_up_to_64_random_bytes_and_an_interrupt()
    {
        var driver = new TransportDriver(_ram);
        var queue = new QueueDriver(_ram, 8, true);
        VirtioRng device = Started(driver, queue);
        queue.Describe(0, Data, 10, QueueDriver.Write);
        queue.Describe(1, Data + 100, 100, QueueDriver.Write);
        queue.Offer(0);
        queue.Offer(1);
        driver.Notify(ref device.Transport, 0);
        Work(ref device).ShouldBe(3);
        queue.Take().ShouldBe((0U, 10U));
        queue.Take().ShouldBe((1U, 64U));
        queue.Take().ShouldBeNull();
        _ram.At(Data, 11).ToArray().ShouldBe([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
        _ram.At(Data + 163, 2).ToArray().ShouldBe([74, 0]);
        device.Transport.Read(0x060, 4).ShouldBe(1UL);
        device.Transport.InterruptLine.ShouldBeTrue();
    }

    [Fact]
    public void Without_entropy_a_buffer_comes_back_as_it_was()
    {
        var driver = new TransportDriver(_ram);
        var queue = new QueueDriver(_ram, 8, false);
        VirtioRng device = Started(driver, queue);
        _source.IsEmpty = true;
        queue.Describe(0, Data, 10, QueueDriver.Write);
        queue.Offer(0);
        driver.Notify(ref device.Transport, 0);
        Work(ref device);
        queue.Take().ShouldBe((0U, 0U));
        _ram.At(Data, 10).ToArray().ShouldAllBe(value => value == 0);
    }

    [Fact]
    public void A_queue_that_lies_breaks_the_device_until_its_reset()
    {
        var driver = new TransportDriver(_ram);
        var queue = new QueueDriver(_ram, 8, false);
        VirtioRng device = Started(driver, queue);
        queue.Describe(0, 0, 10, QueueDriver.Write);
        queue.Offer(0);
        driver.Notify(ref device.Transport, 0);
        Work(ref device);
        device.Transport.Problem.ShouldBe(VirtqueueResult.BadBuffer);
        queue.Take().ShouldBeNull();

        _ram.At(queue.Available, 64).Clear();
        _ram.At(queue.Used, 128).Clear();
        queue = new QueueDriver(_ram, 8, false);
        driver.Write(ref device.Transport, 0x070, 0);
        driver.Start(ref device.Transport, Features & ~(1UL << 29), queue);
        queue.Describe(0, Data, 10, QueueDriver.Write);
        queue.Offer(0);
        driver.Notify(ref device.Transport, 0);
        Work(ref device);
        queue.Take().ShouldBe((0U, 10U));
    }

    [Theory]
    [InlineData(0x1000)]
    [InlineData(0x2000)]
    [InlineData(0x4000)]
    public void A_request_whose_memory_is_missing_is_carried_out_once_when_it_is_there(int missing)
    {
        var driver = new TransportDriver(_ram);
        var queue = new QueueDriver(_ram, 8, true);
        VirtioRng device = Started(driver, queue);
        queue.Describe(0, Data, 10, QueueDriver.Write);
        queue.Offer(0);
        driver.Notify(ref device.Transport, 0);
        _ram.Gone = (GuestRam.Start + (ulong)missing, GuestRam.Start + (ulong)missing + 0x1000);
        for (int i = 0; i < 3; i++)
        {
            device.TryStep(ref _view, ref _source).ShouldBeFalse();
            device.Transport.HasWork.ShouldBeTrue();
        }

        _ram.Gone = default;
        Work(ref device);
        queue.Take().ShouldBe((0U, 10U));
        queue.Take().ShouldBeNull();
        device.Transport.Problem.ShouldBe(VirtqueueResult.Ok);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_hundred_thousand_hostile_queues_change_nothing_but_what_they_offered(bool isRacing)
    {
        var random = new Random(isRacing ? 1 : 2);
        var ends = new HashSet<VirtqueueResult>();
        bool[] writable = new bool[16 << 10];
        _ram = new GuestRam(16 << 10);
        _view = new GuestRam.View(_ram);
        for (int round = 0; round < 50_000; round++)
        {
            var driver = new TransportDriver(_ram);
            int size = 1 << random.Next(0, 7);
            var queue = new QueueDriver(_ram, size, random.Next(2) == 0);
            _ram.Written.Clear();
            _ram.BeforeRead = null;
            VirtioRng device = Started(driver, queue);
            Fill(random, queue);
            Mark(queue, writable);
            _ram.BeforeRead = isRacing ? () => Disturb(random, queue) : null;
            driver.Notify(ref device.Transport, 0);
            int steps = Work(
                ref device, () => random.Next(50) == 0, () => driver.Write(ref device.Transport, 0x070, 0));
            steps.ShouldBeLessThanOrEqualTo(size + 2);
            foreach ((ulong address, int length) in _ram.Written)
            {
                _ram.Contains(address, (ulong)length).ShouldBeTrue();
                bool isRing = address >= queue.Used && address + (ulong)length <= queue.AvailableEvent + 2;
                bool isOffered = !writable.AsSpan((int)(address - GuestRam.Start), length).Contains(false);
                (isRing || isRacing || isOffered).ShouldBeTrue($"round {round}: wrote {length} bytes at {address:x}");
            }

            ends.Add(device.Transport.Problem);
        }

        // The queues were hostile in each way that there is, and some were right.
        ends.Order().ShouldBe(Enum.GetValues<VirtqueueResult>().Where(result => result is VirtqueueResult.Ok
            or VirtqueueResult.BadAvailableIndex or VirtqueueResult.BadDescriptor or VirtqueueResult.TooLong
            or VirtqueueResult.BadBuffer or VirtqueueResult.BadOrder or VirtqueueResult.BadIndirectTable));
    }

    private static VirtioRng Started(TransportDriver driver, QueueDriver queue)
    {
        VirtioRng device = default;
        device.Install();
        driver.Start(ref device.Transport, Features, queue);
        return device;
    }

    private int Work(ref VirtioRng device, Func<bool>? stops = null, Action? stop = null)
    {
        int steps = 0;
        while (device.Transport.HasWork)
        {
            device.TryStep(ref _view, ref _source).ShouldBeTrue();
            steps++;
            if (stops?.Invoke() == true)
            {
                stop!();
            }
        }

        return steps;
    }

    private static void Fill(Random random, QueueDriver queue)
    {
        ulong table = Data - 0x1000;
        for (int i = 0; i < queue.Size; i++)
        {
            Describe(random, queue, i, null);
            Describe(random, queue, i, table);
        }

        int offers = random.Next(queue.Size + 1);
        for (int i = 0; i < offers; i++)
        {
            queue.Offer(random.Next(40) == 0 ? random.Next(0x1_0000) : random.Next(queue.Size));
        }

        if (random.Next(20) == 0)
        {
            queue.Offered = (ushort)random.Next(0x1_0000);
            queue.Offer(0);
        }
    }

    private static void Describe(Random random, QueueDriver queue, int index, ulong? table)
    {
        ulong address = random.Next(30) switch
        {
            0 => GuestRam.Start - (ulong)random.Next(64),
            1 => GuestRam.Start + (16 << 10) - (ulong)random.Next(64),
            2 => (ulong)random.NextInt64() << 1,
            3 => ulong.MaxValue - (ulong)random.Next(64),
            _ => GuestRam.Start + 0x3400 + (ulong)random.Next(0x800),
        };
        uint length = random.Next(20) switch
        {
            0 => 0,
            1 => uint.MaxValue - (uint)random.Next(64),
            2 => (uint)random.Next(),
            _ => (uint)random.Next(1, 100),
        };
        ushort flags = (ushort)(random.Next(3) == 0 ? QueueDriver.Next : 0);
        flags |= random.Next(3) != 0 ? QueueDriver.Write : (ushort)0;
        if (random.Next(8) == 0)
        {
            flags |= QueueDriver.Indirect;
            address = random.Next(4) == 0 ? address : Data - 0x1000;
            length = random.Next(4) == 0 ? length : 16 * (uint)random.Next(1, queue.Size + 1);
        }

        int next = random.Next(20) == 0 ? random.Next(0x1_0000) : random.Next(queue.Size);
        queue.Describe(index, address, length, flags, (ushort)next, table);
    }

    /// <summary>
    /// Marks every byte that a descriptor offers and that a request can fill, whether a chain leads to it or not.
    /// </summary>
    private void Mark(QueueDriver queue, bool[] writable)
    {
        Array.Clear(writable);
        foreach (ulong table in new[] { queue.Descriptors, Data - 0x1000 })
        {
            for (ulong at = table; at < table + (16 * (ulong)queue.Size); at += 16)
            {
                ulong address = _ram.Word(at) | ((ulong)_ram.Word(at + 4) << 32);
                uint length = Math.Min(_ram.Word(at + 8), VirtioRng.MostBytes);
                if ((_ram.Half(at + 12) & QueueDriver.Write) != 0 && _ram.Contains(address, length))
                {
                    writable.AsSpan((int)(address - GuestRam.Start), (int)length).Fill(true);
                }
            }
        }
    }

    /// <summary>What another core of a hostile guest does meanwhile.</summary>
    private void Disturb(Random random, QueueDriver queue)
    {
        if (random.Next(4) == 0)
        {
            Describe(random, queue, random.Next(queue.Size), random.Next(2) == 0 ? null : Data - 0x1000);
        }

        if (random.Next(200) == 0)
        {
            _ram.SetHalf(queue.Available + 2, (ushort)random.Next(0x1_0000));
        }
    }

    private struct Bytes : IRandomSource
    {
        private byte _last;

        internal bool IsEmpty { get; set; }

        public bool TryFill(scoped Span<byte> destination)
        {
            if (IsEmpty)
            {
                return false;
            }

            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = ++_last;
            }

            return true;
        }
    }
}

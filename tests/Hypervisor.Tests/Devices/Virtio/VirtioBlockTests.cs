using System;
using System.Buffers.Binary;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The disk: what it reads, writes and refuses; a request may be left in the middle.</summary>
public sealed class VirtioBlockTests
{
    private const ulong Features = 0x1_3000_0000;
    private const ulong Header = GuestRam.Start + 0x3000;
    private const ulong Status = GuestRam.Start + 0x3100;
    private const ulong Data = GuestRam.Start + 0x4000;
    private const int DiskBytes = 256 << 10;

    private readonly GuestRam _ram = new(512 << 10);
    private readonly byte[] _disk = new byte[DiskBytes];
    private readonly TransportDriver _driver;
    private readonly QueueDriver _queue;
    private GuestRam.View _view;
    private Disk _medium;
    private VirtioBlock _device;

    public VirtioBlockTests()
    {
        _driver = new TransportDriver(_ram);
        _queue = new QueueDriver(_ram, 64, true);
        _view = new GuestRam.View(_ram);
        _medium = new Disk(_disk);
        new Random(1).NextBytes(_disk);
        Start(DiskBytes, false);
    }

    [Fact]
    public void Its_configuration_says_how_large_it_is()
    {
        _device.ReadConfiguration(0, 8).ShouldBe(512UL);
        _device.ReadConfiguration(0, 4).ShouldBe(512UL);
        _device.ReadConfiguration(1, 1).ShouldBe(2UL);
        _device.ReadConfiguration(12, 4).ShouldBe(62UL);
        _device.ReadConfiguration(28, 8).ShouldBe(0UL);
        _device.ReadConfiguration(ulong.MaxValue - 3, 8).ShouldBe(0UL);
        Start(DiskBytes + 511, true);
        _device.ReadConfiguration(0, 8).ShouldBe(512UL);
    }

    [Theory]
    [InlineData(0UL, 512)]
    [InlineData(3UL, 8192)]
    [InlineData(7UL, 100 << 10)]
    [InlineData(0UL, DiskBytes)]
    [InlineData(511UL, 512)]
    public void What_was_written_is_read(ulong sector, int bytes)
    {
        byte[] data = new byte[bytes];
        new Random(bytes).NextBytes(data);
        data.CopyTo(_ram.At(Data, bytes));
        Request(1, sector, (uint)bytes, isWrite: true).ShouldBe((byte)0);
        _disk.AsSpan((int)sector * 512, bytes).SequenceEqual(data).ShouldBeTrue();
        _ram.At(Data, bytes).Clear();
        Request(0, sector, (uint)bytes, isWrite: false).ShouldBe((byte)0);
        _ram.At(Data, bytes).SequenceEqual(data).ShouldBeTrue();
        _ram.At(Data + (ulong)bytes, 1)[0].ShouldBe((byte)0);
    }

    [Theory]
    [InlineData(0U, 512UL, 512U, 1)] // behind the end
    [InlineData(0U, 511UL, 1024U, 1)]
    [InlineData(0U, ulong.MaxValue, 512U, 1)]
    [InlineData(0U, ulong.MaxValue / 512, 1024U, 1)]
    [InlineData(1U, 512UL, 512U, 1)]
    [InlineData(0U, 0UL, 511U, 1)] // no whole sector
    [InlineData(1U, 0UL, 513U, 1)]
    [InlineData(8U, 0UL, 19U, 1)] // no room for the name
    [InlineData(2U, 0UL, 512U, 2)] // no such request
    [InlineData(uint.MaxValue, 0UL, 512U, 2)]
    public void What_cannot_be_done_is_refused_and_changes_nothing(uint type, ulong sector, uint bytes, int status)
    {
        byte[] before = [.. _disk];
        Request(type, sector, bytes, isWrite: type == 1).ShouldBe((byte)status);
        _disk.ShouldBe(before);
        _ram.At(Data, (int)bytes).ToArray().ShouldAllBe(value => value == 0);
        _device.Transport.Problem.ShouldBe(VirtqueueResult.Ok);
    }

    [Fact]
    public void A_read_only_disk_is_not_written()
    {
        Start(DiskBytes, true);
        _driver.Write(ref _device.Transport, 0x014, 0);
        (_device.Transport.Read(0x010, 4) & (1 << 5)).ShouldNotBe(0UL);
        byte[] before = [.. _disk];
        Request(1, 0, 512, isWrite: true).ShouldBe((byte)1);
        _disk.ShouldBe(before);
        Request(0, 0, 512, isWrite: false).ShouldBe((byte)0);
    }

    [Fact]
    public void It_has_a_name()
    {
        Request(8, 0, 20, isWrite: false).ShouldBe((byte)0);
        System.Text.Encoding.ASCII.GetString(_ram.At(Data, 12)).ShouldBe("quietus-disk");
    }

    [Theory]
    [InlineData(15U, 1U)]
    [InlineData(16U, 0U)]
    public void A_request_without_room_for_header_or_status_breaks_the_device(uint header, uint status)
    {
        _queue.Describe(0, Header, header, status != 0 ? QueueDriver.Next : (ushort)0, 1);
        _queue.Describe(1, Status, 1, QueueDriver.Write);
        _queue.Offer(0);
        Work();
        _device.Transport.Problem.ShouldBe(VirtqueueResult.BadRequest);
    }

    [Fact]
    public void A_request_that_is_left_in_the_middle_goes_on_there_also_in_a_copy_of_the_device()
    {
        _ram.IsWanted = () => true;
        SetHeader(0, 0);
        _queue.Describe(0, Header, 16, QueueDriver.Next, 1);
        _queue.Describe(1, Data, DiskBytes, QueueDriver.Next | QueueDriver.Write, 2);
        _queue.Describe(2, Status, 1, QueueDriver.Write);
        _queue.Offer(0);
        _driver.Notify(ref _device.Transport, 0);
        int steps = 0;
        while (_device.Transport.HasWork)
        {
            _device.TryStep(ref _view, ref _medium).ShouldBeTrue();
            VirtioBlock child = _device;
            _device = child;
            steps++;
        }

        steps.ShouldBe((DiskBytes / 4096) + 1);
        _queue.Take().ShouldBe((0U, DiskBytes + 1U));
        _queue.Take().ShouldBeNull();
        _medium.Reads.ShouldBe(DiskBytes / 4096);
        _ram.At(Data, DiskBytes).SequenceEqual(_disk).ShouldBeTrue();
    }

    [Fact]
    public void A_reset_forgets_what_was_left_in_the_middle()
    {
        _ram.IsWanted = () => true;
        Offer(0, 0, 64 << 10, false);
        _driver.Notify(ref _device.Transport, 0);
        _device.TryStep(ref _view, ref _medium).ShouldBeTrue();
        _ram.At(_queue.Available, 0x100).Clear();
        _driver.Write(ref _device.Transport, 0x070, 0);
        _driver.Start(ref _device.Transport, Features, _queue);
        _ram.At(Data, 64 << 10).Clear();
        _queue.Offered = 0;
        Request(0, 0, 64 << 10, isWrite: false).ShouldBe((byte)0);
        _ram.At(Data, 64 << 10).SequenceEqual(_disk.AsSpan(0, 64 << 10)).ShouldBeTrue();
    }

    [Fact]
    public void Pages_that_are_missing_in_the_guest_or_of_the_disk_are_waited_for()
    {
        Offer(0, 0, 16 << 10, false);
        _driver.Notify(ref _device.Transport, 0);
        _ram.Gone = (Data + 0x2000, Data + 0x3000);
        _device.TryStep(ref _view, ref _medium).ShouldBeFalse();
        _ram.Gone = default;
        _medium.Gone = 3;
        _device.TryStep(ref _view, ref _medium).ShouldBeFalse();
        _medium.Gone = -1;
        Work();
        _queue.Take().ShouldBe((0U, (16U << 10) + 1));
        _ram.At(Data, 16 << 10).SequenceEqual(_disk.AsSpan(0, 16 << 10)).ShouldBeTrue();
    }

    [Fact]
    public void A_hundred_thousand_hostile_requests_stay_on_the_disk_and_in_memory()
    {
        var random = new Random(7);
        for (int round = 0; round < 100_000; round++)
        {
            _ram.At(_queue.Available, 0x100).Clear();
            _ram.At(_queue.Used, 0x300).Clear();
            _queue.Offered = 0;
            Start(DiskBytes, random.Next(4) == 0);
            int length = random.Next(1, 8);
            for (int i = 0; i < length; i++)
            {
                ushort flags = (ushort)(i != length - 1 || random.Next(20) == 0 ? QueueDriver.Next : 0);
                flags |= random.Next(10) < i + 2 ? QueueDriver.Write : (ushort)0;
                ulong address = random.Next(30) == 0 ? (ulong)random.NextInt64() : Data + (ulong)random.Next(0x1000);
                uint bytes = i == 0 ? 16U : ((uint)random.Next(3) * 512) + (i == length - 1 ? 1U : 0);
                _queue.Describe(i, i == 0 ? Header : address, bytes, flags, (ushort)(i + 1));
            }

            SetHeader((uint)random.Next(3), random.Next(4) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(520));
            _ram.BeforeRead = () =>
            {
                if (random.Next(20) == 0)
                {
                    SetHeader((uint)random.Next(10), (ulong)random.Next(600));
                    _ram.At(_queue.Descriptors + (ulong)random.Next(128), 1)[0] = (byte)random.Next(256);
                }
            };
            _queue.Offer(0);
            Work();
            _ram.BeforeRead = null;
        }
    }

    private void Start(ulong bytes, bool isReadOnly)
    {
        _device = default;
        _device.Install(bytes, isReadOnly);
        _driver.Start(ref _device.Transport, Features, _queue);
    }

    private void SetHeader(uint type, ulong sector)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_ram.At(Header, 4), type);
        BinaryPrimitives.WriteUInt64LittleEndian(_ram.At(Header + 8, 8), sector);
    }

    private void Offer(uint type, ulong sector, uint bytes, bool isWrite)
    {
        SetHeader(type, sector);
        _ram.At(Status, 1)[0] = 0xFF;
        _queue.Describe(0, Header, 16, QueueDriver.Next, 1);
        _queue.Describe(1, Data, bytes, (ushort)(QueueDriver.Next | (isWrite ? 0 : QueueDriver.Write)), 2);
        _queue.Describe(2, Status, 1, QueueDriver.Write);
        _queue.Offer(0);
    }

    private byte Request(uint type, ulong sector, uint bytes, bool isWrite)
    {
        Offer(type, sector, bytes, isWrite);
        Work();
        _queue.Take().ShouldNotBeNull();
        return _ram.At(Status, 1)[0];
    }

    private void Work()
    {
        _driver.Notify(ref _device.Transport, 0);
        for (int steps = 0; _device.Transport.HasWork; steps++)
        {
            steps.ShouldBeLessThan(1000);
            _device.TryStep(ref _view, ref _medium).ShouldBeTrue();
        }
    }

    /// <summary>A disk in tests, by pages of 4 KB. An access outside it fails the test.</summary>
    private struct Disk(byte[] bytes) : IGuestMemory
    {
        internal int Reads { get; private set; }

        internal int Gone { get; set; } = -1;

        public readonly bool IsWanted => false;

        public readonly bool Contains(ulong address, ulong length) => throw new InvalidOperationException();

        public bool TryRead(ulong address, scoped Span<byte> destination)
        {
            (address / 4096).ShouldBe((address + (ulong)destination.Length - 1) / 4096);
            if ((int)(address / 4096) == Gone)
            {
                return false;
            }

            Reads++;
            bytes.AsSpan((int)address, destination.Length).CopyTo(destination);
            return true;
        }

        public readonly bool TryWrite(ulong address, scoped ReadOnlySpan<byte> source)
        {
            source.CopyTo(bytes.AsSpan((int)address, source.Length));
            return (int)(address / 4096) != Gone;
        }

        public readonly void Fence() => throw new InvalidOperationException();
    }
}

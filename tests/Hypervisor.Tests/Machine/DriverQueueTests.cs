using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Machine;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Machine;

/// <summary>EL2's side of a virtqueue, with a device that follows the rules and with one that lies.</summary>
public sealed unsafe class DriverQueueTests : IDisposable
{
    private const int BufferBytes = 64;
    private const int UsedOffset = 256;

    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(4096, 4096);
    private DriverQueue _queue;
    private ushort _used;

    public DriverQueueTests() => _queue.Initialize(_memory, _memory + 1024, BufferBytes, deviceWrites: true);

    public void Dispose() => NativeMemory.AlignedFree(_memory);

    [Fact]
    public void A_buffer_goes_to_the_device_and_comes_back_with_what_it_wrote()
    {
        _queue.OurCount.ShouldBe(DriverQueue.Entries);
        _queue.TryTake(out _, out _).ShouldBeFalse();
        for (int round = 0; round < 70_000; round++)
        {
            _queue.TryFind(out int index).ShouldBeTrue();
            _queue.Offer(index, BufferBytes);
            _queue.OurCount.ShouldBe(DriverQueue.Entries - 1);
            (Half(128 + 2), Half(128 + 4 + (round % 8 * 2))).ShouldBe(((ushort)(round + 1), (ushort)index));
            Use((uint)index, 5);
            _queue.TryTake(out int taken, out int bytes).ShouldBeTrue();
            (taken, bytes).ShouldBe((index, 5));
        }

        _queue.IsBroken.ShouldBeFalse();
    }

    [Fact]
    public void When_all_are_with_the_device_there_is_none_to_find()
    {
        for (int i = 0; i < DriverQueue.Entries; i++)
        {
            _queue.TryFind(out int index).ShouldBeTrue();
            index.ShouldBe(i);
            _queue.Offer(index, 1);
        }

        _queue.TryFind(out _).ShouldBeFalse();
        Use(3, 0);
        _queue.TryTake(out _, out _).ShouldBeTrue();
        _queue.TryFind(out int free).ShouldBeTrue();
        free.ShouldBe(3);
    }

    [Theory]
    [InlineData(8U, 1U)] // no such buffer
    [InlineData(uint.MaxValue, 1U)]
    [InlineData(4U, 1U)] // one that it was not given
    [InlineData(1U, BufferBytes + 1U)] // more than fits
    [InlineData(1U, uint.MaxValue)]
    public void A_device_that_lies_is_believed_no_more(uint head, uint written)
    {
        _queue.Offer(1, BufferBytes);
        _queue.Offer(2, BufferBytes);
        Use(head, written);
        Use(2, 1);
        _queue.TryTake(out _, out _).ShouldBeFalse();
        _queue.IsBroken.ShouldBeTrue();
        _queue.TryTake(out _, out _).ShouldBeFalse();
        _queue.OurCount.ShouldBe(DriverQueue.Entries - 2);
    }

    [Fact]
    public void Whatever_a_device_says_only_offered_buffers_come_back_and_no_longer_than_they_are()
    {
        var random = new Random(7);
        for (int round = 0; round < 20_000; round++)
        {
            _queue.Initialize(_memory, _memory + 1024, BufferBytes, deviceWrites: true);
            var offered = new HashSet<int>();
            for (int i = random.Next(9); i > 0; i--)
            {
                _queue.TryFind(out int index);
                _queue.Offer(index, BufferBytes);
                offered.Add(index);
            }

            for (int i = UsedOffset; i < DriverQueue.RingBytes; i++)
            {
                _memory[i] = (byte)(random.Next(3) == 0 ? random.Next(256) : random.Next(4) == 0 ? random.Next(9) : 0);
            }

            while (_queue.TryTake(out int index, out int bytes))
            {
                offered.Remove(index).ShouldBeTrue();
                bytes.ShouldBeInRange(0, BufferBytes);
            }
        }
    }

    private ushort Half(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(new Span<byte>(_memory + offset, 2));

    private void Use(uint head, uint written)
    {
        uint* entry = (uint*)(_memory + UsedOffset + 4 + (_used % DriverQueue.Entries * 8));
        entry[0] = head;
        entry[1] = written;
        _used++;
        *(ushort*)(_memory + UsedOffset + 2) = _used;
    }
}

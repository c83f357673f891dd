using System;
using System.Linq;
using Quietus.Hypervisor.Devices.Virtio;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>Rings and chains, right and wrong ones: what a device makes of them.</summary>
public sealed class VirtqueueTests
{
    private const ulong Data = GuestRam.Start + 0x4000;

    private readonly GuestRam _ram = new(64 << 10);
    private GuestRam.View _view;

    public VirtqueueTests() => _view = new GuestRam.View(_ram);

    public static TheoryData<VirtqueueResult> Results => [.. Enum.GetValues<VirtqueueResult>()];

    [Theory]
    [InlineData(0, VirtqueueResult.BadSize)]
    [InlineData(1, VirtqueueResult.Ok)]
    [InlineData(3, VirtqueueResult.BadSize)]
    [InlineData(64, VirtqueueResult.Ok)]
    [InlineData(128, VirtqueueResult.BadSize)]
    [InlineData(uint.MaxValue, VirtqueueResult.BadSize)]
    public void A_size_is_a_power_of_two_up_to_64(uint size, VirtqueueResult expected)
    {
        Virtqueue queue = new QueueDriver(_ram, 8, false).Queue();
        queue.Size = size;
        queue.Enable(ref _view, false, false).ShouldBe(expected);
        queue.IsReady.ShouldBe(expected == VirtqueueResult.Ok);
    }

    [Theory]
    [InlineData(8UL, 0UL, 0UL)] // not aligned
    [InlineData(0UL, 1UL, 0UL)]
    [InlineData(0UL, 0UL, 2UL)]
    [InlineData(0x1_0000UL - 112, 0UL, 0UL)] // one byte and more outside
    [InlineData(0UL, 0xF000UL - 20, 0UL)]
    [InlineData(0UL, 0UL, 0xE000UL - 68)]
    [InlineData(unchecked(0UL - 0x4000_0000), 0UL, 0UL)]
    [InlineData(0xFFFF_FFFF_BFFF_FFF0, 0UL, 0UL)] // the end wraps
    public void Rings_lie_in_memory_and_are_aligned(ulong descriptors, ulong available, ulong used)
    {
        Virtqueue queue = new QueueDriver(_ram, 8, true).Queue();
        queue.Descriptors += descriptors;
        queue.Available += available;
        queue.Used += used;
        queue.Enable(ref _view, true, true).ShouldBe(VirtqueueResult.BadPlace);
        queue.IsReady.ShouldBeFalse();
    }

    [Theory]
    [InlineData(0x1_0000UL - 128, 0UL, 0UL)]
    [InlineData(0UL, 0xF000UL - 22, 0UL)]
    [InlineData(0UL, 0UL, 0xE000UL - 72)]
    public void Rings_may_end_where_memory_ends(ulong descriptors, ulong available, ulong used)
    {
        Virtqueue queue = new QueueDriver(_ram, 8, true).Queue();
        queue.Descriptors += descriptors;
        queue.Available += available;
        queue.Used += used;
        queue.Enable(ref _view, true, true).ShouldBe(VirtqueueResult.Ok);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_come_in_their_order_for_ever_and_go_back(bool hasEventIndex)
    {
        var driver = new QueueDriver(_ram, 8, hasEventIndex);
        Virtqueue queue = driver.Ready();
        BufferChain chain = default;
        for (int i = 0; i < 70_000; i++)
        {
            int head = i * 5 % 8;
            driver.Describe(head, Data + (ulong)(i % 512), 16, QueueDriver.Write);
            driver.Offer(head);
            queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
            chain.Head.ShouldBe((ushort)head);
            chain.TryWrite(ref _view, 4, [(byte)i]).ShouldBeTrue();
            _ram.At(Data + (ulong)(i % 512) + 4, 1)[0].ShouldBe((byte)i);
            queue.Complete(ref _view, chain.Head, 5, out _).ShouldBe(VirtqueueResult.Ok);
            driver.Take().ShouldBe(((uint)head, 5U));
            if (i % 1000 == 0)
            {
                queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Empty);
            }
        }
    }

    [Fact]
    public void A_chain_is_read_first_and_written_then_across_its_buffers()
    {
        var driver = new QueueDriver(_ram, 8, false);
        Virtqueue queue = driver.Ready();
        driver.Describe(3, Data, 3, QueueDriver.Next, 1);
        driver.Describe(1, Data + 100, 5, QueueDriver.Next, 6);
        driver.Describe(6, Data + 200, 2, QueueDriver.Next | QueueDriver.Write, 0);
        driver.Describe(0, Data + 300, 4, QueueDriver.Write);
        for (int i = 0; i < 1000; i++)
        {
            _ram.At(Data + (ulong)i, 1)[0] = (byte)i;
        }

        driver.Offer(3);
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
        chain.ReadableBytes.ShouldBe(8UL);
        chain.WritableBytes.ShouldBe(6UL);
        byte[] read = new byte[8];
        chain.TryRead(ref _view, 0, read).ShouldBeTrue();
        read.ShouldBe([0, 1, 2, 100, 101, 102, 103, 104]);
        chain.TryRead(ref _view, 2, read.AsSpan(0, 3)).ShouldBeTrue();
        read.AsSpan(0, 3).ToArray().ShouldBe([2, 100, 101]);
        chain.TryRead(ref _view, 1, read).ShouldBeFalse();
        chain.TryRead(ref _view, ulong.MaxValue, read.AsSpan(0, 1)).ShouldBeFalse();
        chain.TryWrite(ref _view, 1, [9, 8, 7]).ShouldBeTrue();
        _ram.At(Data + 200, 3).ToArray().ShouldBe([200, 9, 202]);
        _ram.At(Data + 300, 3).ToArray().ShouldBe([8, 7, 46]);
        chain.TryWrite(ref _view, 5, [1, 2]).ShouldBeFalse();
    }

    [Fact]
    public void An_indirect_table_stands_for_its_buffers()
    {
        var driver = new QueueDriver(_ram, 4, false);
        Virtqueue queue = driver.Ready();
        ulong table = Data + 0x1000;
        driver.Describe(0, Data, 1, QueueDriver.Next, 2);
        driver.Describe(2, table, 4 * 16, QueueDriver.Indirect | QueueDriver.Write);
        driver.Describe(0, Data + 1, 1, QueueDriver.Next, 3, table);
        driver.Describe(3, Data + 2, 1, QueueDriver.Next, 1, table);
        driver.Describe(1, Data + 3, 1, QueueDriver.Next | QueueDriver.Write, 2, table);
        driver.Describe(2, Data + 4, 1, QueueDriver.Write, 0, table);
        driver.Offer(0);
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
        chain.Head.ShouldBe((ushort)0);
        chain.ReadableBytes.ShouldBe(3UL);
        chain.WritableBytes.ShouldBe(2UL);
    }

    [Fact]
    public void A_queue_that_is_not_ready_has_nothing()
    {
        var driver = new QueueDriver(_ram, 4, false);
        driver.Offer(0);
        Virtqueue queue = driver.Queue();
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Empty);
        queue = driver.Ready();
        queue.Disable();
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Empty);
        _ram.Reads.ShouldBe(0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void An_available_index_may_be_one_queue_ahead_and_no_more(int size)
    {
        var driver = new QueueDriver(_ram, size, false);
        driver.Describe(0, Data, 1, 0);
        for (int ahead = 0; ahead < 0x1_0000; ahead += ahead < 8 ? 1 : 0xFF)
        {
            Virtqueue queue = driver.Ready();
            _ram.SetHalf(driver.Available + 2, (ushort)ahead);
            BufferChain chain = default;
            queue.TryTake(ref _view, ref chain).ShouldBe(
                ahead == 0 ? VirtqueueResult.Empty
                : ahead <= size ? VirtqueueResult.Ok
                : VirtqueueResult.BadAvailableIndex);
        }
    }

    [Theory]
    [InlineData(8, VirtqueueResult.BadDescriptor)]
    [InlineData(0xFFFF, VirtqueueResult.BadDescriptor)]
    [InlineData(1, VirtqueueResult.TooLong)] // 1 and 2 lead to each other
    [InlineData(3, VirtqueueResult.BadDescriptor)] // its successor is outside
    [InlineData(4, VirtqueueResult.BadOrder)]
    [InlineData(6, VirtqueueResult.BadBuffer)]
    [InlineData(7, VirtqueueResult.BadBuffer)]
    public void A_chain_that_lies_is_told_by_its_lie(int head, VirtqueueResult expected)
    {
        var driver = new QueueDriver(_ram, 8, false);
        driver.Describe(1, Data, 1, QueueDriver.Next, 2);
        driver.Describe(2, Data, 1, QueueDriver.Next, 1);
        driver.Describe(3, Data, 1, QueueDriver.Next, 8);
        driver.Describe(4, Data, 1, QueueDriver.Next | QueueDriver.Write, 5);
        driver.Describe(5, Data, 1, 0);
        driver.Describe(6, Data, 0, 0);
        driver.Describe(7, _ram.End - 8, 9, QueueDriver.Write);
        Take(driver, head).ShouldBe(expected);
    }

    [Theory]
    [InlineData(0UL, 16U)]
    [InlineData(0x3FFF_FFFFUL, 2U)]
    [InlineData(0x4001_0000UL, 1U)]
    [InlineData(0x4000_FFFFUL, 2U)]
    [InlineData(ulong.MaxValue, 1U)]
    [InlineData(0xFFFF_FFFF_FFFF_FFF0, 0x40U)]
    [InlineData(0x4000_4000UL, uint.MaxValue)]
    public void A_buffer_lies_in_memory_to_its_last_byte(ulong address, uint length)
    {
        var driver = new QueueDriver(_ram, 8, false);
        driver.Describe(0, address, length, QueueDriver.Write);
        Take(driver, 0).ShouldBe(VirtqueueResult.BadBuffer);
    }

    [Theory]
    [InlineData(0U, false, QueueDriver.Indirect)]
    [InlineData(8U, false, QueueDriver.Indirect)]
    [InlineData(24U, false, QueueDriver.Indirect)]
    [InlineData(9 * 16U, false, QueueDriver.Indirect)] // longer than the queue
    [InlineData(uint.MaxValue - 15, false, QueueDriver.Indirect)]
    [InlineData(32U, true, QueueDriver.Indirect)] // a table in a table
    [InlineData(32U, false, QueueDriver.Indirect | QueueDriver.Next)]
    public void An_indirect_table_that_is_none_is_refused(uint length, bool isNested, int flags)
    {
        var driver = new QueueDriver(_ram, 8, false);
        ulong table = Data + 0x1000;
        driver.Describe(0, table, length, (ushort)flags);
        driver.Describe(0, Data, 16, isNested ? QueueDriver.Indirect : (ushort)0, 0, table);
        Take(driver, 0).ShouldBe(VirtqueueResult.BadIndirectTable);
    }

    [Fact]
    public void An_indirect_table_that_was_not_agreed_on_is_refused()
    {
        var driver = new QueueDriver(_ram, 8, false);
        driver.Describe(0, Data, 16, QueueDriver.Indirect);
        driver.Offer(0);
        Virtqueue queue = driver.Queue();
        queue.Enable(ref _view, false, hasIndirect: false).ShouldBe(VirtqueueResult.Ok);
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.BadIndirectTable);
    }

    [Fact]
    public void A_loop_in_an_indirect_table_ends()
    {
        var driver = new QueueDriver(_ram, 8, false);
        ulong table = Data + 0x1000;
        driver.Describe(0, table, 32, QueueDriver.Indirect);
        driver.Describe(0, Data, 1, QueueDriver.Next, 1, table);
        driver.Describe(1, Data, 1, QueueDriver.Next, 0, table);
        Take(driver, 0).ShouldBe(VirtqueueResult.TooLong);
        _ram.Reads.ShouldBeLessThan(8);
    }

    [Fact]
    public void A_chain_of_64_is_the_longest()
    {
        var driver = new QueueDriver(_ram, 64, false);
        ulong table = Data + 0x1000;
        for (int i = 0; i < 64; i++)
        {
            driver.Describe(i, Data, 1, i == 63 ? (ushort)0 : QueueDriver.Next, (ushort)(i + 1), table);
        }

        driver.Describe(0, table, 64 * 16, QueueDriver.Indirect);
        Take(driver, 0).ShouldBe(VirtqueueResult.Ok);
        driver.Describe(0, Data, 1, QueueDriver.Next, 1);
        driver.Describe(1, table, 64 * 16, QueueDriver.Indirect);
        Take(driver, 0).ShouldBe(VirtqueueResult.TooLong);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_ring_whose_memory_is_gone_breaks_the_queue_and_no_more(int which)
    {
        var driver = new QueueDriver(_ram, 8, true);
        driver.Describe(0, Data, 1, 0);
        driver.Offer(0);
        Virtqueue queue = driver.Ready();
        ulong start = which == 0 ? driver.Descriptors : which == 1 ? driver.Available : driver.Used;
        _ram.Gone = (start, start + 0x1000);
        BufferChain chain = default;
        if (which != 2)
        {
            queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.NoMemory);
        }
        else
        {
            queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
            queue.Complete(ref _view, 0, 0, out bool interrupts).ShouldBe(VirtqueueResult.NoMemory);
            interrupts.ShouldBeFalse();
        }
    }

    [Fact]
    public void Without_an_event_index_the_drivers_flag_says_whether_it_wants_interrupts()
    {
        var driver = new QueueDriver(_ram, 8, false);
        Virtqueue queue = driver.Ready();
        queue.Complete(ref _view, 0, 0, out bool interrupts).ShouldBe(VirtqueueResult.Ok);
        interrupts.ShouldBeTrue();
        _ram.SetHalf(driver.Available, 1);
        queue.Complete(ref _view, 0, 0, out interrupts).ShouldBe(VirtqueueResult.Ok);
        interrupts.ShouldBeFalse();
    }

    [Fact]
    public void With_an_event_index_the_driver_hears_of_the_request_that_it_named()
    {
        var driver = new QueueDriver(_ram, 8, true);
        Virtqueue queue = driver.Ready();
        for (int i = 0; i < 70_000; i++)
        {
            bool asked = i % 3 == 0;
            _ram.SetHalf(driver.UsedEvent, (ushort)(asked ? i : i + 5));
            queue.Complete(ref _view, 0, 0, out bool interrupts).ShouldBe(VirtqueueResult.Ok);
            interrupts.ShouldBe(asked);
        }
    }

    [Fact]
    public void A_request_that_comes_while_the_device_says_where_it_stands_is_not_missed()
    {
        var driver = new QueueDriver(_ram, 8, true);
        driver.Describe(0, Data, 1, 0);
        Virtqueue queue = driver.Ready();
        int reads = 0;
        _ram.BeforeRead = () =>
        {
            if (++reads == 2)
            {
                driver.Offer(0);
            }
        };
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
        _ram.BeforeRead = null;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Empty);
        _ram.Half(driver.AvailableEvent).ShouldBe((ushort)1);
    }

    [Fact]
    public void What_a_guest_changes_after_the_check_changes_nothing()
    {
        var driver = new QueueDriver(_ram, 8, false);
        driver.Describe(0, Data, 8, QueueDriver.Write);
        driver.Offer(0);
        Virtqueue queue = driver.Ready();
        BufferChain chain = default;
        queue.TryTake(ref _view, ref chain).ShouldBe(VirtqueueResult.Ok);
        driver.Describe(0, Data + 0x1000, 8, 0);
        chain.TryWrite(ref _view, 0, [1, 2, 3, 4, 5, 6, 7, 8]).ShouldBeTrue();
        _ram.Written.ShouldBe([(Data, 8)]);
    }

    [Theory]
    [MemberData(nameof(Results))]
    public void Each_lie_has_words_of_its_own(VirtqueueResult result)
    {
        string words = Words(result);
        words.ShouldNotBeEmpty();
        Enum.GetValues<VirtqueueResult>()
            .Where(other => other > VirtqueueResult.Empty && other != result)
            .Select(Words)
            .ShouldNotContain(words);

        static string Words(VirtqueueResult of) => System.Text.Encoding.ASCII.GetString(of.Explain());
    }

    private VirtqueueResult Take(QueueDriver driver, int head)
    {
        Virtqueue queue = driver.Ready();
        driver.Offered = 0;
        driver.Offer(head);
        BufferChain chain = default;
        return queue.TryTake(ref _view, ref chain);
    }
}

using System;
using Shouldly;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>Queues as no driver should make them, for devices with buffers of both directions.</summary>
internal static class HostileQueue
{
    /// <summary>Random descriptors, and some of them offered.</summary>
    internal static void Fill(Random random, QueueDriver queue, ulong data)
    {
        for (int i = 0; i < queue.Size; i++)
        {
            Describe(random, queue, i, data);
        }

        for (int i = random.Next(queue.Size + 1); i > 0; i--)
        {
            queue.Offer(random.Next(40) == 0 ? random.Next(0x1_0000) : random.Next(queue.Size));
        }

        if (random.Next(20) == 0)
        {
            queue.Offered = (ushort)random.Next(0x1_0000);
            queue.Offer(0);
        }
    }

    /// <summary>What another core of a hostile guest does meanwhile.</summary>
    internal static void Disturb(Random random, QueueDriver queue, ulong data)
    {
        if (random.Next(4) == 0)
        {
            Describe(random, queue, random.Next(queue.Size), data);
        }
    }

    /// <summary>All that the device wrote lies in its queues' rings, or in what they may have offered.</summary>
    internal static void ShouldHoldAllWrites(
        GuestRam ram, QueueDriver first, QueueDriver last, ulong data, int round)
    {
        foreach ((ulong address, int length) in ram.Written)
        {
            ram.Contains(address, (ulong)length).ShouldBeTrue();
            bool isRing = address >= first.Used && address + (ulong)length <= last.AvailableEvent + 2;
            bool isData = address >= data && (address + (ulong)length <= data + 0x2000 || address >= ram.End - 64);
            (isRing || isData).ShouldBeTrue($"round {round}: wrote {length} bytes at {address:x}");
        }
    }

    private static void Describe(Random random, QueueDriver queue, int index, ulong data)
    {
        ulong address = random.Next(30) switch
        {
            0 => GuestRam.Start - (ulong)random.Next(1, 64),
            1 => GuestRam.Start + (128 << 10) - (ulong)random.Next(64),
            2 => (ulong)random.NextInt64() << 1,
            _ => data + (ulong)random.Next(0x1000),
        };
        uint length = random.Next(30) switch
        {
            0 => 0,
            1 => uint.MaxValue - (uint)random.Next(64),
            _ => (uint)random.Next(1, 0x1000),
        };
        ushort flags = (ushort)(random.Next(4) == 0 ? QueueDriver.Next : 0);
        flags |= random.Next(2) != 0 ? QueueDriver.Write : (ushort)0;
        flags |= random.Next(20) == 0 ? QueueDriver.Indirect : (ushort)0;
        int next = random.Next(20) == 0 ? random.Next(0x1_0000) : random.Next(queue.Size);
        queue.Describe(index, address, length, flags, (ushort)next);
    }
}

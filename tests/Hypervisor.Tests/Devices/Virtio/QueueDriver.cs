using System;
using System.Buffers.Binary;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The driver's side of one queue, for tests (Virtual I/O Device 1.2, 2.7.13).</summary>
internal sealed class QueueDriver(GuestRam ram, int size, bool hasEventIndex)
{
    internal const ushort Next = 1;
    internal const ushort Write = 2;
    internal const ushort Indirect = 4;

    private ushort _used;

    internal int Size => size;

    internal ulong Descriptors { get; init; } = GuestRam.Start;

    internal ulong Available { get; init; } = GuestRam.Start + 0x1000;

    internal ulong Used { get; init; } = GuestRam.Start + 0x2000;

    /// <summary>How many requests were offered, modulo 2^16.</summary>
    internal ushort Offered { get; set; }

    internal ulong UsedEvent => Available + 4 + (2 * (ulong)size);

    internal ulong AvailableEvent => Used + 4 + (8 * (ulong)size);

    internal Virtqueue Queue()
    {
        Virtqueue queue = default;
        queue.Size = (uint)size;
        queue.Descriptors = Descriptors;
        queue.Available = Available;
        queue.Used = Used;
        return queue;
    }

    internal Virtqueue Ready()
    {
        Virtqueue queue = Queue();
        var memory = new GuestRam.View(ram);
        return queue.Enable(ref memory, hasEventIndex, hasIndirect: true) == VirtqueueResult.Ok
            ? queue
            : throw new InvalidOperationException("the queue was refused");
    }

    /// <summary>Writes one descriptor into the queue's table, or into an indirect one.</summary>
    internal void Describe(int index, ulong address, uint length, ushort flags, ushort next = 0, ulong? table = null)
    {
        Span<byte> to = ram.At((table ?? Descriptors) + ((ulong)index * 16), 16);
        BinaryPrimitives.WriteUInt64LittleEndian(to, address);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(to[12..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(to[14..], next);
    }

    internal void Offer(int head)
    {
        ram.SetHalf(Available + 4 + (2 * (ulong)(Offered % size)), (ushort)head);
        Offered++;
        ram.SetHalf(Available + 2, Offered);
    }

    /// <summary>The next request that came back.</summary>
    internal (uint Head, uint Written)? Take()
    {
        if (ram.Half(Used + 2) == _used)
        {
            return null;
        }

        ulong entry = Used + 4 + (8 * (ulong)(_used % size));
        _used++;
        return (ram.Word(entry), ram.Word(entry + 4));
    }
}

using System;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// One request of a driver, checked: buffers that the device reads, then buffers that it writes, all of them in the
/// guest's memory. <see cref="Virtqueue.TryTake"/> alone makes one, from descriptors that it read once; the guest can
/// change them afterwards and change nothing here.
/// </summary>
/// <remarks>
/// The contents stay the guest's: what is read twice may differ. A device copies what it decides by.
/// </remarks>
public struct BufferChain
{
    /// <summary>Buffers at most: a chain is no longer than its queue (Virtual I/O Device 1.2, 2.7.5.2).</summary>
    public const int MostBuffers = Virtqueue.MostEntries;

    private Buffers _buffers;
    private int _count;
    private int _readableCount;

    /// <summary>The first descriptor's number: how the driver knows the request again.</summary>
    public ushort Head { get; private set; }

    /// <summary>Bytes that the device may read.</summary>
    public ulong ReadableBytes { get; private set; }

    /// <summary>Bytes that the device may write.</summary>
    public ulong WritableBytes { get; private set; }

    /// <summary>Copies from the readable bytes, counted from the first. False beyond the last.</summary>
    public readonly bool TryRead<TMemory>(ref TMemory memory, ulong offset, scoped Span<byte> to)
        where TMemory : struct, IGuestMemory
    {
        if (offset > ReadableBytes || (ulong)to.Length > ReadableBytes - offset)
        {
            return false;
        }

        for (int i = 0; !to.IsEmpty; i++)
        {
            ulong length = _buffers[i].Length;
            if (offset >= length)
            {
                offset -= length;
                continue;
            }

            int piece = (int)Math.Min(length - offset, (ulong)to.Length);
            if (!memory.TryRead(_buffers[i].Address + offset, to.Slice(0, piece)))
            {
                return false;
            }

            to = to.Slice(piece);
            offset = 0;
        }

        return true;
    }

    /// <summary>Copies to the writable bytes, counted from the first. False beyond the last.</summary>
    public readonly bool TryWrite<TMemory>(ref TMemory memory, ulong offset, scoped ReadOnlySpan<byte> from)
        where TMemory : struct, IGuestMemory
    {
        if (offset > WritableBytes || (ulong)from.Length > WritableBytes - offset)
        {
            return false;
        }

        for (int i = _readableCount; !from.IsEmpty; i++)
        {
            ulong length = _buffers[i].Length;
            if (offset >= length)
            {
                offset -= length;
                continue;
            }

            int piece = (int)Math.Min(length - offset, (ulong)from.Length);
            if (!memory.TryWrite(_buffers[i].Address + offset, from.Slice(0, piece)))
            {
                return false;
            }

            from = from.Slice(piece);
            offset = 0;
        }

        return true;
    }

    internal void Begin(ushort head)
    {
        Head = head;
        _count = 0;
        _readableCount = 0;
        ReadableBytes = 0;
        WritableBytes = 0;
    }

    /// <summary>Takes one more buffer in, if it is one.</summary>
    internal VirtqueueResult Add<TMemory>(ref TMemory memory, ulong address, uint length, bool isWritable)
        where TMemory : struct, IGuestMemory
    {
        if (_count == MostBuffers)
        {
            return VirtqueueResult.TooLong;
        }

        if (!memory.Contains(address, length))
        {
            return VirtqueueResult.BadBuffer;
        }

        if (isWritable)
        {
            WritableBytes += length;
        }
        else if (_readableCount != _count)
        {
            return VirtqueueResult.BadOrder;
        }
        else
        {
            _readableCount++;
            ReadableBytes += length;
        }

        _buffers[_count].Address = address;
        _buffers[_count].Length = length;
        _count++;
        return VirtqueueResult.Ok;
    }

    private struct Place
    {
        internal ulong Address;
        internal uint Length;
    }

    [InlineArray(MostBuffers)]
    private struct Buffers
    {
        private Place _first;
    }
}

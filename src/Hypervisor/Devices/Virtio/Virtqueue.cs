using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// The device's side of a split virtqueue (Virtual I/O Device 1.2, 2.7). What lies in the rings is an allegation of the
/// guest's: it is read once, checked, and becomes a <see cref="BufferChain"/>, or breaks the device.
/// </summary>
/// <remarks>
/// <code>
///  descriptor table   16 bytes each:  address 8 | length 4 | flags 2 | next 2          aligned to 16
///  available ring     flags 2 | index 2 | heads 2 each                 | used_event 2  aligned to 2
///  used ring          flags 2 | index 2 | head 4, bytes written 4 each | avail_event 2 aligned to 4
/// </code>
/// Each index counts on for ever, modulo 2^16; its remainder by the queue's size is the place in the ring. Zeroed
/// memory is a queue that is not ready. The VM's device lock is held for all members.
/// </remarks>
public struct Virtqueue
{
    /// <summary>Entries at most, a power of two.</summary>
    public const int MostEntries = 64;

    private const int DescriptorBytes = 16;
    private const ulong RingHeader = 4;
    private const ulong HeadBytes = 2;
    private const ulong UsedBytes = 8;
    private const ulong IndexOffset = 2;

    private const ushort FlagNext = 1;
    private const ushort FlagWrite = 2;
    private const ushort FlagIndirect = 4;
    private const ushort NoInterrupt = 1;

    private ushort _nextAvailable;
    private ushort _nextUsed;
    private bool _hasEventIndex;
    private bool _hasIndirect;

    /// <summary>Entries; what the driver wrote, until the queue is ready.</summary>
    public uint Size;

    /// <summary>Where the descriptor table is; what the driver wrote, until the queue is ready.</summary>
    public ulong Descriptors;

    /// <summary>Where the available ring is, as <see cref="Descriptors"/>.</summary>
    public ulong Available;

    /// <summary>Where the used ring is, as <see cref="Descriptors"/>.</summary>
    public ulong Used;

    /// <summary>Bytes of the driver's next request that were carried out already. A device's own note.</summary>
    public ulong Progress { get; set; }

    /// <summary>Whether the rings were checked and are in use: nothing above changes meanwhile.</summary>
    public bool IsReady { get; private set; }

    /// <summary>The driver says that the rings are there.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="hasEventIndex">VIRTIO_F_EVENT_IDX was agreed on.</param>
    /// <param name="hasIndirect">VIRTIO_F_INDIRECT_DESC was.</param>
    /// <returns>Ok, BadSize or BadPlace.</returns>
    public VirtqueueResult Enable<TMemory>(ref TMemory memory, bool hasEventIndex, bool hasIndirect)
        where TMemory : struct, IGuestMemory
    {
        if (Size is 0 or > MostEntries || (Size & (Size - 1)) != 0)
        {
            return VirtqueueResult.BadSize;
        }

        ulong event16 = hasEventIndex ? HeadBytes : 0;
        if (Descriptors % DescriptorBytes != 0 || Available % 2 != 0 || Used % 4 != 0
            || !memory.Contains(Descriptors, Size * DescriptorBytes)
            || !memory.Contains(Available, RingHeader + (Size * HeadBytes) + event16)
            || !memory.Contains(Used, RingHeader + (Size * UsedBytes) + event16))
        {
            return VirtqueueResult.BadPlace;
        }

        _nextAvailable = 0;
        _nextUsed = 0;
        Progress = 0;
        _hasEventIndex = hasEventIndex;
        _hasIndirect = hasIndirect;
        IsReady = true;
        return VirtqueueResult.Ok;
    }

    /// <summary>The driver takes the rings away.</summary>
    public void Disable() => IsReady = false;

    /// <summary>Takes the driver's next request.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="chain">The request, when the answer is Ok.</param>
    /// <returns>Ok; Empty, and then the driver will notify of its next request; or what is wrong.</returns>
    public VirtqueueResult TryTake<TMemory>(ref TMemory memory, ref BufferChain chain)
        where TMemory : struct, IGuestMemory
    {
        if (!IsReady)
        {
            return VirtqueueResult.Empty;
        }

        if (!TryReadHalf(ref memory, Available + IndexOffset, out ushort index))
        {
            return VirtqueueResult.NoMemory;
        }

        if (index == _nextAvailable && _hasEventIndex)
        {
            // The driver may have added one before it saw where the device stands: look again after saying so.
            if (!TryWriteHalf(ref memory, Used + RingHeader + (Size * UsedBytes), _nextAvailable))
            {
                return VirtqueueResult.NoMemory;
            }

            memory.Fence();
            if (!TryReadHalf(ref memory, Available + IndexOffset, out index))
            {
                return VirtqueueResult.NoMemory;
            }
        }

        if (index == _nextAvailable)
        {
            return VirtqueueResult.Empty;
        }

        if ((ushort)(index - _nextAvailable) > Size)
        {
            return VirtqueueResult.BadAvailableIndex;
        }

        memory.Fence(); // the index was read before what it promises
        ulong place = Available + RingHeader + (_nextAvailable % Size * HeadBytes);
        if (!TryReadHalf(ref memory, place, out ushort head))
        {
            return VirtqueueResult.NoMemory;
        }

        _nextAvailable++;
        return Walk(ref memory, head, ref chain);
    }

    /// <summary>
    /// How many requests the driver has offered, modulo 2^16. It will notify of the next one, whatever waits still.
    /// </summary>
    public readonly VirtqueueResult TryWatch<TMemory>(ref TMemory memory, out ushort offered)
        where TMemory : struct, IGuestMemory
    {
        offered = 0;
        if (!IsReady)
        {
            return VirtqueueResult.Empty;
        }

        if (!TryReadHalf(ref memory, Available + IndexOffset, out offered))
        {
            return VirtqueueResult.NoMemory;
        }

        if (_hasEventIndex)
        {
            if (!TryWriteHalf(ref memory, Used + RingHeader + (Size * UsedBytes), offered))
            {
                return VirtqueueResult.NoMemory;
            }

            memory.Fence(); // the driver may have offered one before it saw that
            if (!TryReadHalf(ref memory, Available + IndexOffset, out offered))
            {
                return VirtqueueResult.NoMemory;
            }
        }

        return VirtqueueResult.Ok;
    }

    /// <summary>Gives a request back.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="head">Its <see cref="BufferChain.Head"/>.</param>
    /// <param name="written">Bytes written, from the first writable one on.</param>
    /// <param name="interrupts">Whether the driver wants an interrupt for it.</param>
    /// <returns>Ok; or NoMemory, and then the driver knows of nothing yet.</returns>
    public VirtqueueResult Complete<TMemory>(ref TMemory memory, ushort head, uint written, out bool interrupts)
        where TMemory : struct, IGuestMemory
    {
        interrupts = false;
        Span<byte> entry = stackalloc byte[(int)UsedBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, head);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.Slice(4), written);
        if (!memory.TryWrite(Used + RingHeader + (_nextUsed % Size * UsedBytes), entry))
        {
            return VirtqueueResult.NoMemory;
        }

        memory.Fence(); // the entry, and the data, are there before the index says so
        _nextUsed++;
        Progress = 0;
        if (!TryWriteHalf(ref memory, Used + IndexOffset, _nextUsed))
        {
            return VirtqueueResult.NoMemory;
        }

        memory.Fence(); // the driver sees the index, or the device sees what the driver asked for after it
        ulong place = _hasEventIndex ? Available + RingHeader + (Size * HeadBytes) : Available;
        interrupts = !TryReadHalf(ref memory, place, out ushort wish) // an interrupt too many does no harm
            || (_hasEventIndex ? (ushort)(_nextUsed - 1) == wish : (wish & NoInterrupt) == 0);
        return VirtqueueResult.Ok;
    }

    private readonly VirtqueueResult Walk<TMemory>(ref TMemory memory, ushort head, ref BufferChain chain)
        where TMemory : struct, IGuestMemory
    {
        Span<byte> descriptor = stackalloc byte[DescriptorBytes];
        ulong table = Descriptors;
        uint entries = Size;
        uint index = head;
        bool isIndirect = false;
        chain.Begin(head);
        for (uint read = 0; read < entries; read++)
        {
            if (index >= entries)
            {
                return VirtqueueResult.BadDescriptor;
            }

            if (!memory.TryRead(table + (index * DescriptorBytes), descriptor))
            {
                return VirtqueueResult.NoMemory;
            }

            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(descriptor.Slice(8));
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(descriptor.Slice(12));
            index = BinaryPrimitives.ReadUInt16LittleEndian(descriptor.Slice(14));
            if ((flags & FlagIndirect) != 0)
            {
                if (!_hasIndirect || isIndirect || (flags & FlagNext) != 0
                    || length == 0 || length % DescriptorBytes != 0 || length / DescriptorBytes > Size
                    || !memory.Contains(address, length))
                {
                    return VirtqueueResult.BadIndirectTable;
                }

                isIndirect = true;
                table = address;
                entries = length / DescriptorBytes;
                index = 0;
                read = uint.MaxValue; // the table's first is read next
                continue;
            }

            VirtqueueResult result = chain.Add(ref memory, address, length, (flags & FlagWrite) != 0);
            if (result != VirtqueueResult.Ok || (flags & FlagNext) == 0)
            {
                return result;
            }
        }

        return VirtqueueResult.TooLong;
    }

    private static bool TryReadHalf<TMemory>(ref TMemory memory, ulong address, out ushort value)
        where TMemory : struct, IGuestMemory
    {
        Span<byte> bytes = stackalloc byte[2];
        bool isRead = memory.TryRead(address, bytes);
        value = isRead ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : (ushort)0;
        return isRead;
    }

    private static bool TryWriteHalf<TMemory>(ref TMemory memory, ulong address, ushort value)
        where TMemory : struct, IGuestMemory
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        return memory.TryWrite(address, bytes);
    }
}

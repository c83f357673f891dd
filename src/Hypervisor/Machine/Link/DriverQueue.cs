using System;
using System.Buffers.Binary;
using System.Numerics;
using System.Threading;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The driver's side of a split virtqueue (Virtual I/O Device 1.2, 2.7) of 8 entries, each of which has a buffer of its
/// own for ever. A buffer is either ours or offered to the device.
/// </summary>
/// <remarks>
/// The device belongs to the machine, which is trusted: it can write to any memory as it is. What it says of our
/// buffers is checked all the same, so that a faulty one breaks this queue and no more (<see cref="IsBroken"/>).
/// Invariant: the memory and the buffers are EL2's own, mapped for its whole life, in no VM's Stage-2 and in no pool.
/// </remarks>
internal unsafe struct DriverQueue
{
    /// <summary>Entries, a power of two.</summary>
    internal const int Entries = 8;

    /// <summary>Bytes of the rings; they begin at a multiple of 16.</summary>
    internal const int RingBytes = 512;

    // Descriptors come first: 16 bytes each.
    private const int DescriptorBytes = 16;
    private const int AvailableOffset = 128;
    private const int UsedOffset = 256;
    private const int RingHeader = 4;
    private const ushort FlagDeviceWrites = 2;
    private const uint NoInterrupt = 1;

    /// <summary>A ring begins with its flags and its index, each 2 bytes; they are read and written as one.</summary>
    private const int IndexShift = 16;

    private byte* _rings;
    private byte* _buffers;
    private int _bufferBytes;
    private uint _flags;
    private uint _ours;
    private ushort _offered;
    private ushort _taken;

    /// <summary>Buffers that are ours.</summary>
    internal readonly int OurCount => BitOperations.PopCount(_ours);

    /// <summary>The device said what cannot be: nothing is taken from it any more.</summary>
    internal bool IsBroken { get; private set; }

    /// <summary>Where the descriptor table is.</summary>
    internal readonly ulong Descriptors => (ulong)_rings;

    /// <summary>Where the available ring is.</summary>
    internal readonly ulong Available => (ulong)_rings + AvailableOffset;

    /// <summary>Where the used ring is.</summary>
    internal readonly ulong Used => (ulong)_rings + UsedOffset;

    /// <summary>Begins anew; all buffers are ours.</summary>
    /// <param name="rings"><see cref="RingBytes"/> of memory.</param>
    /// <param name="buffers">Memory for all buffers, one after the other.</param>
    /// <param name="bufferBytes">Bytes of a buffer.</param>
    /// <param name="deviceWrites">The device writes to the buffers, and interrupts; else it only reads.</param>
    internal void Initialize(byte* rings, byte* buffers, int bufferBytes, bool deviceWrites)
    {
        this = default;
        _rings = rings;
        _buffers = buffers;
        _bufferBytes = bufferBytes;
        _ours = (1u << Entries) - 1;
        new Span<byte>(rings, RingBytes).Clear();
        for (int i = 0; i < Entries; i++)
        {
            Span<byte> descriptor = new(rings + (i * DescriptorBytes), DescriptorBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, (ulong)(buffers + (i * bufferBytes)));
            BinaryPrimitives.WriteUInt16LittleEndian(
                descriptor.Slice(12), deviceWrites ? FlagDeviceWrites : (ushort)0);
        }

        _flags = deviceWrites ? 0 : NoInterrupt;
        *(uint*)(rings + AvailableOffset) = _flags;
    }

    /// <summary>A buffer's bytes. The index is below <see cref="Entries"/>.</summary>
    internal readonly Span<byte> BufferAt(int index) => new(_buffers + (index * _bufferBytes), _bufferBytes);

    /// <summary>Finds a buffer that is ours. False: all are with the device.</summary>
    internal readonly bool TryFind(out int index)
    {
        index = BitOperations.TrailingZeroCount(_ours);
        return _ours != 0;
    }

    /// <summary>Gives a buffer of ours to the device, which is to be notified then.</summary>
    /// <param name="index">Which.</param>
    /// <param name="bytes">How much of it, 1 or more.</param>
    internal void Offer(int index, int bytes)
    {
        _ours &= ~(1u << index);
        *(uint*)(_rings + (index * DescriptorBytes) + 8) = (uint)bytes;
        *(ushort*)(_rings + AvailableOffset + RingHeader + (_offered % Entries * 2)) = (ushort)index;
        Interlocked.MemoryBarrier(); // all of it is there before the index says so
        _offered++;
        Volatile.Write(ref *(uint*)(_rings + AvailableOffset), _flags | ((uint)_offered << IndexShift));
    }

    /// <summary>Takes back the next buffer that the device is done with.</summary>
    /// <param name="index">Which.</param>
    /// <param name="bytes">How much the device has written, at most a whole buffer.</param>
    internal bool TryTake(out int index, out int bytes)
    {
        index = 0;
        bytes = 0;
        uint used = Volatile.Read(ref *(uint*)(_rings + UsedOffset)) >> IndexShift;
        if (used == _taken || IsBroken)
        {
            return false;
        }

        Interlocked.MemoryBarrier(); // the index was read before what it promises
        uint* entry = (uint*)(_rings + UsedOffset + RingHeader + (_taken % Entries * 8));
        uint head = entry[0];
        uint written = entry[1];
        if (head >= Entries || (_ours & (1u << (int)head)) != 0 || written > (uint)_bufferBytes)
        {
            IsBroken = true;
            return false;
        }

        _taken++;
        _ours |= 1u << (int)head;
        index = (int)head;
        bytes = (int)written;
        return true;
    }
}

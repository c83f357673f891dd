using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// A disk (Virtual I/O Device 1.2, 5.2): one queue of requests to read and to write sectors of 512 bytes. What was
/// written is kept when the request comes back, so there is nothing to flush. The VM's device lock is held for all
/// members.
/// </summary>
/// <remarks>
/// <code>
///  request   type 4 | reserved 4 | sector 8    to read
///            data to write, to read            a whole number of sectors
///            status 1                          to write, the last byte
/// </code>
/// A request is carried out by pieces, and may be left between two of them: the queue remembers how far it came, and
/// the next step goes on there. The guest can change the request meanwhile. It is then checked anew, and what comes of
/// it is the guest's own affair.
/// </remarks>
public struct VirtioBlock
{
    /// <summary>Bytes of a sector, the unit of the capacity and of every request.</summary>
    public const int SectorBytes = 512;

    private const int RequestQueue = 0;

    private const ulong FeatureSegmentMax = 1 << 2;
    private const ulong FeatureReadOnly = 1 << 5;

    private const ulong CapacityOffset = 0;
    private const ulong SegmentMaxOffset = 12;

    /// <summary>Buffers of data in a request at most: a queue's entries but for header and status.</summary>
    private const uint SegmentMax = Virtqueue.MostEntries - 2;

    private const int HeaderBytes = 16;
    private const int IdBytes = 20;
    private const uint TypeRead = 0;
    private const uint TypeWrite = 1;
    private const uint TypeGetId = 8;

    private const byte StatusOk = 0;
    private const byte StatusError = 1;
    private const byte StatusUnsupported = 2;

    private const int PieceBytes = 4096;

    /// <summary>Pieces of a step: how long others may have to wait for the VM's locks.</summary>
    private const int PiecesOfStep = 16;

    private ulong _bytes;
    private bool _isReadOnly;

    /// <summary>Its registers.</summary>
    public VirtioTransport Transport;

    /// <summary>Puts the device there.</summary>
    /// <param name="bytes">The disk's length; what is no whole sector at its end is left out.</param>
    /// <param name="isReadOnly">Writes are refused.</param>
    public void Install(ulong bytes, bool isReadOnly)
    {
        _bytes = bytes & ~(ulong)(SectorBytes - 1);
        _isReadOnly = isReadOnly;
        Transport.Install(VirtioKinds.Block, FeatureSegmentMax | (isReadOnly ? FeatureReadOnly : 0), queueCount: 1);
    }

    /// <summary>A read of 1, 2, 4 or 8 bytes of its configuration; what is not there reads as 0.</summary>
    public readonly ulong ReadConfiguration(ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[32];
        bytes.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.Slice((int)CapacityOffset), _bytes / SectorBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.Slice((int)SegmentMaxOffset), SegmentMax);
        return VirtioTransport.ReadConfiguration(bytes, offset, size);
    }

    /// <summary>
    /// Carries a part of one request out, if there is one; <see cref="VirtioTransport.HasWork"/> says whether that
    /// was all.
    /// </summary>
    /// <returns>
    /// False: some memory cannot be reached, the guest's or the disk's. Nothing was given back: the caller makes it
    /// reachable, or breaks the device.
    /// </returns>
    public bool TryStep<TMemory, TDisk>(ref TMemory memory, ref TDisk disk)
        where TMemory : struct, IGuestMemory
        where TDisk : struct, IGuestMemory
    {
        if (!Transport.TryBegin(RequestQueue))
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(RequestQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        bool isDone = false;
        if (result == VirtqueueResult.Ok)
        {
            ulong progress = before.Progress;
            result = CarryOut(ref memory, ref disk, in chain, ref progress, out isDone, out uint written);
            before.Progress = progress;
            if (result == VirtqueueResult.Ok && isDone)
            {
                result = Transport.Complete(RequestQueue, ref memory, chain.Head, written);
            }
        }

        return Transport.Finish(RequestQueue, in before, result, isDone);
    }

    private readonly VirtqueueResult CarryOut<TMemory, TDisk>(
        ref TMemory memory, ref TDisk disk, in BufferChain chain, ref ulong progress, out bool isDone, out uint written)
        where TMemory : struct, IGuestMemory
        where TDisk : struct, IGuestMemory
    {
        isDone = false;
        written = 0;
        if (chain.ReadableBytes < HeaderBytes || chain.WritableBytes == 0)
        {
            return VirtqueueResult.BadRequest;
        }

        Span<byte> header = stackalloc byte[HeaderBytes];
        if (!chain.TryRead(ref memory, 0, header))
        {
            return VirtqueueResult.NoMemory;
        }

        uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header.Slice(8));
        ulong toRead = chain.WritableBytes - 1;
        ulong toWrite = chain.ReadableBytes - HeaderBytes;
        byte status = StatusOk;
        switch (type)
        {
            case TypeRead when IsOnDisk(sector, toRead):
                if (!TryMove(ref memory, ref disk, in chain, sector, toRead, false, ref progress, out isDone))
                {
                    return VirtqueueResult.NoMemory;
                }

                written = (uint)toRead;
                break;

            case TypeWrite when !_isReadOnly && IsOnDisk(sector, toWrite):
                if (!TryMove(ref memory, ref disk, in chain, sector, toWrite, true, ref progress, out isDone))
                {
                    return VirtqueueResult.NoMemory;
                }

                break;

            case TypeGetId when toRead >= IdBytes:
                isDone = true;
                written = IdBytes;
                if (!chain.TryWrite(ref memory, 0, "quietus-disk\0\0\0\0\0\0\0\0"u8))
                {
                    return VirtqueueResult.NoMemory;
                }

                break;

            default:
                isDone = true;
                status = type is TypeRead or TypeWrite or TypeGetId ? StatusError : StatusUnsupported;
                break;
        }

        if (isDone)
        {
            written++;
            Span<byte> last = stackalloc byte[1];
            last[0] = status;
            return chain.TryWrite(ref memory, toRead, last) ? VirtqueueResult.Ok : VirtqueueResult.NoMemory;
        }

        return VirtqueueResult.Ok;
    }

    private readonly bool IsOnDisk(ulong sector, ulong bytes) =>
        bytes % SectorBytes == 0 && bytes <= _bytes && sector <= (_bytes - bytes) / SectorBytes;

    /// <summary>Moves data between disk and request, from where it was left. False: memory cannot be reached.</summary>
    private static bool TryMove<TMemory, TDisk>(
        ref TMemory memory, ref TDisk disk, in BufferChain chain, ulong sector, ulong bytes, bool isWrite,
        ref ulong progress, out bool isDone)
        where TMemory : struct, IGuestMemory
        where TDisk : struct, IGuestMemory
    {
        Span<byte> buffer = stackalloc byte[PieceBytes];
        isDone = false;
        for (int i = 0; i < PiecesOfStep && progress < bytes && (i == 0 || !memory.IsWanted); i++)
        {
            // Pieces end where pages of the disk do, so that each is one page there.
            ulong place = (sector * SectorBytes) + progress;
            Span<byte> piece = buffer.Slice(0, (int)Math.Min(PieceBytes - (place % PieceBytes), bytes - progress));
            bool isMoved = isWrite
                ? chain.TryRead(ref memory, HeaderBytes + progress, piece) && disk.TryWrite(place, piece)
                : disk.TryRead(place, piece) && chain.TryWrite(ref memory, progress, piece);
            if (!isMoved)
            {
                return false;
            }

            progress += (ulong)piece.Length;
        }

        isDone = progress >= bytes;
        return true;
    }
}

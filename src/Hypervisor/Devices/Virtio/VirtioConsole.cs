using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// A console (Virtual I/O Device 1.2, 5.3) of one port: what the guest prints joins what its UART sends, in the same
/// ring, so that the two reach the host in order; what the host sends waits here. The VM's device lock is held for all
/// members.
/// </summary>
/// <remarks>
/// Output that finds no room stays in its queue, a part of it perhaps, until <see cref="TryMakeRoom"/>. Linux's driver
/// waits for it with its interrupts off, as it waits for a full UART.
/// </remarks>
public struct VirtioConsole
{
    /// <summary>Bytes that wait for the guest at most.</summary>
    public const int InputCapacity = (int)FlowMessage.InputWindow;

    private const int ReceiveQueue = 0;
    private const int TransmitQueue = 1;
    private const ulong FeatureSize = 1 << 0;

    /// <summary>Bytes of a step, and so of what others may have to wait for.</summary>
    private const int PieceBytes = 1024;

    private InputRing _input;
    private int _inputStart;
    private ushort _columns;
    private ushort _rows;
    private bool _waitsForRoom;

    /// <summary>Its registers.</summary>
    public VirtioTransport Transport;

    /// <summary>Bytes that wait for the guest.</summary>
    public int InputCount { get; private set; }

    /// <summary>Puts the device there.</summary>
    /// <param name="columns">The terminal's width, 0 when it is not known.</param>
    /// <param name="rows">The terminal's height.</param>
    public void Install(ushort columns, ushort rows)
    {
        this = default;
        _columns = columns;
        _rows = rows;
        Transport.Install(VirtioKinds.Console, FeatureSize, queueCount: 2);
    }

    /// <summary>The terminal has another size: its driver is told.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        _columns = columns;
        _rows = rows;
        Transport.ChangeConfiguration();
    }

    /// <summary>A read of 1, 2, 4 or 8 bytes of its configuration; what is not there reads as 0.</summary>
    public readonly ulong ReadConfiguration(ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, _columns);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.Slice(2), _rows);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.Slice(4), 1); // ports
        return VirtioTransport.ReadConfiguration(bytes, offset, size);
    }

    /// <summary>Gives bytes to the guest; what finds no room is dropped.</summary>
    public void PushInput(scoped ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length && InputCount < InputCapacity; i++)
        {
            _input[(_inputStart + InputCount) % InputCapacity] = bytes[i];
            InputCount++;
        }

        Transport.Notify(ReceiveQueue);
    }

    /// <summary>Output has been taken. True: some that waited for room goes on.</summary>
    public bool TryMakeRoom()
    {
        bool waited = _waitsForRoom;
        _waitsForRoom = false;
        if (waited)
        {
            Transport.Notify(TransmitQueue);
        }

        return waited;
    }

    /// <summary>
    /// Carries a part of one request out, if there is one; <see cref="VirtioTransport.HasWork"/> says whether that
    /// was all.
    /// </summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="output">The guest's UART, for its ring of output.</param>
    /// <returns>
    /// False: some of the request's memory cannot be reached. Nothing was given back: the caller makes it reachable, or
    /// breaks the device.
    /// </returns>
    public bool TryStep<TMemory>(ref TMemory memory, ref VirtualPl011 output)
        where TMemory : struct, IGuestMemory
    {
        if (Transport.TryBegin(TransmitQueue))
        {
            return StepTransmit(ref memory, ref output);
        }

        return !Transport.TryBegin(ReceiveQueue) || StepReceive(ref memory);
    }

    private bool StepTransmit<TMemory>(ref TMemory memory, ref VirtualPl011 output)
        where TMemory : struct, IGuestMemory
    {
        int room = Math.Min(VirtualPl011.OutputCapacity - output.OutputCount, PieceBytes);
        _waitsForRoom = room == 0;
        if (_waitsForRoom)
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(TransmitQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        bool isDone = false;
        if (result == VirtqueueResult.Ok)
        {
            // The guest may have made the request shorter meanwhile.
            ulong left = chain.ReadableBytes - Math.Min(before.Progress, chain.ReadableBytes);
            Span<byte> bytes = stackalloc byte[PieceBytes];
            bytes = bytes.Slice(0, (int)Math.Min(left, (ulong)room));
            result = chain.ReadableBytes == 0 ? VirtqueueResult.BadRequest
                : bytes.Length == 0 || chain.TryRead(ref memory, before.Progress, bytes) ? VirtqueueResult.Ok
                : VirtqueueResult.NoMemory;
            if (result == VirtqueueResult.Ok)
            {
                output.PushOutput(bytes);
                before.Progress += (ulong)bytes.Length;
                isDone = (ulong)bytes.Length == left;
                result = isDone ? Transport.Complete(TransmitQueue, ref memory, chain.Head, 0) : result;
            }
        }

        return Transport.Finish(TransmitQueue, in before, result, isDone);
    }

    private bool StepReceive<TMemory>(ref TMemory memory)
        where TMemory : struct, IGuestMemory
    {
        if (InputCount == 0)
        {
            return true;
        }

        ref Virtqueue queue = ref Transport.QueueAt(ReceiveQueue);
        Virtqueue before = queue;
        BufferChain chain = default;
        VirtqueueResult result = queue.TryTake(ref memory, ref chain);
        if (result == VirtqueueResult.Ok)
        {
            Span<byte> bytes = stackalloc byte[PieceBytes];
            bytes = bytes.Slice(0, (int)Math.Min(chain.WritableBytes, (ulong)Math.Min(InputCount, PieceBytes)));
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = _input[(_inputStart + i) % InputCapacity];
            }

            result = bytes.Length == 0 ? VirtqueueResult.BadRequest
                : chain.TryWrite(ref memory, 0, bytes)
                    ? Transport.Complete(ReceiveQueue, ref memory, chain.Head, (uint)bytes.Length)
                : VirtqueueResult.NoMemory;
            if (result == VirtqueueResult.Ok)
            {
                _inputStart = (_inputStart + bytes.Length) % InputCapacity;
                InputCount -= bytes.Length;
            }
        }

        return Transport.Finish(ReceiveQueue, in before, result, isDone: true);
    }

    [InlineArray(InputCapacity)]
    private struct InputRing
    {
        private byte _first;
    }
}

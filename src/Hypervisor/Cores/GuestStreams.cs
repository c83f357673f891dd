using System;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// Between the guests' vsock devices and the link: what a program there orders, and what it is told
/// (<see cref="StreamMessage"/>). The monitor's core takes orders and sends; a vCPU's core only moves bytes between its
/// guest's queues and the rings, and wakes the monitor's core.
/// </summary>
/// <remarks>
/// Invariant: _buffers has a pointer for each slot, which is null until a VM with vsock is first made there, and _spare
/// points at _spareCount buffers that no slot has yet. A VM's pointer is to a slot of VmTable. None of these is ever
/// moved or given back.
/// </remarks>
internal static unsafe class GuestStreams
{
    private static VsockBuffers** _buffers;
    private static VsockBuffers* _spare;
    private static int _spareCount;

    /// <summary>Slots of guests that have something for the host.</summary>
    private static SlotSet _waiting;

    /// <summary>Bytes that <see cref="Initialize"/> takes of the boot memory, at most.</summary>
    internal static ulong Bytes => (VmTable.SlotCount * 8) + 64;

    /// <summary>Whether a guest has something for the host since the last <see cref="Collect"/>.</summary>
    internal static bool IsWaiting => _waiting.HasSome;

    internal static bool Initialize()
    {
        _buffers = (VsockBuffers**)Platform.Memory.Take(Bytes, 64);
        return _buffers != null;
    }

    /// <summary>
    /// Sees to it that a VM that is being made has buffers, if it is to have vsock. They stay the slot's. False: there
    /// is no memory.
    /// </summary>
    internal static bool TryPrepare(Vm* vm)
    {
        if (!vm->Options.HasVsock || _buffers[vm->Slot] != null)
        {
            return true;
        }

        if (_spareCount == 0)
        {
            _spare = (VsockBuffers*)VmTable.TakeChunk();
            _spareCount = _spare == null ? 0 : (int)(FramePool.ChunkBytes / (ulong)sizeof(VsockBuffers));
        }

        if (_spareCount == 0)
        {
            return false;
        }

        _buffers[vm->Slot] = _spare++;
        _spareCount--;
        return true;
    }

    /// <summary>The bytes that wait in the streams of a VM with vsock. Its device lock is held.</summary>
    internal static ref VsockBuffers BuffersOf(Vm* vm) => ref *_buffers[vm->Slot];

    /// <summary>The guest has something for the host, if it has. The device lock is held.</summary>
    internal static void Notice(Vm* vm)
    {
        if (!vm->Vsock.HasForHost)
        {
            return;
        }

        vm->PrintedCount = Instructions.ReadCounter();
        if (_waiting.TryAdd(vm->Slot))
        {
            Platform.WakeMonitor();
        }
    }

    /// <summary>A program has taken over the link: streams of the one before are over.</summary>
    internal static void BeginSession()
    {
        for (int slot = 0; slot < VmTable.Made; slot++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running && vm->Vsock.Transport.Exists)
            {
                vm->DeviceLock.Enter();
                vm->Vsock.Abandon();
                VirtioDevices.GoOn(vm, VirtioPlace.Vsock);
                vm->DeviceLock.Leave();
            }
        }
    }

    /// <summary>Sends on a message of a guest that has some for the host. On the monitor's core.</summary>
    internal static void Collect()
    {
        if (_waiting.TryTake(out int slot))
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running && vm->Vsock.HasForHost && SendNext(vm) && vm->Vsock.HasForHost)
            {
                _waiting.Add(slot);
            }
        }
    }

    /// <summary>
    /// The VM has stopped, for good or to be frozen or put back: its streams are over, and the host gets what waits for
    /// it. On the monitor's core.
    /// </summary>
    internal static void Finish(Vm* vm, StreamEnd end)
    {
        if (vm->Vsock.Transport.Exists)
        {
            vm->Vsock.EndAll(end);
            while (SendNext(vm))
            {
            }
        }
    }

    /// <summary>A message of the host's. What is none is dropped. On the monitor's core.</summary>
    internal static void Receive(ReadOnlySpan<byte> payload)
    {
        if (!StreamMessage.TryRead(payload, out StreamMessage message) || message.Slot >= VmTable.Made)
        {
            return;
        }

        Vm* vm = VmTable.At(message.Slot);
        bool isOpen = message.Kind == StreamKind.Open;
        StreamEnd end = StreamEnd.NoVm;
        bool isRefused = isOpen;
        if (vm->State == VmState.Running && (!isOpen || vm->Id == message.Vm))
        {
            vm->DeviceLock.Enter();
            if (isOpen)
            {
                isRefused = !vm->Vsock.TryOpen(in message, out end);
            }
            else if (vm->Options.HasVsock)
            {
                vm->Vsock.TakeFromHost(ref BuffersOf(vm), in message);
            }

            VirtioDevices.GoOn(vm, VirtioPlace.Vsock);
            vm->DeviceLock.Leave();
        }

        if (isRefused)
        {
            Span<byte> reset = stackalloc byte[StreamMessage.HeaderBytes + 1];
            StreamMessage.WriteReset(reset, message.Slot, message.Stream, end);
            MachineConsole.Send(Channel.Stream, reset);
        }
    }

    private static bool SendNext(Vm* vm)
    {
        Span<byte> message = stackalloc byte[FrameFormat.MaximumPayload];
        vm->DeviceLock.Enter();
        bool isThere = vm->Vsock.TryGiveHost(ref BuffersOf(vm), vm->Slot, message, out int length);
        VirtioDevices.GoOn(vm, VirtioPlace.Vsock);
        vm->DeviceLock.Leave();
        if (isThere)
        {
            MachineConsole.Send(Channel.Stream, message.Slice(0, length));
        }

        return isThere;
    }
}

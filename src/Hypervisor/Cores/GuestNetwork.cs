using System;
using Quietus.Hypervisor.Devices.Network;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// The switch between the VMs that have a network device, and the machine's own. A vCPU's core only moves frames
/// between its guest's queues and the device's rings, and wakes the monitor's core, which does all else: one frame
/// between two looks at its orders, so that no traffic delays them by more.
/// </summary>
/// <remarks>
/// VMs of one group, which is not 0, reach each other. Those with the uplink reach the machine's network, and no VM by
/// it. <see cref="FrameRules"/> says what is let through, <see cref="FrameAllowance"/> how much.
/// Invariant: _slots is null, or has a pointer for each slot, which is null until a VM with a network is first made
/// there; _spare points at _spareCount records that no slot has yet. A VM's pointer is to a slot of VmTable. None of
/// these is ever moved or given back.
/// </remarks>
internal static unsafe class GuestNetwork
{
    private static NetworkPort _uplink;
    private static Record** _slots;
    private static Record* _spare;
    private static int _spareCount;
    private static bool _hasArrived;

    /// <summary>Where VMs without a network have their registers: none.</summary>
    private static VirtioTransport _none;

    /// <summary>Slots of guests that have frames to be taken.</summary>
    private static SlotSet _waiting;

    /// <summary>Those that have used up their allowance, or found no room at the uplink: at the next tick.</summary>
    private static SlotSet _later;

    /// <summary>Whether the machine has a network device.</summary>
    internal static bool HasUplink => _uplink.Exists;

    /// <summary>The interrupt of that; 0 when there is none.</summary>
    internal static uint UplinkInterrupt => _uplink.Interrupt;

    /// <summary>Whether a frame is to be moved.</summary>
    internal static bool IsWaiting => _hasArrived || _waiting.HasSome;

    /// <summary>Whether frames wait for the next tick.</summary>
    internal static bool NeedsTick => _later.HasSome;

    internal static void Initialize(ReadOnlySpan<byte> deviceTree) => _uplink = NetworkPort.Find(deviceTree);

    /// <summary>
    /// Sees to it that a VM that is being made has a record, if it is to have a network. It stays the slot's. False:
    /// there is no memory.
    /// </summary>
    internal static bool TryPrepare(Vm* vm)
    {
        if (!vm->Options.HasNetwork || (_slots != null && _slots[vm->Slot] != null))
        {
            return true;
        }

        if (_spareCount == 0)
        {
            ulong bytes = FramePool.ChunkBytes;
            byte* chunk = (byte*)VmTable.TakeChunk();
            if (chunk == null)
            {
                return false;
            }

            if (_slots == null)
            {
                _slots = (Record**)chunk;
                chunk += VmTable.SlotCount * sizeof(ulong);
                bytes -= VmTable.SlotCount * sizeof(ulong);
            }

            _spare = (Record*)chunk;
            _spareCount = (int)(bytes / (ulong)sizeof(Record));
        }

        _slots[vm->Slot] = _spare++;
        _spareCount--;
        return true;
    }

    /// <summary>Puts the device of a new VM there.</summary>
    internal static void Install(Vm* vm)
    {
        RecordOf(vm).Device.Install(vm->Id);
        RecordOf(vm).Allowance = default;
        RecordOf(vm).Dropped = 0;
    }

    /// <summary>A child begins with its template's device, and a name of its own.</summary>
    internal static void Inherit(Vm* vm, Vm* template)
    {
        RecordOf(vm).Device = RecordOf(template).Device;
        RecordOf(vm).Device.BeBorn(vm->Id);
        RecordOf(vm).Dropped = 0;
    }

    /// <summary>The registers; those of no device, when the VM has no network.</summary>
    internal static ref VirtioTransport TransportOf(Vm* vm)
    {
        if (vm->Options.HasNetwork)
        {
            return ref RecordOf(vm).Device.Transport;
        }

        return ref _none;
    }

    internal static ulong ReadConfiguration(Vm* vm, ulong offset, int size) =>
        RecordOf(vm).Device.ReadConfiguration(offset, size);

    /// <summary>After all that may have stopped the driver. The device lock is held.</summary>
    internal static void Settle(Vm* vm) => RecordOf(vm).Device.Settle();

    /// <summary>One step of the device, under both locks. False: a page is missing.</summary>
    internal static bool Step(Vm* vm, ref GuestPages memory)
    {
        ref Record record = ref RecordOf(vm);
        uint before = record.Device.Sent;
        bool isDone = record.Device.TryStep(ref memory, ref record.Buffers);
        if (record.Device.Sent != before && _waiting.TryAdd(vm->Slot))
        {
            Platform.WakeMonitor();
        }

        return isDone;
    }

    /// <summary>
    /// Moves at most one frame in, and one out or across. On the monitor's core. False: none was moved.
    /// </summary>
    internal static bool Collect()
    {
        Span<byte> frame = stackalloc byte[FrameRules.MostBytes];
        int length = 0;
        _hasArrived = _hasArrived && _uplink.TryReceive(frame, out length);
        bool isMoved = _hasArrived;
        if (isMoved && FrameRules.TryRouteIn(frame.Slice(0, length), out FramePeer peer))
        {
            Vm* to = VmTable.FindLike(peer.Number, peer.Mask);
            if (to != null && to->Options.HasUplink)
            {
                Give(to, frame.Slice(0, length));
            }
        }

        if (_waiting.TryTake(out int slot))
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running && vm->Options.HasNetwork)
            {
                bool isSent = Send(vm, frame, isBounded: true);
                isMoved |= isSent;
                ref SlotSet next = ref isSent ? ref _waiting : ref _later;
                if (RecordOf(vm).Device.HasFrame)
                {
                    next.Add(slot);
                }
            }
        }

        return isMoved;
    }

    /// <summary>Time has gone on: those that waited for that try again.</summary>
    internal static void Tick()
    {
        while (_later.TryTake(out int slot))
        {
            _waiting.Add(slot);
        }
    }

    /// <summary>The uplink's interrupt: there may be frames, or room.</summary>
    internal static void AcknowledgeUplink()
    {
        _uplink.AcknowledgeInterrupt();
        _hasArrived = true;
    }

    /// <summary>
    /// The VM has stopped, for good or to be frozen or put back: what it had sent goes out. On the monitor's core.
    /// </summary>
    internal static void Finish(Vm* vm)
    {
        Span<byte> frame = stackalloc byte[FrameRules.MostBytes];
        while (vm->Options.HasNetwork && RecordOf(vm).Device.HasFrame)
        {
            Send(vm, frame, isBounded: false);
        }
    }

    /// <summary>What the VM's device has moved, for people.</summary>
    internal static void Describe(Vm* vm, ref LineBuilder line)
    {
        if (vm->Options.HasNetwork)
        {
            ref Record record = ref RecordOf(vm);
            line.Field("frames_sent"u8, record.Device.Sent);
            line.Field("frames_received"u8, record.Device.Given);
            line.Field("frames_dropped"u8, record.Dropped);
        }
    }

    /// <summary>Sends the next frame of a guest where it is to go, if there is one. False: it has to wait.</summary>
    private static bool Send(Vm* vm, scoped Span<byte> room, bool isBounded)
    {
        ref Record record = ref RecordOf(vm);
        vm->DeviceLock.Enter();
        if (!record.Device.HasFrame)
        {
            vm->DeviceLock.Leave(); // the guest has reset its device since it sent one
            return true;
        }

        ReadOnlySpan<byte> waiting = record.Device.Peek(ref record.Buffers);
        waiting.CopyTo(room);
        ReadOnlySpan<byte> frame = room.Slice(0, waiting.Length);
        FrameRoute route = FrameRules.OfGuest(frame, vm->Id, out FramePeer peer);
        bool isOut = route == FrameRoute.Uplink && vm->Options.HasUplink;
        bool isSent = !isBounded
            || ((!isOut || _uplink.HasRoom()) && record.Allowance.TryTake(Stopwatch.Now, frame.Length));
        if (isSent)
        {
            record.Device.Drop();
            VirtioDevices.GoOn(vm, VirtioPlace.Net);
        }

        vm->DeviceLock.Leave();
        if (!isSent)
        {
            return false;
        }

        Vm* to = route == FrameRoute.Peer ? VmTable.FindLike(peer.Number, peer.Mask) : null;
        if (isOut)
        {
            _uplink.Send(frame);
        }
        else if (to != null && to != vm && to->Options.Group != 0 && to->Options.Group == vm->Options.Group)
        {
            Give(to, frame);
        }
        else
        {
            record.Dropped++;
        }

        return true;
    }

    private static void Give(Vm* to, scoped ReadOnlySpan<byte> frame)
    {
        if (to->State == VmState.Running)
        {
            ref Record record = ref RecordOf(to);
            to->DeviceLock.Enter();
            bool isGiven = record.Device.TryGive(ref record.Buffers, frame);
            record.Dropped += isGiven ? 0 : 1u;
            VirtioDevices.GoOn(to, VirtioPlace.Net);
            to->DeviceLock.Leave();
        }
    }

    private static ref Record RecordOf(Vm* vm) => ref *_slots[vm->Slot];

    /// <summary>What a slot keeps of networks, apart from the VM, whose birth and death pass over it.</summary>
    private struct Record
    {
        internal VirtioNet Device;
        internal FrameAllowance Allowance;
        internal ulong Dropped;
        internal NetBuffers Buffers;
    }
}

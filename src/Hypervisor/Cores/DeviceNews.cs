using System;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// Tells the host why a virtio device of a guest broke: once for each device of a VM, however often the guest breaks
/// it, so that no guest can fill the link with that.
/// </summary>
/// <remarks>
/// <see cref="Vm.VirtioProblems"/> has a byte for each <see cref="VirtioPlace"/>: a <see cref="VirtqueueResult"/>, and
/// the top bit once the host knows. The VM's device lock is held for it.
/// Invariant: a VM's pointer is to a slot of VmTable, which is never moved or given back.
/// </remarks>
internal static unsafe class DeviceNews
{
    private const ulong Told = 0x80;
    private const int BitsOfPlace = 8;

    /// <summary>Slots of guests that broke a device for the first time.</summary>
    private static SlotSet _waiting;

    /// <summary>Whether there is something to tell.</summary>
    internal static bool IsWaiting => _waiting.HasSome;

    /// <summary>A device is broken. The device lock is held.</summary>
    internal static void Note(Vm* vm, VirtioPlace place, VirtqueueResult problem)
    {
        int shift = (int)place * BitsOfPlace;
        if ((byte)(vm->VirtioProblems >> shift) == 0)
        {
            vm->VirtioProblems |= (ulong)problem << shift;
            if (_waiting.TryAdd(vm->Slot))
            {
                Platform.WakeMonitor();
            }
        }
    }

    /// <summary>Tells what is new of one guest. On the monitor's core.</summary>
    internal static void Collect()
    {
        if (_waiting.TryTake(out int slot))
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running)
            {
                Finish(vm);
            }
        }
    }

    /// <summary>Tells what is new of a guest that may have ended. On the monitor's core.</summary>
    internal static void Finish(Vm* vm)
    {
        for (VirtioPlace place = 0; vm->VirtioProblems != 0 && place < VirtioPlace.Count; place++)
        {
            int shift = (int)place * BitsOfPlace;
            vm->DeviceLock.Enter();
            ulong problem = (byte)(vm->VirtioProblems >> shift);
            vm->VirtioProblems |= problem != 0 ? Told << shift : 0;
            vm->DeviceLock.Leave();
            if (problem is not 0 and < Told)
            {
                Tell(vm, place, (VirtqueueResult)problem);
            }
        }
    }

    private static void Tell(Vm* vm, VirtioPlace place, VirtqueueResult problem)
    {
        Span<byte> buffer = stackalloc byte[160];
        LineBuilder line = new(buffer);
        line.Text("event=device"u8);
        line.Field("vm"u8, vm->Id);
        line.Field("device"u8, place.Name());
        line.Field("state"u8, "broken"u8);
        line.QuotedField("reason"u8, problem.Explain());
        MachineConsole.Send(Channel.Event, line.Written);
    }
}

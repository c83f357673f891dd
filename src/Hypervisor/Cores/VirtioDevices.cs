using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's virtio devices on its vCPUs' cores: the registers' places, the work that a notification asks for, the
/// interrupts. A step of work is done under the VM's locks; between two the core sees whether it must leave, so a queue
/// full of requests does not delay an order. What is left then stays notified, and a child goes on with it.
/// </summary>
/// <remarks>
/// A device is a line in each of <see cref="Install"/>, <see cref="Inherit"/>, <see cref="TransportAt"/>,
/// <see cref="ReadConfiguration"/> and <see cref="Step"/>, and a <see cref="VirtioPlace"/>; nothing else knows one from
/// the other.
/// Invariant: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class VirtioDevices
{
    /// <summary>Puts the devices of a new VM there.</summary>
    internal static void Install(Vm* vm)
    {
        if (VmRandom.IsThere(vm))
        {
            vm->Rng.Install();
        }

        if (vm->Options.DiskBytes != 0)
        {
            vm->Disk.Install(vm->Options.DiskBytes, isReadOnly: false);
        }

        if (vm->Options.HasConsole)
        {
            vm->Console.Install(0, 0);
        }

        if (vm->Options.HasVsock)
        {
            vm->Vsock.Install(vm->Id);
        }

        if (vm->Options.HasNetwork)
        {
            GuestNetwork.Install(vm);
        }
    }

    /// <summary>A child begins with its template's devices, as they were at the freeze.</summary>
    internal static void Inherit(Vm* vm, Vm* template)
    {
        vm->Rng = template->Rng;
        vm->Disk = template->Disk;
        vm->VirtioWork = template->VirtioWork;
        vm->VirtioProblems = 0;
        if (template->Options.HasConsole)
        {
            vm->Console = template->Console;
        }

        if (template->Options.HasVsock)
        {
            vm->Vsock = template->Vsock;
            vm->Vsock.BeBorn(vm->Id);
            Update(vm, VirtioPlace.Vsock);
        }

        if (template->Options.HasNetwork)
        {
            GuestNetwork.Inherit(vm, template);
            Update(vm, VirtioPlace.Net);
        }
    }

    /// <summary>The places that have a device, a bit for each.</summary>
    internal static uint Places(Vm* vm)
    {
        uint places = 0;
        for (VirtioPlace place = 0; place < VirtioPlace.Count; place++)
        {
            places |= TransportAt(vm, place).Exists ? 1u << (int)place : 0;
        }

        return places;
    }

    /// <summary>Whether a device is at an address.</summary>
    internal static bool Contains(Vm* vm, ulong address)
    {
        VirtioPlace place = GuestMemoryMap.VirtioPlaceOf(address);
        return place < VirtioPlace.Count && TransportAt(vm, place).Exists;
    }

    /// <summary>
    /// A load or a store on a register of a device that is there. The device lock is held. Gives the vCPUs to kick.
    /// </summary>
    internal static uint Access(Vm* vm, ulong address, int size, bool isWrite, ref ulong value)
    {
        VirtioPlace place = GuestMemoryMap.VirtioPlaceOf(address);
        ref VirtioTransport transport = ref TransportAt(vm, place);
        ulong offset = address % GuestMemoryMap.VirtioBytes;
        if (!isWrite)
        {
            value = offset >= VirtioRegisters.Configuration
                ? ReadConfiguration(vm, place, offset - VirtioRegisters.Configuration, size)
                : transport.Read(offset, size);
            return 0;
        }

        GuestPages pages = GuestPages.Memory(vm);
        transport.Write(ref pages, offset, size, value);
        return Update(vm, place);
    }

    /// <summary>Whether there is something to do for a driver that was not done yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool HasWork(Vm* vm) => Volatile.Read(in vm->VirtioWork) != 0;

    /// <summary>
    /// Does what there is to do, or a part of it: until the vCPU must leave, or an interrupt waits, which comes as soon
    /// as its guest is entered. What is left is done then.
    /// </summary>
    internal static void Work(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        while (HasWork(vm))
        {
            // A step for each device, so that none waits for another's whole queue.
            uint places = Volatile.Read(in vm->VirtioWork);
            for (; places != 0; places &= places - 1)
            {
                if (vm->MustLeave || vcpu->Waits == VcpuWait.Kick)
                {
                    return; // what is left stays, and is done when the vCPU goes on
                }

                WorkAt(vcpu, (VirtioPlace)BitOperations.TrailingZeroCount(places));
                if (Instructions.IsInterruptPending)
                {
                    return;
                }
            }
        }
    }

    /// <summary>
    /// Takes a device's interrupt line to the GIC, and what it has to do to <see cref="Vm.VirtioWork"/>: after all that
    /// may have changed them. The device lock is held. Gives the vCPUs to kick.
    /// </summary>
    internal static uint Update(Vm* vm, VirtioPlace place)
    {
        if (place == VirtioPlace.Vsock)
        {
            vm->Vsock.Settle();
            GuestStreams.Notice(vm);
        }
        else if (place == VirtioPlace.Net)
        {
            GuestNetwork.Settle(vm);
        }

        ref VirtioTransport transport = ref TransportAt(vm, place);
        uint bit = 1u << (int)place;
        if (transport.Problem != VirtqueueResult.Ok)
        {
            DeviceNews.Note(vm, place, transport.Problem);
        }

        Volatile.Write(ref vm->VirtioWork, transport.HasWork ? vm->VirtioWork | bit : vm->VirtioWork & ~bit);
        return vm->Gic.SetSharedLine(GuestMemoryMap.VirtioInterruptOf(place), transport.InterruptLine);
    }

    /// <summary>
    /// A device has something to do that its driver did not ask for: one of the vCPUs does it. The device lock is held.
    /// </summary>
    internal static void GoOn(Vm* vm, VirtioPlace place)
    {
        vm->KickVcpus(Update(vm, place));
        for (int i = 0; i < vm->Options.VcpuCount && HasWork(vm); i++)
        {
            if (vm->Power.StateOf(i) == VcpuPowerState.On)
            {
                vm->VcpuAt(i)->Kick();
                return;
            }
        }
    }

    private static void WorkAt(Vcpu* vcpu, VirtioPlace place)
    {
        Vm* vm = vcpu->Vm;
        GuestPages memory = GuestPages.Memory(vm);
        GuestPages disk = GuestPages.Disk(vm);
        vm->DeviceLock.Enter();
        vm->MemoryLock.Enter();
        bool isDone = Step(vm, place, ref memory, ref disk);
        vm->MemoryLock.Leave();
        uint kicked = Update(vm, place);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
        if (!isDone && !memory.IsLeft && !disk.IsLeft
            && !(memory.IsMissing && Aborts.TryBring(vcpu, memory.MissingAt, memory.MissingFor))
            && !(disk.IsMissing && Aborts.TryBring(vcpu, disk.MissingAt, disk.MissingFor)))
        {
            Break(vm, place);
        }
    }

    private static void Break(Vm* vm, VirtioPlace place)
    {
        vm->DeviceLock.Enter();
        TransportAt(vm, place).Break(VirtqueueResult.NoMemory);
        uint kicked = Update(vm, place);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
    }

    private static ref VirtioTransport TransportAt(Vm* vm, VirtioPlace place)
    {
        switch (place)
        {
            case VirtioPlace.Disk:
                return ref vm->Disk.Transport;
            case VirtioPlace.Console:
                return ref vm->Console.Transport;
            case VirtioPlace.Vsock:
                return ref vm->Vsock.Transport;
            case VirtioPlace.Net:
                return ref GuestNetwork.TransportOf(vm);
            default:
                return ref vm->Rng.Transport;
        }
    }

    private static ulong ReadConfiguration(Vm* vm, VirtioPlace place, ulong offset, int size) => place switch
    {
        VirtioPlace.Disk => vm->Disk.ReadConfiguration(offset, size),
        VirtioPlace.Console => vm->Console.ReadConfiguration(offset, size),
        VirtioPlace.Vsock => vm->Vsock.ReadConfiguration(offset, size),
        VirtioPlace.Net => GuestNetwork.ReadConfiguration(vm, offset, size),
        _ => 0,
    };

    /// <summary>One step of one device, under both locks. False: a page is missing.</summary>
    private static bool Step(Vm* vm, VirtioPlace place, ref GuestPages memory, ref GuestPages disk)
    {
        switch (place)
        {
            case VirtioPlace.Disk:
                return vm->Disk.TryStep(ref memory, ref disk);
            case VirtioPlace.Console:
                return GuestConsole.Step(vm, ref memory);
            case VirtioPlace.Vsock:
                return vm->Vsock.TryStep(ref memory, ref GuestStreams.BuffersOf(vm));
            case VirtioPlace.Net:
                return GuestNetwork.Step(vm, ref memory);
            default:
                var source = new VmRandom.Source(vm);
                return vm->Rng.TryStep(ref memory, ref source);
        }
    }
}

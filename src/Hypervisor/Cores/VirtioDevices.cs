using System;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Vms;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's virtio devices on its vCPUs' cores: the registers' places, the work that a notification asks for, the
/// interrupts. A request is one step under the VM's locks; between two the core sees whether it must leave, so a queue
/// full of requests does not delay an order. What is left then stays notified, and a child goes on with it.
/// </summary>
/// <remarks>Invariant: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.</remarks>
internal static unsafe class VirtioDevices
{
    /// <summary>Puts the devices of a new VM there.</summary>
    internal static void Install(Vm* vm)
    {
        if (VmRandom.IsThere(vm))
        {
            vm->Rng.Install();
        }
    }

    /// <summary>Whether a device is at an address.</summary>
    internal static bool Contains(Vm* vm, ulong address) =>
        address - GuestMemoryMap.RngStart < GuestMemoryMap.VirtioBytes && vm->Rng.Transport.Exists;

    /// <summary>A load or a store on a register. The device lock is held. Gives the vCPUs to kick.</summary>
    internal static uint Access(Vm* vm, ulong address, int size, bool isWrite, ref ulong value)
    {
        ulong offset = address - GuestMemoryMap.RngStart;
        if (!isWrite)
        {
            value = vm->Rng.Transport.Read(offset, size);
            return 0;
        }

        var pages = new GuestPages(vm);
        vm->Rng.Transport.Write(ref pages, offset, size, value);
        return vm->Gic.SetSharedLine(GuestMemoryMap.RngInterrupt, vm->Rng.Transport.InterruptLine);
    }

    /// <summary>Whether a driver has asked for something that was not done yet.</summary>
    internal static bool HasWork(Vm* vm) => vm->Rng.Transport.HasWork;

    /// <summary>Does what was asked for, or as much as it can before the vCPU must leave.</summary>
    internal static void Work(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        while (HasWork(vm) && !vm->MustLeave && vcpu->Waits == VcpuWait.None)
        {
            var pages = new GuestPages(vm);
            if (!TryStep(vm, ref pages)
                && !(pages.IsMissing && Aborts.TryBring(vcpu, pages.MissingAt, pages.MissingFor)))
            {
                Break(vm);
            }
        }
    }

    private static void Break(Vm* vm)
    {
        vm->DeviceLock.Enter();
        vm->Rng.Transport.Break(VirtqueueResult.NoMemory);
        uint kicked = vm->Gic.SetSharedLine(GuestMemoryMap.RngInterrupt, vm->Rng.Transport.InterruptLine);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
    }

    private static bool TryStep(Vm* vm, ref GuestPages pages)
    {
        var source = new VmRandom.Source(vm);
        vm->DeviceLock.Enter();
        vm->MemoryLock.Enter();
        bool isDone = vm->Rng.TryStep(ref pages, ref source);
        vm->MemoryLock.Leave();
        uint kicked = vm->Gic.SetSharedLine(GuestMemoryMap.RngInterrupt, vm->Rng.Transport.InterruptLine);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
        return isDone;
    }
}

using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's virtio devices on its vCPUs' cores: the registers' places, the work that a notification asks for, the
/// interrupts. A step of work is done under the VM's locks; between two the core sees whether it must leave, so a queue
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

        if (vm->Options.DiskBytes != 0)
        {
            vm->Disk.Install(vm->Options.DiskBytes, isReadOnly: false);
        }
    }

    /// <summary>Whether a device is at an address.</summary>
    internal static bool Contains(Vm* vm, ulong address) =>
        (IsAt(address, GuestMemoryMap.RngStart) && vm->Rng.Transport.Exists)
        || (IsAt(address, GuestMemoryMap.DiskStart) && vm->Disk.Transport.Exists);

    /// <summary>A load or a store on a register. The device lock is held. Gives the vCPUs to kick.</summary>
    internal static uint Access(Vm* vm, ulong address, int size, bool isWrite, ref ulong value)
    {
        bool isDisk = IsAt(address, GuestMemoryMap.DiskStart);
        ref VirtioTransport transport = ref isDisk ? ref vm->Disk.Transport : ref vm->Rng.Transport;
        ulong offset = address % GuestMemoryMap.VirtioBytes;
        if (!isWrite)
        {
            value = isDisk && offset >= VirtioBlock.ConfigurationStart
                ? vm->Disk.ReadConfiguration(offset - VirtioBlock.ConfigurationStart, size)
                : transport.Read(offset, size);
            return 0;
        }

        GuestPages pages = GuestPages.Memory(vm);
        transport.Write(ref pages, offset, size, value);
        return UpdateLine(vm, isDisk);
    }

    /// <summary>Whether a driver has asked for something that was not done yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool HasWork(Vm* vm) => vm->Rng.Transport.HasWork || vm->Disk.Transport.HasWork;

    /// <summary>Does what was asked for, or as much as it can before the vCPU must leave.</summary>
    internal static void Work(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        while (HasWork(vm) && !vm->MustLeave && vcpu->Waits == VcpuWait.None)
        {
            bool isDisk = vm->Disk.Transport.HasWork;
            GuestPages memory = GuestPages.Memory(vm);
            GuestPages disk = GuestPages.Disk(vm);
            if (!TryStep(vm, isDisk, ref memory, ref disk)
                && !(memory.IsMissing && Aborts.TryBring(vcpu, memory.MissingAt, memory.MissingFor))
                && !(disk.IsMissing && Aborts.TryBring(vcpu, disk.MissingAt, disk.MissingFor)))
            {
                Break(vm, isDisk);
            }
        }
    }

    private static bool IsAt(ulong address, ulong start) => address - start < GuestMemoryMap.VirtioBytes;

    private static bool TryStep(Vm* vm, bool isDisk, ref GuestPages memory, ref GuestPages disk)
    {
        var source = new VmRandom.Source(vm);
        vm->DeviceLock.Enter();
        vm->MemoryLock.Enter();
        bool isDone = isDisk
            ? vm->Disk.TryStep(ref memory, ref disk)
            : vm->Rng.TryStep(ref memory, ref source);
        vm->MemoryLock.Leave();
        uint kicked = UpdateLine(vm, isDisk);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
        return isDone;
    }

    private static void Break(Vm* vm, bool isDisk)
    {
        vm->DeviceLock.Enter();
        ref VirtioTransport transport = ref isDisk ? ref vm->Disk.Transport : ref vm->Rng.Transport;
        transport.Break(VirtqueueResult.NoMemory);
        uint kicked = UpdateLine(vm, isDisk);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
    }

    private static uint UpdateLine(Vm* vm, bool isDisk) => isDisk
        ? vm->Gic.SetSharedLine(GuestMemoryMap.DiskInterrupt, vm->Disk.Transport.InterruptLine)
        : vm->Gic.SetSharedLine(GuestMemoryMap.RngInterrupt, vm->Rng.Transport.InterruptLine);
}

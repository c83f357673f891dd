using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>A guest's loads and stores on its devices' registers.</summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class DeviceAccess
{
    /// <summary>
    /// Carries the access out and steps over it. False: no device is there, or the instruction is none that a device
    /// supports, and the guest shall have an abort.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryHandle(Vcpu* vcpu, Ipa ipa, StageTwoAbort abort)
    {
        Vm* vm = vcpu->Vm;
        if (!abort.IsDecoded || !IsDevice(vm, ipa.Value))
        {
            return false;
        }

        ref VcpuContext context = ref vcpu->Context;
        bool isWrite = abort.IsOwnWrite; // what is decoded is no table walk
        bool isBigEndian = IsBigEndian(in context);
        ulong value = isWrite ? abort.Truncate(context.Register(abort.GeneralRegister)) : 0;
        value = isBigEndian ? abort.Swap(value) : value;
        vm->DeviceLock.Enter();
        uint kicked = Access(vcpu, ipa.Value, abort.Size, isWrite, ref value);
        vm->DeviceLock.Leave();
        if (kicked != 0)
        {
            vm->KickVcpus(kicked);
        }

        if (VirtioDevices.HasWork(vm))
        {
            VirtioDevices.Work(vcpu);
        }

        if (!isWrite)
        {
            context.SetRegister(abort.GeneralRegister, abort.Extend(isBigEndian ? abort.Swap(value) : value));
        }

        context.StepOver();
        return true;
    }

    /// <summary>
    /// The same for the freeze register. Nothing of the VM changes under its device lock here: what follows is the
    /// monitor's, once the vCPU has left.
    /// </summary>
    internal static bool TryHandleFreeze(Vcpu* vcpu, Ipa ipa, StageTwoAbort abort)
    {
        const ulong RegisterBytes = sizeof(ulong);
        ulong offset = ipa.Value - GuestMemoryMap.FreezeRegisterStart;
        if (!abort.IsDecoded || offset >= GuestMemoryMap.FreezeRegisterBytes)
        {
            return false;
        }

        ref VcpuContext context = ref vcpu->Context;
        context.StepOver();
        if (abort.IsWrite)
        {
            if (offset == 0)
            {
                _ = Hypercalls.TryRequestFreeze(vcpu);
            }
            else if (offset == RegisterBytes)
            {
                vcpu->Vm->RequestStop("its agent was killed, so no host can use it any more"u8);
            }

            return true;
        }

        ulong value = offset < RegisterBytes ? vcpu->Vm->Id >> (8 * (int)offset) : 0;
        value = IsBigEndian(in context) ? abort.Swap(value) : value;
        context.SetRegister(abort.GeneralRegister, abort.Extend(value));
        return true;
    }

    /// <summary>SCTLR_EL1.EE for EL1, E0E for EL0 (FEAT_MixedEnd): what the syndrome does not tell.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsBigEndian(in VcpuContext context)
    {
        const ulong LevelMask = 0xF;
        const ulong AtEl0 = 1 << 24;
        const ulong AtEl1 = 1 << 25;
        ulong control = (context.ProcessorState & LevelMask) == 0 ? AtEl0 : AtEl1;
        return (Instructions.ReadGuestSystemControl() & control) != 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsDevice(Vm* vm, ulong address) =>
        address - GuestMemoryMap.UartStart < GuestMemoryMap.UartSize
        || address - GuestMemoryMap.DistributorStart < GuestMemoryMap.DistributorSize
        || address - GuestMemoryMap.RedistributorStart
            < GuestMemoryMap.RedistributorSize * (ulong)vm->Options.VcpuCount
        || AbsentDevices.Contains(address);

    /// <summary>The UART first: a console's guest spends two or three accesses on each character.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Access(Vcpu* vcpu, ulong address, int size, bool isWrite, ref ulong value)
    {
        ulong offset = address - GuestMemoryMap.UartStart;
        return offset < GuestMemoryMap.UartSize
            ? AccessUart(vcpu->Vm, offset, size, isWrite, ref value)
            : AccessOther(vcpu, address, size, isWrite, ref value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static uint AccessOther(Vcpu* vcpu, ulong address, int size, bool isWrite, ref ulong value)
    {
        Vm* vm = vcpu->Vm;
        if (VirtioDevices.Contains(vm, address))
        {
            return VirtioDevices.Access(vm, address, size, isWrite, ref value);
        }

        if (AbsentDevices.Contains(address))
        {
            value = AbsentDevices.Read(address);
            return 0;
        }

        VcpuInterrupts.TakeBack(vcpu);
        ulong offset = address - GuestMemoryMap.DistributorStart;
        if (offset < GuestMemoryMap.DistributorSize)
        {
            if (isWrite)
            {
                return vm->Gic.WriteDistributor(vcpu->Index, offset, size, value);
            }

            value = vm->Gic.ReadDistributor(offset, size);
            return 0;
        }

        offset = address - GuestMemoryMap.RedistributorStart;
        int frame = (int)(offset / GuestMemoryMap.RedistributorSize);
        offset %= GuestMemoryMap.RedistributorSize;
        if (isWrite)
        {
            return vm->Gic.WriteRedistributor(frame, offset, size, value);
        }

        value = vm->Gic.ReadRedistributor(frame, offset, size);
        return 0;
    }

    private static uint AccessUart(Vm* vm, ulong offset, int size, bool isWrite, ref ulong value)
    {
        int before = vm->Uart.InputCount;
        bool wasAsserted = vm->Uart.InterruptLine;
        bool isNews = false;
        if (isWrite)
        {
            vm->PrintedCount = Instructions.ReadCounter();
            isNews = vm->Uart.Write(offset, size, value);
        }
        else
        {
            value = vm->Uart.Read(offset, size);
            isNews = vm->Uart.InputCount != before && GuestConsole.HasRoomAgain(vm);
        }

        if (isNews)
        {
            GuestConsole.Notice(vm);
        }

        bool isAsserted = vm->Uart.InterruptLine;
        return isAsserted != wasAsserted ? vm->Gic.SetSharedLine(GuestMemoryMap.UartInterrupt, isAsserted) : 0;
    }
}

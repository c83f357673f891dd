using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>Stage-2 aborts of a guest: memory that is not there yet, a device's registers, or nothing at all.</summary>
/// <remarks>Invariant: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.</remarks>
internal static unsafe class Aborts
{
    private const int Unknown = GuestMemory<Arm<Granule4K>, El2Machine>.UnknownLevel;

    [SkipLocalsInit]
    internal static void Handle(Vcpu* vcpu)
    {
        StageTwoAbort abort = StageTwoAbort.Decode(vcpu->Context.Syndrome);
        FaultAddresses addresses = Instructions.ReadFaultAddresses();
        Ipa ipa = new(abort.IntermediateAddress(addresses.Page, addresses.Virtual));
        if (abort.IsOwnTranslationFault && ipa.Value >= GuestMemoryMap.MemoryStart)
        {
            Memory(vcpu, abort, ipa, OwnAccessOf(abort), abort.Level);
        }
        else if (abort.IsOwnTranslationFault)
        {
            Device(vcpu, ipa, abort);
        }
        else
        {
            Others(vcpu, abort, addresses);
        }
    }

    /// <summary>Whatever is not the first touch of memory.</summary>
    private static void Others(Vcpu* vcpu, StageTwoAbort abort, FaultAddresses addresses)
    {
        if (!abort.IsStageTwoFault)
        {
            vcpu->Vm->RequestStop("the guest caused an abort that is no Stage-2 fault (a memory error?)"u8);
            return;
        }

        if (!TryFindIpa(abort, addresses, out Ipa ipa))
        {
            return; // the guest's own tables changed under the access: it repeats it, and takes its own fault
        }

        if (ipa.Value < GuestMemoryMap.MemoryStart)
        {
            Device(vcpu, ipa, abort);
            return;
        }

        int level = abort.IsTranslationFault && !abort.IsStageOneWalk ? abort.Level : Unknown;
        Memory(vcpu, abort, ipa, AccessOf(abort), level);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Memory(Vcpu* vcpu, StageTwoAbort abort, Ipa ipa, AccessKind access, int level)
    {
        FaultResult result = Fault(vcpu->Vm, ipa, access, level);
        if (result == FaultResult.Mapped)
        {
            vcpu->Counters.FaultExits++;
            return;
        }

        NotMapped(vcpu, abort, ipa, result);
    }

    /// <summary>
    /// Brings a page for a device of the VM's, as a fault of the guest's would; or waits until it can be tried again.
    /// False: no page can be there.
    /// </summary>
    internal static bool TryBring(Vcpu* vcpu, Ipa ipa, AccessKind access)
    {
        FaultResult result = Fault(vcpu->Vm, ipa, access, Unknown);
        if (result is FaultResult.NoSlot or FaultResult.ReadOnly)
        {
            return false;
        }

        if (result != FaultResult.Mapped)
        {
            NotMapped(vcpu, default, ipa, result);
        }

        return true;
    }

    /// <summary>Below memory there are devices' registers, the generation ID, or nothing.</summary>
    private static void Device(Vcpu* vcpu, Ipa ipa, StageTwoAbort abort)
    {
        if (DeviceAccess.TryHandle(vcpu, ipa, abort) || DeviceAccess.TryHandleFreeze(vcpu, ipa, abort))
        {
            vcpu->Counters.MmioExits++;
            return;
        }

        FaultResult result = GenerationId.Contains(ipa)
            ? GenerationId.Fault(vcpu->Vm, ipa, AccessOf(abort))
            : FaultResult.NoSlot;
        if (result == FaultResult.Mapped)
        {
            vcpu->Counters.FaultExits++;
        }
        else
        {
            NotMapped(vcpu, abort, ipa, result);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static AccessKind AccessOf(StageTwoAbort abort) =>
        abort.IsFetch ? AccessKind.Execute : abort.IsWrite ? AccessKind.Write : AccessKind.Read;

    /// <summary>The same, where it is known that the access is none of a table walk.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static AccessKind OwnAccessOf(StageTwoAbort abort) =>
        abort.IsFetch ? AccessKind.Execute : abort.IsOwnWrite ? AccessKind.Write : AccessKind.Read;

    private static void NotMapped(Vcpu* vcpu, StageTwoAbort abort, Ipa ipa, FaultResult result)
    {
        vcpu->Counters.OtherExits++;
        switch (result)
        {
            case FaultResult.Retry:
                // The page's range is being taken away; the core that ends that kicks, and the access is repeated.
                if (IsInvalidating(vcpu->Vm))
                {
                    vcpu->Wait(VcpuWait.Kick);
                }

                break;

            case FaultResult.NoSlot or FaultResult.ReadOnly or FaultResult.NotExecutable:
                Inject.ExternalAbort(vcpu, abort, ipa);
                break;

            case FaultResult.OutOfMemory:
                vcpu->Vm->RequestStop("the machine ran out of memory for this VM"u8);
                break;

            default:
                vcpu->Vm->RequestStop("a defect of the hypervisor: a fault that cannot be"u8);
                break;
        }
    }

    /// <summary>Answers the fault: see GuestMemory's three steps, and when they are one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FaultResult Fault(Vm* vm, Ipa ipa, AccessKind access, int level)
    {
        if (vm->Options.Sizing != PageSizing.Pages)
        {
            return FaultInSteps(vm, ipa, access, level);
        }

        El2Machine machine = vm->Machine;
        vm->MemoryLock.Enter();
        FaultResult result = vm->Memory.HandleFault(ref machine, ipa, access, level);
        vm->MemoryLock.Leave();
        return result;
    }

    /// <summary>
    /// A block is filled without the memory lock, so that the faults of other vCPUs need not wait for it, and in steps,
    /// so that an order to stop need not either.
    /// </summary>
    private static FaultResult FaultInSteps(Vm* vm, Ipa ipa, AccessKind access, int level)
    {
        El2Machine machine = vm->Machine;
        vm->MemoryLock.Enter();
        FaultResult result = vm->Memory.PrepareFault(ref machine, ipa, access, out FaultTicket ticket, level);
        vm->MemoryLock.Leave();
        if (result != FaultResult.Prepared)
        {
            return result;
        }

        bool isFilled = vm->Memory.FillStep(ref machine, ref ticket);
        while (!isFilled && !vm->MustLeave && !LeavesForMonitor())
        {
            isFilled = vm->Memory.FillStep(ref machine, ref ticket);
        }

        vm->MemoryLock.Enter();
        if (isFilled)
        {
            Core.Current->HasLeftBlock = false;
            result = vm->Memory.CommitFault(ref machine, ref ticket);
        }
        else
        {
            vm->Memory.AbandonFault(ref machine, ref ticket);
            result = FaultResult.Retry;
        }

        vm->MemoryLock.Leave();
        return result;
    }

    /// <summary>
    /// On core 0 a block is left that is being filled, and begun again later, when an interrupt comes: it may be the
    /// monitor's. Not if the last one was, too, so that a guest gets on whatever comes.
    /// </summary>
    private static bool LeavesForMonitor()
    {
        Core* core = Core.Current;
        if (core->Index != 0 || core->HasLeftBlock)
        {
            return false;
        }

        core->HasLeftBlock = Instructions.IsInterruptPending;
        return core->HasLeftBlock;
    }

    /// <summary>
    /// HPFAR_EL2 holds the IPA of every Stage-2 fault but a permission fault of the access itself, for which the
    /// guest's stage 1 must be asked again (DDI 0487 D24.2.67).
    /// </summary>
    private static bool TryFindIpa(StageTwoAbort abort, FaultAddresses addresses, out Ipa ipa)
    {
        if (!abort.NeedsTranslation)
        {
            ipa = new Ipa(abort.IntermediateAddress(addresses.Page, addresses.Virtual));
            return true;
        }

        const ulong PageMask = 0xFFF;
        ulong answer = Instructions.TranslateGuestAddress(addresses.Virtual);
        ipa = new Ipa((answer & 0x0000_FFFF_FFFF_F000) | (addresses.Virtual & PageMask));
        return (answer & 1) == 0;
    }

    /// <summary>Whether a range of the VM's memory is being taken away.</summary>
    internal static bool IsInvalidating(Vm* vm)
    {
        vm->MemoryLock.Enter();
        bool busy = vm->Memory.InvalidationsInProgress != 0;
        vm->MemoryLock.Leave();
        return busy;
    }
}

using System;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's generation ID (VMGENID): 16 random bytes in a page of memory of its own. They are made when the guest first
/// looks, so a VM whose guest never does pays nothing; a freeze takes the page away, so a child that looks finds others
/// than its template.
/// </summary>
/// <remarks>
/// Invariant: a VM's pointer is to a slot of VmTable; a ticket's page is a frame that it has just taken.
/// </remarks>
internal static unsafe class GenerationId
{
    private const int Bytes = 16;

    /// <summary>Frames that it takes: the page, and tables of two levels.</summary>
    internal const ulong Frames = 3;

    internal static bool Contains(Ipa ipa) =>
        ipa.Value - GuestMemoryMap.GenerationIdStart < GuestMemoryMap.GenerationIdBytes;

    /// <summary>Where there are random numbers. To be called once, when the VM's memory is there.</summary>
    internal static MemoryResult Add(Vm* vm)
    {
        if (!VmRandom.IsThere(vm))
        {
            return MemoryResult.Ok;
        }

        SlotOptions options = SlotOptions.Ram(PageSizing.Pages) with { IsPrivate = true };
        return vm->Memory.AddSlot(
            new Ipa(GuestMemoryMap.GenerationIdStart), GuestMemoryMap.GenerationIdBytes, options, out _);
    }

    /// <summary>Answers a fault on the page. The bytes are in it before anything leads there.</summary>
    internal static FaultResult Fault(Vm* vm, Ipa ipa, AccessKind access)
    {
        El2Machine machine = vm->Machine;
        vm->MemoryLock.Enter();
        FaultResult result = vm->Memory.PrepareFault(ref machine, ipa, access, out FaultTicket ticket);
        if (result == FaultResult.Prepared)
        {
            vm->Memory.FillFault(ref machine, ref ticket);
            if (VmRandom.TryFill(vm, new Span<byte>((void*)ticket.Page, Bytes)))
            {
                machine.CleanInvalidateToPoC(new Pa(ticket.Page), CpuFeatures.DataLineBytes);
                machine.DsbFullSystem();
            }

            result = vm->Memory.CommitFault(ref machine, ref ticket);
        }

        vm->MemoryLock.Leave();
        return result;
    }

    /// <summary>Tells a child's guest, if it listens, before its first instruction.</summary>
    internal static void Announce(Vm* vm) => _ = vm->Gic.Pulse(GuestMemoryMap.GenerationIdInterrupt);
}

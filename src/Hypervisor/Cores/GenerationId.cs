using System;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A VM's generation ID (VMGENID): 16 random bytes in a page of memory of its own, and beside it the page of its
/// <see cref="StolenTime"/>. They are made when the guest first looks, so a VM whose guest never does pays nothing; a
/// freeze takes the pages away, so a child that looks finds others than its template.
/// </summary>
/// <remarks>
/// Invariant: a VM's pointer is to a slot of VmTable; a ticket's page is a frame that it has just taken.
/// </remarks>
internal static unsafe class GenerationId
{
    private const int Bytes = 16;

    /// <summary>Frames that they take: both pages, and tables of two levels.</summary>
    internal const ulong Frames = 4;

    internal static bool Contains(Ipa ipa) =>
        ipa.Value - GuestMemoryMap.GenerationIdStart < GuestMemoryMap.PrivateBytes;

    /// <summary>
    /// To be called once, when the VM's memory is there. Without random numbers there is no generation ID, and the
    /// pages come when the guest looks for stolen time.
    /// </summary>
    internal static MemoryResult Add(Vm* vm) => VmRandom.IsThere(vm) ? AddSlot(vm) : MemoryResult.Ok;

    private static MemoryResult AddSlot(Vm* vm)
    {
        SlotOptions options = SlotOptions.Ram(PageSizing.Pages) with { IsPrivate = true };
        return vm->Memory.AddSlot(
            new Ipa(GuestMemoryMap.GenerationIdStart), GuestMemoryMap.PrivateBytes, options, out _);
    }

    /// <summary>Answers a fault on one of the pages. The bytes are in it before anything leads there.</summary>
    internal static FaultResult Fault(Vm* vm, Ipa ipa, AccessKind access)
    {
        El2Machine machine = vm->Machine;
        vm->MemoryLock.Enter();
        bool isStolenTime = ipa.Value >= GuestMemoryMap.StolenTimeStart;
        FaultResult result = vm->Memory.PrepareFault(ref machine, ipa, access, out FaultTicket ticket);
        if (result == FaultResult.NoSlot && isStolenTime && AddSlot(vm) == MemoryResult.Ok)
        {
            result = vm->Memory.PrepareFault(ref machine, ipa, access, out ticket);
        }

        if (result == FaultResult.Prepared)
        {
            vm->Memory.FillFault(ref machine, ref ticket);
            if (isStolenTime)
            {
                StolenTime.Fill(vm, ticket.Page);
            }
            else if (VmRandom.TryFill(vm, new Span<byte>((void*)ticket.Page, Bytes)))
            {
                machine.CleanInvalidateToPoC(new Pa(ticket.Page), CpuFeatures.DataLineBytes);
                machine.DsbFullSystem();
            }

            ulong page = ticket.Page;
            result = vm->Memory.CommitFault(ref machine, ref ticket);
            if (isStolenTime && result == FaultResult.Mapped)
            {
                vm->StolenTimePage = page; // not before: one that is dropped goes back to the pool
            }
        }

        vm->MemoryLock.Leave();
        return result;
    }

    /// <summary>Tells a child's guest, if it listens, before its first instruction.</summary>
    internal static void Announce(Vm* vm) => _ = vm->Gic.Pulse(GuestMemoryMap.GenerationIdInterrupt);
}

using System;
using Quietus.Hypervisor.Machine;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// Puts bytes into a VM's memory before it runs, through its own faults and tables: the pages are the guest's from the
/// first byte. Written out to the point of coherency, because a guest begins with its caches off.
/// </summary>
internal static unsafe class GuestWriter
{
    /// <summary>Copies into guest memory. False: out of memory, or an address outside every slot.</summary>
    internal static bool Write(Vm* vm, Ipa to, ReadOnlySpan<byte> from)
    {
        while (from.Length != 0)
        {
            if (!TryMap(vm, to, out ulong address, out ulong room))
            {
                return false;
            }

            int count = (int)Math.Min(room, (ulong)from.Length);

            // Invariant: TryMap gives room bytes of one leaf, identity-mapped RAM that belongs to this VM.
            from.Slice(0, count).CopyTo(new Span<byte>((void*)address, count));
            CleanToPoC(address, (ulong)count);
            to += (ulong)count;
            from = from.Slice(count);
        }

        return true;
    }

    /// <summary>Makes code that was written fetchable on every core.</summary>
    internal static void FinishCode()
    {
        Instructions.DataSynchronizationSy();
        Instructions.InvalidateAllInstructions();
        Instructions.DataSynchronizationIsh();
        Instructions.InstructionSynchronization();
    }

    private static bool TryMap(Vm* vm, Ipa ipa, out ulong address, out ulong room)
    {
        El2Machine machine = vm->Machine;
        vm->MemoryLock.Enter();
        FaultResult result = vm->Memory.HandleFault(ref machine, ipa, AccessKind.Write);
        Translation now = vm->Memory.Translate(ref machine, ipa);
        vm->MemoryLock.Leave();
        if (result is not (FaultResult.Mapped or FaultResult.Retry) || !now.IsMapped)
        {
            address = 0;
            room = 0;
            return false;
        }

        address = now.Output.Value;
        ulong leaf = Stage2Geometry.LevelBytes<Arm<Granule4K>>(now.Level);
        room = leaf - (ipa.Value & (leaf - 1));
        return true;
    }

    private static void CleanToPoC(ulong address, ulong bytes)
    {
        ulong line = CpuFeatures.DataLineBytes;
        ulong first = address & ~(line - 1);
        CpuFeatures.CleanLines(first, CpuFeatures.DataLines(address + bytes - first + line - 1));
    }
}

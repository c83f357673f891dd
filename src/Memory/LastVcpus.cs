using System.Runtime.CompilerServices;

namespace Quietus.Memory;

/// <summary>
/// Which vCPU of each VM a PE ran last: whether the next one of the same VM may find what the last one left in the PE's
/// TLBs. Each PE has one of these, which it alone uses.
/// </summary>
/// <remarks>
/// <para>What a TLB holds of a guest's Stage-1 is tagged with the VMID and the guest's ASID, and the vCPUs of a VM have
/// one VMID between them: each may use an ASID for tables of its own (DDI 0487 D8, "VMID and ASID"). On a machine each
/// would have a TLB to itself. So a vCPU that comes to a PE on which another one of its VM ran has to find nothing of
/// that one. Linux does this since 94d0e5980d67, and has the instruction cache follow since 01dc9262ff57: a vCPU with
/// its MMU off may fetch past what another one keeps coherent.</para>
/// <para>Invariant: all that a PE holds under the VMID that a VM has now was made by the vCPU that is noted here. It
/// needs no reset when the VM gets another VMID, nor when another VM comes to its slot: nothing is held under a VMID
/// that is given out (<see cref="VmidAllocator"/>), and what is noted wrongly then costs one invalidation at most.
/// </para>
/// </remarks>
public struct LastVcpus
{
    private UnmanagedArray<byte> _last;

    /// <summary>Sets it up.</summary>
    /// <param name="last">A byte for each slot that a VM can have; all zero.</param>
    public void Initialize(UnmanagedArray<byte> last) => _last = last;

    /// <summary>
    /// A vCPU is being loaded. True: before its guest's first access, and with the VM's VMID in VTTBR_EL2, the PE must
    /// invalidate the VMID's Stage-1, on this PE alone: TLBI VMALLE1; IC IALLU; DSB NSH; ISB.
    /// </summary>
    /// <param name="slot">The VM's: inside what <see cref="Initialize"/> was given.</param>
    /// <param name="vcpu">The vCPU's index in the VM, below 255.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsOther(int slot, int vcpu)
    {
        ref byte last = ref _last.At(slot);
        byte now = (byte)(vcpu + 1);
        if (last == now)
        {
            return false;
        }

        last = now;
        return true;
    }
}

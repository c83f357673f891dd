using System.Runtime.CompilerServices;

namespace Quietus.Memory;

/// <summary>
/// Which PEs may hold TLB entries of a VM's VMID, for VMs of one vCPU: whether the PE that runs it can invalidate for
/// itself alone (TLBI IPAS2E1 and VMALLE1, and not the Inner Shareable forms, which every PE has to answer).
/// </summary>
/// <remarks>
/// <para>Licence: a PE gets entries of a VMID only while it has the VM's VTTBR_EL2 loaded. One vCPU is on one PE at a
/// time, so while that PE has it loaded, no other PE makes any; and those that it has run on before are noted here,
/// until an invalidation of the whole VMID, broadcast by the PE that has it loaded, has taken what they kept.
/// docs/elision.md.</para>
/// <para>Invariant: every PE that may hold an entry under the VM's VMID is noted. A new VMID needs no reset: nothing is
/// held under a VMID that is given out (<see cref="VmidAllocator"/>), so then too many are noted, not too few.</para>
/// <para>Only the PE that loads the vCPU, or has it loaded, changes it; the scheduler's lock is between two of them.
/// </para>
/// </remarks>
public struct TlbHolders
{
    /// <summary>Of a VM with several vCPUs: they come and go at any time, so that nothing is said of it.</summary>
    private const ulong Any = ulong.MaxValue;

    private ulong _pes;
    private ulong _here;

    /// <summary>For a VM that no PE has loaded yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Initialize(bool hasOneVcpu) => _pes = hasOneVcpu ? 0 : Any;

    /// <summary>
    /// Whether the PE that has the VM loaded is the only one that may hold entries of its VMID. No other PE may ask.
    /// </summary>
    public readonly bool IsAlone
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _pes == _here && _here != 0;
    }

    /// <summary>A PE is about to load the VM's VTTBR_EL2.</summary>
    /// <param name="pe">Its index, below 64.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Load(int pe)
    {
        ulong here = 1UL << pe;
        _pes |= here;
        _here = here;
    }

    /// <summary>
    /// The PE that has the VM loaded is not alone, and is about to invalidate. True: if it broadcasts an invalidation
    /// of the whole VMID in place of what it would have, it is alone when that is complete.
    /// </summary>
    public bool TryBecomeAlone()
    {
        if (_pes == Any)
        {
            return false;
        }

        _pes = _here;
        return true;
    }
}

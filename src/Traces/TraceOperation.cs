using Quietus.Stage2;

namespace Quietus.Traces;

/// <summary>What the traced host did to a VM's Stage-2.</summary>
public enum TraceOperationKind : byte
{
    /// <summary>kvm_pgtable_stage2_map: a page or a block was mapped, mostly by a fault.</summary>
    Map,

    /// <summary>kvm_pgtable_stage2_relax_perms: a leaf got more permissions.</summary>
    Relax,

    /// <summary>kvm_pgtable_stage2_unmap for a range of the MMU notifier.</summary>
    UnmapByNotifier,

    /// <summary>kvm_pgtable_stage2_unmap for a memory slot that was removed.</summary>
    UnmapBySlotRemoval,

    /// <summary>kvm_pgtable_stage2_destroy: the VM died.</summary>
    Release,
}

/// <summary>What a leaf permits, as KVM's own bits (KVM_PGTABLE_PROT_*).</summary>
[System.Flags]
public enum TraceProtection : byte
{
    None = 0,
    Execute = 1,
    Write = 2,
    Read = 4,
    Device = 8,
}

/// <summary>One operation on a VM's Stage-2, in the order of the trace.</summary>
/// <param name="Kind">What was done.</param>
/// <param name="Protection">Of a map or a relax; None otherwise.</param>
/// <param name="Start">The first address, a multiple of 4 KB; 0 for a release.</param>
/// <param name="Bytes">A map's or unmap's size, a multiple of 4 KB; 0 otherwise.</param>
/// <param name="Output">Where a map leads.</param>
public readonly record struct TraceOperation(
    TraceOperationKind Kind, TraceProtection Protection, Ipa Start, ulong Bytes, Pa Output);

namespace Quietus.Traces;

/// <summary>
/// The maintenance that the traced kernel issued for one kind of operation, as calls of its functions.
/// </summary>
public sealed class TracedMaintenance
{
    /// <summary>
    /// Calls of __kvm_tlb_flush_vmid_ipa that name a level: one leaf each. (Kernels before 6.8 name one for tables,
    /// too.)
    /// </summary>
    public long LeafTlbi { get; internal set; }

    /// <summary>Those without a level (TLBI_TTL_UNKNOWN): a table was unlinked.</summary>
    public long TableTlbi { get; internal set; }

    /// <summary>Calls of __kvm_tlb_flush_vmid_range (FEAT_TLBIRANGE).</summary>
    public long RangeTlbi { get; internal set; }

    /// <summary>Calls of __kvm_tlb_flush_vmid: the whole VMID.</summary>
    public long VmidTlbi { get; internal set; }

    /// <summary>Calls of clean_dcache_guest_page: a page or a block each.</summary>
    public long Cleanings { get; internal set; }

    /// <summary>Bytes that these cleaned; less than all where the trace does not say sizes.</summary>
    public long CleanedBytes { get; internal set; }
}

using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Text;

namespace Quietus.Traces;

/// <summary>
/// Which event a line is. What decides is the kernel function of a kprobe, so that its event can be called anything;
/// where only the event's name is there (trace-cmd without symbols, perf), it is one of those that docs/replay.md and
/// perf probe give.
/// </summary>
internal static class HostEvents
{
    private const int LongestName = 128;

    /// <summary>Functions of the kernel, by the version that has them.</summary>
    private static readonly FrozenDictionary<string, HostEvent> _functions = new Dictionary<string, HostEvent>
    {
        // Linux 5.5 to 5.9: virt/kvm/arm/mmu.c, later arch/arm64/kvm/mmu.c.
        ["stage2_set_pte"] = HostEvent.SetPage,
        ["stage2_set_pmd_huge"] = HostEvent.SetBlock,
        ["stage2_set_pud_huge"] = HostEvent.SetLargeBlock,
        ["unmap_stage2_range"] = HostEvent.Unmap,
        ["__unmap_stage2_range"] = HostEvent.Unmap,
        ["kvm_free_stage2_pgd"] = HostEvent.Destroy,

        // Linux 5.10 and later: arch/arm64/kvm/hyp/pgtable.c.
        ["kvm_pgtable_stage2_map"] = HostEvent.Map,
        ["kvm_pgtable_stage2_relax_perms"] = HostEvent.Relax,
        ["kvm_pgtable_stage2_unmap"] = HostEvent.Unmap,
        ["kvm_pgtable_stage2_destroy"] = HostEvent.Destroy,

        // Later kernels take the tables down in pieces, and the root at the end.
        ["kvm_pgtable_stage2_destroy_range"] = HostEvent.Destroy,
        ["kvm_pgtable_stage2_destroy_pgd"] = HostEvent.Destroy,

        // Hosts with protected KVM: arch/arm64/kvm/pkvm.c.
        ["pkvm_pgtable_stage2_map"] = HostEvent.Map,
        ["pkvm_pgtable_stage2_relax_perms"] = HostEvent.Relax,
        ["pkvm_pgtable_stage2_unmap"] = HostEvent.Unmap,
        ["pkvm_pgtable_stage2_destroy"] = HostEvent.Destroy,
        ["pkvm_pgtable_stage2_destroy_range"] = HostEvent.Destroy,
        ["pkvm_pgtable_stage2_destroy_pgd"] = HostEvent.Destroy,

        ["clean_dcache_guest_page"] = HostEvent.CleanPage,
        ["__clean_dcache_guest_page"] = HostEvent.CleanPage,
        ["stage2_flush_dcache"] = HostEvent.CleanPage,
        ["__kvm_tlb_flush_vmid_ipa"] = HostEvent.TlbiIpa,
        ["__kvm_tlb_flush_vmid_range"] = HostEvent.TlbiRange,
        ["__kvm_tlb_flush_vmid"] = HostEvent.TlbiVmid,
        ["kvm_arch_flush_shadow_memslot"] = HostEvent.SlotFlush,
        ["kvm_mmu_notifier_release"] = HostEvent.ProcessEnd,
        ["kvm_vm_release"] = HostEvent.ProcessEnd,
        ["kvm_destroy_vm"] = HostEvent.ProcessEnd,
    }.ToFrozenDictionary();

    /// <summary>Events by their names: the kernel's own, and those of docs/replay.md.</summary>
    private static readonly FrozenDictionary<string, HostEvent> _names = new Dictionary<string, HostEvent>
    {
        ["kvm_guest_fault"] = HostEvent.GuestFault,
        ["kvm_unmap_hva_range"] = HostEvent.NotifierUnmap,
        ["s2map"] = HostEvent.Map,
        ["s2setpte"] = HostEvent.SetPage,
        ["s2setpmd"] = HostEvent.SetBlock,
        ["s2setpud"] = HostEvent.SetLargeBlock,
        ["s2relax"] = HostEvent.Relax,
        ["s2unmap"] = HostEvent.Unmap,
        ["s2destroy"] = HostEvent.Destroy,
        ["s2destroy_range"] = HostEvent.Destroy,
        ["s2cmo"] = HostEvent.CleanPage,
        ["s2tlbi_ipa"] = HostEvent.TlbiIpa,
        ["s2tlbi_range"] = HostEvent.TlbiRange,
        ["s2tlbi_vmid"] = HostEvent.TlbiVmid,
        ["mnrelease"] = HostEvent.ProcessEnd,
        ["vmrelease"] = HostEvent.ProcessEnd,

        // KVM/x86.
        ["kvm_tdp_mmu_spte_changed"] = HostEvent.SpteChanged,
        ["kvm_page_fault"] = HostEvent.X86Fault,
        ["kvm_mmu_set_spte"] = HostEvent.X86Other,
        ["kvm_mmu_spte_requested"] = HostEvent.X86Other,
        ["kvm_mmu_get_page"] = HostEvent.X86Other,
        ["kvm_mmu_prepare_zap_page"] = HostEvent.X86Other,
        ["fast_page_fault"] = HostEvent.X86Other,
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, HostEvent>.AlternateLookup<ReadOnlySpan<char>> _byFunction =
        _functions.GetAlternateLookup<ReadOnlySpan<char>>();

    private static readonly FrozenDictionary<string, HostEvent>.AlternateLookup<ReadOnlySpan<char>> _byName =
        _names.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Recognises an event.</summary>
    public static HostEvent Of(in TraceLine line)
    {
        if (line.IsFunction)
        {
            return Find(_byFunction, line.Name);
        }

        if (line.IsReturn)
        {
            return HostEvent.Other;
        }

        ReadOnlySpan<byte> probed = line.ProbedFunction;
        HostEvent found = probed.IsEmpty ? HostEvent.Other : Find(_byFunction, probed);
        found = found != HostEvent.Other ? found : Find(_byName, line.Name);
        return found != HostEvent.Other ? found : Find(_byFunction, Undecorated(line.Name));
    }

    /// <summary>
    /// The function in the name that the kernel gives a probe without one, "p_function_0", or perf probe,
    /// "function" and "function_1".
    /// </summary>
    private static ReadOnlySpan<byte> Undecorated(ReadOnlySpan<byte> name)
    {
        name = name.StartsWith("p_"u8) ? name[2..] : name;
        int number = name.LastIndexOf((byte)'_');
        return number > 0 && number < name.Length - 1 && Scan.Digits(name[(number + 1)..]) == name.Length - number - 1
            ? name[..number]
            : name;
    }

    private static HostEvent Find(
        FrozenDictionary<string, HostEvent>.AlternateLookup<ReadOnlySpan<char>> table, ReadOnlySpan<byte> name)
    {
        Span<char> text = stackalloc char[LongestName];
        return name.Length <= LongestName && Encoding.ASCII.TryGetChars(name, text, out int length)
            && table.TryGetValue(text[..length], out HostEvent found)
            ? found
            : HostEvent.Other;
    }
}

using System;

namespace Quietus.Traces;

/// <summary>The events that say something about a VM's Stage-2.</summary>
internal enum HostEvent : byte
{
    Other,
    Map,
    Relax,
    Unmap,
    Destroy,
    CleanPage,
    TlbiIpa,
    TlbiRange,
    TlbiVmid,
    GuestFault,

    /// <summary>The MMU notifier takes a range of the process's addresses.</summary>
    NotifierUnmap,

    /// <summary>A memory slot is about to be emptied.</summary>
    SlotFlush,

    /// <summary>The process's address space is going, or the VM's file was closed.</summary>
    ProcessEnd,
}

/// <summary>
/// Which event a line is. What decides is the kernel function of a kprobe, so that its event can be called anything;
/// where only the event's name is there (trace-cmd without symbols), those that docs/replay.md gives them are known.
/// </summary>
internal static class HostEvents
{
    /// <summary>Recognises an event.</summary>
    public static HostEvent Of(in FtraceLine line)
    {
        if (line.IsFunction)
        {
            return OfFunction(line.Name);
        }

        ReadOnlySpan<byte> probed = line.ProbedFunction;
        HostEvent found = probed.IsEmpty ? HostEvent.Other : OfFunction(probed);
        return found != HostEvent.Other ? found : OfName(line.Name);
    }

    private static HostEvent OfFunction(ReadOnlySpan<byte> function)
    {
        if (function.SequenceEqual("kvm_pgtable_stage2_map"u8))
        {
            return HostEvent.Map;
        }

        if (function.SequenceEqual("clean_dcache_guest_page"u8))
        {
            return HostEvent.CleanPage;
        }

        if (function.SequenceEqual("__kvm_tlb_flush_vmid_ipa"u8))
        {
            return HostEvent.TlbiIpa;
        }

        if (function.SequenceEqual("__kvm_tlb_flush_vmid_range"u8))
        {
            return HostEvent.TlbiRange;
        }

        if (function.SequenceEqual("__kvm_tlb_flush_vmid"u8))
        {
            return HostEvent.TlbiVmid;
        }

        if (function.SequenceEqual("kvm_pgtable_stage2_relax_perms"u8))
        {
            return HostEvent.Relax;
        }

        if (function.SequenceEqual("kvm_pgtable_stage2_unmap"u8))
        {
            return HostEvent.Unmap;
        }

        // Later kernels take the tables down in pieces, and the root at the end.
        if (function.SequenceEqual("kvm_pgtable_stage2_destroy"u8)
            || function.SequenceEqual("kvm_pgtable_stage2_destroy_pgd"u8))
        {
            return HostEvent.Destroy;
        }

        if (function.SequenceEqual("kvm_arch_flush_shadow_memslot"u8))
        {
            return HostEvent.SlotFlush;
        }

        return function.SequenceEqual("kvm_mmu_notifier_release"u8) || function.SequenceEqual("kvm_vm_release"u8)
            ? HostEvent.ProcessEnd
            : HostEvent.Other;
    }

    private static HostEvent OfName(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("kvm_guest_fault"u8))
        {
            return HostEvent.GuestFault;
        }

        if (name.SequenceEqual("kvm_unmap_hva_range"u8))
        {
            return HostEvent.NotifierUnmap;
        }

        if (!name.StartsWith("s2"u8))
        {
            return name.SequenceEqual("mnrelease"u8) || name.SequenceEqual("vmrelease"u8)
                ? HostEvent.ProcessEnd
                : HostEvent.Other;
        }

        ReadOnlySpan<byte> what = name[2..];
        return what.SequenceEqual("map"u8) ? HostEvent.Map
            : what.SequenceEqual("cmo"u8) ? HostEvent.CleanPage
            : what.SequenceEqual("tlbi_ipa"u8) ? HostEvent.TlbiIpa
            : what.SequenceEqual("tlbi_range"u8) ? HostEvent.TlbiRange
            : what.SequenceEqual("tlbi_vmid"u8) ? HostEvent.TlbiVmid
            : what.SequenceEqual("relax"u8) ? HostEvent.Relax
            : what.SequenceEqual("unmap"u8) ? HostEvent.Unmap
            : what.SequenceEqual("destroy"u8) ? HostEvent.Destroy
            : HostEvent.Other;
    }
}

using System;

namespace Quietus.Wire;

/// <summary>How the memory of a KVM guest goes, in the order in which tables show it (docs/against-kvm.md).</summary>
public enum KvmWay : byte
{
    /// <summary>The process that owns the VM is killed in mid-run and waited for: all of its memory is free.</summary>
    Kill,

    /// <summary>The VM's descriptors are closed; its memory stays with the process.</summary>
    Close,

    /// <summary>As <see cref="Kill"/> without a VM: what the host takes for a process with so much memory.</summary>
    KillNoVm,

    /// <summary>The memory is unmapped by munmap while the VM lives.</summary>
    Munmap,

    /// <summary>The VM's memory slot is removed; the memory stays with the process.</summary>
    SlotRemoval,

    /// <summary>As <see cref="Munmap"/> without a VM.</summary>
    MunmapNoVm,
}

/// <summary>The ways by the names that the probe has.</summary>
public static class KvmWays
{
    public static ReadOnlySpan<byte> NameOf(KvmWay way) => way switch
    {
        KvmWay.Kill => "kill"u8,
        KvmWay.Close => "close"u8,
        KvmWay.KillNoVm => "kill-no-vm"u8,
        KvmWay.Munmap => "munmap"u8,
        KvmWay.SlotRemoval => "slot-removal"u8,
        _ => "munmap-no-vm"u8,
    };
}

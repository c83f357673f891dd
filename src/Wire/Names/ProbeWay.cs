using System;

namespace Quietus.Wire;

/// <summary>How a VM's memory goes under the probe: docs/probe.md says what each order is.</summary>
public enum ProbeWay : byte
{
    /// <summary>
    /// The VM's descriptors are closed; its memory stays with the process, and is unmapped afterwards.
    /// </summary>
    Close,

    /// <summary>The process that owns the VM is killed in mid-run.</summary>
    Kill,

    /// <summary>munmap while the VM lives.</summary>
    Munmap,

    /// <summary>MADV_DONTNEED while the VM lives.</summary>
    DontNeed,

    /// <summary>The memory slot is removed; the memory stays: the tables alone.</summary>
    Slot,

    /// <summary>The memory is a file's, and a hole is punched into it while the VM lives.</summary>
    Punch,

    /// <summary>munmap of as much memory without a VM: the host's share.</summary>
    MunmapNoVm,

    /// <summary>A kill of a process with as much memory and no VM.</summary>
    KillNoVm,
}

/// <summary>The ways by the names that people give them.</summary>
public static class ProbeWays
{
    public const int Count = 8;

    public static ReadOnlySpan<byte> NameOf(ProbeWay way) => way switch
    {
        ProbeWay.Close => "close"u8,
        ProbeWay.Kill => "kill"u8,
        ProbeWay.Munmap => "munmap"u8,
        ProbeWay.DontNeed => "dontneed"u8,
        ProbeWay.Slot => "slot"u8,
        ProbeWay.Punch => "punch"u8,
        ProbeWay.MunmapNoVm => "munmap-no-vm"u8,
        _ => "kill-no-vm"u8,
    };

    public static bool HasVm(ProbeWay way) => way is not (ProbeWay.MunmapNoVm or ProbeWay.KillNoVm);

    public static bool IsKill(ProbeWay way) => way is ProbeWay.Kill or ProbeWay.KillNoVm;
}

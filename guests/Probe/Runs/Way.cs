using System;

namespace Quietus.Probe.Runs;

/// <summary>How a VM's memory goes. docs/probe.md says what each order is.</summary>
internal enum Way : byte
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
internal static class Ways
{
    internal const int Count = 8;

    internal static ReadOnlySpan<byte> NameOf(Way way) => way switch
    {
        Way.Close => "close"u8,
        Way.Kill => "kill"u8,
        Way.Munmap => "munmap"u8,
        Way.DontNeed => "dontneed"u8,
        Way.Slot => "slot"u8,
        Way.Punch => "punch"u8,
        Way.MunmapNoVm => "munmap-no-vm"u8,
        _ => "kill-no-vm"u8,
    };

    internal static bool HasVm(Way way) => way is not (Way.MunmapNoVm or Way.KillNoVm);

    internal static bool IsKill(Way way) => way is Way.Kill or Way.KillNoVm;
}

namespace Quietus.Traces;

/// <summary>The events that say something about a VM's Stage-2.</summary>
internal enum HostEvent : byte
{
    Other,
    Map,

    /// <summary>A descriptor is written for a page (Linux 5.5 to 5.9).</summary>
    SetPage,

    /// <summary>A descriptor is written for a block of 2 MB.</summary>
    SetBlock,

    /// <summary>A descriptor is written for a block of 1 GB.</summary>
    SetLargeBlock,
    Relax,
    Unmap,

    /// <summary>A dead VM's tables are freed, or a part of them.</summary>
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

    /// <summary>KVM/x86: an entry of its second-level tables changes.</summary>
    SpteChanged,

    /// <summary>KVM/x86: a fault in memory.</summary>
    X86Fault,

    /// <summary>KVM/x86: any other event that tells this architecture.</summary>
    X86Other,
}

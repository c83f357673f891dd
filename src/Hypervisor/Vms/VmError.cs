using System;

namespace Quietus.Hypervisor.Vms;

/// <summary>Why a VM cannot be made or started.</summary>
internal enum VmError : byte
{
    None,
    BadVcpuCount,
    BadMemorySize,
    NoSlot,
    OutOfMemory,
    NoLinux,
    BadBundle,
    BadKernel,
    NoGranule,
    DoesNotFit,
    BadArguments,
    NotCreated,
    Ended,
    NotRunning,
    AlreadyFrozen,
    NotFrozen,
    IsTemplate,
    TemplateEnded,
    NoChild,
    CannotFreeze,
    Unmapped,
    BadCount,
    Defect,
}

/// <summary><see cref="VmError"/> for programs and for people.</summary>
internal static class VmErrors
{
    internal static ReadOnlySpan<byte> CodeOf(VmError error) => error switch
    {
        VmError.BadVcpuCount => "bad-cpus"u8,
        VmError.BadMemorySize => "bad-memory"u8,
        VmError.NoSlot => "too-many-vms"u8,
        VmError.OutOfMemory => "out-of-memory"u8,
        VmError.NoLinux => "no-linux"u8,
        VmError.BadBundle => "bad-bundle"u8,
        VmError.BadKernel => "bad-kernel"u8,
        VmError.NoGranule => "bad-page-size"u8,
        VmError.DoesNotFit => "does-not-fit"u8,
        VmError.BadArguments => "bad-append"u8,
        VmError.NotCreated => "not-created"u8,
        VmError.Ended => "ended"u8,
        VmError.NotRunning => "not-started"u8,
        VmError.AlreadyFrozen => "already-frozen"u8,
        VmError.NotFrozen => "not-frozen"u8,
        VmError.IsTemplate => "frozen"u8,
        VmError.TemplateEnded => "template-ended"u8,
        VmError.NoChild => "no-child"u8,
        VmError.CannotFreeze => "bad-policy"u8,
        VmError.Unmapped => "unmapped"u8,
        VmError.BadCount => "bad-count"u8,
        _ => "defect"u8,
    };

    internal static ReadOnlySpan<byte> Describe(VmError error) => error switch
    {
        VmError.BadVcpuCount => "a VM has 1 to 8 vCPUs"u8,
        VmError.BadMemorySize =>
            "a VM's memory is a multiple of 2M, at least 16M, and ends below its address space's end"u8,
        VmError.NoSlot => "4096 VMs are there already, or there is no memory for another VM's record"u8,
        VmError.OutOfMemory => "the machine has not that much memory free"u8,
        VmError.NoLinux => "no Linux kernel was handed to the hypervisor (QEMU: -initrd guests.cpio)"u8,
        VmError.BadBundle => "what the boot loader handed over as guests.cpio is no cpio archive, or is cut off"u8,
        VmError.BadKernel =>
            "the kernel cannot be booted: it is compressed, an ELF file, big-endian, or its header is impossible"u8,
        VmError.NoGranule =>
            "the kernel is built for a page size that this machine's CPUs do not have (Image header, flags 2..1)"u8,
        VmError.DoesNotFit => "kernel, ramdisk and device tree do not fit the VM's memory"u8,
        VmError.BadArguments => "the kernel arguments are too long"u8,
        VmError.NotCreated => "the VM is running already"u8,
        VmError.Ended => "the VM ended by itself before its time was over; an event says why"u8,
        VmError.NotRunning => "the VM was never started: there is nothing to freeze yet"u8,
        VmError.AlreadyFrozen => "the VM is frozen already"u8,
        VmError.NotFrozen => "the VM is no template: freeze it first"u8,
        VmError.IsTemplate => "the VM is a template: it never runs again, and its memory stays as it is"u8,
        VmError.TemplateEnded => "the template was killed: it has no more children, and goes with its last one"u8,
        VmError.NoChild => "only a VM that was forked from a template can be reset"u8,
        VmError.CannotFreeze => "only a VM with policy=fate can be frozen: the others free memory page by page"u8,
        VmError.Unmapped => "the VM's memory was unmapped: it can only be killed"u8,
        VmError.BadCount => "a fork makes 1 to 16 children"u8,
        _ => "a defect of the hypervisor: the VM's tables are not what they should be"u8,
    };
}

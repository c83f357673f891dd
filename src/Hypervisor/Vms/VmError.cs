using System;

namespace Quietus.Hypervisor.Vms;

/// <summary>Why a VM cannot be made or started.</summary>
internal enum VmError : byte
{
    None,
    BadVcpuCount,
    BadMemorySize,
    NoSlot,
    NoCores,
    OutOfMemory,
    NoLinux,
    BadBundle,
    BadKernel,
    NoGranule,
    DoesNotFit,
    BadArguments,
    NotCreated,
    Ended,
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
        VmError.NoCores => "no-cores"u8,
        VmError.OutOfMemory => "out-of-memory"u8,
        VmError.NoLinux => "no-linux"u8,
        VmError.BadBundle => "bad-bundle"u8,
        VmError.BadKernel => "bad-kernel"u8,
        VmError.NoGranule => "bad-page-size"u8,
        VmError.DoesNotFit => "does-not-fit"u8,
        VmError.BadArguments => "bad-append"u8,
        VmError.NotCreated => "not-created"u8,
        VmError.Ended => "ended"u8,
        _ => "defect"u8,
    };

    internal static ReadOnlySpan<byte> Describe(VmError error) => error switch
    {
        VmError.BadVcpuCount => "a VM has 1 to 8 vCPUs"u8,
        VmError.BadMemorySize =>
            "a VM's memory is a multiple of 2M, at least 16M, and ends below its address space's end"u8,
        VmError.NoSlot => "16 VMs are there already"u8,
        VmError.NoCores => "not enough idle cores: each vCPU needs one, and core 0 is the monitor's"u8,
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
        _ => "a defect of the hypervisor: the VM's tables are not what they should be"u8,
    };
}

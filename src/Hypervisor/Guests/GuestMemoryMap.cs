using System;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Guests;

/// <summary>
/// Where a guest finds its devices and its memory: intermediate physical addresses, the same in every VM, and the
/// same as on QEMU's virt machine, so that early consoles given on a command line fit.
/// </summary>
/// <remarks>
/// <code>
///  0x0000_0000  flash on QEMU; here absent: reads as 0
///  0x0800_0000  GICv3 distributor, 64 KB
///  0x080A_0000  GICv3 redistributors, 128 KB for each vCPU, up to 8
///  0x0900_0000  PL011 UART, 4 KB
///  0x0901_0000  clock, configuration, GPIO on QEMU, 4 KB in each 64 KB; here absent: they read as 0
///  0x0905_0000  generation ID (VMGENID), 4 KB of memory
///  0x0905_1000  stolen time (Arm DEN 0057), 4 KB of memory
///  0x0906_0000  freeze register
///  0x0A00_0000  32 virtio-mmio places of 512 bytes: entropy in the first, if the machine has any; a disk in the
///               second, sockets in the fourth, if the VM has them; each of the others says that it is a transport
///               without a device
///  0x4000_0000  memory
///  0x20_0000_0000  the disk's contents, which the device reads and writes
/// </code>
/// What is absent is not in the device tree either. It reads as it does for a guest that probes fixed addresses on
/// QEMU's machine without such a device, instead of aborting.
/// </remarks>
public static class GuestMemoryMap
{
    /// <summary>The greatest number of vCPUs of a VM.</summary>
    public const int MaximumVcpus = 8;

    /// <summary>The distributor's first byte.</summary>
    public const ulong DistributorStart = 0x0800_0000;

    /// <summary>The distributor's length in bytes.</summary>
    public const ulong DistributorSize = 0x1_0000;

    /// <summary>The first redistributor's first byte.</summary>
    public const ulong RedistributorStart = 0x080A_0000;

    /// <summary>The length of one redistributor in bytes: its RD and SGI frames of 64 KB each.</summary>
    public const ulong RedistributorSize = 0x2_0000;

    /// <summary>The UART's first byte.</summary>
    public const ulong UartStart = 0x0900_0000;

    /// <summary>The UART's length in bytes.</summary>
    public const ulong UartSize = 0x1000;

    /// <summary>The UART's interrupt: SPI 1.</summary>
    public const uint UartInterrupt = 33;

    /// <summary>The virtual timer's interrupt: PPI 11.</summary>
    public const uint VirtualTimerInterrupt = 27;

    /// <summary>Flash, the first 128 MB on QEMU, which no guest has here.</summary>
    public const ulong FlashEnd = 0x0800_0000;

    /// <summary>QEMU's clock (PL031), fw_cfg and GPIO (PL061), which no guest has here.</summary>
    public const ulong AbsentStart = 0x0901_0000;

    /// <summary>The address after them.</summary>
    public const ulong AbsentEnd = 0x0904_0000;

    /// <summary>The page that holds the VM's generation ID, 16 bytes that a child has afresh.</summary>
    public const ulong GenerationIdStart = 0x0905_0000;

    /// <summary>The length of that page.</summary>
    public const ulong GenerationIdBytes = 0x1000;

    /// <summary>The page after it: a structure for each vCPU that says what time was stolen from it.</summary>
    public const ulong StolenTimeStart = GenerationIdStart + GenerationIdBytes;

    /// <summary>Bytes of a vCPU's structure.</summary>
    public const ulong StolenTimeBytes = 64;

    /// <summary>The length of both pages.</summary>
    public const ulong PrivateBytes = 2 * GenerationIdBytes;

    /// <summary>The interrupt that tells a child that its generation ID is new: SPI 2, an edge.</summary>
    public const uint GenerationIdInterrupt = 34;

    /// <summary>
    /// The freeze register, 8 bytes in a page of its own, so that a guest's kernel can give it to a program, which
    /// cannot make calls: a store asks for the freeze, as the HVC does; a load gives the VM's number. A store to the
    /// word behind it ends the VM: its agent has lost a part of itself.
    /// </summary>
    public const ulong FreezeRegisterStart = 0x0906_0000;

    /// <summary>The length of that page.</summary>
    public const ulong FreezeRegisterBytes = 0x1000;

    /// <summary>The virtio-mmio transports' first byte.</summary>
    public const ulong VirtioStart = 0x0A00_0000;

    /// <summary>The first byte of what is on the disk, 128 GB up: memory of the VM's.</summary>
    public const ulong DiskMemoryStart = 0x20_0000_0000;

    /// <summary>Bytes of one virtio-mmio transport.</summary>
    public const ulong VirtioBytes = 0x200;

    /// <summary>The address after the last of the 32 transports.</summary>
    public const ulong VirtioEnd = VirtioStart + (32 * VirtioBytes);

    /// <summary>The first transport's interrupt, SPI 16: as on QEMU, each transport has one of its own.</summary>
    public const uint VirtioInterrupt = 48;

    /// <summary>Where a place's transport is.</summary>
    public static ulong VirtioStartOf(VirtioPlace place) => VirtioStart + ((ulong)place * VirtioBytes);

    /// <summary>A place's interrupt.</summary>
    public static uint VirtioInterruptOf(VirtioPlace place) => VirtioInterrupt + (uint)place;

    /// <summary>The place that an address is in; none, when it is <see cref="VirtioPlace.Count"/> or more.</summary>
    public static VirtioPlace VirtioPlaceOf(ulong address) =>
        (VirtioPlace)Math.Min((address - VirtioStart) / VirtioBytes, (ulong)VirtioPlace.Count);

    /// <summary>The EL1 physical timer's interrupt: PPI 14.</summary>
    public const uint PhysicalTimerInterrupt = 30;

    /// <summary>The first byte of memory.</summary>
    public const ulong MemoryStart = 0x4000_0000;
}

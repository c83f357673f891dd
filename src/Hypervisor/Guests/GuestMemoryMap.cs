namespace Quietus.Hypervisor.Guests;

/// <summary>
/// Where a guest finds its devices and its memory: intermediate physical addresses, the same in every VM, and the
/// same as on QEMU's virt machine, so that early consoles given on a command line fit.
/// </summary>
/// <remarks>
/// <code>
///  0x0800_0000  GICv3 distributor, 64 KB
///  0x080A_0000  GICv3 redistributors, 128 KB for each vCPU, up to 8
///  0x0900_0000  PL011 UART, 4 KB
///  0x4000_0000  memory
/// </code>
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

    /// <summary>The EL1 physical timer's interrupt: PPI 14.</summary>
    public const uint PhysicalTimerInterrupt = 30;

    /// <summary>The first byte of memory.</summary>
    public const ulong MemoryStart = 0x4000_0000;
}

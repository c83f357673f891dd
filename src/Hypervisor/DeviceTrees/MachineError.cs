using System;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>What the hypervisor needs from a machine and does not find in its device tree.</summary>
public enum MachineError
{
    /// <summary>Everything is there.</summary>
    None,

    /// <summary>The device tree itself cannot be read; the <see cref="DeviceTreeError"/> says why.</summary>
    BadDeviceTree,

    /// <summary>There is no memory node with a size.</summary>
    NoMemory,

    /// <summary>A memory node's <c>reg</c> cannot be read.</summary>
    BadMemory,

    /// <summary>There are more than <see cref="MachineDescription.MaximumMemoryBanks"/> banks of memory.</summary>
    TooManyMemoryBanks,

    /// <summary>A reserved region cannot be read.</summary>
    BadReservedRegion,

    /// <summary>There are more than <see cref="MachineDescription.MaximumReservedRegions"/> reserved regions.</summary>
    TooManyReservedRegions,

    /// <summary>There is no CPU node.</summary>
    NoCpus,

    /// <summary>A CPU node's <c>reg</c> is no MPIDR affinity value.</summary>
    BadCpu,

    /// <summary>There are more than <see cref="MachineDescription.MaximumCpus"/> CPUs.</summary>
    TooManyCpus,

    /// <summary>There are several CPUs, and one of them is not started by PSCI.</summary>
    CpuNotStartedByPsci,

    /// <summary>There is no PSCI node.</summary>
    NoPsci,

    /// <summary>Only PSCI 0.1, which has no fixed function numbers.</summary>
    PsciTooOld,

    /// <summary>The PSCI node's method is neither <c>smc</c> nor <c>hvc</c>.</summary>
    BadPsciMethod,

    /// <summary>There is no PL011 UART.</summary>
    NoUart,

    /// <summary>The PL011's registers cannot be located.</summary>
    BadUart,

    /// <summary>The PL011 has no interrupt.</summary>
    NoUartInterrupt,

    /// <summary>There is no interrupt controller of the GICv3 kind.</summary>
    NoGic,

    /// <summary>The interrupt controller is a GICv2.</summary>
    GicTooOld,

    /// <summary>The GIC's register frames cannot be located.</summary>
    BadGic,

    /// <summary>
    /// There are more than <see cref="MachineDescription.MaximumRedistributorRegions"/> redistributor regions.
    /// </summary>
    TooManyRedistributorRegions,

    /// <summary>The GIC has no maintenance interrupt: no virtualization, or the machine starts us below EL2.</summary>
    NoMaintenanceInterrupt,

    /// <summary>There is no architected timer.</summary>
    NoTimer,

    /// <summary>The timer node lacks the virtual timer's interrupt.</summary>
    NoVirtualTimerInterrupt,

    /// <summary>The timer node lacks the EL1 physical timer's interrupt.</summary>
    NoPhysicalTimerInterrupt,

    /// <summary>The timer node lacks the hypervisor timer's interrupt.</summary>
    NoHypervisorTimerInterrupt,

    /// <summary>Only one of the initial ramdisk's bounds is given, or they are in the wrong order.</summary>
    BadInitrd,
}

/// <summary>Texts for people.</summary>
public static class MachineErrors
{
    /// <summary>What <paramref name="error"/> means and, where it is known, what would help.</summary>
    public static ReadOnlySpan<byte> Describe(MachineError error) => error switch
    {
        MachineError.None => "the machine has everything that is needed"u8,
        MachineError.BadDeviceTree => "the machine's device tree cannot be read"u8,
        MachineError.NoMemory => "the device tree describes no memory"u8,
        MachineError.BadMemory => "the device tree's memory node cannot be read"u8,
        MachineError.TooManyMemoryBanks => "the machine has more than 16 banks of memory"u8,
        MachineError.BadReservedRegion => "a reserved memory region of the device tree cannot be read"u8,
        MachineError.TooManyReservedRegions => "the machine has more than 32 reserved memory regions"u8,
        MachineError.NoCpus => "the device tree describes no CPU"u8,
        MachineError.BadCpu => "a CPU node of the device tree has no valid affinity"u8,
        MachineError.TooManyCpus => "the machine has more than 64 CPUs"u8,
        MachineError.CpuNotStartedByPsci => "a CPU is started by another method than PSCI"u8,
        MachineError.NoPsci => "the device tree has no PSCI node: the CPUs cannot be started"u8,
        MachineError.PsciTooOld => "the machine's PSCI is version 0.1; 0.2 or later is needed"u8,
        MachineError.BadPsciMethod => "the PSCI node's method is neither smc nor hvc"u8,
        MachineError.NoUart => "the device tree has no PL011 UART"u8,
        MachineError.BadUart => "the PL011 UART's registers cannot be located"u8,
        MachineError.NoUartInterrupt => "the PL011 UART has no interrupt"u8,
        MachineError.NoGic => "the device tree has no GICv3 (on QEMU: -M virt,gic-version=3)"u8,
        MachineError.GicTooOld => "the interrupt controller is a GICv2; a GICv3 is needed (QEMU: gic-version=3)"u8,
        MachineError.BadGic => "the GIC's registers cannot be located"u8,
        MachineError.TooManyRedistributorRegions => "the GIC has more than 8 redistributor regions"u8,
        MachineError.NoMaintenanceInterrupt =>
            "the GIC has no maintenance interrupt (on QEMU: -M virt,virtualization=on)"u8,
        MachineError.NoTimer => "the device tree has no architected timer"u8,
        MachineError.NoVirtualTimerInterrupt => "the timer node lacks the virtual timer's interrupt"u8,
        MachineError.NoPhysicalTimerInterrupt => "the timer node lacks the EL1 physical timer's interrupt"u8,
        MachineError.NoHypervisorTimerInterrupt => "the timer node lacks the hypervisor timer's interrupt"u8,
        _ => "the initial ramdisk's bounds in /chosen are incomplete or in the wrong order"u8,
    };
}

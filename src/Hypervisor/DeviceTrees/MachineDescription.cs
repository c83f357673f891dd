using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>By which instruction the machine's firmware is called (the PSCI node's <c>method</c>).</summary>
public enum PsciConduit
{
    /// <summary>Not known yet.</summary>
    None,

    /// <summary>SMC: the firmware is at EL3, or QEMU plays it.</summary>
    Smc,

    /// <summary>HVC: the firmware is a hypervisor below us, so that we cannot be at EL2 ourselves.</summary>
    Hvc,
}

/// <summary>
/// What the hypervisor learns about the machine from its device tree. Nothing in it is assumed: what is missing is
/// a <see cref="MachineError"/>. All addresses are physical, all interrupt numbers INTIDs of the GIC.
/// </summary>
public struct MachineDescription
{
    /// <summary>The greatest number of memory banks.</summary>
    public const int MaximumMemoryBanks = 16;

    /// <summary>The greatest number of reserved regions.</summary>
    public const int MaximumReservedRegions = 32;

    /// <summary>The greatest number of CPUs.</summary>
    public const int MaximumCpus = 64;

    /// <summary>The greatest number of redistributor regions.</summary>
    public const int MaximumRedistributorRegions = 8;

    /// <summary>A PL011's registers, up to the last one that is used: UARTICR.</summary>
    private const ulong UartBytes = 0x48;

    private const ulong AffinityMask = 0xFF_00FF_FFFF;

    /// <summary>The first shared peripheral interrupt's INTID.</summary>
    private const uint FirstShared = 32;

    private MemoryBanks memory;
    private ReservedRegions reserved;
    private Affinities cpus;
    private RedistributorRegions redistributors;

    /// <summary>The number of memory banks, at least 1.</summary>
    public int MemoryBankCount { get; private set; }

    /// <summary>The number of reserved regions.</summary>
    public int ReservedRegionCount { get; private set; }

    /// <summary>The number of CPUs, at least 1.</summary>
    public int CpuCount { get; private set; }

    /// <summary>The number of redistributor regions, at least 1.</summary>
    public int RedistributorRegionCount { get; private set; }

    /// <summary>How to call the firmware.</summary>
    public PsciConduit PsciConduit { get; private set; }

    /// <summary>The PSCI version that the device tree promises at least: 0x0000_0002 or 0x0001_0000.</summary>
    public uint PsciVersion { get; private set; }

    /// <summary>The PL011's registers.</summary>
    public AddressRange Uart { get; private set; }

    /// <summary>The PL011's interrupt.</summary>
    public uint UartInterrupt { get; private set; }

    /// <summary>The GIC's distributor.</summary>
    public AddressRange Distributor { get; private set; }

    /// <summary>
    /// Bytes from one redistributor to the next; 0 when GICR_TYPER.VLPIS has to tell (0x20000 or 0x40000).
    /// </summary>
    public ulong RedistributorStride { get; private set; }

    /// <summary>The GIC's maintenance interrupt, a PPI (25 by the Server Base System Architecture).</summary>
    public uint MaintenanceInterrupt { get; private set; }

    /// <summary>The virtual timer's interrupt, a PPI (27 by the Server Base System Architecture).</summary>
    public uint VirtualTimerInterrupt { get; private set; }

    /// <summary>The EL1 physical timer's interrupt, a PPI (30 by the Server Base System Architecture).</summary>
    public uint PhysicalTimerInterrupt { get; private set; }

    /// <summary>The EL2 physical timer's interrupt, a PPI (26 by the Server Base System Architecture).</summary>
    public uint HypervisorTimerInterrupt { get; private set; }

    /// <summary>The initial ramdisk that the boot loader left in memory; its size is 0 when there is none.</summary>
    public AddressRange Initrd { get; private set; }

    /// <summary>
    /// Reads a machine's device tree. When the result is an error, what has been found before it may be used: the
    /// UART is looked for first, so that the error can be printed.
    /// </summary>
    /// <param name="blob">The whole blob, or more.</param>
    /// <param name="machine">Filled in place; whatever was there is forgotten.</param>
    /// <param name="treeError">Why, when the result is <see cref="MachineError.BadDeviceTree"/>.</param>
    public static MachineError Read(
        ReadOnlySpan<byte> blob, ref MachineDescription machine, out DeviceTreeError treeError)
    {
        machine = default;
        treeError = FlatDeviceTree.Open(blob, out FlatDeviceTree tree);
        if (treeError != DeviceTreeError.None)
        {
            return MachineError.BadDeviceTree;
        }

        MachineError error = machine.ReadUart(ref tree);
        error = error == MachineError.None ? machine.ReadMemory(ref tree) : error;
        error = error == MachineError.None ? machine.ReadReservedRegions(ref tree) : error;
        error = error == MachineError.None ? machine.ReadCpus(ref tree) : error;
        error = error == MachineError.None ? machine.ReadPsci(ref tree) : error;
        error = error == MachineError.None ? machine.ReadGic(ref tree) : error;
        error = error == MachineError.None ? machine.ReadTimer(ref tree) : error;
        return error == MachineError.None ? machine.ReadInitrd(ref tree) : error;
    }

    /// <summary>A bank of memory; the index is below <see cref="MemoryBankCount"/>.</summary>
    public readonly AddressRange MemoryBankAt(int index) => memory[index];

    /// <summary>
    /// A region that must not be used as memory; the index is below <see cref="ReservedRegionCount"/>.
    /// </summary>
    public readonly AddressRange ReservedRegionAt(int index) => reserved[index];

    /// <summary>
    /// A CPU's MPIDR_EL1 affinity fields (Aff3 at bit 32); the index is below <see cref="CpuCount"/>.
    /// </summary>
    public readonly ulong CpuAffinityAt(int index) => cpus[index];

    /// <summary>A redistributor region; the index is below <see cref="RedistributorRegionCount"/>.</summary>
    public readonly AddressRange RedistributorRegionAt(int index) => redistributors[index];

    /// <summary>
    /// Reads a node if it is a virtio-mmio place that can be used: coherent with the cores' caches, with a shared
    /// interrupt. Whether a device is there, its registers say.
    /// </summary>
    public static bool TryReadVirtio(
        ref FlatDeviceTree tree, DeviceTreeNode node, out AddressRange registers, out uint interrupt)
    {
        registers = default;
        interrupt = 0;
        return tree.IsCompatible(node, "virtio,mmio"u8)
            && tree.IsAvailable(node)
            && tree.TryGetProperty(node, "dma-coherent"u8, out _)
            && tree.TryReadRegister(node, 0, out registers) == DeviceTreeError.None
            && TryReadInterrupt(ref tree, node, 0, out interrupt)
            && interrupt >= FirstShared;
    }

    private MachineError ReadUart(ref FlatDeviceTree tree)
    {
        bool isConsole = tree.TryFindConsole(out DeviceTreeNode uart)
            && tree.IsCompatible(uart, "arm,pl011"u8)
            && tree.IsAvailable(uart);
        if (!isConsole && !tree.TryFindCompatible("arm,pl011"u8, out uart))
        {
            return MachineError.NoUart;
        }

        if (tree.TryReadRegister(uart, 0, out AddressRange registers) != DeviceTreeError.None
            || registers.Size < UartBytes)
        {
            return MachineError.BadUart;
        }

        Uart = registers;
        if (!TryReadInterrupt(ref tree, uart, 0, out uint interrupt))
        {
            return MachineError.NoUartInterrupt;
        }

        UartInterrupt = interrupt;
        return MachineError.None;
    }

    private MachineError ReadMemory(ref FlatDeviceTree tree)
    {
        for (bool more = tree.TryFirstChild(tree.Root, out DeviceTreeNode node);
            more;
            more = tree.TryNextSibling(node, out node))
        {
            if (!tree.IsOfType(node, "memory"u8) || !tree.IsAvailable(node))
            {
                continue;
            }

            for (int index = 0; ; index++)
            {
                DeviceTreeError error = tree.TryReadRegister(node, index, out AddressRange bank);
                if (error == DeviceTreeError.NotFound && index != 0)
                {
                    break;
                }

                if (error != DeviceTreeError.None)
                {
                    return MachineError.BadMemory;
                }

                if (bank.Size == 0)
                {
                    continue;
                }

                if (MemoryBankCount == MaximumMemoryBanks)
                {
                    return MachineError.TooManyMemoryBanks;
                }

                memory[MemoryBankCount] = bank;
                MemoryBankCount++;
            }
        }

        return MemoryBankCount == 0 ? MachineError.NoMemory : MachineError.None;
    }

    private MachineError ReadReservedRegions(ref FlatDeviceTree tree)
    {
        for (int index = 0; index < tree.ReservationCount; index++)
        {
            AddressRange region = default;
            tree.ReservationAt(index, out region.Start, out region.Size);
            MachineError error = AddReserved(region);
            if (error != MachineError.None)
            {
                return error;
            }
        }

        if (!tree.TryFindPath("/reserved-memory"u8, out DeviceTreeNode parent))
        {
            return MachineError.None;
        }

        for (bool more = tree.TryFirstChild(parent, out DeviceTreeNode node);
            more;
            more = tree.TryNextSibling(node, out node))
        {
            // A region with a size only is for the operating system to place: nothing is there yet.
            if (!tree.IsAvailable(node) || !tree.TryGetProperty(node, "reg"u8, out _))
            {
                continue;
            }

            for (int index = 0; ; index++)
            {
                DeviceTreeError found = tree.TryReadRegister(node, index, out AddressRange region);
                if (found == DeviceTreeError.NotFound && index != 0)
                {
                    break;
                }

                MachineError error = found == DeviceTreeError.None
                    ? AddReserved(region)
                    : MachineError.BadReservedRegion;
                if (error != MachineError.None)
                {
                    return error;
                }
            }
        }

        return MachineError.None;
    }

    private MachineError AddReserved(AddressRange region)
    {
        if (region.Start + region.Size < region.Start)
        {
            return MachineError.BadReservedRegion;
        }

        if (region.Size == 0)
        {
            return MachineError.None;
        }

        if (ReservedRegionCount == MaximumReservedRegions)
        {
            return MachineError.TooManyReservedRegions;
        }

        reserved[ReservedRegionCount] = region;
        ReservedRegionCount++;
        return MachineError.None;
    }

    private MachineError ReadCpus(ref FlatDeviceTree tree)
    {
        if (!tree.TryFindPath("/cpus"u8, out DeviceTreeNode parent))
        {
            return MachineError.NoCpus;
        }

        if (!tree.TryReadCellCounts(parent, out int cells, out _) || cells == 0)
        {
            return MachineError.BadCpu;
        }

        bool allByPsci = true;
        for (bool more = tree.TryFirstChild(parent, out DeviceTreeNode node);
            more;
            more = tree.TryNextSibling(node, out node))
        {
            // status "disabled" means here that the CPU waits to be started (Devicetree Specification 3.8.1).
            if (!tree.IsOfType(node, "cpu"u8)
                || (tree.TryGetText(node, "status"u8, out ReadOnlySpan<byte> status)
                    && status.StartsWith("fail"u8)))
            {
                continue;
            }

            if (!tree.TryGetProperty(node, "reg"u8, out ReadOnlySpan<byte> value) || value.Length != cells * 4)
            {
                return MachineError.BadCpu;
            }

            ulong affinity = FlatDeviceTree.ReadCells(value, cells);
            if ((affinity & ~AffinityMask) != 0)
            {
                return MachineError.BadCpu;
            }

            if (CpuCount == MaximumCpus)
            {
                return MachineError.TooManyCpus;
            }

            cpus[CpuCount] = affinity;
            CpuCount++;
            allByPsci &= tree.IndexInTexts(node, "enable-method"u8, "psci"u8) == 0;
        }

        // A machine with one CPU has nothing to start; QEMU leaves its method out.
        return CpuCount == 0 ? MachineError.NoCpus
            : CpuCount > 1 && !allByPsci ? MachineError.CpuNotStartedByPsci
            : MachineError.None;
    }

    private MachineError ReadPsci(ref FlatDeviceTree tree)
    {
        if (tree.TryFindCompatible("arm,psci-1.0"u8, out DeviceTreeNode node))
        {
            PsciVersion = 0x1_0000;
        }
        else if (tree.TryFindCompatible("arm,psci-0.2"u8, out node))
        {
            PsciVersion = 2;
        }
        else
        {
            return tree.TryFindCompatible("arm,psci"u8, out node) ? MachineError.PsciTooOld : MachineError.NoPsci;
        }

        if (!tree.TryGetText(node, "method"u8, out ReadOnlySpan<byte> method))
        {
            return MachineError.BadPsciMethod;
        }

        PsciConduit = method.SequenceEqual("smc"u8) ? PsciConduit.Smc
            : method.SequenceEqual("hvc"u8) ? PsciConduit.Hvc
            : PsciConduit.None;
        return PsciConduit == PsciConduit.None ? MachineError.BadPsciMethod : MachineError.None;
    }

    private MachineError ReadGic(ref FlatDeviceTree tree)
    {
        if (!tree.TryFindCompatible("arm,gic-v3"u8, out DeviceTreeNode node))
        {
            return tree.TryFindCompatible("arm,cortex-a15-gic"u8, out _)
                || tree.TryFindCompatible("arm,gic-400"u8, out _)
                ? MachineError.GicTooOld
                : MachineError.NoGic;
        }

        if (tree.TryReadRegister(node, 0, out AddressRange distributor) != DeviceTreeError.None
            || distributor.Size < 0x1_0000)
        {
            return MachineError.BadGic;
        }

        Distributor = distributor;
        uint regions = tree.TryGetCell(node, "#redistributor-regions"u8, out uint given) ? given : 1;
        if (regions > MaximumRedistributorRegions)
        {
            return MachineError.TooManyRedistributorRegions;
        }

        for (int index = 0; index < (int)regions; index++)
        {
            if (tree.TryReadRegister(node, index + 1, out AddressRange region) != DeviceTreeError.None
                || region.Size < 0x2_0000)
            {
                return MachineError.BadGic;
            }

            redistributors[index] = region;
            RedistributorRegionCount = index + 1;
        }

        if (regions == 0)
        {
            return MachineError.BadGic;
        }

        if (tree.TryGetProperty(node, "redistributor-stride"u8, out ReadOnlySpan<byte> stride))
        {
            if (stride.Length is not (4 or 8))
            {
                return MachineError.BadGic;
            }

            RedistributorStride = FlatDeviceTree.ReadCells(stride, stride.Length / 4);
            if (RedistributorStride < 0x2_0000 || RedistributorStride % 0x1_0000 != 0)
            {
                return MachineError.BadGic;
            }
        }

        if (!TryReadInterrupt(ref tree, node, 0, out uint maintenance))
        {
            return MachineError.NoMaintenanceInterrupt;
        }

        MaintenanceInterrupt = maintenance;
        return MachineError.None;
    }

    private MachineError ReadTimer(ref FlatDeviceTree tree)
    {
        if (!tree.TryFindCompatible("arm,armv8-timer"u8, out DeviceTreeNode node))
        {
            return MachineError.NoTimer;
        }

        // Without names the order is: secure physical, non-secure physical, virtual, hypervisor physical.
        int virtualIndex = tree.IndexInTexts(node, "interrupt-names"u8, "virt"u8);
        int hypervisorIndex = tree.IndexInTexts(node, "interrupt-names"u8, "hyp-phys"u8);
        int physicalIndex = tree.IndexInTexts(node, "interrupt-names"u8, "phys"u8);
        bool named = tree.TryGetProperty(node, "interrupt-names"u8, out _);
        virtualIndex = named ? virtualIndex : 2;
        hypervisorIndex = named ? hypervisorIndex : 3;
        physicalIndex = named ? physicalIndex : 1;
        if (!TryReadInterrupt(ref tree, node, virtualIndex, out uint interrupt))
        {
            return MachineError.NoVirtualTimerInterrupt;
        }

        VirtualTimerInterrupt = interrupt;
        if (!TryReadInterrupt(ref tree, node, hypervisorIndex, out interrupt))
        {
            return MachineError.NoHypervisorTimerInterrupt;
        }

        HypervisorTimerInterrupt = interrupt;
        if (!TryReadInterrupt(ref tree, node, physicalIndex, out interrupt))
        {
            return MachineError.NoPhysicalTimerInterrupt;
        }

        PhysicalTimerInterrupt = interrupt;
        return MachineError.None;
    }

    private MachineError ReadInitrd(ref FlatDeviceTree tree)
    {
        if (!tree.TryFindPath("/chosen"u8, out DeviceTreeNode node))
        {
            return MachineError.None;
        }

        bool hasStart = TryReadAddress(ref tree, node, "linux,initrd-start"u8, out ulong start);
        bool hasEnd = TryReadAddress(ref tree, node, "linux,initrd-end"u8, out ulong end);
        if (hasStart != hasEnd || end < start)
        {
            return MachineError.BadInitrd;
        }

        AddressRange initrd = default;
        initrd.Start = start;
        initrd.Size = end - start;
        Initrd = initrd;
        return MachineError.None;
    }

    private static bool TryReadAddress(
        ref FlatDeviceTree tree, DeviceTreeNode node, ReadOnlySpan<byte> name, out ulong address)
    {
        address = 0;
        if (!tree.TryGetProperty(node, name, out ReadOnlySpan<byte> value) || value.Length is not (4 or 8))
        {
            return false;
        }

        address = FlatDeviceTree.ReadCells(value, value.Length / 4);
        return true;
    }

    /// <summary>
    /// An interrupt of a node as an INTID. It must belong to a GIC, whose cells are: kind (0 = SPI, 1 = PPI), number
    /// within the kind, trigger, and more that is not needed.
    /// </summary>
    private static bool TryReadInterrupt(
        ref FlatDeviceTree tree, DeviceTreeNode node, int index, out uint interrupt)
    {
        interrupt = 0;
        if (index < 0
            || !TryFindInterruptParent(ref tree, node, out DeviceTreeNode controller)
            || !tree.TryGetCell(controller, "#interrupt-cells"u8, out uint cells)
            || cells is < 3 or > 4
            || !tree.TryGetProperty(node, "interrupts"u8, out ReadOnlySpan<byte> value))
        {
            return false;
        }

        int entry = (int)cells * 4;
        if (value.Length % entry != 0 || index >= value.Length / entry)
        {
            return false;
        }

        uint kind = BinaryPrimitives.ReadUInt32BigEndian(value.Slice(index * entry));
        uint number = BinaryPrimitives.ReadUInt32BigEndian(value.Slice((index * entry) + 4));
        interrupt = kind == 0 ? number + FirstShared : number + 16;
        return (kind == 0 && number < 988) || (kind == 1 && number < 16);
    }

    /// <summary>
    /// The controller of a node's interrupts: the nearest <c>interrupt-parent</c> from the node upward. Where there
    /// is none at all, the controller is the node itself (a GIC's own maintenance interrupt).
    /// </summary>
    private static bool TryFindInterruptParent(
        ref FlatDeviceTree tree, DeviceTreeNode node, out DeviceTreeNode controller)
    {
        Span<DeviceTreeNode> ancestors = stackalloc DeviceTreeNode[FlatDeviceTree.MaximumDepth];
        int depth = tree.Ancestors(node, ancestors);
        DeviceTreeNode place = node;
        while (true)
        {
            if (tree.TryGetCell(place, "interrupt-parent"u8, out uint phandle))
            {
                return tree.TryFindPhandle(phandle, out controller);
            }

            if (depth == 0)
            {
                controller = node;
                return true;
            }

            depth--;
            place = ancestors[depth];
        }
    }

    [InlineArray(MaximumMemoryBanks)]
    private struct MemoryBanks
    {
        private AddressRange first;
    }

    [InlineArray(MaximumReservedRegions)]
    private struct ReservedRegions
    {
        private AddressRange first;
    }

    [InlineArray(MaximumCpus)]
    private struct Affinities
    {
        private ulong first;
    }

    [InlineArray(MaximumRedistributorRegions)]
    private struct RedistributorRegions
    {
        private AddressRange first;
    }
}

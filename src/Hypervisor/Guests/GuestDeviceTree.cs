using System;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Guests;

/// <summary>
/// The device tree that a guest gets: its memory, vCPUs, PSCI, interrupt controller, timer, UART and virtio devices,
/// at the addresses of <see cref="GuestMemoryMap"/>. Nothing is reserved in it. Nothing is random
/// but the seed that is handed over: without one, the same VM gets the same bytes.
/// </summary>
public struct GuestDeviceTree
{
    private const uint GicHandle = 1;
    private const uint ClockHandle = 2;

    // Interrupts as the GICv3 binding has them: kind, number within the kind, trigger.
    private const uint Shared = 0;
    private const uint Private = 1;
    private const uint EdgeRising = 1;
    private const uint LevelHigh = 4;
    private const uint FirstShared = 32;

    /// <summary>The UART's clock; no baud rate comes of it.</summary>
    private const uint ClockHertz = 24_000_000;

    /// <summary>The number of vCPUs, 1 to 8.</summary>
    public int VcpuCount;

    /// <summary>Bytes of memory from <see cref="GuestMemoryMap.MemoryStart"/> on.</summary>
    public ulong MemoryBytes;

    /// <summary>Where the initial ramdisk is.</summary>
    public ulong RamdiskStart;

    /// <summary>The initial ramdisk's length in bytes; 0 for none.</summary>
    public ulong RamdiskBytes;

    /// <summary>Whether there is a generation ID (VMGENID).</summary>
    public bool HasGenerationId;

    /// <summary>The virtio-mmio places that have a device, a bit for each <see cref="VirtioPlace"/>.</summary>
    public uint VirtioPlaces;

    /// <summary>Bytes of randomness that the tree can carry on.</summary>
    public const int SeedBytes = PlacementSeedBytes + 32;

    private const int PlacementSeedBytes = 8;

    /// <summary>Writes the tree.</summary>
    /// <param name="blob">Where; 4 KB are enough for 8 vCPUs and 1 KB of arguments.</param>
    /// <param name="arguments">The kernel's command line.</param>
    /// <param name="seed">
    /// <see cref="SeedBytes"/> random bytes: what the kernel places itself by (/chosen's <c>kaslr-seed</c>), and what
    /// it stirs into its random numbers (<c>rng-seed</c>). Empty for no such properties.
    /// </param>
    /// <param name="length">The tree's length in bytes; 0 when it does not fit.</param>
    public readonly DeviceTreeError Write(
        Span<byte> blob, scoped ReadOnlySpan<byte> arguments, scoped ReadOnlySpan<byte> seed, out int length)
    {
        var tree = new DeviceTreeWriter(blob);
        tree.BeginNode(default);
        tree.Cell("#address-cells"u8, 2);
        tree.Cell("#size-cells"u8, 2);
        tree.Text("compatible"u8, "linux,dummy-virt"u8);
        tree.Text("model"u8, "Quietus"u8);
        tree.Cell("interrupt-parent"u8, GicHandle);
        WriteChosen(ref tree, arguments, seed);
        WriteMemory(ref tree);
        WriteCpus(ref tree);
        WritePsci(ref tree);
        WriteInterruptController(ref tree);
        WriteTimer(ref tree);
        WriteUart(ref tree);
        WriteFreezeRegister(ref tree);
        if (HasGenerationId)
        {
            WriteGenerationId(ref tree);
        }

        for (VirtioPlace place = 0; place < VirtioPlace.Count; place++)
        {
            if ((VirtioPlaces & (1u << (int)place)) != 0)
            {
                WriteVirtio(ref tree, place);
            }
        }

        tree.EndNode();
        return tree.Finish(out length);
    }

    private readonly void WriteChosen(
        ref DeviceTreeWriter tree, scoped ReadOnlySpan<byte> arguments, scoped ReadOnlySpan<byte> seed)
    {
        tree.BeginNode("chosen"u8);
        tree.Text("bootargs"u8, arguments);
        tree.Text("stdout-path"u8, "/pl011@9000000"u8);
        if (RamdiskBytes != 0)
        {
            tree.DoubleCell("linux,initrd-start"u8, RamdiskStart);
            tree.DoubleCell("linux,initrd-end"u8, RamdiskStart + RamdiskBytes);
        }

        if (seed.Length == SeedBytes)
        {
            tree.Property("kaslr-seed"u8, seed.Slice(0, PlacementSeedBytes));
            tree.Property("rng-seed"u8, seed.Slice(PlacementSeedBytes));
        }

        tree.EndNode();
    }

    private readonly void WriteMemory(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("memory"u8, GuestMemoryMap.MemoryStart);
        tree.Text("device_type"u8, "memory"u8);
        WriteRegister(ref tree, GuestMemoryMap.MemoryStart, MemoryBytes);
        tree.EndNode();
    }

    private readonly void WriteCpus(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("cpus"u8);
        tree.Cell("#address-cells"u8, 1);
        tree.Cell("#size-cells"u8, 0);
        for (int vcpu = 0; vcpu < VcpuCount; vcpu++)
        {
            tree.BeginNode("cpu"u8, (ulong)vcpu);
            tree.Text("device_type"u8, "cpu"u8);
            tree.Text("compatible"u8, "arm,armv8"u8);
            tree.Cell("reg"u8, (uint)vcpu);
            tree.Text("enable-method"u8, "psci"u8);
            tree.EndNode();
        }

        tree.EndNode();
    }

    private static void WritePsci(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("psci"u8);
        tree.Property("compatible"u8, "arm,psci-1.0\0arm,psci-0.2\0"u8);
        tree.Text("method"u8, "hvc"u8);
        tree.EndNode();
    }

    private readonly void WriteInterruptController(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("intc"u8, GuestMemoryMap.DistributorStart);
        tree.Text("compatible"u8, "arm,gic-v3"u8);
        tree.Property("interrupt-controller"u8);
        tree.Cell("#interrupt-cells"u8, 3);
        Span<ulong> registers = stackalloc ulong[4];
        registers[0] = GuestMemoryMap.DistributorStart;
        registers[1] = GuestMemoryMap.DistributorSize;
        registers[2] = GuestMemoryMap.RedistributorStart;
        registers[3] = GuestMemoryMap.RedistributorSize * (ulong)VcpuCount;
        tree.DoubleCells("reg"u8, registers);
        tree.Cell("phandle"u8, GicHandle);
        tree.EndNode();
    }

    private static void WriteTimer(ref DeviceTreeWriter tree)
    {
        // The binding wants all four: secure physical, non-secure physical, virtual, hypervisor. A guest has the second
        // and the third.
        Span<uint> interrupts = stackalloc uint[12];
        WriteInterrupt(interrupts, Private, 13);
        WriteInterrupt(interrupts.Slice(3), Private, GuestMemoryMap.PhysicalTimerInterrupt - 16);
        WriteInterrupt(interrupts.Slice(6), Private, GuestMemoryMap.VirtualTimerInterrupt - 16);
        WriteInterrupt(interrupts.Slice(9), Private, 10);
        tree.BeginNode("timer"u8);
        tree.Text("compatible"u8, "arm,armv8-timer"u8);
        tree.Cells("interrupts"u8, interrupts);
        tree.Property("always-on"u8);
        tree.EndNode();
    }

    private static void WriteUart(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("apb-pclk"u8);
        tree.Text("compatible"u8, "fixed-clock"u8);
        tree.Cell("#clock-cells"u8, 0);
        tree.Cell("clock-frequency"u8, ClockHertz);
        tree.Cell("phandle"u8, ClockHandle);
        tree.EndNode();

        Span<uint> cells = stackalloc uint[3];
        tree.BeginNode("pl011"u8, GuestMemoryMap.UartStart);
        tree.Property("compatible"u8, "arm,pl011\0arm,primecell\0"u8);
        WriteRegister(ref tree, GuestMemoryMap.UartStart, GuestMemoryMap.UartSize);
        WriteInterrupt(cells, Shared, GuestMemoryMap.UartInterrupt - FirstShared);
        tree.Cells("interrupts"u8, cells);
        tree.Property("clock-names"u8, "uartclk\0apb_pclk\0"u8);
        cells[0] = ClockHandle;
        cells[1] = ClockHandle;
        tree.Cells("clocks"u8, cells.Slice(0, 2));
        tree.EndNode();
    }

    /// <summary>For a guest's agent; no kernel has a driver for it.</summary>
    private static void WriteFreezeRegister(ref DeviceTreeWriter tree)
    {
        tree.BeginNode("freeze"u8, GuestMemoryMap.FreezeRegisterStart);
        tree.Text("compatible"u8, "quietus,freeze"u8);
        WriteRegister(ref tree, GuestMemoryMap.FreezeRegisterStart, GuestMemoryMap.FreezeRegisterBytes);
        tree.EndNode();
    }

    /// <summary>As Linux reads it since 6.10 (binding rng/microsoft,vmgenid).</summary>
    private static void WriteGenerationId(ref DeviceTreeWriter tree)
    {
        Span<uint> cells = stackalloc uint[3];
        tree.BeginNode("rng"u8, GuestMemoryMap.GenerationIdStart);
        tree.Text("compatible"u8, "microsoft,vmgenid"u8);
        WriteRegister(ref tree, GuestMemoryMap.GenerationIdStart, GuestMemoryMap.GenerationIdBytes);
        WriteInterrupt(cells, Shared, GuestMemoryMap.GenerationIdInterrupt - FirstShared);
        cells[2] = EdgeRising;
        tree.Cells("interrupts"u8, cells);
        tree.EndNode();
    }

    private static void WriteVirtio(ref DeviceTreeWriter tree, VirtioPlace place)
    {
        ulong start = GuestMemoryMap.VirtioStartOf(place);
        Span<uint> cells = stackalloc uint[3];
        tree.BeginNode("virtio_mmio"u8, start);
        tree.Text("compatible"u8, "virtio,mmio"u8);
        WriteRegister(ref tree, start, GuestMemoryMap.VirtioBytes);
        WriteInterrupt(cells, Shared, GuestMemoryMap.VirtioInterruptOf(place) - FirstShared);
        tree.Cells("interrupts"u8, cells);
        tree.Property("dma-coherent"u8);
        tree.EndNode();
    }

    private static void WriteRegister(ref DeviceTreeWriter tree, ulong start, ulong size)
    {
        Span<ulong> register = stackalloc ulong[2];
        register[0] = start;
        register[1] = size;
        tree.DoubleCells("reg"u8, register);
    }

    private static void WriteInterrupt(Span<uint> cells, uint kind, uint number)
    {
        cells[0] = kind;
        cells[1] = number;
        cells[2] = LevelHigh;
    }
}

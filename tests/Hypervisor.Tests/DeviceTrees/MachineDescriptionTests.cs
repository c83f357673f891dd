using System;
using System.Text;
using Quietus.Hypervisor.DeviceTrees;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

public class MachineDescriptionTests
{
    [Fact]
    public void Qemus_virt_machine_with_virtualization_is_understood()
    {
        MachineDescription machine = default;
        MachineDescription.Read(TestData.Read("qemu-virt-gicv3-smp3.dtb"), ref machine, out DeviceTreeError error)
            .ShouldBe(MachineError.None);
        error.ShouldBe(DeviceTreeError.None);
        machine.MemoryBankCount.ShouldBe(1);
        machine.MemoryBankAt(0).Start.ShouldBe(0x4000_0000UL);
        machine.MemoryBankAt(0).Size.ShouldBe(1UL << 30);
        machine.ReservedRegionCount.ShouldBe(0);
        machine.CpuCount.ShouldBe(3);
        machine.CpuAffinityAt(0).ShouldBe(0UL);
        machine.CpuAffinityAt(2).ShouldBe(2UL);
        machine.PsciConduit.ShouldBe(PsciConduit.Smc);
        machine.PsciVersion.ShouldBe(0x1_0000u);
        machine.Uart.Start.ShouldBe(0x0900_0000UL);
        machine.Uart.Size.ShouldBe(0x1000UL);
        machine.UartInterrupt.ShouldBe(33u);
        machine.Distributor.Start.ShouldBe(0x0800_0000UL);
        machine.RedistributorRegionCount.ShouldBe(1);
        machine.RedistributorRegionAt(0).Start.ShouldBe(0x080A_0000UL);
        machine.RedistributorRegionAt(0).Size.ShouldBe(0xF6_0000UL);
        machine.RedistributorStride.ShouldBe(0UL);
        machine.MaintenanceInterrupt.ShouldBe(25u);
        machine.PhysicalTimerInterrupt.ShouldBe(30u);
        machine.VirtualTimerInterrupt.ShouldBe(27u);
        machine.HypervisorTimerInterrupt.ShouldBe(26u);
        machine.Initrd.Size.ShouldBe(0UL);
    }

    [Fact]
    public void A_machine_with_a_gicv2_is_refused_with_a_remedy()
    {
        MachineDescription machine = default;
        MachineDescription.Read(TestData.Read("qemu-virt-gicv2.dtb"), ref machine, out _)
            .ShouldBe(MachineError.GicTooOld);
        machine.Uart.Start.ShouldBe(0x0900_0000UL);
        Encoding.ASCII.GetString(MachineErrors.Describe(MachineError.GicTooOld)).ShouldContain("gic-version=3");
    }

    [Fact]
    public void Everything_a_machine_can_say_is_read()
    {
        byte[] blob = new Machine
        {
            MemoryEntries = 3, Reserved = 2, Cpus = 5, CpuCells = 2, StdoutPath = "serial9:115200n8",
            Redistributors = 2, Stride = true, NamedTimer = true, Initrd = 2,
            Conduit = "hvc",
        }.Build();
        MachineDescription machine = default;
        MachineDescription.Read(blob, ref machine, out _).ShouldBe(MachineError.None);
        machine.MemoryBankCount.ShouldBe(3);
        machine.MemoryBankAt(2).Start.ShouldBe(0xC000_0000UL);
        machine.ReservedRegionCount.ShouldBe(2);
        machine.ReservedRegionAt(1).Start.ShouldBe(0x5001_0000UL);
        machine.CpuCount.ShouldBe(5);
        machine.CpuAffinityAt(4).ShouldBe(0x4_0000_0004UL);
        machine.PsciConduit.ShouldBe(PsciConduit.Hvc);
        machine.Uart.Start.ShouldBe(0x0904_0000UL);
        machine.UartInterrupt.ShouldBe(40u);
        machine.RedistributorRegionCount.ShouldBe(2);
        machine.RedistributorRegionAt(1).Start.ShouldBe(0x2900_0000UL);
        machine.RedistributorStride.ShouldBe(0x4_0000UL);
        machine.PhysicalTimerInterrupt.ShouldBe(30u);
        machine.VirtualTimerInterrupt.ShouldBe(27u);
        machine.HypervisorTimerInterrupt.ShouldBe(26u);
        machine.Initrd.Start.ShouldBe(0x4800_0000UL);
        machine.Initrd.Size.ShouldBe(0x10_0000UL);
    }

    [Fact]
    public void Whatever_is_missing_is_named()
    {
        Read(new Machine()).ShouldBe(MachineError.None);
        Read(new Machine { MemoryEntries = 0 }).ShouldBe(MachineError.NoMemory);
        Read(new Machine { MemoryEntries = 16 }).ShouldBe(MachineError.None);
        Read(new Machine { MemoryEntries = 17 }).ShouldBe(MachineError.TooManyMemoryBanks);
        Read(new Machine { BrokenMemory = true }).ShouldBe(MachineError.BadMemory);
        Read(new Machine { Reserved = 33 }).ShouldBe(MachineError.TooManyReservedRegions);
        Read(new Machine { Cpus = 0 }).ShouldBe(MachineError.NoCpus);
        Read(new Machine { Cpus = 64 }).ShouldBe(MachineError.None);
        Read(new Machine { Cpus = 65 }).ShouldBe(MachineError.TooManyCpus);
        Read(new Machine { EnableMethod = "spin-table" }).ShouldBe(MachineError.CpuNotStartedByPsci);
        Read(new Machine { EnableMethod = "spin-table", Cpus = 1 }).ShouldBe(MachineError.None);
        Read(new Machine { CpuHigh = 0xFF00 }).ShouldBe(MachineError.BadCpu);
        Read(new Machine { Psci = "none" }).ShouldBe(MachineError.NoPsci);
        Read(new Machine { Psci = "arm,psci" }).ShouldBe(MachineError.PsciTooOld);
        Read(new Machine { Psci = "arm,psci-0.2" }).ShouldBe(MachineError.None);
        Read(new Machine { Conduit = "svc" }).ShouldBe(MachineError.BadPsciMethod);
        Read(new Machine { Uart = "ns16550a" }).ShouldBe(MachineError.NoUart);
        Read(new Machine { UartInterrupt = false }).ShouldBe(MachineError.NoUartInterrupt);
        Read(new Machine { StdoutPath = "/nowhere" }).ShouldBe(MachineError.None);
        Read(new Machine { Gic = "arm,gic-v5" }).ShouldBe(MachineError.NoGic);
        Read(new Machine { Gic = "arm,gic-400" }).ShouldBe(MachineError.GicTooOld);
        Read(new Machine { Redistributors = 0 }).ShouldBe(MachineError.BadGic);
        Read(new Machine { Redistributors = 9 }).ShouldBe(MachineError.TooManyRedistributorRegions);
        Read(new Machine { Maintenance = false }).ShouldBe(MachineError.NoMaintenanceInterrupt);
        Read(new Machine { TimerInterrupts = -1 }).ShouldBe(MachineError.NoTimer);
        Read(new Machine { TimerInterrupts = 2 }).ShouldBe(MachineError.NoVirtualTimerInterrupt);
        Read(new Machine { TimerInterrupts = 3 }).ShouldBe(MachineError.NoHypervisorTimerInterrupt);
        Read(new Machine { Initrd = 1 }).ShouldBe(MachineError.BadInitrd);
        MachineDescription machine = default;
        MachineDescription.Read(default, ref machine, out DeviceTreeError why).ShouldBe(MachineError.BadDeviceTree);
        why.ShouldBe(DeviceTreeError.TooShort);
        foreach (MachineError error in Enum.GetValues<MachineError>())
        {
            MachineErrors.Describe(error).Length.ShouldBeGreaterThan(10);
        }
    }

    private static MachineError Read(Machine machine)
    {
        MachineDescription description = default;
        return MachineDescription.Read(machine.Build(), ref description, out _);
    }

    /// <summary>A machine's device tree, sound unless a test makes it otherwise.</summary>
    private sealed class Machine
    {
        public int MemoryEntries { get; init; } = 1;
        public bool BrokenMemory { get; init; }
        public int Reserved { get; init; }
        public int Cpus { get; init; } = 2;
        public uint CpuCells { get; init; } = 1;
        public uint CpuHigh { get; init; }
        public string EnableMethod { get; init; } = "psci";
        public string Psci { get; init; } = "arm,psci-1.0";
        public string Conduit { get; init; } = "smc";
        public string Uart { get; init; } = "arm,pl011";
        public bool UartInterrupt { get; init; } = true;
        public string StdoutPath { get; init; } = "";
        public string Gic { get; init; } = "arm,gic-v3";
        public int Redistributors { get; init; } = 1;
        public bool Stride { get; init; }
        public bool Maintenance { get; init; } = true;
        public int TimerInterrupts { get; init; } = 4;
        public bool NamedTimer { get; init; }
        public int Initrd { get; init; }
        public byte[] Build()
        {
            byte[] blob = new byte[32768];
            var tree = new DeviceTreeWriter(blob);
            tree.BeginNode(""u8);
            tree.Cell("#address-cells"u8, 2);
            tree.Cell("#size-cells"u8, 2);
            tree.Cell("interrupt-parent"u8, 1);
            for (int i = 0; i < MemoryEntries; i++)
            {
                tree.BeginNode("memory"u8, 0x4000_0000UL * (ulong)(i + 1));
                tree.Text("device_type"u8, "memory"u8);
                tree.Cells("reg"u8, BrokenMemory ? [0, 1, 2] : [0, 0x4000_0000 * (uint)(i + 1), 0, 0x1000_0000]);
                tree.EndNode();
            }

            tree.BeginNode("reserved-memory"u8);
            tree.Cell("#address-cells"u8, 2);
            tree.Cell("#size-cells"u8, 2);
            tree.Property("ranges"u8);
            for (int i = 0; i < Reserved; i++)
            {
                tree.BeginNode("region"u8, (ulong)i);
                tree.DoubleCells("reg"u8, [0x5000_0000 + (0x1_0000UL * (ulong)i), 0x1000]);
                tree.EndNode();
            }

            tree.BeginNode("dynamic"u8);
            tree.DoubleCell("size"u8, 0x1000);
            tree.EndNode();
            tree.EndNode();
            WriteCpus(ref tree);
            tree.BeginNode("psci"u8);
            Text(ref tree, "compatible"u8, Psci);
            Text(ref tree, "method"u8, Conduit);
            tree.EndNode();
            tree.BeginNode("aliases"u8);
            tree.Text("serial9"u8, "/pl011@9040000"u8);
            tree.EndNode();
            WriteUart(ref tree, 0x0900_0000, 1);
            WriteUart(ref tree, 0x0904_0000, 8);
            WriteGic(ref tree);
            WriteTimer(ref tree);
            tree.BeginNode("chosen"u8);
            if (StdoutPath.Length != 0)
            {
                Text(ref tree, "stdout-path"u8, StdoutPath);
            }

            if (Initrd > 0)
            {
                tree.Cell("linux,initrd-start"u8, 0x4800_0000);
            }

            if (Initrd > 1)
            {
                tree.DoubleCell("linux,initrd-end"u8, 0x4810_0000);
            }

            tree.EndNode();
            tree.EndNode();
            tree.Finish(out int length).ShouldBe(DeviceTreeError.None);
            return blob.AsSpan(0, length).ToArray();
        }

        private static void Text(ref DeviceTreeWriter tree, ReadOnlySpan<byte> name, string text) =>
            tree.Text(name, Encoding.ASCII.GetBytes(text));

        private void WriteCpus(ref DeviceTreeWriter tree)
        {
            tree.BeginNode("cpus"u8);
            tree.Cell("#address-cells"u8, CpuCells);
            tree.Cell("#size-cells"u8, 0);
            tree.BeginNode("cpu-map"u8);
            tree.EndNode();
            for (int i = 0; i < Cpus; i++)
            {
                tree.BeginNode("cpu"u8, (ulong)i);
                tree.Text("device_type"u8, "cpu"u8);
                Text(ref tree, "enable-method"u8, EnableMethod);
                if (CpuCells == 2)
                {
                    tree.Cells("reg"u8, [CpuHigh | (uint)i, (uint)i]);
                }
                else
                {
                    tree.Cell("reg"u8, (CpuHigh << 16) | (uint)i);
                }

                tree.EndNode();
            }

            tree.EndNode();
        }

        private void WriteUart(ref DeviceTreeWriter tree, ulong address, uint interrupt)
        {
            tree.BeginNode("pl011"u8, address);
            Text(ref tree, "compatible"u8, Uart);
            tree.DoubleCells("reg"u8, [address, 0x1000]);
            if (UartInterrupt)
            {
                tree.Cells("interrupts"u8, [0, interrupt, 4]);
            }

            tree.EndNode();
        }

        private void WriteGic(ref DeviceTreeWriter tree)
        {
            tree.BeginNode("intc"u8, 0x0800_0000);
            Text(ref tree, "compatible"u8, Gic);
            tree.Cell("phandle"u8, 1);
            tree.Cell("#interrupt-cells"u8, 3);
            var registers = new ulong[2 + (2 * Redistributors)];
            registers[0] = 0x0800_0000;
            registers[1] = 0x1_0000;
            for (int i = 0; i < Redistributors; i++)
            {
                registers[2 + (2 * i)] = 0x2800_0000 + (0x100_0000UL * (ulong)i);
                registers[3 + (2 * i)] = 0x10_0000;
            }

            tree.DoubleCells("reg"u8, registers);
            if (Redistributors > 1)
            {
                tree.Cell("#redistributor-regions"u8, (uint)Redistributors);
            }

            if (Stride)
            {
                tree.DoubleCell("redistributor-stride"u8, 0x4_0000);
            }

            if (Maintenance)
            {
                tree.Cells("interrupts"u8, [1, 9, 4]);
            }

            tree.EndNode();
        }

        private void WriteTimer(ref DeviceTreeWriter tree)
        {
            if (TimerInterrupts < 0)
            {
                return;
            }

            tree.BeginNode("timer"u8);
            tree.Text("compatible"u8, "arm,armv8-timer"u8);
            if (NamedTimer)
            {
                tree.Property("interrupt-names"u8, "virt\0hyp-phys\0phys\0"u8);
                tree.Cells("interrupts"u8, [1, 11, 4, 1, 10, 4, 1, 14, 4]);
            }
            else
            {
                uint[] all = [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4];
                tree.Cells("interrupts"u8, all.AsSpan(0, 3 * TimerInterrupts));
            }

            tree.EndNode();
        }
    }
}

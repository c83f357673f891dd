using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Quietus.Filler.Machine;

/// <summary>Where the guest is: what its device tree says, and what a tree need not say on this board.</summary>
/// <remarks>Invariant: the boot protocol gives the tree's address, and Start.S mapped the gigabyte it is in.</remarks>
internal static unsafe class Board
{
    /// <summary>Cores that can be used; others of the tree stay off.</summary>
    internal const int MaximumCpus = 8;

    /// <summary>The virtual timer's PPI 11 (Arm BSA, section on PPI assignments).</summary>
    internal const uint VirtualTimerInterrupt = 27;

    /// <summary>PPI 14, the EL1 physical timer's.</summary>
    internal const uint PhysicalTimerInterrupt = 30;

    /// <summary>One redistributor's RD and SGI frames (IHI 0069, 12.10), no VLPI frames.</summary>
    internal const ulong RedistributorBytes = 0x20000;

    /// <summary>Where GIC and UART are when the tree does not say: the "virt" board's map.</summary>
    internal static ulong Uart = 0x0900_0000;
    internal static ulong Distributor = 0x0800_0000;
    internal static ulong Redistributors = 0x080A_0000;

    /// <summary>The board's RAM, one bank.</summary>
    internal static ulong RamStart;
    internal static ulong RamEnd;

    internal static ulong TreeStart;
    internal static ulong TreeEnd;
    internal static int CpuCount;

    /// <summary>PSCI is called by SMC, not by HVC.</summary>
    internal static bool CallsBySmc;

    private static Affinities _affinities;

    /// <summary>Reads the tree. What it returns, and keeps, is the command line.</summary>
    internal static ReadOnlySpan<byte> Read(ulong address)
    {
        int size = DeviceTree.Size(new ReadOnlySpan<byte>((void*)address, 8));
        if (size == 0)
        {
            return default;
        }

        TreeStart = address;
        TreeEnd = address + (ulong)size;
        DeviceTree tree = DeviceTree.Open(new ReadOnlySpan<byte>((void*)address, size));
        ReadOnlySpan<byte> arguments = default;
        bool inCpus = false;
        ReadOnlySpan<byte> node = default;
        ReadOnlySpan<byte> registers = default;
        while (tree.Next())
        {
            if (tree.PropertyName.Length == 0)
            {
                // A node is entered or left: `reg` may have come before `compatible`, so it is used only now.
                Place(node, registers);
                registers = default;
                node = tree.NodeName;
                if (tree.HasEntered && tree.Depth == 2)
                {
                    inCpus = Texts.Are(node, "cpus"u8);
                }
            }
            else if (Texts.Are(tree.PropertyName, "reg"u8))
            {
                registers = inCpus ? default : tree.Value;
                if (inCpus && tree.Depth == 3 && node.StartsWith("cpu@"u8))
                {
                    AddCpu(tree.Value);
                }
            }
            else if (tree.Depth == 2 && Texts.Are(tree.PropertyName, "method"u8) && node.StartsWith("psci"u8))
            {
                CallsBySmc = Texts.Are(Texts.Until(tree.Value, 0), "smc"u8);
            }
            else if (tree.Depth == 2 && Texts.Are(tree.PropertyName, "bootargs"u8) && Texts.Are(node, "chosen"u8))
            {
                arguments = Texts.Until(tree.Value, 0);
            }
        }

        return arguments;
    }

    /// <summary>The MPIDR affinity of the n-th core of the tree.</summary>
    internal static ulong Affinity(int cpu) => _affinities[cpu];

    /// <summary>The index of the core that runs this.</summary>
    internal static int CurrentCpu()
    {
        ulong affinity = Instructions.ReadMpidr() & 0xFF_00FF_FFFF;
        for (int cpu = 0; cpu < CpuCount; cpu++)
        {
            if (_affinities[cpu] == affinity)
            {
                return cpu;
            }
        }

        return 0;
    }

    private static void AddCpu(ReadOnlySpan<byte> register)
    {
        if (CpuCount < MaximumCpus)
        {
            _affinities[CpuCount++] = register.Length == 8
                ? BinaryPrimitives.ReadUInt64BigEndian(register)
                : BinaryPrimitives.ReadUInt32BigEndian(register);
        }
    }

    /// <summary>What a node with this name and these registers (two cells each) is to us.</summary>
    private static void Place(ReadOnlySpan<byte> node, ReadOnlySpan<byte> registers)
    {
        if (registers.Length < 16)
        {
            return;
        }

        ulong start = BinaryPrimitives.ReadUInt64BigEndian(registers);
        ulong size = BinaryPrimitives.ReadUInt64BigEndian(registers.Slice(8));
        if (node.StartsWith("memory"u8))
        {
            RamStart = start;
            RamEnd = start + size;
        }
        else if (node.StartsWith("pl011@"u8) || node.StartsWith("uart@"u8) || node.StartsWith("serial@"u8))
        {
            Uart = start;
        }
        else if (registers.Length >= 32 && (node.StartsWith("intc@"u8) || node.StartsWith("interrupt-controller@"u8)))
        {
            Distributor = start;
            Redistributors = BinaryPrimitives.ReadUInt64BigEndian(registers.Slice(16));
        }
    }

    [InlineArray(MaximumCpus)]
    private struct Affinities
    {
        private ulong _first;
    }
}

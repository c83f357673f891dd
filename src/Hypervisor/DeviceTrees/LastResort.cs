using System;

namespace Quietus.Hypervisor.DeviceTrees;

/// <summary>Kinds of UART by what it takes to send a byte; the order is last_words' (Boot/Instructions.S).</summary>
public enum UartKind
{
    /// <summary>None is known.</summary>
    None,

    /// <summary>Arm's PL011, and the subset of it that the SBSA asks for.</summary>
    Pl011,

    /// <summary>Cadence's, of Xilinx' Zynq.</summary>
    Cadence,

    /// <summary>The 8250 and its descendants.</summary>
    Ns16550,
}

/// <summary>
/// What it takes to say why a machine cannot be used, and to switch it off. <see cref="MachineDescription"/> ends at
/// the first thing that is missing; this takes whatever there is.
/// </summary>
public struct LastResort
{
    /// <summary>What kind of UART; None when the tree names none that is known here.</summary>
    public UartKind Kind;

    /// <summary>The UART's registers.</summary>
    public ulong Uart;

    /// <summary>An 8250's registers are 1 &lt;&lt; this many bytes apart, 0 to 3.</summary>
    public int RegisterShift;

    /// <summary>How to call the firmware; None when it is not known.</summary>
    public PsciConduit Conduit;

    /// <summary>Looks into a tree: at /chosen's console first, then for any UART.</summary>
    public static LastResort Read(ReadOnlySpan<byte> blob)
    {
        LastResort found = default;
        if (FlatDeviceTree.Open(blob, out FlatDeviceTree tree) != DeviceTreeError.None)
        {
            return found;
        }

        if (!tree.TryFindConsole(out DeviceTreeNode node) || !found.TryTakeUart(ref tree, node))
        {
            node = tree.Root;
            while (!found.TryTakeUart(ref tree, node) && tree.TryNext(node, out node))
            {
            }
        }

        if ((tree.TryFindCompatible("arm,psci-1.0"u8, out node) || tree.TryFindCompatible("arm,psci-0.2"u8, out node))
            && tree.TryGetText(node, "method"u8, out ReadOnlySpan<byte> method))
        {
            found.Conduit = method.SequenceEqual("smc"u8) ? PsciConduit.Smc
                : method.SequenceEqual("hvc"u8) ? PsciConduit.Hvc
                : PsciConduit.None;
        }

        return found;
    }

    private bool TryTakeUart(ref FlatDeviceTree tree, DeviceTreeNode node)
    {
        const uint WordRegisters = 2;
        uint shift = tree.TryGetCell(node, "reg-shift"u8, out uint given) ? given & 3 : 0;
        UartKind kind = UartKind.None;
        if (tree.IsCompatible(node, "arm,pl011"u8) || tree.IsCompatible(node, "arm,sbsa-uart"u8))
        {
            kind = UartKind.Pl011;
        }
        else if (tree.IsCompatible(node, "xlnx,xuartps"u8) || tree.IsCompatible(node, "cdns,uart-r1p12"u8))
        {
            kind = UartKind.Cadence;
        }
        else if (tree.IsCompatible(node, "ns16550a"u8) || tree.IsCompatible(node, "snps,dw-apb-uart"u8))
        {
            kind = UartKind.Ns16550;
        }
        else if (tree.IsCompatible(node, "brcm,bcm2835-aux-uart"u8))
        {
            kind = UartKind.Ns16550;
            shift = WordRegisters;
        }

        if (kind == UartKind.None
            || !tree.IsAvailable(node)
            || tree.TryReadRegister(node, 0, out AddressRange registers) != DeviceTreeError.None)
        {
            return false;
        }

        Kind = kind;
        Uart = registers.Start;
        RegisterShift = (int)shift;
        return true;
    }
}

using System;
using Quietus.Hypervisor.DeviceTrees;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

/// <summary>A UART to complain on, whatever else a tree lacks.</summary>
public class LastResortTests
{
    [Fact]
    public void Qemus_virt_machine_has_a_PL011_and_firmware()
    {
        LastResort found = LastResort.Read(TestData.Read("qemu-virt-gicv3-smp3.dtb"));
        found.Kind.ShouldBe(UartKind.Pl011);
        found.Uart.ShouldBe(0x0900_0000UL);
        found.Conduit.ShouldBe(PsciConduit.Smc);
    }

    [Theory]
    [InlineData("xlnx,xuartps\0", UartKind.Cadence, 0u, 0)]
    [InlineData("arm,sbsa-uart\0", UartKind.Pl011, 0u, 0)]
    [InlineData("ns16550a\0", UartKind.Ns16550, 0u, 0)]
    [InlineData("snps,dw-apb-uart\0ns16550a\0", UartKind.Ns16550, 2u, 2)]
    [InlineData("snps,dw-apb-uart\0", UartKind.Ns16550, 0xFFFF_FFFEu, 2)]
    [InlineData("brcm,bcm2835-aux-uart\0", UartKind.Ns16550, 0u, 2)]
    [InlineData("nxp,lpuart\0", UartKind.None, 0u, 0)]
    public void A_UART_is_known_by_its_compatible_strings(string compatible, UartKind kind, uint shift, int expected)
    {
        LastResort found = LastResort.Read(Build(compatible, shift, console: null));
        found.Kind.ShouldBe(kind);
        found.Uart.ShouldBe(kind == UartKind.None ? 0UL : 0x1_FE00_0000UL);
        found.RegisterShift.ShouldBe(expected);
        found.Conduit.ShouldBe(PsciConduit.Hvc);
    }

    [Fact]
    public void The_console_that_the_tree_names_comes_first_and_an_unusable_one_does_not_count()
    {
        LastResort.Read(Build("ns16550a\0", 0, "/second@1ff000000")).Uart.ShouldBe(0x1_FF00_0000UL);
        LastResort.Read(Build("ns16550a\0", 0, "/nowhere")).Uart.ShouldBe(0x1_FE00_0000UL);
        LastResort.Read(Build("nxp,lpuart\0", 0, "/first@1fe000000")).Uart.ShouldBe(0UL);
    }

    [Fact]
    public void Without_a_tree_there_is_nothing()
    {
        LastResort.Read(default).Kind.ShouldBe(UartKind.None);
        LastResort.Read(new byte[64]).Conduit.ShouldBe(PsciConduit.None);
    }

    private static byte[] Build(string compatible, uint shift, string? console)
    {
        byte[] blob = new byte[4096];
        var tree = new DeviceTreeWriter(blob);
        tree.BeginNode(""u8);
        tree.Cell("#address-cells"u8, 2);
        tree.Cell("#size-cells"u8, 2);
        tree.BeginNode("chosen"u8);
        if (console is not null)
        {
            tree.Text("stdout-path"u8, System.Text.Encoding.ASCII.GetBytes(console));
        }

        tree.EndNode();
        tree.BeginNode("psci"u8);
        tree.Text("compatible"u8, "arm,psci-0.2"u8);
        tree.Text("method"u8, "hvc"u8);
        tree.EndNode();
        WriteUart(ref tree, "first"u8, compatible, 0x1_FE00_0000, shift);
        if (compatible == "ns16550a\0")
        {
            WriteUart(ref tree, "second"u8, compatible, 0x1_FF00_0000, shift);
        }

        tree.EndNode();
        tree.Finish(out int length).ShouldBe(DeviceTreeError.None);
        return blob[..length];
    }

    private static void WriteUart(
        ref DeviceTreeWriter tree, ReadOnlySpan<byte> name, string compatible, ulong address, uint shift)
    {
        tree.BeginNode(name, address);
        tree.Property("compatible"u8, System.Text.Encoding.ASCII.GetBytes(compatible));
        tree.DoubleCells("reg"u8, [address, 0x100]);
        if (shift != 0)
        {
            tree.Cell("reg-shift"u8, shift);
        }

        tree.EndNode();
    }
}

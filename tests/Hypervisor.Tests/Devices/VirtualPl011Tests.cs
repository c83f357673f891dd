using System;
using System.Text;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class VirtualPl011Tests
{
    private const ulong Dr = 0;
    private const ulong Rsr = 4;
    private const ulong Fr = 0x18;
    private const ulong LcrH = 0x2C;
    private const ulong Ifls = 0x34;
    private const ulong Imsc = 0x38;
    private const ulong Ris = 0x3C;
    private const ulong Mis = 0x40;
    private const ulong Icr = 0x44;

    [Fact]
    public void The_identification_registers_make_Linux_bind_its_driver()
    {
        VirtualPl011 uart = Fresh();
        uint peripheral = 0;
        uint cell = 0;
        for (int i = 0; i < 4; i++)
        {
            peripheral |= uart.Read(0xFE0 + (4 * (ulong)i), 4) << (8 * i);
            cell |= uart.Read(0xFF0 + (4 * (ulong)i), 4) << (8 * i);
        }

        (peripheral & 0x000F_FFFF).ShouldBe(0x0004_1011u);
        (peripheral >> 20).ShouldBe(3u);
        cell.ShouldBe(0xB105_F00Du);
    }

    [Fact]
    public void Output_waits_in_order_and_a_full_ring_is_a_full_FIFO()
    {
        VirtualPl011 uart = Fresh();
        uart.Write(Dr, 1, 'h').ShouldBeTrue("there is something");
        uart.Write(Dr, 4, 'i').ShouldBeFalse();
        byte[] taken = new byte[1];
        uart.TakeOutput(taken).ShouldBe(1);
        taken[0].ShouldBe((byte)'h');
        uart.Write(Imsc, 4, 0x20);
        for (int i = 1; i < VirtualPl011.OutputCapacity; i++)
        {
            bool isNews = uart.Write(Dr, 4, (byte)i);
            isNews.ShouldBe(i + 1 is VirtualPl011.OutputCapacity / 2 or VirtualPl011.OutputCapacity, $"{i}");
        }

        (uart.Read(Fr, 4) & 0xA0).ShouldBe(0x20u, "full, and not empty");
        uart.InterruptLine.ShouldBeFalse("above the trigger level");
        uart.LostOutput.ShouldBe(0UL);
        uart.Write(Dr, 4, 'z').ShouldBeTrue();
        uart.LostOutput.ShouldBe(1UL);
        uart.TakeOutput(new byte[31]).ShouldBe(31);
        uart.InterruptLine.ShouldBeFalse();
        (uart.Read(Fr, 4) & 0xA0).ShouldBe(0x80u);
        uart.TakeOutput(taken).ShouldBe(1);
        taken[0].ShouldBe((byte)31);
        uart.InterruptLine.ShouldBeTrue("there is room for a FIFO again");
        byte[] rest = new byte[2 * VirtualPl011.OutputCapacity];
        uart.TakeOutput(rest).ShouldBe(VirtualPl011.OutputCapacity - 32);
        rest[0].ShouldBe((byte)32);
        uart.OutputCount.ShouldBe(0);
    }

    /// <summary>As Linux's driver starts up (pl011_enable_interrupts), and as one does that polls.</summary>
    [Fact]
    public void What_came_before_the_driver_is_not_drained_by_it()
    {
        VirtualPl011 uart = Fresh();
        uart.PushInput("early"u8);
        uart.Write(Icr, 4, 0x50);
        (uart.Read(Fr, 4) & 0x10).ShouldBe(0x10u, "the loop that drains the FIFO ends at once");
        uart.Write(Imsc, 4, 0x50);
        uart.InterruptLine.ShouldBeTrue();
        foreach (byte expected in "early"u8.ToArray())
        {
            (uart.Read(Fr, 4) & 0x10).ShouldBe(0u);
            uart.Read(Dr, 4).ShouldBe(expected);
        }

        VirtualPl011 polled = Fresh();
        polled.PushInput("x"u8);
        polled.Write(Icr, 4, 0x7FF);
        (polled.Read(Fr, 4) & 0x10).ShouldBe(0x10u);
        (polled.Read(Fr, 4) & 0x10).ShouldBe(0u, "a driver that polls sees it at the next look");
    }

    [Fact]
    public void A_byte_received_raises_the_line_until_it_has_been_read()
    {
        VirtualPl011 uart = Fresh();
        (uart.Read(Fr, 4) & 0xF8).ShouldBe(0x90u);
        uart.Write(LcrH, 4, 0x70);
        uart.PushInput("a"u8).ShouldBe(1);
        uart.InterruptLine.ShouldBeFalse();
        uart.Write(Imsc, 4, 0x50);
        uart.InterruptLine.ShouldBeTrue();
        uart.Read(Ris, 4).ShouldBe(0x40u);
        uart.Read(Mis, 4).ShouldBe(0x40u);
        (uart.Read(Fr, 4) & 0xF8).ShouldBe(0x80u);
        uart.Read(Dr, 4).ShouldBe((uint)'a');
        uart.InterruptLine.ShouldBeFalse();
        uart.Read(Dr, 4).ShouldBe(0u);
    }

    [Theory]
    [InlineData(0, 4)]
    [InlineData(1, 8)]
    [InlineData(2, 16)]
    [InlineData(3, 24)]
    [InlineData(4, 28)]
    [InlineData(7, 16)]
    public void The_receive_interrupt_comes_at_the_trigger_level(int select, int level)
    {
        VirtualPl011 uart = Fresh();
        uart.Write(LcrH, 4, 0x10);
        uart.Write(Ifls, 4, (ulong)select << 3);
        uart.PushInput(new byte[level - 1]);
        (uart.Read(Ris, 4) & 0x10).ShouldBe(0u);
        uart.PushInput(new byte[1]);
        (uart.Read(Ris, 4) & 0x10).ShouldBe(0x10u);
        uart.Read(Dr, 4);
        (uart.Read(Ris, 4) & 0x50).ShouldBe(0x40u);
        uart.Write(Icr, 4, 0x40);
        (uart.Read(Ris, 4) & 0x50).ShouldBe(0u);
        uart.Read(Dr, 4);
        (uart.Read(Ris, 4) & 0x40).ShouldBe(0x40u);
    }

    [Fact]
    public void Without_FIFOs_every_byte_is_at_the_trigger_level()
    {
        VirtualPl011 uart = Fresh();
        uart.PushInput("ab"u8);
        (uart.Read(Ris, 4) & 0x10).ShouldBe(0x10u);
        (uart.Read(Fr, 4) & 0x40).ShouldBe(0x40u);
    }

    [Fact]
    public void Sending_raises_the_transmit_interrupt_which_is_cleared_by_writing()
    {
        VirtualPl011 uart = Fresh();
        uart.Write(Imsc, 4, 0x20);
        uart.InterruptLine.ShouldBeFalse();
        uart.Write(Dr, 4, 'a');
        uart.InterruptLine.ShouldBeTrue();
        uart.Write(Icr, 4, 0x20);
        uart.InterruptLine.ShouldBeFalse();
    }

    [Fact]
    public void Input_beyond_the_ring_is_left_with_the_caller_and_arrives_in_order()
    {
        VirtualPl011 uart = Fresh();
        byte[] bytes = new byte[VirtualPl011.InputCapacity + 10];
        new Random(1).NextBytes(bytes);
        for (int round = 0; round < 3; round++)
        {
            uart.PushInput(bytes).ShouldBe(VirtualPl011.InputCapacity);
            for (int i = 0; i < 100; i++)
            {
                uart.Read(Dr, 4).ShouldBe(bytes[i]);
            }

            uart.PushInput(bytes.AsSpan(0, 200)).ShouldBe(100);
            for (int i = 100; i < VirtualPl011.InputCapacity; i++)
            {
                uart.Read(Dr, 1).ShouldBe(bytes[i]);
            }

            for (int i = 0; i < 100; i++)
            {
                uart.Read(Dr, 1).ShouldBe(bytes[i]);
            }
        }

        (uart.Read(Ris, 4) & 0x400).ShouldBe(0u);
    }

    [Fact]
    public void Loopback_returns_what_is_sent_and_overruns_when_nobody_reads()
    {
        VirtualPl011 uart = Fresh();
        uart.Write(0x30, 4, 0x381);
        for (int i = 0; i <= VirtualPl011.InputCapacity; i++)
        {
            uart.Write(Dr, 4, 'l').ShouldBeFalse();
        }

        uart.OutputCount.ShouldBe(0);
        (uart.Read(Ris, 4) & 0x400).ShouldBe(0x400u);
        uart.Read(Rsr, 4).ShouldBe(8u);
        uart.Read(Dr, 4).ShouldBe('l' | 0x800u);
        uart.Write(Rsr, 4, 0);
        uart.Read(Dr, 4).ShouldBe('l');
    }

    [Fact]
    public void Registers_keep_the_bits_that_they_have()
    {
        VirtualPl011 uart = Fresh();
        (ulong Offset, uint Mask)[] registers =
        [
            (0x20, 0xFF), (0x24, 0xFFFF), (0x28, 0x3F), (0x2C, 0xFF), (0x30, 0xFF87), (0x34, 0x3F), (0x38, 0x7FF),
            (0x48, 7),
        ];
        uart.Read(0x30, 4).ShouldBe(0x300u);
        uart.Read(0x34, 4).ShouldBe(0x12u);
        foreach ((ulong offset, uint mask) in registers)
        {
            uart.Write(offset, 4, 0xFFFF_FFFF);
            uart.Read(offset, 4).ShouldBe(mask);
            uart.Write(offset, 8, 0);
            uart.Read(offset, 4).ShouldBe(mask);
            uart.Read(offset, 8).ShouldBe(0u);
        }
    }

    [Fact]
    public void Arbitrary_accesses_never_throw()
    {
        VirtualPl011 uart = Fresh();
        var random = new Random(5);
        byte[] buffer = new byte[64];
        for (int i = 0; i < 200_000; i++)
        {
            ulong offset = random.Next(4) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(0x1010);
            switch (random.Next(4))
            {
                case 0:
                    uart.Read(offset, 1 << random.Next(4));
                    break;
                case 1:
                    uart.PushInput(buffer.AsSpan(0, random.Next(64)));
                    break;
                case 2:
                    uart.TakeOutput(buffer.AsSpan(0, random.Next(64)));
                    break;
                default:
                    uart.Write(random.Next(2) == 0 ? Dr : offset, 1 << random.Next(4), (ulong)random.NextInt64());
                    break;
            }

            uart.OutputCount.ShouldBeInRange(0, VirtualPl011.OutputCapacity);
        }
    }

    private static VirtualPl011 Fresh()
    {
        VirtualPl011 uart = default;
        uart.Reset();
        return uart;
    }
}

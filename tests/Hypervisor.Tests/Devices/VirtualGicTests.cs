using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public partial class VirtualGicTests
{
    private const ulong Ctlr = 0;
    private const ulong Igroupr = 0x80;
    private const ulong Isenabler = 0x100;
    private const ulong Icenabler = 0x180;
    private const ulong Ispendr = 0x200;
    private const ulong Icpendr = 0x280;
    private const ulong Isactiver = 0x300;
    private const ulong Icactiver = 0x380;
    private const ulong Ipriorityr = 0x400;
    private const ulong Icfgr = 0xC00;
    private const ulong Irouter = 0x6000;
    private const ulong Waker = 0x14;
    private const ulong Sgi = 0x1_0000;
    private const uint TimerLinked = 1 << 27;

    [Fact]
    public void A_gic_in_zeroed_memory_has_no_registers_and_does_nothing()
    {
        VirtualGic gic = default;
        gic.ReadRedistributor(0, 8, 8).ShouldBe(0UL);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, 1).ShouldBe(0u);
        gic.SendSgi(0, 1UL << 40).ShouldBe(0u);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void The_identification_registers_describe_a_GICv3_with_96_interrupts()
    {
        VirtualGic gic = default;
        gic.Reset(3, TimerLinked);
        gic.ReadDistributor(Ctlr, 4).ShouldBe(0x50UL);
        gic.ReadDistributor(4, 4).ShouldBe((1UL << 25) | (9UL << 19) | 2);
        gic.ReadDistributor(0xFFE8, 4).ShouldBe(0x3BUL);
        gic.ReadDistributor(0xFFF0, 4).ShouldBe(0x0DUL);
        gic.ReadDistributor(0xFFFC, 4).ShouldBe(0xB1UL);
        gic.ReadRedistributor(0, 0xFFE8, 4).ShouldBe(0x3BUL);
        gic.ReadRedistributor(1, 8, 8).ShouldBe((1UL << 32) | (1UL << 8));
        gic.ReadRedistributor(2, 8, 8).ShouldBe((2UL << 32) | (2UL << 8) | 0x10);
        gic.ReadRedistributor(2, 8, 4).ShouldBe((2UL << 8) | 0x10);
        gic.ReadRedistributor(2, 12, 4).ShouldBe(2UL);
        gic.ReadRedistributor(3, 8, 8).ShouldBe(0UL);
        gic.ReadRedistributor(-1, 8, 8).ShouldBe(0UL);
        gic.ReadRedistributor(0, Sgi + Icfgr, 4).ShouldBe(0xAAAA_AAAAUL);
        gic.ReadRedistributor(0, Sgi + Icfgr + 4, 4).ShouldBe(0UL);
    }

    [Fact]
    public void The_control_register_keeps_the_group_enables_and_shows_affinity_routing_and_one_security_state()
    {
        VirtualGic gic = default;
        gic.Reset(1, 0);
        gic.WriteDistributor(0, Ctlr, 4, 0xFFFF_FFFF);
        gic.ReadDistributor(Ctlr, 4).ShouldBe(0x53UL);
        gic.WriteDistributor(0, Ctlr, 4, 2);
        gic.ReadDistributor(Ctlr, 4).ShouldBe(0x52UL);
    }

    [Fact]
    public void Registers_read_back_what_can_be_written_and_private_ones_are_absent_from_the_distributor()
    {
        VirtualGic gic = default;
        gic.Reset(2, TimerLinked);
        gic.WriteRedistributor(0, Sgi + Icenabler, 4, 0xFFFF);
        gic.WriteRedistributor(1, Sgi + Icenabler, 4, 0xFFFF);
        foreach (ulong set in new[] { Isenabler, Ispendr, Isactiver })
        {
            gic.WriteDistributor(0, set + 4, 4, 0xF0F0_1234);
            gic.ReadDistributor(set + 4, 4).ShouldBe(0xF0F0_1234UL);
            gic.ReadDistributor(set + 0x84, 4).ShouldBe(0xF0F0_1234UL);
            gic.WriteDistributor(0, set + 0x84, 4, 0xF0F0_0000);
            gic.ReadDistributor(set + 4, 4).ShouldBe(0x1234UL);
            gic.WriteDistributor(0, set, 4, 0xFFFF_FFFF);
            gic.ReadDistributor(set, 4).ShouldBe(0UL);
            gic.WriteDistributor(0, set + 12, 4, 0xFFFF_FFFF);
            gic.ReadDistributor(set + 12, 4).ShouldBe(0UL);
            gic.WriteRedistributor(1, Sgi + set, 4, 0xFF);
            gic.ReadRedistributor(1, Sgi + set, 4).ShouldBe(0xFFUL);
            gic.ReadRedistributor(0, Sgi + set, 4).ShouldBe(0UL);
        }

        gic.ReadDistributor(Igroupr + 4, 4).ShouldBe(0xFFFF_FFFFUL);
        gic.WriteDistributor(0, Igroupr + 4, 4, 5);
        gic.ReadDistributor(Igroupr + 4, 4).ShouldBe(5UL);
        gic.WriteDistributor(0, Ipriorityr + 36, 4, 0xA7B0_C1FF);
        gic.ReadDistributor(Ipriorityr + 36, 4).ShouldBe(0xA0B0_C0F8UL);
        gic.WriteDistributor(0, Ipriorityr + 37, 1, 0x10);
        gic.ReadDistributor(Ipriorityr + 37, 1).ShouldBe(0x10UL);
        gic.ReadDistributor(Ipriorityr + 36, 4).ShouldBe(0xA0B0_10F8UL);
        gic.WriteDistributor(0, Icfgr + 8, 4, 0xFFFF_FFFF);
        gic.ReadDistributor(Icfgr + 8, 4).ShouldBe(0xAAAA_AAAAUL);
        gic.WriteDistributor(0, Icfgr + 12, 4, 0x8000_0002);
        gic.ReadDistributor(Icfgr + 12, 4).ShouldBe(0x8000_0002UL);
        gic.WriteRedistributor(0, Sgi + Icfgr + 4, 4, 0xFFFF_FFFF);
        gic.ReadRedistributor(0, Sgi + Icfgr + 4, 4).ShouldBe(0UL);
        gic.WriteDistributor(0, Irouter + (8 * 40), 8, 0xFFFF_FFFF_FFFF_FFFF);
        gic.ReadDistributor(Irouter + (8 * 40), 8).ShouldBe(0xFF_00FF_FFFFUL);
        gic.WriteDistributor(0, Irouter + (8 * 40), 4, 1);
        gic.ReadDistributor(Irouter + (8 * 40), 8).ShouldBe(0xFF_0000_0001UL);
        gic.WriteDistributor(0, Irouter + (8 * 40) + 4, 4, 0);
        gic.ReadDistributor(Irouter + (8 * 40) + 4, 4).ShouldBe(0UL);
        gic.ReadDistributor(Irouter + (8 * 40), 4).ShouldBe(1UL);
    }

    [Fact]
    public void Accesses_of_a_size_that_a_register_does_not_allow_are_ignored()
    {
        VirtualGic gic = default;
        gic.Reset(1, 0);
        gic.WriteDistributor(0, Isenabler + 4, 1, 0xFF).ShouldBe(0u);
        gic.WriteDistributor(0, Isenabler + 4, 2, 0xFF).ShouldBe(0u);
        gic.WriteDistributor(0, Isenabler, 8, ulong.MaxValue).ShouldBe(0u);
        gic.WriteDistributor(0, Isenabler + 2, 4, ulong.MaxValue).ShouldBe(0u);
        gic.ReadDistributor(Isenabler + 4, 4).ShouldBe(0UL);
        gic.WriteDistributor(0, Ipriorityr + 36, 2, 0xFFFF);
        gic.ReadDistributor(Ipriorityr + 36, 4).ShouldBe(0UL);
        gic.ReadDistributor(4, 1).ShouldBe(0UL);
        gic.ReadRedistributor(0, 8, 2).ShouldBe(0UL);
    }

    [Fact]
    public void A_shared_level_interrupt_is_signalled_until_its_line_falls()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        gic.SetSharedLine(33, true).ShouldBe(0u);
        gic.NeedsAttention(0).ShouldBeFalse();
        gic.WriteDistributor(0, Ipriorityr + 33, 1, 0xA0);
        gic.WriteDistributor(0, Isenabler + 4, 4, 2).ShouldBe(1u);
        gic.HasPending(0).ShouldBeTrue();
        cpu.Enter(ref gic);
        cpu.Registers[0].ShouldBe(
            ListRegister.Pending | ListRegister.Group1 | ListRegister.TellEnd | (0xA0UL << 48) | 33);
        gic.NeedsAttention(0).ShouldBeFalse();
        cpu.Acknowledge().ShouldBe(33u);
        cpu.Exit(ref gic);
        gic.HasPending(0).ShouldBeFalse();
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(2UL);
        gic.ReadDistributor(Ispendr + 4, 4).ShouldBe(2UL);
        cpu.Enter(ref gic);
        cpu.Registers[0].ShouldBe(
            ListRegister.Active | ListRegister.Group1 | ListRegister.TellEnd | (0xA0UL << 48) | 33);
        cpu.End(33);
        cpu.EndTold.ShouldBeTrue();
        cpu.Exit(ref gic);
        gic.HasPending(0).ShouldBeTrue();
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(33u);
        cpu.Exit(ref gic);
        gic.SetSharedLine(33, false);
        cpu.Enter(ref gic);
        cpu.End(33);
        cpu.Exit(ref gic);
        gic.NeedsAttention(0).ShouldBeFalse();
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(0UL);
    }

    [Fact]
    public void A_line_that_falls_before_the_guest_has_acknowledged_takes_the_interrupt_back()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        Enable(ref gic, 40);
        gic.SetSharedLine(40, true).ShouldBe(1u);
        cpu.Enter(ref gic);
        gic.SetSharedLine(40, false).ShouldBe(1u);
        cpu.Exit(ref gic);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(VirtualCpu.Spurious);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void An_edge_is_taken_once_and_an_edge_while_active_once_more()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        gic.WriteDistributor(0, Icfgr + 8, 4, 0xFFFF_FFFF);
        Enable(ref gic, 34);
        gic.SetSharedLine(34, true).ShouldBe(1u);
        gic.SetSharedLine(34, false);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(34u);

        // The hypervisor does not know yet that the guest has acknowledged: the second edge must not be lost.
        gic.SetSharedLine(34, true).ShouldBe(1u);
        cpu.Exit(ref gic);
        cpu.Enter(ref gic);
        (cpu.Registers[0] >> 62).ShouldBe(3UL);
        cpu.End(34);
        cpu.Acknowledge().ShouldBe(34u);
        cpu.End(34);
        cpu.Exit(ref gic);
        gic.NeedsAttention(0).ShouldBeFalse();
        gic.SetSharedLine(34, true).ShouldBe(0u);
    }

    [Fact]
    public void Software_can_set_and_clear_pending_and_active_of_an_interrupt_that_is_in_a_list_register()
    {
        VirtualGic gic = Started(2);
        var cpu = new VirtualCpu(1, 4);
        Enable(ref gic, 50);
        gic.WriteDistributor(0, Irouter + (8 * 50), 8, 1);
        gic.WriteDistributor(0, Ispendr + 4, 4, 1 << 18).ShouldBe(2u);
        cpu.Enter(ref gic);
        gic.WriteDistributor(0, Icpendr + 4, 4, 1 << 18).ShouldBe(2u);
        cpu.Exit(ref gic);
        gic.NeedsAttention(1).ShouldBeFalse();

        gic.WriteDistributor(0, Ispendr + 4, 4, 1 << 18);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(50u);
        gic.WriteDistributor(0, Icactiver + 4, 4, 1 << 18).ShouldBe(2u);
        cpu.Exit(ref gic);
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(0UL);
        gic.NeedsAttention(1).ShouldBeFalse();

        gic.WriteDistributor(0, Ispendr + 4, 4, 1 << 18);
        cpu.Enter(ref gic);
        gic.WriteDistributor(0, Isactiver + 4, 4, 1 << 18).ShouldBe(2u);
        cpu.Exit(ref gic);
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(1UL << 18);
        gic.HasPending(1).ShouldBeFalse();
        cpu.Enter(ref gic);
        cpu.End(50);
        cpu.Exit(ref gic);
        gic.HasPending(1).ShouldBeTrue();
    }

    [Fact]
    public void Disabling_an_interrupt_or_its_group_takes_it_out_of_a_running_vcpu()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        Enable(ref gic, 60);
        gic.SetSharedLine(60, true);
        cpu.Enter(ref gic);
        gic.WriteDistributor(0, Icenabler + 4, 4, 1 << 28).ShouldBe(1u);
        cpu.Exit(ref gic);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(VirtualCpu.Spurious);
        Enable(ref gic, 60);
        cpu.Enter(ref gic);
        gic.WriteDistributor(0, Ctlr, 4, 0).ShouldBe(1u);
        cpu.Exit(ref gic);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(VirtualCpu.Spurious);
        gic.WriteDistributor(0, Ctlr, 4, 2).ShouldBe(1u);
        cpu.Enter(ref gic);
        cpu.Acknowledge().ShouldBe(60u);
    }

    [Fact]
    public void A_redistributor_is_awake_for_a_guest_that_never_wakes_it_and_its_SGIs_are_enabled()
    {
        VirtualGic gic = default;
        gic.Reset(2, TimerLinked);
        gic.ReadRedistributor(1, Waker, 4).ShouldBe(0UL);
        gic.ReadRedistributor(1, Sgi + Isenabler, 4).ShouldBe(0xFFFFUL);
        gic.WriteDistributor(0, Ctlr, 4, 2);
        gic.SendSgi(0, 2).ShouldBe(2u);
        gic.HasPending(1).ShouldBeTrue();

        gic.WriteRedistributor(1, Waker, 4, 2);
        gic.ReadRedistributor(1, Waker, 4).ShouldBe(0UL);
        gic.HasPending(1).ShouldBeTrue();
    }

    [Theory]
    [InlineData(0x0000_0000_0300_0006UL, 0b0110u)]
    [InlineData(0x0000_0100_0300_0000UL, 0b1011u)]
    [InlineData(0x0000_0100_0300_FFFFUL, 0b1011u)]
    [InlineData(0x0000_0000_0300_FFFFUL, 0b1111u)]
    [InlineData(0x0000_0000_0301_FFFFUL, 0u)]
    [InlineData(0x0000_0001_0300_FFFFUL, 0u)]
    [InlineData(0x0001_0000_0300_FFFFUL, 0u)]
    [InlineData(0x0000_1000_0300_FFFFUL, 0u)]
    [InlineData(0x0000_0000_0300_FFF0UL, 0u)]
    [InlineData(0xFF00_0000_F300_0001UL, 0b0001u)]
    public void An_SGI_reaches_the_vcpus_that_its_value_names(ulong value, uint targets)
    {
        VirtualGic gic = Started(4);
        for (int i = 0; i < 4; i++)
        {
            gic.WriteRedistributor(i, Sgi + Isenabler, 4, 0xFFFF);
        }

        gic.SendSgi(2, value).ShouldBe(targets);
        for (int i = 0; i < 4; i++)
        {
            gic.ReadRedistributor(i, Sgi + Ispendr, 4).ShouldBe(((targets >> i) & 1) << 3);
        }
    }

    [Fact]
    public void An_SGI_of_the_other_group_registers_reaches_group_0_only()
    {
        VirtualGic gic = Started(1);
        gic.WriteRedistributor(0, Sgi + Igroupr, 4, 0xFFFF_FFFE);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, 3);
        gic.SendSgi(0, (1UL << 24) | 1, anyGroup: false).ShouldBe(0u);
        gic.WriteDistributor(0, Ctlr, 4, 1);
        gic.SendSgi(0, 1, anyGroup: false).ShouldBe(1u);
        var registers = new ulong[4];
        gic.Fill(0, registers, out _).ShouldBe(1);
        (registers[0] & ListRegister.Group1).ShouldBe(0UL);
        (registers[0] & ListRegister.TellEnd).ShouldBe(0UL);
    }

    [Fact]
    public void The_linked_timer_interrupt_is_deactivated_by_the_guest_itself()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, TimerLinked);
        gic.RaiseHardware(0, 27).ShouldBe(1u);
        gic.ActiveHardware(0).ShouldBe(TimerLinked);
        cpu.Enter(ref gic);
        cpu.Registers[0].ShouldBe(
            ListRegister.Pending | ListRegister.Group1 | ListRegister.Hardware | (27UL << 32) | 27);
        cpu.Acknowledge().ShouldBe(27u);
        cpu.Exit(ref gic);
        gic.ActiveHardware(0).ShouldBe(TimerLinked);
        cpu.Enter(ref gic);
        (cpu.Registers[0] >> 61).ShouldBe(0b101UL);
        cpu.End(27);
        cpu.PhysicalDeactivated.ShouldBe([27u]);
        cpu.Exit(ref gic);
        gic.ActiveHardware(0).ShouldBe(0u);
        gic.TakeReleasedHardware(0).ShouldBe(0u);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void A_timer_interrupt_that_is_withdrawn_must_be_deactivated_by_the_core()
    {
        VirtualGic gic = Started(2);
        var cpu = new VirtualCpu(0, 4);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, TimerLinked);
        gic.RaiseHardware(0, 27);
        cpu.Enter(ref gic);
        cpu.Exit(ref gic);
        gic.DropHardware(0, TimerLinked).ShouldBe(1u);
        gic.ActiveHardware(0).ShouldBe(TimerLinked);
        gic.HasPending(0).ShouldBeFalse();
        gic.TakeReleasedHardware(0).ShouldBe(TimerLinked);
        gic.TakeReleasedHardware(0).ShouldBe(0u);
        gic.ActiveHardware(0).ShouldBe(0u);

        // Withdrawn by the other vCPU's register write, while it is in a list register.
        gic.RaiseHardware(0, 27);
        cpu.Enter(ref gic);
        gic.WriteRedistributor(0, Sgi + Icpendr, 4, TimerLinked).ShouldBe(1u);
        gic.TakeReleasedHardware(0).ShouldBe(0u);
        cpu.Exit(ref gic);
        gic.TakeReleasedHardware(0).ShouldBe(TimerLinked);

        // Deactivated by a register write.
        gic.RaiseHardware(0, 27);
        cpu.Enter(ref gic);
        cpu.Acknowledge();
        cpu.Exit(ref gic);
        gic.WriteRedistributor(0, Sgi + Icactiver, 4, TimerLinked).ShouldBe(1u);
        gic.TakeReleasedHardware(0).ShouldBe(TimerLinked);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void A_masked_timer_interrupt_waits_with_its_physical_interrupt_active()
    {
        VirtualGic gic = Started(1);
        gic.RaiseHardware(0, 27).ShouldBe(0u);
        gic.ActiveHardware(0).ShouldBe(TimerLinked);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, TimerLinked).ShouldBe(1u);
        gic.HasPending(0).ShouldBeTrue();
    }

    [Fact]
    public void A_timer_interrupt_that_software_made_pending_is_not_linked()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, TimerLinked);
        gic.WriteRedistributor(0, Sgi + Ispendr, 4, TimerLinked);
        cpu.Enter(ref gic);
        (cpu.Registers[0] & ListRegister.Hardware).ShouldBe(0UL);
        cpu.Acknowledge().ShouldBe(27u);
        cpu.End(27);
        cpu.Exit(ref gic);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void Lines_that_do_not_exist_do_nothing()
    {
        VirtualGic gic = Started(2);
        gic.WriteRedistributor(1, Sgi + Isenabler, 4, 1 << 20);
        gic.SetSharedLine(31, true).ShouldBe(0u);
        gic.SetSharedLine(96, true).ShouldBe(0u);
        gic.RaiseHardware(0, 20).ShouldBe(0u);
        gic.ActiveHardware(0).ShouldBe(0u);
    }

    [Fact]
    public void The_best_interrupts_are_loaded_first_and_the_rest_is_announced()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 4);
        for (uint i = 0; i < 8; i++)
        {
            gic.WriteDistributor(0, Ipriorityr + 40 + i, 1, 0xF8 - (i * 8));
            Enable(ref gic, 40 + i);
            gic.SetSharedLine(40 + i, true);
        }

        cpu.Enter(ref gic);
        cpu.Used.ShouldBe(4);
        cpu.More.ShouldBeTrue();
        cpu.Registers.Select(register => (uint)register).ShouldBe([47u, 46u, 45u, 44u]);
        gic.HasPending(0).ShouldBeTrue();
        cpu.Exit(ref gic);
        for (uint i = 4; i < 8; i++)
        {
            gic.SetSharedLine(40 + i, false);
        }

        cpu.Enter(ref gic);
        cpu.More.ShouldBeFalse();
        cpu.Registers.Select(register => (uint)register).ShouldBe([43u, 42u, 41u, 40u]);
    }

    [Fact]
    public void A_pending_interrupt_preempts_even_when_active_ones_would_fill_all_list_registers()
    {
        VirtualGic gic = Started(1);
        var cpu = new VirtualCpu(0, 2);
        var acknowledged = new Stack<uint>();
        for (uint i = 0; i < 6; i++)
        {
            gic.WriteDistributor(0, Ipriorityr + 40 + i, 1, 0xF0 - (i * 8));
            Enable(ref gic, 40 + i);
            gic.SetSharedLine(40 + i, true);
            cpu.Enter(ref gic);
            cpu.Acknowledge().ShouldBe(40 + i);
            acknowledged.Push(40 + i);
            gic.SetSharedLine(40 + i, false);
            cpu.Exit(ref gic);
        }

        while (acknowledged.TryPop(out uint interrupt))
        {
            cpu.Enter(ref gic);
            cpu.End(interrupt);
            cpu.EndedUnlisted.ShouldBe(0u);
            cpu.Exit(ref gic);
        }

        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void Interrupts_that_end_outside_of_the_list_registers_end_by_priority()
    {
        VirtualGic gic = Started(1);
        gic.WriteDistributor(0, Isactiver + 4, 4, 0b111);
        gic.WriteDistributor(0, Ipriorityr + 32, 4, 0x00_10_08_20);
        gic.EndUnlisted(0, 2);
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(0b001UL);
        gic.EndUnlisted(0, 31);
        gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(0UL);
        gic.NeedsAttention(0).ShouldBeFalse();
    }

    [Fact]
    public void Shared_interrupts_follow_their_routes()
    {
        VirtualGic gic = Started(3);
        Enable(ref gic, 33);
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 2);
        gic.SetSharedLine(33, true).ShouldBe(4u);
        var two = new VirtualCpu(2, 4);
        two.Enter(ref gic);

        // Routed away while it is in a list register: taken out there first, then signalled here.
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 1).ShouldBe(4u);
        two.Exit(ref gic).ShouldBe(2u);
        var one = new VirtualCpu(1, 4);
        one.Enter(ref gic);
        one.Acknowledge().ShouldBe(33u);
        one.Exit(ref gic);

        // Active here, so that it ends here, wherever it is routed to.
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 0).ShouldBe(2u);
        gic.HasPending(0).ShouldBeFalse();
        one.Enter(ref gic);
        one.End(33);
        one.Exit(ref gic).ShouldBe(1u);
        gic.HasPending(0).ShouldBeTrue();
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 0x100).ShouldBe(0u);
        gic.HasPending(0).ShouldBeFalse();
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 3).ShouldBe(0u);
        gic.WriteDistributor(0, Irouter + (8 * 33), 8, 1UL << 31).ShouldBe(1u);
    }

    [Fact]
    public void Fill_without_sync_changes_nothing()
    {
        VirtualGic gic = Started(1);
        gic.WriteRedistributor(0, Sgi + Isenabler, 4, 0xFFFF);
        gic.SendSgi(0, 1);
        var registers = new ulong[4];
        gic.Fill(0, registers, out _).ShouldBe(1);
        ulong loaded = registers[0];
        gic.SendSgi(0, (5UL << 24) | 1).ShouldBe(1u);
        gic.Fill(0, registers, out _).ShouldBe(1);
        registers[0].ShouldBe(loaded);
        gic.Sync(0, default);
        gic.Fill(0, registers, out _).ShouldBe(1);
        ((uint)registers[0]).ShouldBe(5u);
        gic.Sync(0, registers);
        gic.Fill(0, default, out bool more).ShouldBe(0);
        more.ShouldBeTrue();
    }

    /// <summary>A GIC whose distributor forwards group 1.</summary>
    private static VirtualGic Started(int vcpus)
    {
        VirtualGic gic = default;
        gic.Reset(vcpus, TimerLinked);
        gic.VcpuCount.ShouldBe(vcpus);
        gic.WriteDistributor(0, Ctlr, 4, 2);
        return gic;
    }

    private static void Enable(ref VirtualGic gic, uint interrupt) =>
        gic.WriteDistributor(0, Isenabler + (interrupt / 32 * 4), 4, 1U << (int)(interrupt % 32));
}

using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class DebugRegistersTests
{
    private const ulong Everything = ulong.MaxValue;

    [Fact]
    public void Nothing_is_set_and_nothing_is_to_be_cleared_before_the_first_write()
    {
        DebugRegisters debug = default;
        debug.IsUsed.ShouldBeFalse();
        debug.Control.ShouldBe(0UL);
        debug.ControlForCore.ShouldBe(0UL);
        debug.LockStatus.ShouldBe(8UL);
        debug.ClaimClear.ShouldBe(0UL);
    }

    [Fact]
    public void A_guest_has_SS_TDCC_KDE_and_MDE_of_the_control_register()
    {
        DebugRegisters debug = default;
        debug.Control = Everything;
        debug.Control.ShouldBe(0xB001UL);
        debug.ControlForCore.ShouldBe(0xB001UL);
        debug.IsUsed.ShouldBeTrue();
    }

    [Fact]
    public void The_OS_lock_takes_every_debug_exception_and_gives_them_back()
    {
        DebugRegisters debug = default;
        debug.Control = 0xB001;
        debug.WriteLock(1);
        debug.LockStatus.ShouldBe(0xAUL);
        debug.ControlForCore.ShouldBe(0x1000UL);
        debug.Control.ShouldBe(0xB001UL);
        debug.WriteLock(0xFE);
        debug.LockStatus.ShouldBe(8UL);
        debug.ControlForCore.ShouldBe(0xB001UL);
    }

    [Fact]
    public void Points_are_apart_and_keep_the_bits_that_exist()
    {
        DebugRegisters debug = default;
        for (int kind = 0; kind < 4; kind++)
        {
            for (int i = 0; i < DebugRegisters.MostPoints; i++)
            {
                debug.SetPoint((DebugPointKind)kind, i, (ulong)(0x1_0000 * ((kind * 16) + i)) | 4);
            }
        }

        for (int i = 0; i < DebugRegisters.MostPoints; i++)
        {
            debug.Point(DebugPointKind.BreakpointValue, i).ShouldBe((ulong)(0x1_0000 * i) | 4);
            debug.Point(DebugPointKind.WatchpointValue, i).ShouldBe((ulong)(0x1_0000 * (32 + i)) | 4);
        }

        debug.SetPoint(DebugPointKind.BreakpointValue, 1, Everything);
        debug.SetPoint(DebugPointKind.BreakpointControl, 1, Everything);
        debug.SetPoint(DebugPointKind.WatchpointValue, 1, Everything);
        debug.SetPoint(DebugPointKind.WatchpointControl, 1, Everything);
        debug.Point(DebugPointKind.BreakpointValue, 1).ShouldBe(Everything);
        debug.Point(DebugPointKind.BreakpointControl, 1).ShouldBe(0xFF_E1E7UL);
        debug.Point(DebugPointKind.WatchpointValue, 1).ShouldBe(Everything - 3);
        debug.Point(DebugPointKind.WatchpointControl, 1).ShouldBe(0x1F1F_FFFFUL);
    }

    [Fact]
    public void A_breakpoint_on_what_only_EL2_has_is_never_enabled_in_the_core()
    {
        DebugRegisters debug = default;
        for (ulong type = 0; type < 16; type++)
        {
            ulong value = (type << 20) | 0x1E7;
            debug.SetPoint(DebugPointKind.BreakpointControl, 0, value);
            debug.Point(DebugPointKind.BreakpointControl, 0).ShouldBe(value);
            debug.PointForCore(DebugPointKind.BreakpointControl, 0).ShouldBe(type < 8 ? value : value - 1);
        }

        // The same bit of a watchpoint's control does not exist, of a value it is an address's.
        debug.SetPoint(DebugPointKind.BreakpointValue, 0, 0x80_0001);
        debug.PointForCore(DebugPointKind.BreakpointValue, 0).ShouldBe(0x80_0001UL);
    }

    [Fact]
    public void Claim_tags_are_set_and_cleared_one_by_one()
    {
        DebugRegisters debug = default;
        debug.ClaimSet = 0x1A5;
        debug.ClaimSet.ShouldBe(0xFFUL);
        debug.ClaimClear.ShouldBe(0xA5UL);
        debug.ClaimClear = 0x21;
        debug.ClaimClear.ShouldBe(0x84UL);
        debug.IsUsed.ShouldBeTrue();
    }
}

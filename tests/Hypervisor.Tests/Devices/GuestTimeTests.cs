using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

/// <summary>A guest's counters and its physical timer.</summary>
public class GuestTimeTests
{
    private const ulong Uptime = 123_456_789_012;

    [Theory]
    [InlineData(true, GuestClock.AheadStart)]
    [InlineData(false, 0UL)]
    public void A_guests_count_begins_at_the_same_value_however_long_the_machine_has_been_up(bool wrap, ulong start)
    {
        foreach (ulong machine in new[] { 0UL, 1UL, Uptime })
        {
            (machine - GuestClock.Offset(machine, wrap)).ShouldBe(start);
        }
    }

    /// <summary>What QEMU 7.2 computes with: the sum in 64 bits is past only when the timer is due.</summary>
    [Theory]
    [InlineData(0UL)]
    [InlineData(Uptime)]
    [InlineData(1UL << 49)]
    public void Where_sums_wrap_none_of_a_timer_that_is_to_come_is_in_the_past(ulong machine)
    {
        ulong offset = GuestClock.Offset(machine, sumsWrap: true);
        foreach (ulong later in new[] { 0UL, 1UL, 1UL << 48 })
        {
            ulong now = machine + later;
            ulong guest = now - offset;
            foreach (ulong compare in new[] { guest + 1, ulong.MaxValue - 1, ulong.MaxValue })
            {
                (compare + offset).ShouldBeGreaterThan(now);
            }
        }
    }

    [Fact]
    public void Where_sums_do_not_wrap_the_next_centuries_need_no_sum_that_does()
    {
        ulong offset = GuestClock.Offset(Uptime, sumsWrap: false);
        (ulong.MaxValue - offset).ShouldBeGreaterThan(1UL << 62);
    }

    [Theory]
    [InlineData(1000UL, 1500UL, 900UL, 1400UL)]
    [InlineData(1000UL, 1001UL, 900UL, 901UL)]
    [InlineData(1000UL, 1000UL, 900UL, 0UL)]
    [InlineData(1000UL, 0UL, 900UL, 0UL)]
    [InlineData(1UL << 50, 5UL, 900UL, 0UL)]
    [InlineData(1UL << 50, (1UL << 50) + 7, 900UL, 907UL)]
    [InlineData(1UL << 50, ulong.MaxValue, 900UL, ulong.MaxValue - (1UL << 50) + 900)]
    [InlineData(0UL, ulong.MaxValue, 900UL, ulong.MaxValue)]
    [InlineData(0UL, ulong.MaxValue - 900, 900UL, ulong.MaxValue)]
    public void The_cores_timer_is_due_when_the_guests_is(ulong guest, ulong compare, ulong machine, ulong expected)
    {
        var timer = new PhysicalTimer { Compare = compare };
        timer.MachineCompare(guest, machine).ShouldBe(expected);
    }

    [Theory]
    [InlineData(5UL, 1005UL, 5UL)]
    [InlineData(0xFFFF_FFFFUL, 999UL, 0xFFFF_FFFFUL)]
    [InlineData(0x1234_0000_0005UL, 1005UL, 5UL)]
    [InlineData(0x8000_0000UL, unchecked(1000UL - (1UL << 31)), 0x8000_0000UL)]
    public void What_is_left_is_32_bits_with_a_sign(ulong written, ulong compare, ulong read)
    {
        var timer = default(PhysicalTimer);
        timer.SetRemaining(written, 1000);
        timer.Compare.ShouldBe(compare);
        timer.Remaining(1000).ShouldBe(read);
    }
}

using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class GuestCallTests
{
    private const ulong Memory = 0x4000_0000;
    private const ulong MemoryEnd = 0x5000_0000;
    private const ulong NotSupported = ulong.MaxValue;
    private const ulong InvalidParameters = ulong.MaxValue - 1;
    private const ulong AlreadyOn = ulong.MaxValue - 3;
    private const ulong OnPending = ulong.MaxValue - 4;
    private const ulong InvalidAddress = ulong.MaxValue - 8;

    [Fact]
    public void Versions_and_features_are_told()
    {
        VcpuPower power = Started(2);
        Call(ref power, 0x8400_0000).X0.ShouldBe(0x1_0001UL);
        Call(ref power, 0x8000_0000).X0.ShouldBe(0x1_0001UL);
        Call(ref power, 0x8400_0006).X0.ShouldBe(2UL);
        foreach (ulong function in new ulong[]
        {
            0x8400_0000, 0x8400_0001, 0xC400_0001, 0x8400_0002, 0x8400_0003, 0xC400_0003, 0x8400_0004, 0xC400_0004,
            0x8400_0006, 0x8400_0008, 0x8400_0009, 0x8400_000A, 0x8400_0012, 0xC400_0012, 0x8000_0000,
        })
        {
            Call(ref power, 0x8400_000A, function).X0.ShouldBe(0UL);
        }

        foreach (ulong function in new ulong[] { 0x8400_0005, 0x8400_0007, 0xC400_0000, 0x8400_000E, 0x8400_0020, 0 })
        {
            Call(ref power, 0x8400_000A, function).X0.ShouldBe(NotSupported);
        }
    }

    [Fact]
    public void Stolen_time_is_found_as_Arm_DEN_0057_says()
    {
        VcpuPower power = Started(8);
        Call(ref power, 0x8000_0001, 0xC500_0020).X0.ShouldBe(0UL);
        Call(ref power, 0xC500_0020, 0xC500_0020).X0.ShouldBe(0UL);
        Call(ref power, 0xC500_0020, 0xC500_0021).X0.ShouldBe(0UL);
        Call(ref power, 0xC500_0020, 0xC500_0022).X0.ShouldBe(NotSupported);
        Call(ref power, 0x8500_0020, 0xC500_0021).X0.ShouldBe(NotSupported);
        Call(ref power, 0xC500_0021).X0.ShouldBe(0x0905_1000UL);
        Call(ref power, 0xC500_0021, ulong.MaxValue, self: 7).X0.ShouldBe(0x0905_11C0UL);
    }

    [Fact]
    public void The_upper_half_of_X0_does_not_count()
    {
        VcpuPower power = Started(1);
        Call(ref power, 0xFFFF_FFFF_8400_0000).X0.ShouldBe(0x1_0001UL);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x0400_0000UL)]
    [InlineData(0x8400_0005UL)]
    [InlineData(0x8400_0007UL)]
    [InlineData(0x8400_000EUL)]
    [InlineData(0xC400_000EUL)]
    [InlineData(0x8400_0013UL)]
    [InlineData(0xC400_0002UL)]
    [InlineData(0x8600_0000UL)]
    [InlineData(0x8600_0001UL)]
    [InlineData(0x8500_0000UL)]
    [InlineData(0xFFFF_FFFFUL)]
    [InlineData(0x9F00_0000UL)]
    public void Functions_that_do_not_exist_are_not_supported_and_change_nothing(ulong function)
    {
        VcpuPower power = Started(2);
        GuestCall call = Call(ref power, function, 11 | (1UL << 40), 12, 13);
        call.X0.ShouldBe(NotSupported);
        call.X1.ShouldBe(11 | (1UL << 40));
        call.X2.ShouldBe(12UL);
        call.X3.ShouldBe(13UL);
        call.Action.ShouldBe(GuestCallAction.None);
        power.StateOf(1).ShouldBe(VcpuPowerState.Off);
    }

    [Fact]
    public void A_nonzero_immediate_is_not_supported()
    {
        VcpuPower power = Started(1);
        var call = new GuestCall { X0 = 0x8400_0008 };
        Smccc.Handle(ref call, ref power, 0, 1, MemoryEnd, WorkaroundsNotRequired.None);
        call.X0.ShouldBe(NotSupported);
        call.Action.ShouldBe(GuestCallAction.None);
    }

    [Fact]
    public void A_vcpu_is_started_once_and_reports_each_state()
    {
        VcpuPower power = Started(2);
        Call(ref power, 0xC400_0004, 1).X0.ShouldBe(1UL);
        GuestCall call = Call(ref power, 0xC400_0003, 1, Memory + 0x80, 0xABCD_0123_4567_89AB);
        call.X0.ShouldBe(0UL);
        call.Action.ShouldBe(GuestCallAction.CpuOn);
        call.Target.ShouldBe(1);
        Call(ref power, 0xC400_0004, 1).X0.ShouldBe(2UL);
        Call(ref power, 0xC400_0003, 1, Memory).X0.ShouldBe(OnPending);
        power.TryTakeStart(1, out ulong entry, out ulong context).ShouldBeTrue();
        entry.ShouldBe(Memory + 0x80);
        context.ShouldBe(0xABCD_0123_4567_89ABUL);
        power.TryTakeStart(1, out _, out _).ShouldBeFalse();
        Call(ref power, 0xC400_0004, 1).X0.ShouldBe(0UL);
        call = Call(ref power, 0xC400_0003, 1, Memory);
        call.X0.ShouldBe(AlreadyOn);
        call.Action.ShouldBe(GuestCallAction.None);
        call = Call(ref power, 0x8400_0002, self: 1);
        call.Action.ShouldBe(GuestCallAction.CpuOff);
        Call(ref power, 0x8400_0004, 1).X0.ShouldBe(1UL);
        power.AllOff().ShouldBeFalse();
        Call(ref power, 0x8400_0002).Action.ShouldBe(GuestCallAction.CpuOff);
        power.AllOff().ShouldBeTrue();
    }

    [Theory]
    [InlineData(2UL, Memory, InvalidParameters)]
    [InlineData(0x8000_0001UL, Memory, InvalidParameters)]
    [InlineData(0x100UL, Memory, InvalidParameters)]
    [InlineData(ulong.MaxValue, Memory, InvalidParameters)]
    [InlineData(1UL, Memory - 4, InvalidAddress)]
    [InlineData(1UL, MemoryEnd, InvalidAddress)]
    [InlineData(1UL, Memory + 1, InvalidAddress)]
    [InlineData(1UL, Memory + 2, InvalidAddress)]
    [InlineData(1UL, ulong.MaxValue - 3, InvalidAddress)]
    [InlineData(0UL, Memory, AlreadyOn)]
    public void Starting_with_bad_arguments_is_refused(ulong target, ulong entry, ulong expected)
    {
        VcpuPower power = Started(2);
        GuestCall call = Call(ref power, 0xC400_0003, target, entry);
        call.X0.ShouldBe(expected);
        call.Action.ShouldBe(GuestCallAction.None);
        power.StateOf(1).ShouldBe(VcpuPowerState.Off);
    }

    [Fact]
    public void Calls_of_32_bits_use_the_lower_halves_of_their_arguments()
    {
        VcpuPower power = Started(2);
        Call(ref power, 0x8400_0003, 0xFFFF_FFFF_0000_0001, 0x7_0000_0000 | Memory, 0x5_0000_0006).X0.ShouldBe(0UL);
        power.TryTakeStart(1, out ulong entry, out ulong context).ShouldBeTrue();
        entry.ShouldBe(Memory);
        context.ShouldBe(6UL);
    }

    [Theory]
    [InlineData(0xC400_0004UL, 2UL, 0UL)]
    [InlineData(0xC400_0004UL, 0UL, 1UL)]
    [InlineData(0xC400_0004UL, 0x1_0000_0000UL, 0UL)]
    [InlineData(0xC400_0001UL, 0x0100_0000UL, 0UL)]
    [InlineData(0xC400_0001UL, 0x8000_0000UL, 0UL)]
    [InlineData(0x8400_0012UL, 1UL, 0UL)]
    [InlineData(0xC400_0012UL, 0x8000_0000UL, 0UL)]
    public void Other_bad_arguments_are_refused(ulong function, ulong first, ulong second)
    {
        VcpuPower power = Started(2);
        GuestCall call = Call(ref power, function, first, second);
        call.X0.ShouldBe(InvalidParameters);
        call.Action.ShouldBe(GuestCallAction.None);
    }

    [Fact]
    public void Suspending_waits_and_returns()
    {
        VcpuPower power = Started(1);
        Call(ref power, 0x8400_0001, 0).Action.ShouldBe(GuestCallAction.Suspend);
        Call(ref power, 0xC400_0001, 0x1_0000, Memory).Action.ShouldBe(GuestCallAction.Suspend);
        GuestCall call = Call(ref power, 0xC400_0001, 0x1_0000, 0x1000);
        call.X0.ShouldBe(InvalidAddress);
        call.Action.ShouldBe(GuestCallAction.None);
    }

    [Theory]
    [InlineData(0x8400_0008UL, GuestCallAction.SystemOff)]
    [InlineData(0x8400_0009UL, GuestCallAction.SystemReset)]
    [InlineData(0x8400_0012UL, GuestCallAction.SystemReset)]
    [InlineData(0xC400_0012UL, GuestCallAction.SystemReset)]
    public void The_system_can_be_switched_off_and_reset(ulong function, GuestCallAction action)
    {
        VcpuPower power = Started(2);
        Call(ref power, function).Action.ShouldBe(action);
    }

    [Fact]
    public void Workarounds_are_not_required_only_where_the_machine_says_so()
    {
        VcpuPower power = Started(1);
        (ulong Function, WorkaroundsNotRequired Flag)[] workarounds =
        [
            (0x8000_8000, WorkaroundsNotRequired.First),
            (0x8000_7FFF, WorkaroundsNotRequired.Second),
            (0x8000_3FFF, WorkaroundsNotRequired.Third),
        ];
        foreach ((ulong function, WorkaroundsNotRequired flag) in workarounds)
        {
            Call(ref power, 0x8000_0001, function).X0.ShouldBe(NotSupported);
            Call(ref power, function).X0.ShouldBe(NotSupported);
            Call(ref power, 0x8000_0001, function, flags: flag).X0.ShouldBe(1UL);
            Call(ref power, function, flags: flag).X0.ShouldBe(0UL);
            Call(ref power, 0x8000_0001, function, flags: ~flag).X0.ShouldBe(NotSupported);
        }

        Call(ref power, 0x8000_0001, 0x8000_0001).X0.ShouldBe(0UL);
        Call(ref power, 0x8000_0001, 0x8000_0002).X0.ShouldBe(NotSupported);
    }

    [Fact]
    public void Our_own_calls_name_us_and_report_numbers()
    {
        VcpuPower power = Started(1);
        GuestCall call = Call(ref power, 0x8600_FF01);
        new[] { call.X0, call.X1, call.X2, call.X3 }
            .ShouldBe([0xB86E_20CDUL, 0xAA49_0FD1UL, 0x1D6E_169AUL, 0x3E4C_A9E1UL]);
        call = Call(ref power, 0xC600_0001, 1, 0x1234_5678_9ABC);
        call.Action.ShouldBe(GuestCallAction.Report);
        call.ReportKind.ShouldBe(1UL);
        call.ReportValue.ShouldBe(0x1234_5678_9ABCUL);
        call.X0.ShouldBe(0UL);
        call = Call(ref power, 0x8600_FF03);
        call.X0.ShouldBe(0UL);
        call.X1.ShouldBe(1UL);
        Call(ref power, 0x8600_FF00).X0.ShouldBe(2UL);

        // Until a child is told otherwise.
        call = Call(ref power, 0xC600_0002);
        call.Action.ShouldBe(GuestCallAction.Freeze);
        call.X0.ShouldBe(unchecked((ulong)Psci.Denied));
    }

    [Fact]
    public async Task Of_several_vcpus_that_start_the_same_one_exactly_one_wins_and_its_entry_is_taken()
    {
        for (int round = 0; round < 300; round++)
        {
            var shared = new PowerBox();
            shared.Power.Reset(8);
            using var barrier = new Barrier(4);
            IEnumerable<Task<bool>> starters = Enumerable.Range(0, 3).Select(i => Task.Run(() =>
            {
                barrier.SignalAndWait();
                GuestCall call = Call(ref shared.Power, 0xC400_0003, 5, Memory + ((ulong)i * 16), (ulong)i);
                return call.X0 switch
                {
                    0 => true,
                    OnPending or AlreadyOn => false,
                    _ => throw new System.InvalidOperationException($"{call.X0:x}"),
                };
            }));
            Task<ulong> taker = Task.Run(() =>
            {
                barrier.SignalAndWait();
                ulong context;
                ulong entry;
                while (!shared.Power.TryTakeStart(5, out entry, out context))
                {
                }

                entry.ShouldBe(Memory + (context * 16));
                return context;
            });
            bool[] won = await Task.WhenAll(starters);
            won.Count(win => win).ShouldBe(1);
            won[(int)await taker].ShouldBeTrue();
            shared.Power.StateOf(5).ShouldBe(VcpuPowerState.On);
        }
    }

    private static VcpuPower Started(int vcpus)
    {
        VcpuPower power = default;
        power.Reset(vcpus);
        power.TryStart(0, Memory, 0).ShouldBe(VcpuPowerState.Off);
        power.TryTakeStart(0, out _, out _).ShouldBeTrue();
        return power;
    }

    private static GuestCall Call(
        ref VcpuPower power,
        ulong function,
        ulong first = 0,
        ulong second = 0,
        ulong third = 0,
        int self = 0,
        WorkaroundsNotRequired flags = WorkaroundsNotRequired.None)
    {
        var call = new GuestCall { X0 = function, X1 = first, X2 = second, X3 = third };
        Smccc.Handle(ref call, ref power, self, 0, MemoryEnd, flags);
        return call;
    }

    private sealed class PowerBox
    {
        public VcpuPower Power;
    }
}

using System;
using Quietus.Hypervisor.Scheduling;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>The scheduler's promises about places and wake-ups, by every short program.</summary>
/// <remarks>Invariant of the pointers: they are a rig's, which lives as long as its test.</remarks>
public unsafe class SchedulerTests
{
    private const int Cores = 2;
    private const int Vcpus = 3;
    private const int Length = 5;

    /// <summary>
    /// Every program of up to five steps on two cores and three vCPUs, one of them pinned: wake, block with and
    /// without an expiry, yield, time, remove. After each step each vCPU is in one place, and no core is idle while
    /// one waits that it could run.
    /// </summary>
    [Fact]
    public void After_each_step_of_every_short_program_each_vcpu_is_in_one_place()
    {
        const int Operations = Vcpus + (2 * Cores) + Cores + 1 + Vcpus;
        for (int length = 1; length <= Length; length++)
        {
            var program = new int[length];
            long programs = 0;
            do
            {
                programs++;
                using var rig = new SchedulerRig(Cores, Vcpus);
                rig.Add(0);
                rig.Add(1, weight: 300);
                rig.Add(2, cores: 2);
                ulong now = 0;
                foreach (int operation in program)
                {
                    Carry(rig, operation, ref now);
                }

                SchedulerAudit.Check(rig);
            }
            while (Next(program, Operations));
            programs.ShouldBe((long)Math.Pow(Operations, length));
        }
    }

    /// <summary>
    /// A waker makes an event, sets attention, and wakes; a vCPU clears attention, looks for the event, and blocks.
    /// In every interleaving of these steps the event is seen.
    /// </summary>
    [Fact]
    public void No_wake_up_is_lost_in_any_interleaving_with_a_block()
    {
        int interleavings = 0;
        for (int order = 0; order < 1 << 6; order++)
        {
            if (System.Numerics.BitOperations.PopCount((uint)order) != 3)
            {
                continue;
            }

            interleavings++;
            using var rig = new SchedulerRig(1, 1);
            rig.Add(0);
            rig.Scheduler.Wake(rig.Entry(0), 0);
            rig.Scheduler.Pick(0, 0);
            bool hasEvent = false;
            bool isSeen = false;
            uint attention = 0;
            int waker = 0;
            int blocker = 0;
            for (int step = 0; step < 6; step++)
            {
                if (((order >> step) & 1) != 0)
                {
                    switch (waker++)
                    {
                        case 0: hasEvent = true; break;
                        case 1: attention = 1; break;
                        default: rig.Scheduler.Wake(rig.Entry(0), 1); break;
                    }
                }
                else
                {
                    switch (blocker++)
                    {
                        case 0: attention = 0; break;
                        case 1: isSeen = hasEvent; break;
                        default:
                            isSeen |= !isSeen && !rig.Scheduler.TryBlock(0, 1, ulong.MaxValue, ref attention);
                            break;
                    }
                }
            }

            (isSeen || rig.Entry(0)->State == RunState.Runnable).ShouldBeTrue($"order {order:b6}");
        }

        interleavings.ShouldBe(20);
    }

    [Fact]
    public void A_wake_up_goes_to_an_idle_core_and_to_core_0_last_and_says_which_to_kick()
    {
        using var rig = new SchedulerRig(2, 3);
        for (int i = 0; i < 3; i++)
        {
            rig.Add(i);
        }

        rig.Scheduler.Wake(rig.Entry(0), 0).ShouldBe(1);
        rig.Scheduler.Wake(rig.Entry(1), 0).ShouldBe(0);
        rig.IndexOf(rig.Scheduler.Pick(1, 0)).ShouldBe(0);
        rig.IndexOf(rig.Scheduler.Pick(0, 0)).ShouldBe(1);

        // At 5 ticks both have used some of their round, and the third none: it makes the first make room.
        rig.Scheduler.Wake(rig.Entry(2), 5).ShouldBe(1);
        rig.Scheduler.Wake(rig.Entry(2), 5).ShouldBe(Scheduler.None);
        rig.Scheduler.MustYield(1, 5).ShouldBeTrue();
        rig.Scheduler.MustYield(0, 5).ShouldBeFalse();
        rig.Scheduler.Wake(rig.Entry(1), 5).ShouldBe(0);
    }

    [Fact]
    public void A_core_that_is_set_aside_is_woken_for_none_until_it_picks_one()
    {
        using var rig = new SchedulerRig(2, 3);
        for (int i = 0; i < 3; i++)
        {
            rig.Add(i);
        }

        rig.Scheduler.SetAside(0);
        rig.Scheduler.Wake(rig.Entry(0), 0).ShouldBe(1);
        rig.Scheduler.Wake(rig.Entry(1), 0).ShouldBe(Scheduler.None);
        rig.IndexOf(rig.Scheduler.Pick(1, 0)).ShouldBe(0);
        rig.IndexOf(rig.Scheduler.Pick(0, 0)).ShouldBe(1);
        uint attention = 0;
        rig.Scheduler.TryBlock(0, 0, ulong.MaxValue, ref attention).ShouldBeTrue();
        rig.Scheduler.TryIdle(0).ShouldBeTrue();
        rig.Scheduler.Wake(rig.Entry(2), 0).ShouldBe(0);
    }

    [Fact]
    public void Each_of_two_that_yield_has_an_idle_core_of_its_own_kicked()
    {
        using var rig = new SchedulerRig(4, 2);
        rig.Add(0);
        rig.Add(1);
        rig.Scheduler.Wake(rig.Entry(0), 0).ShouldBe(1);
        rig.Scheduler.Wake(rig.Entry(1), 0).ShouldBe(2);
        rig.Scheduler.Pick(1, 0);
        rig.Scheduler.Pick(2, 0);
        rig.Scheduler.Yield(1, 10, toBack: false).ShouldBe(3);
        rig.Scheduler.Yield(2, 10, toBack: false).ShouldBe(0);
    }

    [Fact]
    public void Waiting_is_counted_as_stolen_time_and_running_as_run()
    {
        using var rig = new SchedulerRig(1, 2);
        rig.Add(0);
        rig.Add(1);
        rig.Scheduler.Wake(rig.Entry(0), 100);
        rig.Scheduler.Wake(rig.Entry(1), 100);
        rig.Scheduler.Pick(0, 100);
        rig.Scheduler.Yield(0, 1100, toBack: false);
        rig.Scheduler.Pick(0, 1100);
        uint attention = 0;
        rig.Scheduler.TryBlock(0, 1500, 9000, ref attention).ShouldBeTrue();

        rig.Entry(0)->RanTicks.ShouldBe(1000UL);
        rig.Entry(1)->WaitedTicks.ShouldBe(1000UL);
        rig.Entry(1)->RanTicks.ShouldBe(400UL);
        rig.Scheduler.BusyTicks(0, 1500).ShouldBe(1400UL);
        rig.Scheduler.NextEvent(0, isLimited: true).ShouldBe(9000UL);
    }

    [Fact]
    public void A_core_looks_again_when_a_round_is_over_or_a_moment_has_come()
    {
        using var rig = new SchedulerRig(1, 2);
        rig.Add(0, weight: 200);
        rig.Add(1);
        rig.Scheduler.NextEvent(0, isLimited: true).ShouldBe(ulong.MaxValue);
        rig.Scheduler.Wake(rig.Entry(1), 0);
        rig.Scheduler.Pick(0, 0);
        uint attention = 0;
        rig.Scheduler.TryBlock(0, 0, 700, ref attention).ShouldBeTrue();
        rig.Scheduler.Wake(rig.Entry(0), 0);
        rig.Scheduler.Pick(0, 0);
        rig.Scheduler.NextEvent(0, isLimited: true).ShouldBe(700UL);
        rig.Scheduler.Tick(0, 699).ShouldBe(0UL);
        rig.Scheduler.Tick(0, 700).ShouldBe(1UL);
        rig.Scheduler.NextEvent(0, isLimited: true).ShouldBe(200 * SchedulerRig.TicksPerWeight);
    }

    [Fact]
    public void A_vcpu_gives_way_when_anothers_moment_has_come_that_no_idle_core_could_take()
    {
        using var rig = new SchedulerRig(2, 3);
        for (int i = 0; i < 3; i++)
        {
            rig.Add(i);
        }

        uint attention = 0;
        rig.Scheduler.Wake(rig.Entry(0), 0);
        rig.Scheduler.Pick(1, 0);
        rig.Scheduler.TryBlock(1, 0, 700, ref attention).ShouldBeTrue();
        rig.Scheduler.TryIdle(1).ShouldBeTrue();
        rig.Scheduler.Wake(rig.Entry(1), 0).ShouldBe(1);
        rig.IndexOf(rig.Scheduler.Pick(1, 0)).ShouldBe(1);
        rig.Scheduler.IsOver(1, 700).ShouldBeFalse(); // core 0 is idle: the moment's vCPU goes there

        rig.Scheduler.Wake(rig.Entry(2), 0).ShouldBe(0);
        rig.IndexOf(rig.Scheduler.Pick(0, 0)).ShouldBe(2);
        rig.Scheduler.IsOver(1, 699).ShouldBeFalse();
        rig.Scheduler.IsOver(1, 700).ShouldBeTrue();
        rig.Scheduler.IsOver(0, 700).ShouldBeFalse();

        // Its time over, and none waits: it goes on.
        rig.Scheduler.IsOver(0, 100 * SchedulerRig.TicksPerWeight).ShouldBeFalse();
        rig.Scheduler.Yield(1, 700, toBack: false);
        rig.Scheduler.Tick(1, 700);
        rig.IndexOf(rig.Scheduler.Pick(1, 700)).ShouldBe(0);
        rig.Scheduler.IsOver(0, 100 * SchedulerRig.TicksPerWeight).ShouldBeTrue();
    }

    [Fact]
    public void An_idle_core_that_may_not_take_it_is_none_for_one_whose_moment_has_come()
    {
        const ulong Core1 = 1 << 1;
        using var rig = new SchedulerRig(2, 2);
        rig.Add(0, cores: Core1);
        rig.Add(1, cores: Core1);
        uint attention = 0;
        rig.Scheduler.Wake(rig.Entry(0), 0);
        rig.Scheduler.Pick(1, 0);
        rig.Scheduler.TryBlock(1, 0, 700, ref attention).ShouldBeTrue();
        rig.Scheduler.Wake(rig.Entry(1), 0);
        rig.Scheduler.Pick(1, 0);
        rig.Scheduler.IdleCores.ShouldBe(1UL);
        rig.Scheduler.IsOver(1, 699).ShouldBeFalse();
        rig.Scheduler.IsOver(1, 700).ShouldBeTrue();
    }

    private static void Carry(SchedulerRig rig, int operation, ref ulong now)
    {
        ref Scheduler scheduler = ref rig.Scheduler;
        if (operation < Vcpus)
        {
            bool hasEnded = rig.Entry(operation)->HasEnded;
            scheduler.Wake(rig.Entry(operation), now).ShouldBeLessThan(hasEnded ? 0 : Cores);
            if (hasEnded)
            {
                rig.Entry(operation)->State.ShouldBe(RunState.Ended);
                rig.Add(operation);
            }
        }
        else if ((operation -= Vcpus) < 2 * Cores)
        {
            uint attention = 0;
            if (scheduler.CurrentOf(operation / 2) != null)
            {
                ulong until = operation % 2 == 0 ? ulong.MaxValue : now + 500;
                scheduler.TryBlock(operation / 2, now, until, ref attention);
            }
        }
        else if ((operation -= 2 * Cores) < Cores)
        {
            if (scheduler.CurrentOf(operation) != null)
            {
                scheduler.Yield(operation, now, toBack: false);
            }
        }
        else if ((operation -= Cores) < 1)
        {
            now += 1500;
            for (int core = 0; core < Cores; core++)
            {
                scheduler.Tick(core, now);
            }
        }
        else
        {
            SchedulerEntry* entry = rig.Entry(operation - 1);
            if (!scheduler.Remove(entry))
            {
                scheduler.End(entry->Core, now);
            }
        }

        for (int core = 0; core < Cores; core++)
        {
            if (scheduler.CurrentOf(core) == null)
            {
                scheduler.Pick(core, now);
            }
        }
    }

    private static bool Next(int[] program, int operations)
    {
        for (int i = 0; i < program.Length; i++)
        {
            if (++program[i] < operations)
            {
                return true;
            }

            program[i] = 0;
        }

        return false;
    }
}

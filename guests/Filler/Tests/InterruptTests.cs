using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>Software-generated interrupts, the timer's, and waiting for one.</summary>
internal static class InterruptTests
{
    private const int Ticks = 100;
    private const ulong Patience = 2000;
    private const int Storm = 5000;
    private const int Naps = 20;

    /// <summary>
    /// A machine that is itself kept from running for 5 ms finds the deadline past before it comes to wait: such a nap
    /// shows nothing and is tried again, so often at most in all.
    /// </summary>
    private const int MostNaps = 400;

    private const int ShortNapCount = 1000;

    /// <summary>A nap of 5 ms may be broken off now and then; one that never sleeps comes round much oftener.</summary>
    private const int MostWakes = 50;

    /// <summary>then=timer: 100 ticks of a millisecond.</summary>
    internal static void CountTicks()
    {
        int cpu = Board.CurrentCpu();
        Interrupts.Initialize();
        ulong begin = Clock.Now;
        VirtualTimer.Start(Clock.Milliseconds(1), Clock.Milliseconds(1));
        Instructions.UnmaskInterrupts();
        while (Interrupts.Taken(cpu, (int)Board.VirtualTimerInterrupt) < Ticks)
        {
            Instructions.WaitForInterrupt();
        }

        Instructions.MaskInterrupts();
        VirtualTimer.Stop();
        if (Clock.Now - begin < Clock.Milliseconds(Ticks))
        {
            Terminal.Line("the timer's interrupts came too early"u8);
            Report.TestFailed(1);
            return;
        }

        Report.TestPassed(Ticks);
    }

    /// <summary>To this core one by one, held back by the distributor, to others, and in a storm.</summary>
    internal static void SoftwareInterrupts(ref Tally tally)
    {
        int self = Board.CurrentCpu();
        Interrupts.Initialize();
        Instructions.UnmaskInterrupts();
        for (int interrupt = 0; interrupt < Interrupts.SoftwareCount; interrupt++)
        {
            tally.Check(Reaches(self, interrupt), "a software interrupt reaches its sender"u8, (ulong)interrupt);
        }

        Toggle(ref tally, self);
        bool started = Cpus.StartAll(CpuJob.TakeInterrupts);
        tally.Check(started, "the other cores start"u8);
        for (int cpu = 0; started && cpu < Board.CpuCount; cpu++)
        {
            bool runs = cpu == self || Waits.For(new HasStarted(cpu), Patience);
            tally.Check(runs, "the other core runs"u8, (ulong)cpu);
            tally.Check(runs && Reaches(cpu, 1), "a software interrupt reaches the other core"u8, (ulong)cpu);
        }

        RandomNumbers random = new(5);
        for (int i = 0; i < Storm; i++)
        {
            // Any core, any interrupt; now and then all others at once, or a core that is not there.
            ulong number = random.Next();
            int interrupt = (int)(number & 15);
            Interrupts.Send((int)((number >> 8) % (ulong)Board.CpuCount), interrupt);
            if ((number & 0xF0) == 0)
            {
                Instructions.WriteSoftwareInterrupt(Interrupts.ToAllOthers | ((ulong)interrupt << 24));
                Instructions.WriteSoftwareInterrupt(number & ~Interrupts.ToAllOthers);
            }

            tally.Tried(1);
        }

        for (int cpu = 0; started && cpu < Board.CpuCount; cpu++)
        {
            tally.Check(Reaches(cpu, 2), "interrupts still work after a storm"u8, (ulong)cpu);
        }

        Instructions.MaskInterrupts();
    }

    /// <summary>WFI lasts until the timer's deadline; WFE after an event does not wait.</summary>
    internal static void Waiting(ref Tally tally)
    {
        Interrupts.Initialize();
        int slept = 0;
        for (int tries = 0; slept < Naps && tries < MostNaps; tries++)
        {
            ulong begin = Clock.Now;
            ulong length = Clock.Milliseconds(5);
            VirtualTimer.Start(length, 0);
            int wakes = 0;
            while (!VirtualTimer.HasFired)
            {
                Instructions.WaitForInterrupt();
                wakes++;
            }

            tally.Check(Clock.Now - begin >= length, "the timer fires at its deadline"u8, Clock.Now - begin);
            tally.Check(wakes <= MostWakes, "WFI waits"u8, (ulong)wakes);
            slept += wakes == 0 ? 0 : 1;

            // Its interrupt is still pending, and masked: no wait.
            Instructions.WaitForInterrupt();

            // Taken, and not only switched off: a hypervisor sees a timer that a guest switches off at the next exit
            // only, and until then its interrupt is pending.
            Instructions.UnmaskInterrupts();
            Instructions.Synchronize();
            Instructions.MaskInterrupts();
            VirtualTimer.Stop();
            Instructions.PassWaitForEvent();
        }

        tally.Check(slept == Naps, "WFI is reached before the deadline"u8, (ulong)slept);
    }

    /// <summary>
    /// WFI right after the timer's last interrupt has been ended, again and again: where vCPUs share a core, some of
    /// these fall together with the moment at which the core is given to another one.
    /// </summary>
    internal static void ShortNaps(ref Tally tally)
    {
        Interrupts.Initialize();
        int cpu = Board.CurrentCpu();
        RandomNumbers random = new(7);
        for (int nap = 1; nap <= ShortNapCount; nap++)
        {
            VirtualTimer.Start(Clock.Microseconds(1 + (random.Next() & 31)), 0);
            while (!VirtualTimer.HasFired)
            {
                Instructions.WaitForInterrupt();
            }

            Instructions.UnmaskInterrupts();
            bool taken = Waits.For(new HasTaken(cpu, (int)Board.VirtualTimerInterrupt, nap - 1), Patience);
            Instructions.MaskInterrupts();
            tally.Check(taken, "the timer's interrupt comes"u8, (ulong)nap);
        }
    }

    /// <summary>While the distributor is off an interrupt waits, and comes when it is on again.</summary>
    private static void Toggle(ref Tally tally, int self)
    {
        for (int i = 0; i < 100; i++)
        {
            int interrupt = i & 15;
            int before = Interrupts.Taken(self, interrupt);
            Interrupts.EnableDistributor(false);
            Interrupts.Send(self, interrupt);
            Instructions.Synchronize();
            tally.Check(Interrupts.Taken(self, interrupt) == before, "no interrupt while the distributor is off"u8);
            Interrupts.EnableDistributor(true);
            bool came = Waits.For(new HasTaken(self, interrupt, before), Patience);
            tally.Check(came, "a waiting interrupt comes when the distributor is on"u8, (ulong)i);
        }
    }

    private static bool Reaches(int cpu, int interrupt)
    {
        int before = Interrupts.Taken(cpu, interrupt);
        Interrupts.Send(cpu, interrupt);
        return Waits.For(new HasTaken(cpu, interrupt, before), Patience);
    }

    private readonly struct HasTaken(int cpu, int interrupt, int before) : ICondition
    {
        public bool Holds() => Interrupts.Taken(cpu, interrupt) > before;
    }

    private readonly struct HasStarted(int cpu) : ICondition
    {
        public bool Holds() => Cpus.Starts(cpu) > 0;
    }
}

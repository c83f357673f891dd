using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>PSCI (DEN0022) misused, and then used.</summary>
internal static class PsciTests
{
    private const ulong On = 0;
    private const ulong Off = 1;
    private const int Cycles = 10;
    private const ulong Patience = 2000;

    internal static void Run(ref Tally tally)
    {
        Queries(ref tally);
        BadTargets(ref tally);
        Suspend(ref tally);
        if (Board.CpuCount > 1)
        {
            int other = Board.CurrentCpu() == 0 ? 1 : 0;
            BadEntries(ref tally, other);
            TurnOnAndOff(ref tally, other);
        }
    }

    private static void Queries(ref Tally tally)
    {
        long version = Firmware.Call(Firmware.Version);
        tally.Check(version >= 0x1_0000, "PSCI_VERSION is 1.0 or later"u8, (ulong)version);
        for (ulong number = 0; number < 0x20; number++)
        {
            Check32And64(ref tally, number);
        }

        tally.Check(Firmware.Call(Firmware.Features, Firmware.Features) == 0, "PSCI_FEATURES knows itself"u8);
        tally.Check(Firmware.Call(Firmware.Features, Firmware.CpuOn) == 0, "there is CPU_ON"u8);
        tally.Check(Firmware.Call(Firmware.Features, Firmware.CpuOff) == 0, "there is CPU_OFF"u8);
        tally.Check(Firmware.Call(Firmware.Features, Firmware.AffinityInfo) == 0, "there is AFFINITY_INFO"u8);
        tally.Check(Firmware.Call(Firmware.Features, Firmware.SystemOff) == 0, "there is SYSTEM_OFF"u8);
        tally.Check(Firmware.Call(Firmware.Features, Firmware.SystemReset) == 0, "there is SYSTEM_RESET"u8);
        RandomNumbers random = new(2);
        for (int i = 0; i < 200; i++)
        {
            ulong function = random.Next() | 0x4000_0020;
            long answer = Firmware.Call(Firmware.Features, function);
            tally.Check(answer == Firmware.NotSupported, "PSCI_FEATURES knows no nonsense"u8, function);
        }
    }

    private static void Check32And64(ref Tally tally, ulong number)
    {
        long narrow = Firmware.Call(Firmware.Features, 0x8400_0000 | number);
        long wide = Firmware.Call(Firmware.Features, 0xC400_0000 | number);
        tally.Check(narrow >= Firmware.NotSupported, "PSCI_FEATURES answers flags or NOT_SUPPORTED"u8, number);
        tally.Check(wide >= Firmware.NotSupported, "PSCI_FEATURES answers flags or NOT_SUPPORTED"u8, number);
    }

    private static void BadTargets(ref Tally tally)
    {
        ulong self = Board.Affinity(Board.CurrentCpu());
        ulong entry = Instructions.SecondaryStart();
        for (int bit = 0; bit < 64; bit++)
        {
            ulong target = 0x80 | (1UL << bit);
            long answer = Firmware.Call(Firmware.CpuOn, target, entry, 0);
            tally.Check(answer == Firmware.InvalidParameters, "CPU_ON knows no core that is not there"u8, target);
            answer = Firmware.Call(Firmware.AffinityInfo, target, 0);
            tally.Check(answer is Firmware.InvalidParameters, "AFFINITY_INFO knows no such core"u8, target);
        }

        long alreadyOn = Firmware.Call(Firmware.CpuOn, self, entry, 0);
        tally.Check(alreadyOn == Firmware.AlreadyOn, "CPU_ON of this core: it is on"u8, (ulong)alreadyOn);
        tally.Check(Firmware.Call(Firmware.AffinityInfo, self, 0) == (long)On, "this core is on"u8);
        for (ulong level = 1; level < 64; level++)
        {
            // Levels above 0 need not be supported since PSCI 1.0; 4 and more do not exist.
            long answer = Firmware.Call(Firmware.AffinityInfo, self, level << (level > 32 ? 20 : 0));
            tally.Check(
                answer == Firmware.InvalidParameters || (level <= 3 && answer == (long)On),
                "AFFINITY_INFO knows no such level"u8,
                level);
        }
    }

    /// <summary>With an interrupt pending, and masked, every CPU_SUSPEND comes back.</summary>
    private static void Suspend(ref Tally tally)
    {
        Interrupts.Initialize();
        VirtualTimer.Start(0, 0);
        RandomNumbers random = new(3);
        for (int i = 0; i < 50; i++)
        {
            ulong state = i == 0 ? 0 : random.Next() & 0xFFFE_FFFF;
            long answer = Firmware.Call(Firmware.CpuSuspend, state, 0, 0);
            tally.Check(
                answer is 0 or Firmware.InvalidParameters or Firmware.Denied or Firmware.NotSupported,
                "CPU_SUSPEND comes back"u8,
                state);
        }

        VirtualTimer.Stop();
    }

    private static void BadEntries(ref Tally tally, int cpu)
    {
        ulong target = Board.Affinity(cpu);
        ulong good = Instructions.SecondaryStart();
        Entry(ref tally, target, good + 1);
        Entry(ref tally, target, good + 2);
        Entry(ref tally, target, 0);
        Entry(ref tally, target, Board.Uart);
        Entry(ref tally, target, Board.RamStart - 4);
        Entry(ref tally, target, Board.RamEnd);
        Entry(ref tally, target, good | (1UL << 47));
        Entry(ref tally, target, good | (0xFFFFUL << 48));
        Entry(ref tally, target, ulong.MaxValue - 3);
        tally.Check(Firmware.Call(Firmware.AffinityInfo, target, 0) == (long)Off, "the core is still off"u8);
    }

    private static void Entry(ref Tally tally, ulong target, ulong entry)
    {
        long answer = Firmware.Call(Firmware.CpuOn, target, entry, 0);
        tally.Check(
            answer is Firmware.InvalidAddress or Firmware.InvalidParameters, "CPU_ON refuses a bad entry"u8, entry);
    }

    private static void TurnOnAndOff(ref Tally tally, int cpu)
    {
        ulong target = Board.Affinity(cpu);
        Interrupts.InitializeRedistributor(cpu);
        for (int i = 1; i <= Cycles; i++)
        {
            int interrupt = i % Interrupts.SoftwareCount;
            Interrupts.Send(cpu, interrupt);
            long answer = Cpus.Start(cpu, CpuJob.TurnOff);
            tally.Check(answer == 0, "CPU_ON"u8, (ulong)answer);
            bool runs = answer == 0 && Waits.For(new HasStarted(cpu, i), Patience);
            tally.Check(runs, "the core runs"u8, (ulong)i);
            tally.Check(
                Interrupts.Taken(cpu, interrupt) == 1, "what was sent to the core while it was off comes"u8, (ulong)i);
            bool isOff = runs && Waits.For(new IsOff(target), Patience);
            tally.Check(isOff, "CPU_OFF ends in the state OFF"u8, (ulong)i);
            if (!isOff)
            {
                return;
            }
        }

        // On for good: a second CPU_ON is refused whether the core has already arrived or not.
        tally.Check(Cpus.Start(cpu, CpuJob.TakeInterrupts) == 0, "CPU_ON"u8);
        long again = Cpus.Start(cpu, CpuJob.TakeInterrupts);
        tally.Check(
            again is Firmware.AlreadyOn or Firmware.OnPending,
            "CPU_ON twice: already on, or on pending"u8,
            (ulong)again);
        tally.Check(Waits.For(new HasStarted(cpu, Cycles + 1), Patience), "the core runs"u8);
        again = Cpus.Start(cpu, CpuJob.TakeInterrupts);
        tally.Check(again == Firmware.AlreadyOn, "CPU_ON of a core that runs"u8, (ulong)again);
        tally.Check(Firmware.Call(Firmware.AffinityInfo, target, 0) == (long)On, "the core is on"u8);
    }

    private readonly struct HasStarted(int cpu, int times) : ICondition
    {
        public bool Holds() => Cpus.Starts(cpu) >= times;
    }

    private readonly struct IsOff(ulong target) : ICondition
    {
        public bool Holds() => Firmware.Call(Firmware.AffinityInfo, target, 0) == (long)Off;
    }
}

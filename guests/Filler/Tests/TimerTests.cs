using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>Both counters, the physical timer, and timers that are parked as far away as they go.</summary>
internal static class TimerTests
{
    private const ulong Enable = 1;
    private const ulong EnableMasked = 3;
    private const ulong Condition = 4;
    private const ulong Patience = 2000;

    /// <summary>Leaves both timers parked.</summary>
    internal static void Run(ref Tally tally)
    {
        int self = Board.CurrentCpu();
        Interrupts.Initialize();
        for (int i = 0; i < 10; i++)
        {
            ulong before = Clock.Now;
            ulong physical = Instructions.ReadPhysicalCounter();
            ulong after = Clock.Now;
            tally.Check(before <= physical && physical <= after, "one time on both counters"u8, physical);
        }

        Physical(ref tally, self);
        Park(ref tally, EnableMasked);
        Park(ref tally, Enable);
        BinaryPoint(ref tally, self);
    }

    /// <summary>Masked it only shows its condition; unmasked its interrupt comes, and ends a WFI in time.</summary>
    private static void Physical(ref Tally tally, int self)
    {
        ulong length = Clock.Milliseconds(2);
        ulong begin = Clock.Now;
        Instructions.UnmaskInterrupts();
        Instructions.WritePhysicalTimerDeadline(begin + length);
        Instructions.WritePhysicalTimerControl(EnableMasked);
        bool met = Waits.For(default(ConditionMet), Patience);
        tally.Check(met && Clock.Now - begin >= length, "the physical timer's condition is met in time"u8);
        tally.Check(Taken(self) == 0, "a masked timer sends no interrupt"u8);
        Instructions.WritePhysicalTimerControl(Enable);
        tally.Check(Waits.For(new HasFired(self, 1), Patience), "the physical timer's interrupt comes"u8);

        begin = Clock.Now;
        Instructions.WritePhysicalTimerDeadline(begin + length);
        Instructions.WritePhysicalTimerControl(Enable);
        while (Taken(self) < 2 && Clock.Now - begin < Clock.Milliseconds(Patience))
        {
            // Masked, so that the interrupt cannot be taken between the look and the WFI, which it ends all the same.
            Instructions.MaskInterrupts();
            if (Taken(self) < 2)
            {
                Instructions.WaitForInterrupt();
            }

            Instructions.UnmaskInterrupts();
        }

        tally.Check(Taken(self) == 2 && Clock.Now - begin >= length, "it ends a WFI"u8, (ulong)Taken(self));
        Instructions.MaskInterrupts();
    }

    /// <summary>A deadline that never comes, in each timer, has no effect at all.</summary>
    private static void Park(ref Tally tally, ulong control)
    {
        for (int shift = 0; shift < 8; shift++)
        {
            ulong deadline = ulong.MaxValue >> shift;
            Instructions.WriteVirtualTimerDeadline(deadline);
            Instructions.WriteVirtualTimerControl(control);
            Instructions.WritePhysicalTimerDeadline(deadline);
            Instructions.WritePhysicalTimerControl(control);
            ulong end = Clock.Now + Clock.Milliseconds(1);
            while (Clock.Now < end)
            {
            }

            ulong met = (Instructions.ReadVirtualTimerControl() | Instructions.ReadPhysicalTimerControl()) & Condition;
            tally.Check(met == 0, "a parked timer's condition is not met"u8, deadline);
        }

        Instructions.WriteVirtualTimerDeadline(ulong.MaxValue);
        Instructions.WritePhysicalTimerDeadline(ulong.MaxValue);
        tally.Check(Instructions.ReadVirtualTimerDeadline() == ulong.MaxValue, "the deadline reads back"u8);
    }

    /// <summary>ICC_BPR1_EL1 takes three bits and is never 0; the next interrupt comes all the same.</summary>
    private static void BinaryPoint(ref Tally tally, int self)
    {
        Instructions.WriteBinaryPoint(8);
        Interrupts.Send(self, 3);
        tally.Check(Instructions.ReadBinaryPoint() is > 0 and < 8, "a binary point is at least 1"u8);
        int before = Interrupts.Taken(self, 3);
        Instructions.UnmaskInterrupts();
        tally.Check(Waits.For(new HasTaken(self, before), Patience), "an interrupt comes with any binary point"u8);
        Instructions.MaskInterrupts();
        Instructions.WriteBinaryPoint(0);
    }

    private static int Taken(int cpu) => Interrupts.Taken(cpu, (int)Board.PhysicalTimerInterrupt);

    private readonly struct ConditionMet : ICondition
    {
        public bool Holds() => (Instructions.ReadPhysicalTimerControl() & Condition) != 0;
    }

    private readonly struct HasFired(int cpu, int times) : ICondition
    {
        public bool Holds() => Taken(cpu) >= times;
    }

    private readonly struct HasTaken(int cpu, int before) : ICondition
    {
        public bool Holds() => Interrupts.Taken(cpu, 3) > before;
    }
}

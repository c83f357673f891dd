using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>The freeze, and what a child does with its template's memory.</summary>
/// <remarks>Invariant: the array of registers is as long as the call takes and gives.</remarks>
internal static unsafe class Childhood
{
    /// <summary>The hypervisor's call: returns in each child, with its number; negative where it was refused.</summary>
    private const ulong Function = 0xC600_0002;

    /// <summary>A store asks as well; a load gives the VM's number.</summary>
    private const ulong FreezeRegister = 0x0906_0000;

    private const ulong GenerationId = 0x0905_0000;
    private const uint GenerationIdInterrupt = 34;
    private const ulong Refused = 3;

    /// <summary>Asks to be frozen, if it is to. False when that was refused; else this is a child.</summary>
    internal static bool Begin(Freezing freezing, SharedWork work)
    {
        if (freezing == Freezing.None)
        {
            return true;
        }

        if (work == SharedWork.Random)
        {
            Interrupts.Initialize();
            Interrupts.ListenForEdge(GenerationIdInterrupt);
            Instructions.UnmaskInterrupts();
        }

        if (freezing == Freezing.Timer)
        {
            Interrupts.Initialize();
            VirtualTimer.Start(Clock.Microseconds(1), 0);
            while (!VirtualTimer.HasFired)
            {
                Instructions.Yield();
            }
        }

        bool isChild = freezing == Freezing.Register ? AskByRegister() : AskByCall();
        ulong news = (ulong)Interrupts.SharedTaken;
        Instructions.MaskInterrupts();
        if (isChild && work == SharedWork.Random)
        {
            Report.GenerationNews(news);
        }

        return isChild && (freezing != Freezing.Timer || TimerInterrupts())
            && (freezing != Freezing.Twice || AskByCall());
    }

    private static bool TimerInterrupts()
    {
        Instructions.UnmaskInterrupts();
        Instructions.Synchronize();
        Instructions.MaskInterrupts();
        bool taken = Interrupts.Taken(Board.CurrentCpu(), (int)Board.VirtualTimerInterrupt) == 1;
        if (!taken)
        {
            Report.TestFailed(1);
        }

        return taken;
    }

    private static bool AskByCall()
    {
        ulong number = Instructions.HypervisorCall(Function, 0, 0, 0);
        if ((long)number < 0)
        {
            Report.TestFailed(0 - number);
            return false;
        }

        Report.Born(number);
        return true;
    }

    private static bool AskByRegister()
    {
        ulong before = Instructions.Load64(FreezeRegister);
        Instructions.Store32(FreezeRegister, 1);
        ulong after = Instructions.Load64(FreezeRegister);
        if (after == before)
        {
            Report.TestFailed(Refused);
            return false;
        }

        Report.Born(after);
        return true;
    }

    /// <summary>Works on what was filled. False when it was not as it should be, which is reported.</summary>
    internal static bool Work(SharedWork work, ulong filled) => work switch
    {
        SharedWork.Read => Read(),
        SharedWork.Write => Write(),
        SharedWork.Random => TellRandom(),
        SharedWork.Measure => Measurements.SharedWrites(filled),
        _ => true,
    };

    private static bool TellRandom()
    {
        // TRNG_RND64 (DEN0098) of 64 bits, which come in X3.
        const ulong Random64 = 0xC400_0053;
        ulong* registers = stackalloc ulong[4];
        registers[0] = Random64;
        registers[1] = 64;
        ulong changed = Instructions.HypervisorCallChecked(registers);
        if (changed != 0 || registers[0] != 0)
        {
            Report.TestFailed(0 - registers[0]);
            return false;
        }

        // The number in a report has a sign.
        Report.RandomBits(registers[3] >> 1);
        Report.GenerationId(Instructions.Load64(GenerationId) >> 1);
        return true;
    }

    private static bool Read()
    {
        Report.SharedRead(Filling.TouchAll());
        return true;
    }

    private static bool Write()
    {
        ulong wrong = Filling.FindChanged(0);
        if (wrong == 0)
        {
            wrong = Filling.ChangeEveryOther();
        }

        if (wrong != 0)
        {
            Report.TestFailed(wrong);
            return false;
        }

        Report.TestPassed(1);
        return true;
    }
}

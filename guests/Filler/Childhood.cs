using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>The freeze, and what a child does with its template's memory.</summary>
/// <remarks>Invariant: the array of registers is as long as the call takes and gives.</remarks>
internal static unsafe class Childhood
{
    /// <summary>The hypervisor's call: returns in each child, with its number; negative where it was refused.</summary>
    private const ulong Function = 0xC600_0002;

    /// <summary>Asks to be frozen. False when that was refused; else this is a child.</summary>
    internal static bool Begin()
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
        // TRNG_RND64 (DEN0098) of 64 bits, which come in X3; and where the board has its generation ID.
        const ulong Random64 = 0xC400_0053;
        const ulong GenerationId = 0x0905_0000;
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

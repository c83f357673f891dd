using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>The freeze, and what a child does with its template's memory.</summary>
internal static class Childhood
{
    /// <summary>The hypervisor's call: returns in each child, with its number; negative where it was refused.</summary>
    private const ulong Function = 0xC600_0002;

    /// <summary>Asks to be frozen. False when that was refused; else this is a child.</summary>
    internal static bool Begin()
    {
        ulong number = Instructions.HypervisorCall(Function, 0, 0, 0);
        if ((long)number < 0)
        {
            Report.TestFailed(number);
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
        SharedWork.Measure => Measurements.SharedWrites(filled),
        _ => true,
    };

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

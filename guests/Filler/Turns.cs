using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>What a guest that is always busy gets of a core that others use as well, by its own clock.</summary>
internal static class Turns
{
    /// <summary>The first ones do not count: the others boot.</summary>
    private const ulong SkippedGaps = 100;

    private const ulong Gaps = 200;

    /// <summary>
    /// Looks at the clock without end: where it jumps, others had the core. A look takes some instructions, half of
    /// which are lost at each end of a jump, so that one look too many is in each gap, and one too few in each turn.
    /// </summary>
    internal static void Watch()
    {
        // The shortest gap: an exit that goes straight back is shorter, two switches are longer.
        ulong least = Instructions.ReadCounterFrequency() * 3 / 2_000_000;
        ulong looks = 0;
        ulong others = 0;
        ulong own = 0;
        ulong before = Clock.Now;
        ulong resumed = before;
        for (ulong gaps = 0; gaps < SkippedGaps + Gaps;)
        {
            ulong now = Clock.Now;
            looks++;
            if (now - before > least)
            {
                if (gaps++ < SkippedGaps)
                {
                    looks = 0;
                }
                else
                {
                    others += now - before;
                    own += before - resumed;
                }

                resumed = now;
            }

            before = now;
        }

        ulong look = Clock.Nanoseconds(own) * 1000 / looks;
        Report.OthersTurn((Clock.Nanoseconds(others) * 1000 / Gaps) - look);
        Report.OwnTurn((Clock.Nanoseconds(own) * 1000 / Gaps) + look);
        while (true)
        {
            before = Clock.Now; // the other one goes on measuring
        }
    }
}

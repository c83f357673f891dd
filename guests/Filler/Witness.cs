using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// Reads again and again what this guest has written, and tells each time that all of it was as it left it. Others are
/// born and die meanwhile.
/// </summary>
internal static class Witness
{
    /// <summary>The boot core's part: reports each round, or the first page that was not what it should be.</summary>
    internal static void Run(int cpu)
    {
        for (ulong round = 1; ; round++)
        {
            ulong wrong = Filling.FindChanged(cpu);
            if (wrong != 0)
            {
                Report.TestFailed(wrong);
                Instructions.Halt();
            }

            if (cpu == 0)
            {
                Report.Witnessed(round);
            }
        }
    }
}

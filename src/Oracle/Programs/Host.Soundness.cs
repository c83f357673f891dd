using Quietus.Memory;
using Quietus.Oracle.Judging;

namespace Quietus.Oracle.Programs;

// What the engine itself finds wrong: it must never come to that, whatever a program does.
public partial class Host<TFormat, TMachine>
{
    private static MemoryResult Sound(MemoryResult result) => result == MemoryResult.Defect ? throw Unsound() : result;

    private static FaultResult Sound(FaultResult result) => result == FaultResult.Defect ? throw Unsound() : result;

    private static ViolationException Unsound() => Unsound("a call into the memory layer answers Defect");

    private static ViolationException Unsound(string text) =>
        new(new Violation(ViolationKind.EngineDefect, "the engine", text));

    /// <summary>Frees that the pool refused: of what is free already, or somebody else's, or of another kind.</summary>
    private void CheckPool()
    {
        if (_world.Pool.RefusedFrees != 0)
        {
            throw Unsound("the pool refused a free of memory that is not handed out to who frees it");
        }
    }

    private static ReleaseReport Sound(ReleaseReport report)
    {
        Sound(report.Result);
        return report.LeakedFrames == 0
            ? report
            : throw Unsound($"a VM's death left {report.LeakedFrames} frames that its walk should have freed");
    }
}

using System.Diagnostics.CodeAnalysis;
using Quietus.Memory;
using Quietus.Oracle.Judging;

namespace Quietus.Oracle.Programs;

/// <summary>What the engine itself finds wrong: it must never come to that, whatever a program does.</summary>
internal static class Soundness
{
    /// <summary>The result, unless it is Defect.</summary>
    public static MemoryResult Sound(this MemoryResult result)
    {
        if (result == MemoryResult.Defect)
        {
            Fail("a call into the memory layer answers Defect");
        }

        return result;
    }

    /// <summary>The result, unless it is Defect.</summary>
    public static FaultResult Sound(this FaultResult result)
    {
        if (result == FaultResult.Defect)
        {
            Fail("a call into the memory layer answers Defect");
        }

        return result;
    }

    /// <summary>The report of a death that left nothing behind.</summary>
    public static ReleaseReport Sound(this ReleaseReport report)
    {
        report.Result.Sound();
        if (report.LeakedFrames != 0)
        {
            Fail($"a VM's death left {report.LeakedFrames} frames that its walk should have freed");
        }

        return report;
    }

    /// <summary>The pool refuses frees of what is free already, or another VM's, or of another kind.</summary>
    public static void Check(ref readonly FramePool pool)
    {
        if (pool.RefusedFrees != 0)
        {
            Fail("the pool refused a free of memory that is not handed out to who frees it");
        }
    }

    [DoesNotReturn]
    private static void Fail(string text) =>
        throw new ViolationException(new Violation(ViolationKind.EngineDefect, "the engine", text));
}

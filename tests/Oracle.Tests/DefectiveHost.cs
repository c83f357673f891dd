using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Tests;

/// <summary>A host, or a monitor, that breaks one of its contracts.</summary>
internal sealed class DefectiveHost(ProgramOptions options, Defect defect)
    : Host<Arm4K, DefectiveMachine>(options, (inner, port) => new DefectiveMachine(inner, port, defect))
{
    protected override bool WaitsForVcpus => defect != Defect.FramesReusedWhileVcpuRuns;

    // munmap in one VM of a page that another maps: taken for a page that is freed.
    protected override PageFate Claim(PageFate fate) =>
        defect == Defect.SharedUnmapWithoutCaches && fate == PageFate.StillMappedElsewhere
            ? PageFate.AnonymousLastMappingFreed
            : fate;

    protected override void ZeroPart(ref DefectiveMachine machine, ref readonly ScrubJob job)
    {
        if (defect != Defect.UnscrubbedChunk)
        {
            base.ZeroPart(ref machine, in job);
        }
    }
}

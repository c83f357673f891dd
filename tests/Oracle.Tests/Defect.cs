namespace Quietus.Oracle.Tests;

/// <summary>Bugs of this field, each switchable. <see cref="DefectCatalogue"/> says where each is from.</summary>
public enum Defect
{
    None = 0,
    UnmapWithoutTlbi,
    TlbiWithoutDsb,
    IpaWithoutCombined,
    LocalScope,
    RangeScaleUnderflow,
    TlbiDeferredPastTableFree,
    LevelHintOfTable,
    LevelZeroHint,
    TableFreedBeforeTlbi,
    SubtreeFreedThenWalked,
    PartialRangeDropsTable,
    VmidReusedBeforeDsb,
    TlbiAfterVmidReused,
    DeathWithoutTlbi,
    FramesReusedWhileVcpuRuns,
    ReplacedWithoutBreak,
    SwapOutWithoutCaches,
    FileUnmapWithoutCaches,
    SharedUnmapWithoutCaches,
    RemapWithoutCaches,
    CleanWithoutInvalidate,
    MappedWithoutClean,
    InstructionsNotInvalidated,
    UnscrubbedChunk,
    StaleCopyWritten,
    DirtyBitLost,
    EarlyCompletion,

    /// <summary>No defect: every TLBI; DSB is done twice, which is what CVE-2025-10263 asks for.</summary>
    RepeatedCompletion,
}

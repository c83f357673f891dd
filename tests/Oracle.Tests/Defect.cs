namespace Quietus.Oracle.Tests;

/// <summary>Bugs of this field, each switchable: the numbers are those of docs/oracle.md.</summary>
public enum Defect
{
    None = 0,
    UnmapWithoutTlbi = 1,
    TlbiWithoutDsb = 2,
    IpaWithoutCombined = 3,
    LocalScope = 4,
    RangeThatFlushesNothing = 5,
    TlbiDeferredPastTableFree = 6,
    WrongLevelHint = 7,
    TableFreedBeforeTlbi = 8,
    SubtreeFreedThenWalked = 9,
    PartialRangeDropsTable = 10,
    VmidReusedBeforeDsb = 11,
    VmidOfDeadVmNotInvalidated = 12,
    DeathWithoutTlbi = 13,
    FramesReusedWhileVcpuRuns = 14,
    ReplacedWithoutBreak = 15,
    SwapOutWithoutCaches = 16,
    FileUnmapWithoutCaches = 17,
    SharedUnmapWithoutCaches = 18,
    RemapWithoutCaches = 19,
    CleanWithoutInvalidate = 20,
    MappedWithoutClean = 21,
    InstructionsNotInvalidated = 22,
    UnscrubbedChunk = 23,
    AccessFlagOnStaleCopy = 24,
    DirtyBitLost = 25,
    EarlyCompletion = 26,
}

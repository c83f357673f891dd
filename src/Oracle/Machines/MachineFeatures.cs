using Quietus.Stage2;

namespace Quietus.Oracle.Machines;

/// <summary>What the machine that is judged has. The names are the architecture's.</summary>
/// <param name="ForcedWriteBack">FEAT_S2FWB. It implies CTR_EL0.IDC.</param>
/// <param name="RangeInvalidation">FEAT_TLBIRANGE.</param>
/// <param name="LevelHint">FEAT_TTL.</param>
/// <param name="InstructionCacheCoherency">CTR_EL0.DIC.</param>
/// <param name="BreakBeforeMake">FEAT_BBM.</param>
/// <param name="EarlyCompletion">
/// CVE-2025-10263: a TLBI and its DSB may complete early, so that only a second pair is sure to have removed anything.
/// </param>
/// <param name="ExtraSlow">FEAT_XS: TLBI has nXS forms.</param>
public readonly record struct MachineFeatures(
    bool ForcedWriteBack = false,
    bool RangeInvalidation = false,
    bool LevelHint = false,
    bool InstructionCacheCoherency = false,
    BreakBeforeMakeSupport BreakBeforeMake = BreakBeforeMakeSupport.Level0,
    bool EarlyCompletion = false,
    bool ExtraSlow = false)
{
    /// <summary>Combinations that machines have, numbered: bits 0 to 3 are the features, bit 4 BBM level 2.</summary>
    public const int Count = 32;

    /// <summary>One of the <see cref="Count"/> combinations.</summary>
    public static MachineFeatures Number(int number) => new(
        (number & 1) != 0,
        (number & 2) != 0,
        (number & 4) != 0,
        (number & 8) != 0,
        (number & 16) != 0 ? BreakBeforeMakeSupport.Level2WithoutAbort : BreakBeforeMakeSupport.Level0);
}

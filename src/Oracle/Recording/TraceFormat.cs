using System.Collections.Generic;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Recording;

/// <summary>The words of a trace, which writer and reader share.</summary>
public static class TraceFormat
{
    /// <summary>The first line.</summary>
    internal const string Heading = "quietus oracle trace 1";

    /// <summary>No longer line is read.</summary>
    internal const int LongestLine = 1000;

    /// <summary>By (shift - 12) / 2.</summary>
    internal static string[] Granules { get; } = ["4K", "16K", "64K"];

    /// <summary>
    /// By <see cref="TlbiKind"/>, then the nXS forms of all. IPAS2E1IS stands for RIPAS2E1IS too, IPAS2LE1IS for
    /// RIPAS2LE1IS.
    /// </summary>
    internal static string[] Invalidations { get; } =
    [
        "ipas2e1is", "ipas2le1is", "vmalle1is", "vmalls12e1is", "alle1is",
        "ipas2e1isnxs", "ipas2le1isnxs", "vmalle1isnxs", "vmalls12e1isnxs", "alle1isnxs",
    ];

    /// <summary>By <see cref="BarrierKind"/>.</summary>
    internal static string[] Barriers { get; } = ["ishst", "ish", "sy", "nsh"];

    /// <summary>By <see cref="CacheKind"/>.</summary>
    internal static string[] CacheOperations { get; } = ["cvac", "civac", "ivau"];

    private static readonly string[] _features = ["fwb", "tlbirange", "ttl", "dic", "bbm2", "early-completion", "xs"];

    /// <summary>"none", or names joined by commas.</summary>
    public static string NameFeatures(MachineFeatures features)
    {
        bool[] has =
        [
            features.ForcedWriteBack,
            features.RangeInvalidation,
            features.LevelHint,
            features.InstructionCacheCoherency,
            features.BreakBeforeMake == BreakBeforeMakeSupport.Level2WithoutAbort,
            features.EarlyCompletion,
            features.ExtraSlow,
        ];
        var names = new List<string>();
        for (int i = 0; i < has.Length; i++)
        {
            if (has[i])
            {
                names.Add(_features[i]);
            }
        }

        return names.Count != 0 ? string.Join(',', names) : "none";
    }

    /// <summary>The word for an invalidation.</summary>
    internal static string NameInvalidation(TlbiKind kind, bool leavesExtraSlow) =>
        Invalidations[(int)kind + (leavesExtraSlow ? Invalidations.Length / 2 : 0)];

    /// <summary>Reverses <see cref="NameFeatures"/>.</summary>
    public static bool TryParseFeatures(string text, out MachineFeatures features)
    {
        features = default;
        var found = new HashSet<int>();
        if (text != "none")
        {
            foreach (string name in text.Split(','))
            {
                int index = System.Array.IndexOf(_features, name);
                if (index < 0 || !found.Add(index))
                {
                    return false;
                }
            }
        }

        features = new MachineFeatures(
            found.Contains(0), found.Contains(1), found.Contains(2), found.Contains(3),
            found.Contains(4) ? BreakBeforeMakeSupport.Level2WithoutAbort : BreakBeforeMakeSupport.Level0,
            found.Contains(5), found.Contains(6));
        return true;
    }
}

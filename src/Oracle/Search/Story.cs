using System.Collections.Generic;
using System.Linq;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Search;

/// <summary>
/// A finding as a person reads it: the steps, what each left out and by which licence, who may see what, and the line
/// that finds it again. At most 80 columns, but for that line.
/// </summary>
public static class Story
{
    /// <param name="subject">What the finding is about; it is run once more.</param>
    /// <param name="finding">What was found, shrunk.</param>
    /// <param name="again">The command that finds it.</param>
    public static IReadOnlyList<string> Of(Subject subject, Finding finding, string again)
    {
        var lines = new List<string> { $"violation: {finding.Violation.Kind}" };
        subject.Run(finding.Options, finding.Steps, lines.Add);
        lines.Add($"machine: {1 << (finding.Options.GranuleShift - 10)}K, {FeaturesOf(finding.Options.Features)}");
        lines.Add("again: " + again);
        return lines;
    }

    /// <summary>The machine's features, by the names that the documentation uses.</summary>
    public static string FeaturesOf(MachineFeatures features)
    {
        string[] has =
        [
            features.ForcedWriteBack ? "FWB" : string.Empty,
            features.RangeInvalidation ? "TLBIRANGE" : string.Empty,
            features.LevelHint ? "TTL" : string.Empty,
            features.InstructionCacheCoherency ? "DIC" : string.Empty,
            features.BreakBeforeMake != BreakBeforeMakeSupport.Level0 ? "BBM level 2" : string.Empty,
            features.EarlyCompletion ? "CVE-2025-10263" : string.Empty,
        ];
        string all = string.Join(", ", has.Where(name => name.Length != 0));
        return all.Length != 0 ? all : "no optional feature";
    }
}

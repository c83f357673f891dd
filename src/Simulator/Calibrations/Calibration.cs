using System;
using System.Collections.Generic;

namespace Quietus.Simulator;

/// <summary>Published figures of Arm servers against what the model gives for them now.</summary>
public static class Calibration
{
    /// <summary>Runs every row. Takes a few seconds.</summary>
    /// <param name="machines">The folder of the presets.</param>
    public static IReadOnlyList<CalibrationRow> Run(string machines) => throw new NotImplementedException();

    /// <summary>The rows as the Markdown table of docs/calibration.md.</summary>
    public static string ToMarkdown(IReadOnlyList<CalibrationRow> rows) => throw new NotImplementedException();
}

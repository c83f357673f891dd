using System.Globalization;

namespace Quietus.Simulator;

/// <summary>How a published figure was used.</summary>
public enum CalibrationKind
{
    /// <summary>A figure of the preset was fitted to it: agreement shows nothing but that it was fitted.</summary>
    CalibratedOn,

    /// <summary>Held out: no figure was fitted to it.</summary>
    Predicted,

    /// <summary>The model does not reach it; the note says why.</summary>
    OutOfReach,
}

/// <summary>A published figure against what the model gives.</summary>
/// <param name="Quantity">What was measured.</param>
/// <param name="Machine">The preset that stands for the machine.</param>
/// <param name="Kind">Fitted to, or held out.</param>
/// <param name="Published">The published value, in nanoseconds; of a range the middle. 0 when out of reach.</param>
/// <param name="Predicted">What the model gives, in nanoseconds; 0 when out of reach.</param>
/// <param name="PublishedText">The published value as it was published.</param>
/// <param name="Source">Where it was published.</param>
/// <param name="Note">How it is reached, or why it is missed.</param>
public sealed record CalibrationRow(
    string Quantity, string Machine, CalibrationKind Kind, double Published, double Predicted, string PublishedText,
    string Source, string Note)
{
    /// <summary>Both values are factors, not nanoseconds.</summary>
    public bool IsFactor { get; init; }

    /// <summary>What the model gives, with three figures and a unit.</summary>
    public string PredictedText => IsFactor
        ? Predicted.ToString("0.0", CultureInfo.InvariantCulture) + " times"
        : Predicted switch
        {
            >= 1e9 => Text(Predicted / 1e9) + " s",
            >= 1e6 => Text(Predicted / 1e6) + " ms",
            _ => Predicted.ToString("N0", CultureInfo.InvariantCulture) + " ns",
        };

    /// <summary>How far the model is off, in percent of what was published.</summary>
    public double ErrorPercent => Kind == CalibrationKind.OutOfReach ? 0 : ((Predicted / Published) - 1) * 100;

    /// <summary>The error as it is shown: <c>+2.3 %</c>.</summary>
    public string ErrorText => Kind == CalibrationKind.OutOfReach
        ? "–"
        : ErrorPercent.ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture) + " %";

    private static string Text(double value) =>
        value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);
}

using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Probe;

/// <summary>What a calibration says of itself: what was fitted, what was held out, how far the model misses.</summary>
internal static class CalibrationTable
{
    private static readonly TextColumn<CalibratedPoint>[] _points =
    [
        new("row", 40, true, point => point.ToString()),
        new("measured", 9, false, point => Duration.Format(point.Measured)),
        new("model", 9, false, point => Duration.Format(point.Model)),
        new("miss", 7, false, point => point.Miss.ToString("+0 %;-0 %;0 %", CultureInfo.InvariantCulture)),
        new("", 8, true, point => point.IsHeldOut ? "held out" : "fitted"),
    ];

    public static void Write(TextWriter writer, HostCalibration fit, ProbeResult probed)
    {
        TextTable.WriteTitle(writer, "Calibration: of each kind of pages every second size is held out");
        TextTable.Write(writer, _points, fit.Points.OrderBy(point => point.IsHeldOut));
        writer.WriteLine();
        foreach ((string key, string rows) in fit.Fitted)
        {
            TextTable.WriteHanging(
                writer, "fitted: ", $"{key} = {Duration.Format(fit.Machine[key])}, from {rows}");
        }

        TextTable.WriteHanging(writer, "assumed: ", $"every other cost, as {fit.Base} has it");
        foreach (string row in fit.NotModelled)
        {
            TextTable.WriteHanging(writer, "not modelled: ", row);
        }

        if (fit.NotMeasured.Any())
        {
            TextTable.WriteHanging(
                writer, "not measured: ",
                $"{string.Join(", ", fit.NotMeasured)}: what the machine says of them rests on costs of other ways");
        }

        string worst = fit.Worst.ToString("0 %", CultureInfo.InvariantCulture);
        if (fit.IsGood)
        {
            string fitted = fit.WorstFitted <= HostCalibration.Good
                ? string.Empty
                : fit.WorstFitted.ToString("', though one that was fitted by '0 %", CultureInfo.InvariantCulture);
            TextTable.WriteHanging(writer, "", $"A good fit: rows held out are missed by {worst} at most{fitted}.");
            return;
        }

        TextTable.WriteHanging(writer, "", $"A bad fit: a row held out is missed by {worst}. It may be that");
        foreach (string reason in fit.Reasons(probed))
        {
            TextTable.WriteHanging(writer, "- ", reason);
        }
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Quietus.Cli.Reports;

/// <summary>One assumption: by how much, in percent, the result changes at both ends of its range.</summary>
/// <param name="Name">The assumption.</param>
/// <param name="AtLow">The change at the low end.</param>
/// <param name="AtHigh">The change at the high end.</param>
/// <param name="Low">The low end for people.</param>
/// <param name="High">The high end for people.</param>
internal sealed record TornadoBar(string Name, double AtLow, double AtHigh, string Low, string High);

/// <summary>
/// A tornado chart: bars to both sides of the result as it is, the widest on top. The ends are written beside the bars.
/// </summary>
internal static class TornadoChart
{
    private const int Left = 170;
    private const int LabelRoom = 80;
    private const int BarHeight = 20;
    private const int Step = 28;
    private const int AxisHeight = 24;

    public static void Write(StringBuilder html, string title, IReadOnlyList<TornadoBar> bars)
    {
        double least = Math.Min(0, bars.Min(bar => Math.Min(bar.AtLow, bar.AtHigh)));
        double most = Math.Max(0, bars.Max(bar => Math.Max(bar.AtLow, bar.AtHigh)));
        double step = StepFor(most - least);
        least = Math.Floor(least / step) * step;
        most = Math.Max(Math.Ceiling(most / step) * step, least + step);
        double first = Left + LabelRoom;
        double width = Svg.Width - first - LabelRoom;
        int height = AxisHeight + (bars.Count * Step);

        Svg.Begin(html, height, title);
        for (double percent = least; percent <= most + (step / 2); percent += step)
        {
            Svg.Line(html, X(percent), AxisHeight - 4, X(percent), height - 4, IsZero(percent) ? "axis" : "grid");
            Svg.Text(
                html, X(percent), 14, "middle", "soft",
                IsZero(percent) ? "as it is" : percent.ToString("+0.#;-0.#", CultureInfo.InvariantCulture) + " %");
        }

        double y = AxisHeight + 2;
        foreach (TornadoBar bar in bars)
        {
            Svg.Text(html, Left - 10, y + 14, "end", "ink", bar.Name);
            WriteSide(html, bar, bar.AtLow, "low", bar.Low, y);
            WriteSide(html, bar, bar.AtHigh, "high", bar.High, y);
            y += Step;
        }

        Svg.End(html);

        bool IsZero(double percent) => Math.Abs(percent) < step / 1000;

        double X(double percent) => first + ((percent - least) / (most - least) * width);

        void WriteSide(StringBuilder to, TornadoBar bar, double change, string style, string end, double top)
        {
            double from = Math.Min(X(0), X(change));
            Svg.Box(
                to, from, top, Math.Abs(X(change) - X(0)), BarHeight, style,
                string.Create(CultureInfo.InvariantCulture, $"{bar.Name} at {end}: {change:+0.0;-0.0;0.0} %"));

            // The other end's side is free where both ends move the result the same way.
            bool isLeft = change < 0 || (change == 0 && style == "low");
            double at = isLeft ? from - 5 : Math.Max(X(change), X(0)) + 5;
            Svg.Text(to, at, top + 14, isLeft ? "end" : "start", "ink", end);
        }
    }

    /// <summary>A round step that makes four to ten of a width.</summary>
    private static double StepFor(double width)
    {
        double raw = Math.Max(width, 0.1) / 6;
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return new[] { 1.0, 2, 5, 10 }.First(factor => factor * power >= raw) * power;
    }
}

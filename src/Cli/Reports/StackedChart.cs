using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>A part of a stacked bar.</summary>
/// <param name="Style">Its style's class.</param>
/// <param name="Name">What it is; written into the bar where there is room.</param>
/// <param name="Value">Its size, not negative.</param>
/// <param name="Label">The value for people.</param>
internal sealed record StackedPart(string Style, string Name, double Value, string Label);

/// <summary>A bar whose parts add up to all of it.</summary>
internal sealed record StackedBar(string Name, string Total, IReadOnlyList<StackedPart> Parts);

/// <summary>
/// Horizontal bars, each as long as the others and divided as what it stands for is: totals that differ by a thousand
/// times could not be compared otherwise. The total stands beside it.
/// </summary>
internal static class StackedChart
{
    private const int Left = 130;
    private const int Right = 110;
    private const int BarHeight = 24;
    private const int Step = 34;
    private const int AxisHeight = 24;
    private const double PixelsPerLetter = 7.2;

    public static void Write(StringBuilder html, string title, IReadOnlyList<StackedBar> bars)
    {
        double width = Svg.Width - Left - Right;
        Svg.Begin(html, AxisHeight + (bars.Count * Step), title);
        for (int percent = 0; percent <= 100; percent += 25)
        {
            double x = Left + (width * percent / 100);
            Svg.Line(html, x, AxisHeight - 4, x, AxisHeight + (bars.Count * Step) - 6);
            Svg.Text(html, x, 14, "middle", "soft", percent.ToString(CultureInfo.InvariantCulture) + " %");
        }

        double y = AxisHeight;
        foreach (StackedBar bar in bars)
        {
            Svg.Text(html, Left - 10, y + 16, "end", "ink", bar.Name);
            double sum = bar.Parts.Sum(part => part.Value);
            double at = Left;
            foreach (StackedPart part in bar.Parts.Where(part => part.Value > 0))
            {
                double length = width * part.Value / sum;
                Svg.Box(html, at, y, length, BarHeight, "part " + part.Style, $"{bar.Name}, {part.Name}: {part.Label}");
                if (length > (part.Name.Length * PixelsPerLetter) + 8)
                {
                    Svg.Text(html, at + (length / 2), y + 16, "middle", "on", part.Name);
                }

                at += length;
            }

            Svg.Text(html, Svg.Width - Right + 8, y + 16, "start", "ink", bar.Total);
            y += Step;
        }

        Svg.End(html);
    }
}

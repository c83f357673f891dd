using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Text;

namespace Quietus.Cli.Reports;

/// <summary>One bar.</summary>
/// <param name="Series">Its series, which is also its style's class: kill or unmap.</param>
/// <param name="Value">Its length, not negative; 0 has no bar but its label.</param>
/// <param name="Label">The value for people.</param>
internal sealed record Bar(string Series, double Value, string Label);

/// <summary>The bars of one name.</summary>
internal sealed record BarGroup(string Name, IReadOnlyList<Bar> Bars);

/// <summary>
/// A horizontal bar chart on a logarithmic scale, as inline SVG. The values here span six orders of magnitude: on a
/// linear scale all but one bar would be invisible.
/// </summary>
internal static class BarChart
{
    private const int Left = 120;
    private const int LeastRight = 130;
    private const int LetterWidth = 8;
    private const int BarHeight = 15;
    private const int GroupGap = 12;
    private const int AxisHeight = 24;
    private const double LeastPixels = 2;

    /// <summary>Appends the chart.</summary>
    /// <param name="html">Where to.</param>
    /// <param name="title">For who cannot see it.</param>
    /// <param name="scale">What the scale says at a power of ten.</param>
    /// <param name="groups">The bars, from the top.</param>
    public static void Write(StringBuilder html, string title, Func<int, string> scale, IReadOnlyList<BarGroup> groups)
    {
        double largest = groups.SelectMany(group => group.Bars).Select(bar => bar.Value).DefaultIfEmpty(1).Max();
        int decades = Math.Max(1, (int)Math.Ceiling(Math.Log10(Math.Max(largest, 10))));
        int longest = groups.SelectMany(group => group.Bars).Select(bar => bar.Label.Length).DefaultIfEmpty(0).Max();
        double right = Math.Max(LeastRight, 10 + (longest * LetterWidth));
        double perDecade = (Svg.Width - Left - right) / decades;
        int height = AxisHeight + groups.Sum(group => (group.Bars.Count * (BarHeight + 2)) + GroupGap);
        Svg.Begin(html, height, title);
        for (int decade = 0; decade <= decades; decade++)
        {
            double x = Left + (decade * perDecade);
            html.Append(CultureInfo.InvariantCulture, $"""
                <line class="grid" x1="{x:0.#}" y1="{AxisHeight - 4}" x2="{x:0.#}" y2="{height - 6}"/>
                <text class="soft" x="{x:0.#}" y="14" text-anchor="middle">{scale(decade)}</text>

                """);
        }

        double y = AxisHeight;
        foreach (BarGroup group in groups)
        {
            double middle = y + (group.Bars.Count * (BarHeight + 2) / 2.0) + 4;
            html.Append(
                CultureInfo.InvariantCulture,
                $"<text x=\"{Left - 10}\" y=\"{middle:0.#}\" text-anchor=\"end\">")
                .Append(WebUtility.HtmlEncode(group.Name)).Append("</text>\n");
            foreach (Bar bar in group.Bars)
            {
                double length = bar.Value <= 0
                    ? 0
                    : Math.Max(LeastPixels, Math.Log10(Math.Max(bar.Value, 1)) * perDecade);
                html.Append(CultureInfo.InvariantCulture, $"""
                    <rect class="{bar.Series}" x="{Left}" y="{y:0.#}" width="{length:0.#}" height="{BarHeight}" rx="2"/>
                    <text x="{Left + length + 6:0.#}" y="{y + 12:0.#}">{WebUtility.HtmlEncode(bar.Label)}</text>

                    """);
                y += BarHeight + 2;
            }

            y += GroupGap;
        }

        Svg.End(html);
    }

    /// <summary>A nanosecond scale's label: 1 ns, 10 ns, 100 ns, 1 us and so on.</summary>
    public static string Time(int decade) =>
        (decade % 3) switch { 0 => "1", 1 => "10", _ => "100" }
        + (decade / 3) switch { 0 => " ns", 1 => " us", 2 => " ms", 3 => " s", _ => "e3 s" };

    /// <summary>A plain scale's label: the power of ten.</summary>
    public static string Power(int decade) => decade switch
    {
        0 => "1",
        1 => "10",
        2 => "100",
        3 => "1000",
        _ => "10" + string.Concat(
            decade.ToString(CultureInfo.InvariantCulture).Select(digit => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit - '0'])),
    };
}

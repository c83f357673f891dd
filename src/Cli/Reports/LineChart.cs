using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Quietus.Cli.Reports;

/// <summary>A line of a chart: its points from the left to the right, all above zero.</summary>
internal sealed record ChartLine(string Name, IReadOnlyList<(double X, double Y, string Label)> Points);

/// <summary>
/// Lines on two logarithmic scales: what grows with the size itself rises by 45 degrees, what does not lies flat. Lines
/// differ by dashes and by the shape of their points, and are named at their ends.
/// </summary>
internal static class LineChart
{
    private const int Left = 70;
    private const int Right = 150;
    private const int Top = 16;
    private const int Height = 400;
    private const int Bottom = 40;
    private const double LabelStep = 16;

    private static readonly string[] _dashes = ["", "9 4", "2 3", "12 3 2 3", "5 2", "1 5", "14 5"];

    /// <summary>Appends the chart.</summary>
    /// <param name="html">Where to.</param>
    /// <param name="title">For who cannot see it.</param>
    /// <param name="xName">What an x is, for people.</param>
    /// <param name="yName">What the power of ten says on the y scale.</param>
    /// <param name="lines">The lines.</param>
    public static void Write(
        StringBuilder html, string title, Func<double, string> xName, Func<int, string> yName,
        IReadOnlyList<ChartLine> lines)
    {
        double[] xs = [.. lines.SelectMany(line => line.Points).Select(point => point.X).Distinct().Order()];
        double[] ys = [.. lines.SelectMany(line => line.Points).Select(point => point.Y)];
        int least = (int)Math.Floor(Math.Log10(ys.Min()));
        int most = Math.Max(least + 1, (int)Math.Ceiling(Math.Log10(ys.Max())));
        double xLeast = Math.Log(xs[0]);
        double xWidth = Math.Max(Math.Log(xs[^1]) - xLeast, 1e-9);

        Svg.Begin(html, Height, title);
        for (int decade = least; decade <= most; decade++)
        {
            double y = Y(Math.Pow(10, decade));
            Svg.Line(html, Left, y, Svg.Width - Right, y);
            Svg.Text(html, Left - 8, y + 4, "end", "soft", yName(decade));
        }

        foreach (double x in xs)
        {
            Svg.Line(html, X(x), Top, X(x), Height - Bottom);
            Svg.Text(html, X(x), Height - Bottom + 20, "middle", "soft", xName(x));
        }

        for (int i = 0; i < lines.Count; i++)
        {
            WriteLine(html, lines[i], i, X, Y);
        }

        WriteNames(html, lines, Y);
        Svg.End(html);

        double X(double x) => Left + ((Math.Log(x) - xLeast) / xWidth * (Svg.Width - Left - Right));

        double Y(double y) =>
            Height - Bottom - ((Math.Log10(y) - least) / (most - least) * (Height - Bottom - Top));
    }

    private static void WriteLine(
        StringBuilder html, ChartLine line, int number, Func<double, double> x, Func<double, double> y)
    {
        string style = string.Create(CultureInfo.InvariantCulture, $"s{number % _dashes.Length}");
        html.Append(
            CultureInfo.InvariantCulture,
            $"<polyline class=\"line {style}\" stroke-dasharray=\"{_dashes[number % _dashes.Length]}\" points=\"")
            .AppendJoin(' ', line.Points.Select(point => string.Create(
                CultureInfo.InvariantCulture, $"{x(point.X):0.#},{y(point.Y):0.#}")))
            .Append("\"/>\n");
        foreach ((double px, double py, string label) in line.Points)
        {
            double cx = x(px);
            double cy = y(py);
            string shape = (number % 3) switch
            {
                0 => string.Create(CultureInfo.InvariantCulture, $"<circle cx=\"{cx:0.#}\" cy=\"{cy:0.#}\" r=\"4.5\""),
                1 => string.Create(
                    CultureInfo.InvariantCulture,
                    $"<rect x=\"{cx - 4:0.#}\" y=\"{cy - 4:0.#}\" width=\"8\" height=\"8\""),
                _ => string.Create(
                    CultureInfo.InvariantCulture,
                    $"<polygon points=\"{cx:0.#},{cy - 5.5:0.#} {cx + 5:0.#},{cy + 4:0.#} {cx - 5:0.#},{cy + 4:0.#}\""),
            };
            html.Append(shape).Append(" class=\"").Append(style).Append("\"><title>")
                .Append(HtmlPage.Text($"{line.Name}: {label}")).Append("</title></").Append((number % 3) switch
                {
                    0 => "circle",
                    1 => "rect",
                    _ => "polygon",
                }).Append(">\n");
        }
    }

    /// <summary>Names at the lines' ends, moved apart where lines end close together.</summary>
    private static void WriteNames(StringBuilder html, IReadOnlyList<ChartLine> lines, Func<double, double> y)
    {
        var ends = lines.Select(line => (line.Name, At: y(line.Points[^1].Y))).OrderBy(end => end.At).ToList();
        double from = Svg.Width - Right;
        double[] places = new double[ends.Count];
        for (int i = 0; i < ends.Count; i++)
        {
            places[i] = i == 0 ? ends[i].At : Math.Max(ends[i].At, places[i - 1] + LabelStep);
        }

        double beyond = ends.Count == 0 ? 0 : Math.Max(0, places[^1] - (Height - Bottom));
        for (int i = ends.Count - 1; i >= 0 && beyond > 0; i--)
        {
            double limit = Height - Bottom - ((ends.Count - 1 - i) * LabelStep);
            places[i] = Math.Min(places[i], limit);
        }

        for (int i = 0; i < ends.Count; i++)
        {
            Svg.Line(html, from + 6, ends[i].At, from + 22, places[i]);
            Svg.Text(html, from + 26, places[i] + 4, "start", "ink", ends[i].Name);
        }
    }
}

using System.Globalization;
using System.Text;

namespace Quietus.Cli.Reports;

/// <summary>
/// What all figures have in common: a title for who cannot see them, and a frame that scrolls by itself where the page
/// is too narrow for their text to be read.
/// </summary>
internal static class Svg
{
    /// <summary>Width of every figure, in its own units.</summary>
    public const int Width = 920;

    public static void Begin(StringBuilder html, int height, string title) => html.Append(
        CultureInfo.InvariantCulture,
        $"<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{HtmlPage.Text(title)}\">\n"
            + $"<svg viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"{HtmlPage.Text(title)}\">\n"
            + $"<title>{HtmlPage.Text(title)}</title>\n");

    public static void End(StringBuilder html) => html.Append("</svg></div>\n");

    /// <summary>Text whose middle or end may stand at the place.</summary>
    public static void Text(StringBuilder html, double x, double y, string anchor, string style, string text) =>
        html.Append(
            CultureInfo.InvariantCulture,
            $"<text class=\"{style}\" x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">"
                + $"{HtmlPage.Text(text)}</text>\n");

    public static void Line(StringBuilder html, double x1, double y1, double x2, double y2, string style = "grid") =>
        html.Append(
            CultureInfo.InvariantCulture,
            $"<line class=\"{style}\" x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\"/>\n");

    /// <summary>A rectangle that says what it is when it is pointed at.</summary>
    public static void Box(
        StringBuilder html, double x, double y, double width, double height, string style, string title) =>
        html.Append(
            CultureInfo.InvariantCulture,
            $"<rect class=\"{style}\" x=\"{x:0.#}\" y=\"{y:0.#}\" width=\"{width:0.#}\" height=\"{height:0.#}\">"
                + $"<title>{HtmlPage.Text(title)}</title></rect>\n");
}

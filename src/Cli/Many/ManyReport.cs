using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Many;

/// <summary>Many VMs as one HTML file that needs nothing else.</summary>
internal static class ManyReport
{
    /// <summary>The whole document.</summary>
    public static string Make(ManyResult result) => HtmlPage.Make("many VMs on few cores", html =>
    {
        html.Append("<h1>Many VMs on few cores</h1>\n<p class=\"lead\">").Append(HtmlPage.Text(ManyTable.Title(result)))
            .Append("</p>\n");
        if (result.IsInterrupted)
        {
            html.Append("<p><b>Note:</b> interrupted; what is here is complete, the rest is missing.</p>\n");
        }

        WriteBars(html, result);
        html.Append("<h2>Every figure</h2>\n");
        HtmlPage.WriteTable(
            html, ["what", "measured", "at most", ""], 1,
            result.Figures.Select(figure => (string[])
            [
                figure.Title, ManyTable.Measured(figure), ManyTable.Bound(figure), ManyTable.Met(figure),
            ]));
        html.Append(CultureInfo.InvariantCulture, $"""
            <h2>How it was measured</h2>
            <p>{HtmlPage.Text(ManyTable.Method)}</p>
            <dl><dt>repeat</dt><dd><code>{HtmlPage.Text(result.Plan.Command)}</code></dd>
            <dt>guest</dt><dd>{HtmlPage.Text(result.Plan.Guest.Description)}</dd>
            <dt>QEMU</dt><dd>{HtmlPage.Text(result.QemuVersion)}
            ({HtmlPage.Text(string.Join(' ', QemuMachine.CountingOptions))})</dd>
            <dt>machine</dt><dd><code>{HtmlPage.Text(result.QemuCommand)}</code></dd>
            <dt>image</dt><dd>sha256 {HtmlPage.Text(result.ImageSha256)}</dd>
            <dt>took</dt><dd>{Duration.Format(result.WallNanoseconds)} on the host</dd></dl>

            """);
        HtmlPage.WriteData(html, ManyDocument.Of(result));
    });

    /// <summary>What is promised, and what came of it, as parts of a hundred of the promise.</summary>
    private static void WriteBars(StringBuilder html, ManyResult result)
    {
        ManyFigure[] promised = [.. result.Figures.Where(figure => figure.Bound > 0)];
        if (promised.Length == 0)
        {
            return;
        }

        const string Title = "Of what is promised at most, in per cent (log scale)";
        html.Append("<h2>").Append(Title).Append("</h2>\n");
        BarChart.Write(html, Title, BarChart.Power,
        [
            .. promised.Select(figure => new BarGroup(Short(figure),
            [
                new Bar(
                    figure.IsMet == true ? "p0" : "p1", 100 * figure.Value / figure.Bound!.Value,
                    string.Create(CultureInfo.InvariantCulture, $"{100 * figure.Value / figure.Bound.Value:N0} %")),
            ])),
        ]);
    }

    /// <summary>The key without its unit: what fits beside a bar.</summary>
    private static string Short(ManyFigure figure) => figure.Name[..figure.Name.LastIndexOf('_')].Replace('_', ' ');
}

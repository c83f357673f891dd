using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Probe;

/// <summary>The result as one HTML page.</summary>
internal static class ProbeReport
{
    private static readonly (string Key, string Name, string Style)[] _parts =
    [
        ("order_ns", "order", "s0"), ("close_ns", "close", "s1"), ("unmap_ns", "unmap", "s2"),
        ("exit_ns", "exit", "s3"),
    ];

    public static string Make(ProbeResult result, IReadOnlyList<ProbeAdvice> advice, string json) => HtmlPage.Make(
        "probe of " + result.HostValue("kernel"),
        html =>
        {
            html.Append("<h1>What births and deaths of VMs cost here</h1>\n<p class=\"soft\">Linux ")
                .Append(HtmlPage.Text(result.HostValue("kernel"))).Append(", ")
                .Append(HtmlPage.Text(result.HostValue("cpu"))).Append(", ")
                .Append(HtmlPage.Text(result.HostValue("second_stage"))).Append("</p>\n<ul>\n");
            foreach (ProbeAdvice one in advice)
            {
                html.Append("<li>").Append(HtmlPage.Text(one.Text)).Append(" <span class=\"soft\">")
                    .Append(HtmlPage.Text(one.Evidence)).Append("</span></li>\n");
            }

            html.Append("</ul>\n");
            foreach (string warning in result.Warnings)
            {
                html.Append("<p class=\"missed\">Warning: ").Append(HtmlPage.Text(warning)).Append("</p>\n");
            }

            foreach (IGrouping<(string Pages, long MemoryBytes), ProbeRow> block in
                result.Rows.GroupBy(row => (row.Pages, row.MemoryBytes)))
            {
                html.Append("<h2>").Append(HtmlPage.Text(ByteSize.Format(block.Key.MemoryBytes))).Append(" by ")
                    .Append(HtmlPage.Text(block.Key.Pages)).Append("</h2>\n");
                StackedChart.Write(html, "Where the time of each death goes", [.. block.Select(BarOf)]);
                HtmlPage.WriteTable(
                    html, ["way", "order", "close", "unmap", "exit", "whole", "memory free", "a page", "spread"], 1,
                    block.Select(row => new[]
                    {
                        row.Way, Time(row["order_ns"]), Time(row["close_ns"]), Time(row["unmap_ns"]),
                        Time(row["exit_ns"]), Time(row["total_ns"]), Time(row["free_ns"]),
                        Time(row["total_ns"] / row.Entries),
                        row.Spread.ToString("0 %", CultureInfo.InvariantCulture),
                    }));
            }

            HtmlPage.WriteData(html, ProbeResult.Schema, json);
        });

    private static StackedBar BarOf(ProbeRow row) => new(
        row.Way,
        Time(row["total_ns"]),
        [.. _parts.Where(part => row[part.Key] > 0)
            .Select(part => new StackedPart(part.Style, part.Name, row[part.Key], Time(row[part.Key])))]);

    private static string Time(double nanoseconds) => nanoseconds <= 0 ? "-" : Duration.Format(nanoseconds);
}

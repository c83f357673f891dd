using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>A bench result as one HTML file that needs nothing else: no script, no font, no network.</summary>
internal static class HtmlReport
{
    /// <summary>The whole document.</summary>
    public static string Make(BenchResult result) => HtmlPage.Make("what a VM's death costs", html =>
    {
        WriteHead(html, result);
        if (result.Kvm is { } kvm)
        {
            KvmSection.Write(html, result, kvm);
        }
        else
        {
            foreach (IGrouping<(string, long, string), BenchRow> group in Groups(result))
            {
                WriteCharts(html, result, [.. group]);
            }
        }

        WriteRows(html, result);
        WritePrimitives(html, result);
        WriteMethod(html, result);
        HtmlPage.WriteData(html, BenchDocument.Of(result));
    });

    private static IEnumerable<IGrouping<(string, long, string), BenchRow>> Groups(BenchResult result) =>
        result.Rows.GroupBy(row => (row.Case.Guest.Name, row.Case.MemoryBytes, row.Case.Pages));

    private static void WriteHead(StringBuilder html, BenchResult result)
    {
        html.Append("<h1>What a VM’s death costs</h1>\n");
        if (result.Kvm is { } kvm)
        {
            KvmSection.WriteLead(html, result, kvm);
        }

        BenchRow? before = result.Rows.LastOrDefault(row =>
            row.Case is { Way: DeathWay.Kill, Policy.Engine: Memory.MaintenancePolicy.BeforeSeries });
        BenchRow? best = before is null ? null : result.Rows
            .Where(row => row.Case.Way == DeathWay.Kill && row.Case.Guest == before.Case.Guest
                && row.Case.MemoryBytes == before.Case.MemoryBytes && row.Case.Pages == before.Case.Pages)
            .MinBy(row => row.Death.Instructions);
        if (before is not null && best is not null && best != before && best.Death.Instructions > 0)
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <p class="lead">Killing a {ByteSize.Format(before.Case.MemoryBytes)} {Text(before.Case.Guest.Name)} VM
                of {before.Death.Entries:N0} mappings (pages {Text(before.Case.Pages)}) takes
                {before.Death.Instructions:N0} instructions and
                {before.Death.DcLines:N0} cache-line operations under <b>before-series</b>, and
                {best.Death.Instructions:N0} instructions and {best.Death.DcLines:N0} cache-line operations under
                <b>{Text(best.Case.Policy.Name)}</b>: {(double)before.Death.Instructions / best.Death.Instructions:N0}
                times fewer instructions.</p>

                """);
        }

        html.Append(CultureInfo.InvariantCulture, $"""
            <p class="soft">Quietus {Text(ThisProgram.Version)} on QEMU {Text(result.Qemu.Version)},
            {Text(result.Plan.Cpu.Name)}, {Counted.Of(result.Plan.Cpus, "vCPU")};
            {Text(string.Join("; ", result.Plan.Guests.Select(guest => guest.Name + ": " + guest.Description)))}.</p>

            """);
        foreach (string note in result.Notes)
        {
            html.Append("<p><b>Note:</b> ").Append(Text(note)).Append("</p>\n");
        }
    }

    private static void WriteCharts(StringBuilder html, BenchResult result, IReadOnlyList<BenchRow> rows)
    {
        BenchCase sample = rows[0].Case;
        html.Append(CultureInfo.InvariantCulture, $"""
            <h2>{Text(sample.Guest.Name)}, {ByteSize.Format(sample.MemoryBytes)}, pages {Text(sample.Pages)}{Text(
                result.Plan.FateNote)}</h2>
            <p class="key"><span><i style="background:var(--kill)"></i>killed in mid-run</span><span><i
            style="background:var(--unmap)"></i>memory unmapped while it lives</span></p>

            """);
        html.Append("<h3>Instructions, from the order until all memory is back (log scale)</h3>\n");
        BarChart.Write(html, "Instructions per death by policy", BarChart.Power, Bars(
            result, rows, row => row.Death.Instructions, value => value.ToString("N0", CultureInfo.InvariantCulture)));
        html.Append("<h3>Cache lines cleaned and invalidated to PoC (log scale)</h3>\n");
        BarChart.Write(html, "Cache-line operations per death by policy", BarChart.Power, Bars(
            result, rows, row => row.Death.DcLines, value => value.ToString("N0", CultureInfo.InvariantCulture)));
        html.Append("<h3>Time on a D05: a model, not a measurement (log scale)</h3>\n");
        BarChart.Write(html, "Modelled time per death by policy", BarChart.Time, Bars(
            result, rows, row => D05Model.Nanoseconds(result.Plan, row), Duration.Format));
    }

    private static IReadOnlyList<BarGroup> Bars(
        BenchResult result, IReadOnlyList<BenchRow> rows, Func<BenchRow, double> value, Func<double, string> format) =>
    [
        .. result.Plan.Policies.Select(policy => new BarGroup(
            policy.Name,
            [
                .. rows.Where(row => row.Case.Policy == policy)
                    .Select(row => new Bar(row.Case.Way.Name(), value(row), format(value(row)))),
            ])),
    ];

    private static void WriteRows(StringBuilder html, BenchResult result)
    {
        html.Append("<h2>Every death</h2>\n<div class=\"scroll\"><table>\n<tr>");
        foreach (string title in (string[])["guest", "memory", "pages", "policy", "way"])
        {
            html.Append("<th class=\"l\">").Append(title).Append("</th>");
        }

        foreach (string title in (string[])
            [
                "4K pages", "2M blocks", "instructions", "per page", "TLBI ipa", "range", "vmid", "vmalle1", "DC lines",
                "DSB", "D05 (model)", "host wall",
            ])
        {
            html.Append("<th>").Append(title).Append("</th>");
        }

        html.Append("</tr>\n");
        foreach (BenchRow row in result.Rows)
        {
            DeathFigures death = row.Death;
            html.Append("<tr>");
            foreach (string cell in (string[])
                [
                    row.Case.Guest.Name, ByteSize.Format(row.Case.MemoryBytes), row.Case.Pages, row.Case.Policy.Name,
                    row.Case.Way.Name(),
                ])
            {
                html.Append("<td class=\"l\">").Append(Text(cell)).Append("</td>");
            }

            foreach (string cell in (string[])
                [
                    Whole(death.MappedPages4K), Whole(death.MappedBlocks2M), Whole(death.Instructions),
                    row.InstructionsPerEntry?.ToString("N1", CultureInfo.InvariantCulture) ?? "–",
                    Whole(death.TlbiIpa), Whole(death.TlbiRange), Whole(death.TlbiVmid), Whole(death.TlbiVmalle1),
                    Whole(death.DcLines), Whole(death.Dsb), Duration.Format(D05Model.Nanoseconds(result.Plan, row)),
                    Duration.Format(row.WallNanoseconds),
                ])
            {
                html.Append("<td>").Append(Text(cell)).Append("</td>");
            }

            html.Append("</tr>\n");
        }

        html.Append("</table></div>\n<p class=\"soft\">The policies: ")
            .Append(string.Join("; ", result.Plan.Policies.Select(policy =>
                $"<b>{Text(policy.Name)}</b> {Text(policy.Meaning)}")))
            .Append(".</p>\n");
    }

    private static void WritePrimitives(StringBuilder html, BenchResult result)
    {
        html.Append("<h2>Primitives, in instructions</h2>\n<table style=\"width:auto\">\n");
        WriteFigure("HVC round trip", result.Primitives.HvcRoundTrip);
        WriteFigure("demand fault, exit to entry", result.Primitives.DemandFault);
        WriteFigure("map, per page", result.Primitives.MapPage);
        html.Append("</table>\n");
        WriteTargets(html, Targets.Title(result), Targets.Judge(result));

        void WriteFigure(string name, double? value) => html
            .Append("<tr><td class=\"l\">").Append(name).Append("</td><td>")
            .Append(value?.ToString("N1", CultureInfo.InvariantCulture) ?? "not measured").Append("</td></tr>\n");
    }

    /// <summary>What was promised and what came of it; nothing where nothing was.</summary>
    public static void WriteTargets(StringBuilder html, string title, IReadOnlyList<Target> targets)
    {
        if (targets.Count == 0)
        {
            return;
        }

        html.Append("<h2>").Append(Text(title))
            .Append("</h2>\n<div class=\"scroll\"><table style=\"width:auto\">\n");
        foreach (Target target in targets)
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <tr><td class="l">{Text(target.Name)}</td><td>{Text(target.Bound)}</td>
                <td>{Text(target.Measured)}</td>
                <td class="l {(target.Met ? "met" : "missed")}">{(target.Met ? "met" : "missed")}</td></tr>

                """);
        }

        html.Append("</table></div>\n");
    }

    private static void WriteMethod(StringBuilder html, BenchResult result)
    {
        html.Append(CultureInfo.InvariantCulture, $"""
            <h2>How it was measured</h2>
            <p>A hypervisor at EL2, on a machine that QEMU emulates, created one VM after the other; each dirtied most
            of its memory and then died, killed in mid-run or with its memory unmapped while it lived. Instructions are
            QEMU’s own count ({Text(string.Join(' ', QemuMachine.CountingOptions))}), in which every instruction is one,
            DC and TLBI too; so the operations, counted where they are issued, stand beside it. QEMU models no caches:
            its time cannot show what cache maintenance costs.</p>
            <p>The D05 column is a model, and no measurement: what <code>./quietus sim --machine d05</code> says of the
            same VM, with as much of its memory mapped, in the same pieces. Its figures carry their sources.</p>
            <dl><dt>repeat</dt><dd><code>{Text(result.Command)}</code></dd>
            <dt>QEMU</dt><dd>{Text(result.Qemu.VersionLine)}</dd>
            <dt>machine</dt><dd><code>{Text(result.QemuCommand)}</code></dd>
            <dt>image</dt><dd>sha256 {Text(result.ImageSha256)}</dd>
            <dt>frames</dt><dd>{result.FramesReceived:N0} received, {result.FramesLost} lost</dd>
            <dt>took</dt><dd>{Duration.Format(result.WallNanoseconds)} on the host</dd></dl>

            """);
    }

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(string text) => HtmlPage.Text(text);
}

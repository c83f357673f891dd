using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Architectures;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>Deaths on machines of other architectures, as a page.</summary>
internal static class ArchitectureReport
{
    public static string Make(SimulationPlan plan, IReadOnlyList<ArchitectureRow> rows) =>
        HtmlPage.Make("a VM's death on other architectures", html =>
        {
            html.Append("<h1>What a VM’s death costs on other architectures</h1>\n<p>")
                .Append(HtmlPage.Text(ArchitectureTable.Note)).Append("</p>\n<dl><dt>repeat</dt><dd><code>")
                .Append(HtmlPage.Text(plan.Command)).Append("</code></dd></dl>\n");
            foreach (IReadOnlyList<ArchitectureRow> group in ArchitectureTable.Groups(rows))
            {
                WriteGroup(html, group);
            }

            foreach (MachinePreset machine in plan.Machines)
            {
                WriteMachine(html, machine);
            }

            HtmlPage.WriteData(html, ArchitectureDocument.Of(plan, rows));
        });

    private static void WriteGroup(StringBuilder html, IReadOnlyList<ArchitectureRow> rows)
    {
        string title = ArchitectureTable.Title(rows[0]);
        IReadOnlyList<(HookOperation Operation, string Name)> operations = ArchitectureTable.Named(rows[0]);
        html.Append("<h2>").Append(HtmlPage.Text(title)).Append("</h2>\n");
        BarChart.Write(html, "Time of the death by policy: " + title, BarChart.Time,
        [
            .. rows.Select(static row => new BarGroup(
                row.Policy.Name, [new Bar("s0", row.Result.Nanoseconds, Duration.Format(row.Result.Nanoseconds))])),
        ]);
        HtmlPage.WriteTable(
            html, ["policy", "death", .. operations.Select(static pair => pair.Name)], 1,
            rows.Select(row => (string[])
            [
                row.Policy.Name, Duration.Format(row.Result.Nanoseconds),
                .. operations.Select(pair => ArchitectureTable.Whole(row.Result.Bill[pair.Operation])),
            ]));
    }

    private static void WriteMachine(StringBuilder html, MachinePreset machine)
    {
        html.Append("<details><summary>").Append(HtmlPage.Text($"{machine.Name}: {machine.Title}"))
            .Append("</summary>\n");
        HtmlPage.WriteTable(
            html, ["figure", "what it is", "source", "value"], 3,
            machine.Figures.Select(static figure => (string[])
            [
                figure.Key, figure.Meaning, figure.Source,
                figure.Unit switch
                {
                    FigureUnit.Nanoseconds => Duration.Format(figure.Value),
                    FigureUnit.Bytes => ByteSize.Format((long)figure.Value),
                    FigureUnit.Flag => figure.Value != 0 ? "yes" : "no",
                    _ => ArchitectureTable.Whole((long)figure.Value),
                },
            ]));
        html.Append("</details>\n");
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>A simulation's result as a page.</summary>
internal static class SimulationReport
{
    private const int MostAssumptions = 10;

    private static readonly (string Style, string Name, Func<SimulationResult, double> Value)[] _parts =
    [
        ("p0", "cleaning", result => result.CacheNanoseconds),
        ("p1", "TLBI", result => result.TlbiNanoseconds),
        ("p2", "walk", result => result.WalkNanoseconds),
        ("p3", "free", result => result.FreeNanoseconds),
        ("p4", "other", result => result.OtherNanoseconds),
    ];

    /// <summary>The whole document.</summary>
    public static string Make(SimulationRun run, SimulationStudy study) =>
        HtmlPage.Make("a VM's death on a simulated Arm server", html =>
        {
            WriteHead(html, run);
            WriteLadder(html, run);
            WriteDeaths(html, run);
            WriteShares(html, run);
            WriteAblation(html, run);
            WriteGrowth(html, study);
            WriteSensitivity(html, study);
            WriteMachines(html, run.Plan);
            HtmlPage.WriteData(html, SimulationDocument.Of(run));
        });

    private static void WriteHead(StringBuilder html, SimulationRun run)
    {
        html.Append("<h1>What a VM’s death costs on an Arm server</h1>\n");
        foreach (string note in SimulationTable.Notes(run).Skip(1).Take(1))
        {
            html.Append("<p class=\"lead\">").Append(HtmlPage.Text(note)).Append("</p>\n");
        }

        foreach (string note in SimulationTable.Incomparable(run.Plan.Machines))
        {
            html.Append("<p class=\"missed\">").Append(HtmlPage.Text(note)).Append("</p>\n");
        }

        html.Append("<p>").Append(HtmlPage.Text(SimulationTable.Notes(run).First())).Append("</p>\n")
            .Append("<dl><dt>repeat</dt><dd><code>").Append(HtmlPage.Text(run.Plan.Command))
            .Append("</code></dd><dt>version</dt><dd>Quietus ").Append(HtmlPage.Text(ThisProgram.Version))
            .Append("</dd></dl>\n");
    }

    private static void WriteLadder(StringBuilder html, SimulationRun run)
    {
        (IReadOnlyList<SimulationRow> Rows, IReadOnlyList<LadderStep> Steps)[] ladders =
            [.. run.Groups.Select(rows => (rows, Ladder.Of(rows))).Where(ladder => ladder.Item2.Count > 0)];
        if (ladders.Length == 0)
        {
            return;
        }

        html.Append("<h2>Step by step to a death in constant time</h2>\n<ol>\n");
        foreach (LadderStep step in ladders[0].Steps)
        {
            html.Append("<li><b>").Append(HtmlPage.Text(step.Name)).Append("</b>. ")
                .Append(HtmlPage.Text(step.LeavesOut)).Append("</li>\n");
        }

        html.Append("</ol>\n<p class=\"soft\">Logarithmic scale.</p>\n");
        foreach ((IReadOnlyList<SimulationRow> rows, IReadOnlyList<LadderStep> steps) in ladders)
        {
            string title = SimulationTable.Title(rows[0]);
            html.Append("<h3>").Append(HtmlPage.Text(title)).Append("</h3>\n");
            BarChart.Write(html, "Time of the death, step by step: " + title, BarChart.Time,
            [
                .. steps.Select((step, number) => new BarGroup(
                    step.Name,
                    [
                        new Bar(
                            "s" + number.ToString(CultureInfo.InvariantCulture), step.Nanoseconds,
                            Duration.Format(step.Nanoseconds)
                                + (number == 0 ? "" : $", {TimesLess(steps[0], step)} times less")),
                    ])),
            ]);
            HtmlPage.WriteTable(
                html, ["step", "policy", "death", "times less", "DC lines", "TLBI", "DSB"], 2,
                steps.Select(step => (string[])
                [
                    step.Name, step.Row.Policy.Name, Duration.Format(step.Nanoseconds), TimesLess(steps[0], step),
                    Whole(step.Row.Result.Death.Counts.DcLines), Whole(Invalidations(step.Row.Result.Death.Counts)),
                    Whole(step.Row.Result.Death.Counts.Dsb),
                ]));
        }
    }

    private static long Invalidations(OperationCounts counts) =>
        counts.TlbiIpa + counts.TlbiRange + counts.TlbiVmid + counts.TlbiVmalle1;

    /// <summary>How many times: three digits are all that such a figure is good for.</summary>
    private static string TimesLess(LadderStep before, LadderStep step)
    {
        double times = before.Nanoseconds / step.Nanoseconds;
        double unit = Math.Pow(10, Math.Max(0, Math.Floor(Math.Log10(times)) - 2));
        return (Math.Round(times / unit) * unit).ToString("N0", CultureInfo.InvariantCulture);
    }

    private static void WriteDeaths(StringBuilder html, SimulationRun run)
    {
        html.Append("<h2>How long it takes</h2>\n<p class=\"soft\">By policy and machine; logarithmic scale.</p>\n");
        foreach (IGrouping<(GuestPages, DeathKind, ulong), SimulationRow> group in run.Rows.GroupBy(
            row => (row.Request.Pages, row.Request.Death, row.Request.MemoryBytes)))
        {
            string title = $"{ByteSize.Format((long)group.Key.Item3)} by {SimulationNames.Of(group.Key.Item1)} pages, "
                + SimulationNames.Of(group.Key.Item2);
            html.Append("<h3>").Append(HtmlPage.Text(title)).Append("</h3>\n");
            string[] machines = [.. group.Select(row => row.Request.Machine.Name).Distinct()];
            BarChart.Write(html, "Time of the death by policy and machine: " + title, BarChart.Time,
            [
                .. run.Plan.Policies.Select(policy => new BarGroup(
                    policy.Name,
                    [
                        .. group.Where(row => row.Policy == policy).Select(row => new Bar(
                            "s" + (Array.IndexOf(machines, row.Request.Machine.Name) % 6).ToString(
                                CultureInfo.InvariantCulture),
                            row.Result.DeathNanoseconds,
                            $"{row.Request.Machine.Name}: {Duration.Format(row.Result.DeathNanoseconds)}")),
                    ])),
            ]);
        }

        HtmlPage.WriteTable(
            html,
            [
                "machine", "memory", "pages", "die", "policy", "death", "4K pages", "2M", "1G", "TLBI ipa", "range",
                "vmid", "DC lines", "DSB", "host's free",
            ],
            5,
            run.Rows.Select(row => (string[])
            [
                row.Request.Machine.Name, ByteSize.Format((long)row.Request.MemoryBytes),
                SimulationNames.Of(row.Request.Pages), SimulationNames.Of(row.Request.Death), row.Policy.Name,
                Duration.Format(row.Result.DeathNanoseconds), Whole(row.Result.MappedPages4K),
                Whole(row.Result.MappedBlocks2M), Whole(row.Result.MappedBlocks1G),
                Whole(row.Result.Death.Counts.TlbiIpa), Whole(row.Result.Death.Counts.TlbiRange),
                Whole(row.Result.Death.Counts.TlbiVmid), Whole(row.Result.Death.Counts.DcLines),
                Whole(row.Result.Death.Counts.Dsb), Duration.Format(row.Result.HostFreeNanoseconds),
            ]));
    }

    private static void WriteShares(StringBuilder html, SimulationRun run)
    {
        html.Append("<h2>Where the time goes</h2>\n<p class=\"key\">");
        foreach ((string style, string name, _) in _parts)
        {
            html.Append("<span><i class=\"").Append(style).Append("\"></i>").Append(name).Append("</span>");
        }

        html.Append("</p>\n");
        foreach (IReadOnlyList<SimulationRow> rows in run.Groups)
        {
            string title = SimulationTable.Title(rows[0]);
            html.Append("<h3>").Append(HtmlPage.Text(title)).Append("</h3>\n");
            StackedChart.Write(html, "Shares of the death's time: " + title,
            [
                .. rows.Where(row => row.Result.DeathNanoseconds > 0).Select(row => new StackedBar(
                    row.Policy.Name, Duration.Format(row.Result.DeathNanoseconds),
                    [
                        .. _parts.Select(part => new StackedPart(
                            part.Style, part.Name, part.Value(row.Result), Duration.Format(part.Value(row.Result)))),
                    ])),
            ]);
            HtmlPage.WriteTable(
                html,
                ["policy", "death", .. _parts.Select(part => part.Name)],
                1,
                rows.Select(row => (string[])
                [
                    row.Policy.Name, Duration.Format(row.Result.DeathNanoseconds),
                    .. _parts.Select(part => Duration.Format(part.Value(row.Result))),
                ]));
        }
    }

    private static void WriteAblation(StringBuilder html, SimulationRun run)
    {
        if (!run.Plan.Ablate)
        {
            return;
        }

        html.Append("<h2>Which patch saves what</h2>\n<p>Saved: against before-series; of the series less a patch, ")
            .Append("against the series. The patches act on different paths, so the series less one dies as a policy ")
            .Append("that was run.</p>\n");
        foreach (IReadOnlyList<SimulationRow> rows in run.Groups)
        {
            html.Append("<h3>").Append(HtmlPage.Text(SimulationTable.Title(rows[0]))).Append("</h3>\n");
            HtmlPage.WriteTable(html, ["patches", "death", "saved", "filling it"], 1, Ablation.Of(rows).Select(line =>
                (string[])
                [
                    line.Name, Duration.Format(line.DeathNanoseconds),
                    (line.SavedNanoseconds < 0 ? "−" : "") + Duration.Format(Math.Abs(line.SavedNanoseconds)),
                    Duration.Format(line.FillNanoseconds),
                ]));
        }
    }

    private static void WriteGrowth(StringBuilder html, SimulationStudy study)
    {
        SimulationRequest sample = study.Growth[0].Request;
        string title = $"{sample.Machine.Name}, {SimulationNames.Of(sample.Pages)} pages, "
            + SimulationNames.Of(sample.Death);
        html.Append("<h2>How it grows with memory</h2>\n<p class=\"soft\">").Append(HtmlPage.Text(title))
            .Append("; both scales logarithmic: what grows with the memory rises, what does not lies flat.</p>\n");
        ChartLine[] lines =
        [
            .. study.Growth.GroupBy(row => row.Policy.Name).Select(group => new ChartLine(
                group.Key,
                [
                    .. group.Where(row => row.Result.DeathNanoseconds > 0).Select(row => (
                        (double)row.Request.MemoryBytes, row.Result.DeathNanoseconds,
                        $"{ByteSize.Format((long)row.Request.MemoryBytes)}, "
                            + Duration.Format(row.Result.DeathNanoseconds))),
                ])).Where(line => line.Points.Count > 0),
        ];
        if (lines.Any(line => line.Points.Count > 1))
        {
            LineChart.Write(
                html, "Time of the death by memory: " + title, x => ByteSize.Format((long)x), BarChart.Time, lines);
        }

        ulong[] sizes = [.. study.Growth.Select(row => row.Request.MemoryBytes).Distinct()];
        HtmlPage.WriteTable(
            html, ["policy", .. sizes.Select(size => ByteSize.Format((long)size))], 1,
            study.Growth.GroupBy(row => row.Policy.Name).Select(group => (string[])
                [group.Key, .. group.Select(row => Duration.Format(row.Result.DeathNanoseconds))]));
    }

    private static void WriteSensitivity(StringBuilder html, SimulationStudy study)
    {
        SimulationRequest request = study.SensitivityOf;
        html.Append("<h2>What the assumed figures leave open</h2>\n<p>")
            .Append(HtmlPage.Text(
                $"{request.Machine.Name}, {ByteSize.Format((long)request.MemoryBytes)} by "
                    + $"{SimulationNames.Of(request.Pages)} pages, {SimulationNames.Of(request.Death)}. Each figure "
                    + "that has not been published is moved alone to both ends of its range; those that move the death "
                    + "by less than 0.1 % are left out."))
            .Append("</p>\n<p class=\"key\"><span><i class=\"low\"></i>at the low end</span>")
            .Append("<span><i class=\"high\"></i>at the high end</span></p>\n");
        foreach (IGrouping<MaintenancePolicy, SensitivityLine> policy in study.Sensitivity.GroupBy(line => line.Policy))
        {
            double atBase = policy.First().Base;
            html.Append("<h3>").Append(HtmlPage.Text($"{policy.Key.Name}: {Duration.Format(atBase)} as it is"))
                .Append("</h3>\n");
            TornadoChart.Write(
                html, $"Change of the death's time under {policy.Key.Name} by each assumption",
                [
                    .. policy.Take(MostAssumptions).Select(line => new TornadoBar(
                        line.Figure.Key, Percent(line.AtLow, atBase), Percent(line.AtHigh, atBase),
                        Duration.Format(line.Figure.Low), Duration.Format(line.Figure.High))),
                ]);
            HtmlPage.WriteTable(
                html, ["assumption", "low", "as it is", "high", "death at low", "death at high"], 1,
                policy.Select(line => (string[])
                [
                    line.Figure.Key, Duration.Format(line.Figure.Low), Duration.Format(line.Figure.Value),
                    Duration.Format(line.Figure.High), Duration.Format(line.AtLow), Duration.Format(line.AtHigh),
                ]));
        }

        if (study.Sensitivity.Count == 0)
        {
            html.Append("<p>No assumption moves it by as much.</p>\n");
        }
    }

    private static void WriteMachines(StringBuilder html, SimulationPlan plan)
    {
        html.Append("<h2>The machines</h2>\n");
        foreach (MachinePreset machine in plan.Machines)
        {
            html.Append("<details><summary>").Append(HtmlPage.Text($"{machine.Name}: {machine.Title}"))
                .Append("</summary>\n");
            HtmlPage.WriteTable(
                html, ["figure", "what it is", "source", "value", "range"], 3,
                machine.Figures.Select(figure => (string[])
                [
                    figure.Key, figure.Meaning, figure.Source, Format(figure, figure.Value),
                    figure.Low < figure.High ? $"{Format(figure, figure.Low)} – {Format(figure, figure.High)}" : "",
                ]));
            html.Append("</details>\n");
        }
    }

    private static string Format(Figure figure, double value) => figure.Unit switch
    {
        FigureUnit.Nanoseconds => Duration.Format(value),
        FigureUnit.Bytes => ByteSize.Format((long)value),
        FigureUnit.Flag => value != 0 ? "yes" : "no",
        _ => value.ToString("N0", CultureInfo.InvariantCulture),
    };

    private static double Percent(double value, double atBase) => 100 * ((value / atBase) - 1);

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);
}

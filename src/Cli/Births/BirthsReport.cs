using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Cli.Bench;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>Births as one HTML file that needs nothing else.</summary>
internal static class BirthsReport
{
    private static readonly (string Style, string Name, Func<BirthsRow, double> Value)[] _lives =
    [
        ("p0", "birth", row => row.Birth),
        ("p1", "reset", row => row.Reset),
        ("p2", DeathWay.Kill.Name(), row => row.Kill),
    ];

    private static readonly (string Style, string Name, Func<BirthsRow, double> Value)[] _writes =
    [
        ("p0", "a write to a shared page", row => row.WriteFault!.Value),
        ("p1", "the first in its 2 MB", row => row.WriteFaultFirst!.Value),
        ("p2", "the first in its gigabyte", row => row.WriteFaultGigabyte!.Value),
    ];

    private static readonly (string Style, string Name, Func<BirthsRow, double> Value)[] _ready =
    [
        ("p0", "child: from the fork order to a command’s answer", row => row.Ready!.Value),
        ("p1", "boot: from the start order to the shell’s prompt", row => row.Boot!.Value),
    ];

    /// <summary>The whole document.</summary>
    public static string Make(BirthsResult result) => HtmlPage.Make("what a VM's birth costs", html =>
    {
        WriteHead(html, result);
        if (result.Kvm is { } kvm)
        {
            WriteKvm(html, result, kvm);
        }

        WriteBars(
            html, "Birth, reset, kill: instructions (log scale)", BarChart.Power, _lives, result.Rows);
        WriteBars(
            html, "Writes by a child: instructions (log scale)", BarChart.Power, _writes,
            [.. result.Rows.Where(row => row.WriteFault is not null)]);
        WriteBars(
            html, "A shell that answers: virtual time in instructions (log scale)", BarChart.Power, _ready,
            [.. result.Rows.Where(row => row is { Ready: not null, Boot: not null })]);
        WriteRows(html, result);
        WriteMethod(html, result);
        HtmlPage.WriteData(html, BirthsDocument.Of(result));
    });

    private static void WriteHead(StringBuilder html, BirthsResult result)
    {
        html.Append("<h1>What a VM’s birth costs</h1>\n");
        if (result.Kvm is { } kvm && KvmBirthsComparison.Make(result, kvm) is [.., { } pair])
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <p class="lead">A child of a template of {ByteSize.Format(pair.Ours.MemoryBytes)} is born in
                {pair.Ours.Birth:N0} instructions under Quietus. Under KVM a child of a snapshot takes at least
                {pair.Birth:N0}, {KvmTable.Times(pair.BirthRatio)} times as many; reading all of its memory then takes
                KVM {pair.ReadAll:N0} more, and Quietus’s child {Counted.Of(pair.Ours.ReadFaults!.Value, "fault")}. A
                write to a shared page takes {pair.Ours.WriteFault!.Value:N0} against {pair.Write:N0}.</p>

                """);
        }
        else if (result.Rows.LastOrDefault(row => row is { Ready: not null, Boot: not null }) is { } linux)
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <p class="lead">A running Linux of {ByteSize.Format(linux.MemoryBytes)} is born in {linux.Birth:N0}
                instructions. Its shell answers a command after {linux.Ready:N0}, where a boot takes {linux.Boot:N0} to
                the prompt: {(double)linux.Boot!.Value / linux.Ready!.Value:N0} times sooner.
                It owns {ByteSize.Format(linux.OwnedAfterCommand ?? 0)} then, and its template the rest.</p>

                """);
        }
        else if (result.Rows.Count > 0)
        {
            BirthsRow last = result.Rows[^1];
            html.Append(CultureInfo.InvariantCulture, $"""
                <p class="lead">A child of a template of {ByteSize.Format(last.MemoryBytes)} is born in
                {last.Birth:N0} instructions, and reads all of its memory with
                {Counted.Of(last.ReadFaults ?? 0, "fault")}.</p>

                """);
        }

        html.Append(CultureInfo.InvariantCulture, $"""
            <p class="soft">Quietus {Text(ThisProgram.Version)} on QEMU {Text(result.QemuVersion)},
            {Text(result.Plan.Cpu.Name)}, {Counted.Of(result.Plan.Cpus, "vCPU")};
            {Counted.Of(result.Plan.Children, "child", "children")} of each template, of whose figures the median is
            shown; {Text(string.Join("; ", result.Plan.Guests.Select(guest => guest.Name + ": " + guest.Description)))}.
            </p>

            """);
        if (result.IsInterrupted)
        {
            html.Append("<p><b>Note:</b> interrupted; what is here is complete, the rest is missing.</p>\n");
        }
    }

    private static void WriteKvm(StringBuilder html, BirthsResult result, KvmBirthsResult kvm)
    {
        foreach (KvmBirthsComparison pair in KvmBirthsComparison.Make(result, kvm))
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <h2>Against KVM: {ByteSize.Format(pair.Ours.MemoryBytes)}, pages 4k</h2>
                <p class="key"><span><i class="p0"></i>Quietus</span><span><i
                class="p1"></i>KVM of Linux {Text(kvm.KernelRelease)}</span></p>
                <h3>Instructions (log scale)</h3>

                """);
            BarChart.Write(html, "Instructions, Quietus and KVM", BarChart.Power,
            [
                Pair("birth", pair.Ours.Birth, pair.Birth, pair.BirthRatio),
                new BarGroup("with all registers", [Theirs(pair.BirthWhole, pair.BirthWholeRatio)]),
                new BarGroup("reading it all",
                [
                    new Bar("p0", pair.Ours.ReadFaults!.Value, Counted.Of(pair.Ours.ReadFaults.Value, "fault")),
                    new Bar("p1", pair.ReadAll, Whole(pair.ReadAll)),
                ]),
                Pair("a write", pair.Ours.WriteFault!.Value, pair.Write, pair.WriteRatio),
                new BarGroup("… after a read", [Theirs(pair.WriteAfterRead, pair.WriteAfterReadRatio)]),
                Pair("its end", pair.Ours.Kill, pair.End, pair.EndRatio),
            ]);
            HtmlPage.WriteTable(
                html, ["", "Quietus", "KVM", "per page", "times fewer"], 1,
                KvmBirthsTable.Lines(pair).Select(line => (string[])
                    [line.What, line.Ours, line.Theirs, line.PerPage, line.Ratio]));
        }

        HtmlReport.WriteTargets(html, Target.TitleAgainstKvm, KvmBirthsComparison.Judge(result));
        html.Append("<p>").Append(Text(KvmBirthsTable.Method)).Append("</p>\n<dl><dt>kernel</dt><dd>")
            .Append(Text(kvm.Package)).Append("</dd><dt>machine</dt><dd><code>")
            .Append(Text(kvm.QemuCommand)).Append("</code></dd><dt>probe</dt><dd>sha256 ").Append(Text(kvm.ProbeSha256))
            .Append("</dd></dl>\n");

        static BarGroup Pair(string name, double ours, double theirs, double ratio) =>
            new(name, [new Bar("p0", ours, Whole(ours)), Theirs(theirs, ratio)]);

        static Bar Theirs(double value, double ratio) =>
            new("p1", value, $"{Whole(value)} ({KvmTable.Times(ratio)} x)");
    }

    private static void WriteBars(
        StringBuilder html, string title, Func<int, string> scale,
        (string Style, string Name, Func<BirthsRow, double> Value)[] parts, IReadOnlyList<BirthsRow> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }

        html.Append("<h2>").Append(Text(title)).Append("</h2>\n<p class=\"key\">");
        foreach ((string style, string name, _) in parts)
        {
            html.Append("<span><i class=\"").Append(style).Append("\"></i>").Append(Text(name)).Append("</span>");
        }

        html.Append("</p>\n");
        BarChart.Write(html, title, scale,
        [
            .. rows.Select(row => new BarGroup(
                $"{row.Template} {ByteSize.FormatOption(row.MemoryBytes)} {row.Pages}",
                [.. parts.Select(part => new Bar(part.Style, part.Value(row), Whole(part.Value(row))))])),
        ]);
    }

    private static void WriteRows(StringBuilder html, BirthsResult result)
    {
        html.Append("<h2>Every template</h2>\n");
        HtmlPage.WriteTable(
            html,
            [
                "template", "memory", "pages", "mapped 4K", "freeze/page", "birth", "reset", DeathWay.Kill.Name(),
                "read faults", "a write", "1st in 2 MB", "1st in 1 GB", "boot", "ready", "owned at birth",
                "after a command",
            ],
            3,
            result.Rows.Select(row => (string[])
            [
                row.Template, ByteSize.FormatOption(row.MemoryBytes), row.Pages, Whole(row.MappedPages),
                row.FreezePerPage.ToString("N1", CultureInfo.InvariantCulture), Whole(row.Birth), Whole(row.Reset),
                Whole(row.Kill), Whole(row.ReadFaults), Whole(row.WriteFault), Whole(row.WriteFaultFirst),
                Whole(row.WriteFaultGigabyte), Whole(row.Boot), Whole(row.Ready),
                ByteSize.Format(row.OwnedAfterBirth),
                row.OwnedAfterCommand is { } owned ? ByteSize.Format(owned) : "–",
            ]));
    }

    private static void WriteMethod(StringBuilder html, BirthsResult result) => html.Append(
        CultureInfo.InvariantCulture, $"""
            <h2>How it was measured</h2>
            <p>A hypervisor at EL2, on a machine that QEMU emulates, booted a VM for each line, froze it, and forked
            children of it, one after the other. Instructions are QEMU’s own count
            ({Text(string.Join(' ', QemuMachine.CountingOptions))}). A birth goes from the fork order to the child’s
            first instruction, a reset and a kill from the order until they are done; boot and ready are virtual time,
            in which a guest that waits counts as well. A write is the child’s store, with the fault that it takes. What
            a child owns are pages and tables of its own; all else is its template’s.</p>
            <dl><dt>repeat</dt><dd><code>{Text(result.Plan.Command)}</code></dd>
            <dt>QEMU</dt><dd>{Text(result.QemuVersion)}</dd>
            <dt>machine</dt><dd><code>{Text(result.QemuCommand)}</code></dd>
            <dt>image</dt><dd>sha256 {Text(result.ImageSha256)}</dd>
            <dt>took</dt><dd>{Duration.Format(result.WallNanoseconds)} on the host</dd></dl>

            """);

    private static string Whole(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Whole(double? value) => value is { } number ? Whole(number) : "–";

    private static string Text(string text) => HtmlPage.Text(text);
}

using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Quietus.Architectures;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>The hooks' table, as far as it was made.</summary>
internal sealed record HooksRun
{
    public required IReadOnlyList<MachinePreset> Machines { get; init; }

    public required long MemoryBytes { get; init; }

    public required int Vcpus { get; init; }

    public required string Command { get; init; }

    public required IReadOnlyList<HookRow> Rows { get; init; }

    /// <summary>Whether every event of every machine is there.</summary>
    public bool IsComplete => Rows.Count == Machines.Sum(static machine => HookTable.EventsOf(machine).Count());
}

/// <summary>The hooks' table for people, and as a page.</summary>
internal static class HooksTable
{
    private const string Arm64Did =
        "Cleared each page, invalidated its IPA in all TLBs, waited, and cleaned it line by line.";

    private const string Arm64Does =
        "One invalidation for a batch, and cleaning by the page's fate; a death visits no leaf.";

    private const string Arm64MustNot =
        "UNMAP is also mremap's, and of a file's or a shared page: docs/series-findings.md.";

    private const string Told =
        "Before patch 1 each of these hooks was told a range's start and end, and nothing else. With it, the event: "
        + "munmap and mremap raise UNMAP; MADV_DONTNEED, migration and swap-out CLEAR; mprotect PROTECTION_VMA; fork "
        + "PROTECTION_PAGE. Aging, the removal of a slot and exit have calls of their own. \"elsewhere\" is a page of "
        + "the process that is not the guest's.";

    private static readonly TextColumn<HookRow>[] _columns =
    [
        new("event", 10, true, static row => NameOf(row.What)),
        new("5.5 visits", 11, false, static row => Whole(row.Before.Visited)),
        new("flushes", 9, false, static row => Whole(row.Before.Flushes)),
        new("time", 9, false, static row => Duration.Format(row.Before.Nanoseconds)),
        new("now visits", 11, false, static row => Whole(row.Now.Visited)),
        new("flushes", 9, false, static row => Whole(row.Now.Flushes)),
        new("time", 9, false, static row => Duration.Format(row.Now.Nanoseconds)),
    ];

    private static readonly TextColumn<HookRow>[] _caches =
    [
        new("event", 10, true, static row => NameOf(row.What)),
        new("5.5 lines", 12, false, static row => Whole(row.Before.CacheLines)),
        new("all caches", 10, false, static row => Whole(row.Before.WholeCaches)),
        new("now lines", 12, false, static row => Whole(row.Now.CacheLines)),
        new("all caches", 10, false, static row => Whole(row.Now.WholeCaches)),
    ];

    public static string NameOf(HookEvent what) => what switch
    {
        HookEvent.SwapOut => "swap-out",
        HookEvent.SlotRemoval => "slot",
        _ => what.ToString().ToLowerInvariant(),
    };

    public static void Write(TextWriter writer, HooksRun run)
    {
        foreach (IGrouping<MachinePreset, HookRow> rows in run.Rows.GroupBy(static row => row.Machine))
        {
            (string title, string did, string does, string mustNot) = Texts(rows.Key);
            TextTable.WriteTitle(writer, $"{title} ({rows.Key.Name}), {ByteSize.Format(run.MemoryBytes)}");
            TextTable.WriteHanging(writer, "5.5: ", did);
            TextTable.WriteHanging(writer, "now: ", does);
            TextTable.WriteHanging(writer, "not: ", mustNot);
            writer.WriteLine();
            TextTable.Write(writer, _columns, rows);
            writer.WriteLine();
            if (rows.Any(static row => row.Before.CacheLines + row.Before.WholeCaches != 0))
            {
                TextTable.Write(writer, _caches, rows);
                writer.WriteLine();
            }
        }

        TextTable.WriteNote(writer, Told);
        TextTable.WriteNote(writer, ArchitectureTable.Note);
    }

    public static string Report(HooksRun run) => HtmlPage.Make("what a hook is told", html =>
    {
        html.Append("<h1>What a hook is told, and what it does with it</h1>\n<p>")
            .Append(HtmlPage.Text(Told)).Append("</p>\n<p>").Append(HtmlPage.Text(ArchitectureTable.Note))
            .Append("</p>\n<dl><dt>repeat</dt><dd><code>").Append(HtmlPage.Text(run.Command))
            .Append("</code></dd></dl>\n");
        foreach (IGrouping<MachinePreset, HookRow> rows in run.Rows.GroupBy(static row => row.Machine))
        {
            WriteMachine(html, rows.Key, [.. rows]);
        }

        HtmlPage.WriteData(html, HooksDocument.Of(run));
    });

    private static void WriteMachine(StringBuilder html, MachinePreset machine, IReadOnlyList<HookRow> rows)
    {
        (string title, string did, string does, string mustNot) = Texts(machine);
        html.Append("<h2>").Append(HtmlPage.Text($"{title} ({machine.Name})")).Append("</h2>\n<dl>");
        foreach ((string term, string text) in new[]
            { ("Linux 5.5", did), ("now", does), ("must not", mustNot) })
        {
            html.Append("<dt>").Append(term).Append("</dt><dd>").Append(HtmlPage.Text(text)).Append("</dd>");
        }

        html.Append("</dl>\n");
        BarChart.Write(html, "Time of each event, before and now: " + title, BarChart.Time,
        [
            .. rows.Select(static row => new BarGroup(
                NameOf(row.What),
                [
                    new Bar("s1", row.Before.Nanoseconds, Duration.Format(row.Before.Nanoseconds)),
                    new Bar("s0", row.Now.Nanoseconds, Duration.Format(row.Now.Nanoseconds)),
                ])),
        ]);
        HtmlPage.WriteTable(
            html,
            ["event", "5.5 visits", "flushes", "interrupts", "lines", "all caches", "time", "now visits", "flushes",
                "interrupts", "lines", "all caches", "time"],
            1,
            rows.Select(static row => (string[])
            [
                NameOf(row.What), .. Cells(row.Before), .. Cells(row.Now),
            ]));
    }

    private static string[] Cells(HookCost cost) =>
    [
        Whole(cost.Visited), Whole(cost.Flushes), Whole(cost.Interrupts), Whole(cost.CacheLines),
        Whole(cost.WholeCaches), Duration.Format(cost.Nanoseconds),
    ];

    private static (string Title, string Did, string Does, string MustNot) Texts(MachinePreset machine)
    {
        if (machine.IsArm64)
        {
            return ("arm64", Arm64Did, Arm64Does, Arm64MustNot);
        }

        Architecture architecture = Architecture.Of(machine);
        return (architecture.Title, architecture.Did, architecture.Does, architecture.MustNot);
    }

    private static string Whole(long count) => ArchitectureTable.Whole(count);
}

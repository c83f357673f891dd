using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>The part of a report that sets Quietus beside KVM.</summary>
internal static class KvmSection
{
    public static void Write(StringBuilder html, BenchResult result, KvmResult kvm)
    {
        foreach (IGrouping<KvmCase, KvmComparison> group in KvmComparison.Make(result, kvm).GroupBy(pair => pair.Case))
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <h2>Against KVM: {ByteSize.Format(group.Key.MemoryBytes)}, pages {Text(group.Key.Pages)}</h2>
                <p class="key"><span><i style="background:var(--kill)"></i>Quietus, policy fate</span><span><i
                style="background:var(--unmap)"></i>KVM of Linux {Text(kvm.KernelRelease)}</span></p>
                <h3>Instructions (log scale)</h3>

                """);
            BarChart.Write(html, "Instructions, Quietus and KVM", BarChart.Power, [.. group.SelectMany(Bars)]);
        }

        html.Append("<p>").Append(Text(KvmTable.Method)).Append("</p>\n");
        foreach (string note in KvmTable.Notes(kvm))
        {
            html.Append("<p><b>Note:</b> ").Append(Text(note)).Append("</p>\n");
        }

        html.Append("<dl><dt>kernel</dt><dd>").Append(Text(kvm.Package)).Append("</dd><dt>machine</dt><dd><code>")
            .Append(Text(kvm.QemuCommand)).Append("</code></dd><dt>probe</dt><dd>sha256 ").Append(Text(kvm.ProbeSha256))
            .Append("</dd></dl>\n");
    }

    /// <summary>The last and largest kill in one sentence.</summary>
    public static void WriteLead(StringBuilder html, BenchResult result, KvmResult kvm)
    {
        if (KvmComparison.Make(result, kvm).LastOrDefault(pair => pair.Way == DeathWay.Kill) is { } kill)
        {
            html.Append(CultureInfo.InvariantCulture, $"""
                <p class="lead">Killing a VM of {ByteSize.Format(kill.Case.MemoryBytes)}, pages {Text(kill.Case.Pages)},
                takes {kill.Ours.Death.Instructions:N0} instructions under Quietus. Under KVM Stage-2’s share takes
                {kill.Share.Instructions:N0}, {KvmTable.Times(kill.ShareRatio)} times as many; the whole death, with
                the host’s own freeing of pages, {kill.Whole.Instructions:N0}, {KvmTable.Times(kill.WholeRatio)}
                times.</p>

                """);
        }
    }

    private static IEnumerable<BarGroup> Bars(KvmComparison pair)
    {
        yield return new BarGroup(
            pair.Way.Name(),
            [
                new Bar(DeathWay.Kill.Name(), pair.Ours.Death.Instructions, Whole(pair.Ours.Death.Instructions)),
                Theirs(pair.Share, pair.ShareRatio),
            ]);
        yield return new BarGroup("with host’s freeing", [Theirs(pair.Whole, pair.WholeRatio)]);
    }

    private static Bar Theirs(KvmRow row, double ratio) =>
        new(DeathWay.Unmap.Name(), row.Instructions, $"{Whole(row.Instructions)} ({KvmTable.Times(ratio)} x)");

    private static string Whole(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}

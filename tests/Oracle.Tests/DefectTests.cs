using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>Each known bug of this field is found from random programs, for its own reason, in a short story.</summary>
public class DefectTests(ITestOutputHelper output)
{
    private const int LongestStory = 14;
    private const double MostSeconds = 5;

    public static TheoryData<Defect> Defects => [.. DefectCatalogue.All.Select(known => known.Defect)];

    [Theory]
    [MemberData(nameof(Defects))]
    public void Every_defect_is_found_from_every_seed_base_by_its_rule_and_reader(Defect defect)
    {
        KnownDefect known = DefectCatalogue.Of(defect);
        var kills = new List<Kill>();
        foreach (int firstSeed in DefectSearch.Bases)
        {
            Kill kill = DefectSearch.Run(known, firstSeed);
            kills.Add(kill);
            output.WriteLine(FormattableString.Invariant(
                $"{known.Number} {defect}: {kill.Seconds:F2} s, {kill.Programs} programs, first {kill.First.Kind}; ")
                + $"{kill.Finding.Steps.Length} steps, {kill.Finding.Violation.Kind}: {kill.Finding.Violation.Text}");
            kill.Finding.Steps.Length.ShouldBeLessThanOrEqualTo(LongestStory, string.Join('\n', kill.Finding.Steps));
        }

        kills.Select(kill => kill.Seconds).Order().ElementAt(kills.Count / 2).ShouldBeLessThan(MostSeconds);
    }

    [Fact]
    public void The_catalogue_has_every_defect_once()
    {
        Defect[] defects = [.. Enum.GetValues<Defect>().Except([Defect.None, Defect.RepeatedCompletion])];
        DefectCatalogue.All.Select(known => known.Defect).ShouldBe(defects);
        DefectCatalogue.All.Select(known => known.Number.TrimEnd('a', 'b')).Distinct().Count().ShouldBe(53);
    }

    [Fact]
    public void The_table_of_the_documentation_is_the_catalogue()
    {
        var page = new Document("oracle-defects.md");
        if (Document.IsWritten)
        {
            page.Write("defects", DefectCatalogue.All.Select(known => Row(known) + Figures(known)));
        }

        string[] rows = [.. page.Read("defects")];
        rows.Length.ShouldBe(DefectCatalogue.All.Count);
        for (int at = 0; at < rows.Length; at++)
        {
            rows[at].ShouldStartWith(Row(DefectCatalogue.All[at]));
        }
    }

    [Theory]
    [InlineData(Defect.None)]
    [InlineData(Defect.RepeatedCompletion)]
    public void What_has_no_defect_passes(Defect none) =>
        new RandomSearch(
            DefectSearch.SubjectWith(none),
            [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries, MaintenancePolicy.TablesOnly])
        { StepsPerProgram = 400 }.Run(1, 1500, 2, CancellationToken.None).Findings.ShouldBeEmpty();

    private static string Row(KnownDefect known) =>
        $"| {known.Number} | {known.What} | {known.Source} | {known.Rule} | {known.Reader} |";

    /// <summary>Medians over the seed bases; the worst program counts, too.</summary>
    private static string Figures(KnownDefect known)
    {
        Kill[] kills = [.. DefectSearch.Bases.Select(firstSeed => DefectSearch.Run(known, firstSeed))];
        int steps = kills.Select(kill => kill.Finding.Steps.Length).Order().ElementAt(kills.Length / 2);
        int[] programs = [.. kills.Select(kill => kill.Programs).Order()];
        double seconds = kills.Select(kill => kill.Seconds).Order().ElementAt(kills.Length / 2);
        return FormattableString.Invariant(
            $" {programs[kills.Length / 2]} | {programs[^1]} | {seconds:F2} | {steps} |");
    }
}

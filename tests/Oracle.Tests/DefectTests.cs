using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>Each known bug of this field is found from random programs, for its own reason, and its story is short.</summary>
public class DefectTests(ITestOutputHelper output)
{
    private const int LongestStory = 12;
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
        DefectCatalogue.All.Select(known => known.Number.TrimEnd('a', 'b')).Distinct().Count().ShouldBe(26);
    }

    [Theory]
    [InlineData(Defect.None)]
    [InlineData(Defect.RepeatedCompletion)]
    public void What_has_no_defect_passes(Defect none) =>
        new RandomSearch(
            DefectSearch.SubjectWith(none),
            [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries, MaintenancePolicy.TablesOnly])
            { StepsPerProgram = 400 }.Run(1, 1500, 2, CancellationToken.None).Findings.ShouldBeEmpty();
}

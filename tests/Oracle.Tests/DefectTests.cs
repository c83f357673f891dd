using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>Each known bug of this field is found from random programs, and its story is short.</summary>
public class DefectTests(ITestOutputHelper output)
{
    private const int MostPrograms = 20_000;
    private const int LongestStory = 12;

    public static TheoryData<Defect> Defects
    {
        get
        {
            var data = new TheoryData<Defect>();
            foreach (Defect defect in Enum.GetValues<Defect>())
            {
                if (defect != Defect.None)
                {
                    data.Add(defect);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Defects))]
    public void Every_defect_is_found_and_told_in_few_steps(Defect defect)
    {
        IReadOnlyList<MaintenancePolicy> policies = [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries];
        var watch = Stopwatch.StartNew();
        var search = new RandomSearch(SubjectWith(defect), policies) { StepsPerProgram = 400 };
        Coverage coverage = search.Run(1, MostPrograms, 1, CancellationToken.None);
        output.WriteLine($"{defect}: {watch.Elapsed.TotalSeconds:F2} s, {coverage.Programs} programs");
        Finding found = coverage.Findings.ShouldHaveSingleItem();
        output.WriteLine($"{found.Violation.Kind}, {found.Steps.Length} steps: {found.Violation.Text}");
        found.Steps.Length.ShouldBeLessThanOrEqualTo(LongestStory);
        switch (defect)
        {
            case Defect.VmidReusedBeforeDsb:
                found.Violation.Kind.ShouldBe(ViolationKind.VmidReused);
                break;
            case Defect.SharedUnmapWithoutCaches:
                found.Violation.Consumer.ShouldBe("another VM that still maps it");
                break;
            case Defect.AccessFlagOnStaleCopy:
                found.Violation.Kind.ShouldBe(ViolationKind.LostUpdate);
                break;
            default:
                break;
        }
    }

    [Fact]
    public void The_engine_without_a_defect_has_none() =>
        new RandomSearch(SubjectWith(Defect.None), [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries])
            { StepsPerProgram = 400 }.Run(1, 2000, 2, CancellationToken.None).Findings.ShouldBeEmpty();

    private static Subject<Arm4K, DefectiveMachine> SubjectWith(Defect defect) => new(options => new DefectiveHost(
        options with
        {
            Features = options.Features with { EarlyCompletion = defect == Defect.EarlyCompletion },
        },
        defect));
}

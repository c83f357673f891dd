using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Search;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>The bounded search: that what it leaves out loses nothing.</summary>
public class ExhaustiveTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Defect.UnmapWithoutTlbi, 1, 1, 1, 4)]
    [InlineData(Defect.TlbiWithoutDsb, 1, 1, 1, 4)]
    [InlineData(Defect.MappedWithoutClean, 2, 2, 1, 3)]
    public void Equal_states_and_alike_PEs_hide_no_violation(Defect defect, int pes, int vms, int pages, int steps)
    {
        var bounds = new ExhaustiveBounds(pes, vms, pages, steps);
        ExhaustiveCoverage plain = Search(defect, bounds, reduces: false);
        ExhaustiveCoverage reduced = Search(defect, bounds, reduces: true);
        output.WriteLine($"{plain.Transitions} transitions, reduced {reduced.Transitions}, {reduced.States} states");
        Kinds(reduced).ShouldBe(Kinds(plain));
        plain.Findings.ShouldNotBeEmpty();
        reduced.Transitions.ShouldBeLessThan(plain.Transitions);
    }

    [Fact]
    public void The_engine_without_a_defect_has_none() =>
        new ExhaustiveSearch(Subject.Engine, MaintenancePolicy.Fate, new ExhaustiveBounds(2, 2, 2, 3))
            .Run(2, CancellationToken.None).Findings.ShouldBeEmpty();

    private static ExhaustiveCoverage Search(Defect defect, ExhaustiveBounds bounds, bool reduces)
    {
        Subject subject = DefectSearch.SubjectWith(defect);
        ExhaustiveReductions reductions = reduces ? ExhaustiveReductions.All : ExhaustiveReductions.None;
        return new ExhaustiveSearch(subject, MaintenancePolicy.Fate, bounds) { Reductions = reductions }
            .Run(2, CancellationToken.None);
    }

    private static List<(ViolationKind Kind, string Consumer)> Kinds(ExhaustiveCoverage coverage) =>
        [.. coverage.Findings.Select(finding => (finding.Violation.Kind, finding.Violation.Consumer))];
}

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

/// <summary>What the oracle finds by itself about the series as posted: docs/series-findings.md.</summary>
public class SeriesTests
{
    [Fact]
    public void Patch_7_is_unsound_in_its_four_cases()
    {
        string[] readers = [.. Search(MaintenancePolicy.Patch7).Findings.Select(finding => finding.Violation.Consumer)];
        readers.ShouldContain("a driver that has it pinned");
        readers.ShouldContain("write-back");
        readers.ShouldContain("another VM that still maps it");
        readers.ShouldContain("the process that remapped it");
    }

    [Fact]
    public void Patch_5_frees_tables_and_frames_that_a_loaded_VTTBR_still_leads_to()
    {
        Coverage coverage = Search(MaintenancePolicy.Patch5);
        coverage.Findings.ShouldContain(finding => finding.Violation.Kind == ViolationKind.TableFreedInUse);
        coverage.Findings.ShouldContain(finding => finding.Violation.Kind == ViolationKind.FrameFreedInUse);
    }

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    [InlineData(MaintenancePolicy.Patch6)]
    public void Sound_policies_pass(MaintenancePolicy policy) =>
        Search(policy).Findings.ShouldBeEmpty();

    [Fact]
    public void What_is_found_does_not_depend_on_the_threads()
    {
        Finding one = Search(MaintenancePolicy.Patch7, 1, false).Findings.ShouldHaveSingleItem();
        Finding three = Search(MaintenancePolicy.Patch7, 3, false).Findings.ShouldHaveSingleItem();
        three.Seed.ShouldBe(one.Seed);
        three.Steps.ShouldBe(one.Steps);
        three.Violation.ShouldBe(one.Violation);
    }

    [Theory]
    [InlineData(MaintenancePolicy.Patch7, "patch7")]
    [InlineData(MaintenancePolicy.Patch5, "patch5")]
    public void The_stories_of_the_documentation_are_what_check_prints(MaintenancePolicy policy, string name)
    {
        var page = new Document("series-findings.md");
        var text = new List<string>();
        foreach (Finding finding in Search(policy).Findings)
        {
            string again = FormattableString.Invariant(
                $"./quietus check --seed {finding.Seed} --steps 1000 --policies {name}");
            IReadOnlyList<string> story = Story.Of(Subject.Engine, finding, again);
            story.ShouldAllBe(line => line.Length <= 80);
            text.AddRange(["```", .. story, "```", string.Empty]);
        }

        if (Document.IsWritten)
        {
            page.Write(name, text);
        }

        page.Read(name).ShouldBe(text);
    }

    private static Coverage Search(MaintenancePolicy policy, int jobs = 2, bool findsAll = true) =>
        new RandomSearch(Subject.Engine, [policy]) { FindsAll = findsAll }.Run(1, 400, jobs, CancellationToken.None);
}

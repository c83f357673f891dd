using System;
using System.Collections.Generic;
using System.Linq;
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

/// <summary>The bounded search: that what it leaves out loses nothing.</summary>
public class ExhaustiveTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Defect.UnmapWithoutTlbi, 1, 1, 1, 4)]
    [InlineData(Defect.TlbiWithoutDsb, 1, 1, 1, 4)]
    [InlineData(Defect.IpaWithoutCombined, 1, 1, 1, 4)]
    [InlineData(Defect.LocalScope, 1, 1, 1, 4)]
    [InlineData(Defect.MappedWithoutClean, 2, 2, 1, 3)]
    [InlineData(Defect.FramesReusedWhileVcpuRuns, 1, 1, 1, 4)]
    [InlineData(Defect.VcpuLeftForNext, 1, 1, 1, 4, 2)]
    public void No_reduction_hides_a_violation(
        Defect defect, int pes, int vms, int pages, int steps, int vcpus = 0) =>
        Compare(
            DefectSearch.SubjectWith(defect), MaintenancePolicy.Fate,
            new ExhaustiveBounds(pes, vms, pages, steps, Vcpus: vcpus));

    [Theory]
    [InlineData(MaintenancePolicy.Patch7, 1, 1, 2, 4)]
    [InlineData(MaintenancePolicy.Patch5, 1, 2, 1, 4)]
    public void No_reduction_hides_what_is_wrong_with_the_series(
        MaintenancePolicy policy, int pes, int vms, int pages, int steps) =>
        Compare(Subject.Engine, policy, new ExhaustiveBounds(pes, vms, pages, steps));

    [Theory]
    [InlineData(Defect.DeathWithoutTlbi, 1, 2, 1, 7)]
    [InlineData(Defect.UnscrubbedChunk, 1, 2, 1, 6)]
    [InlineData(Defect.CleanWithoutInvalidate, 1, 1, 2, 6)]
    [InlineData(Defect.FileUnmapWithoutCaches, 2, 2, 2, 5)]
    public void Symmetry_hides_no_violation_further_down(Defect defect, int pes, int vms, int pages, int steps)
    {
        var bounds = new ExhaustiveBounds(pes, vms, pages, steps);
        Subject subject = DefectSearch.SubjectWith(defect);
        ExhaustiveCoverage merged = Search(subject, MaintenancePolicy.Fate, bounds, ExhaustiveReductions.EqualStates);
        ExhaustiveCoverage all = Search(subject, MaintenancePolicy.Fate, bounds, ExhaustiveReductions.All);
        output.WriteLine($"{merged.States} states, with symmetry {all.States}");
        merged.Findings.ShouldNotBeEmpty();
        Kinds(all).ShouldBe(Kinds(merged), ignoreOrder: true);
    }

    /// <summary>
    /// Programs that pass for one another must go on alike: whatever step comes next, they break the same rules and
    /// lead to the same states.
    /// </summary>
    [Theory]
    [InlineData(MaintenancePolicy.Fate, true, 0)]
    [InlineData(MaintenancePolicy.Fate, false, 31)]
    [InlineData(MaintenancePolicy.BeforeSeries, true, 0)]
    [InlineData(MaintenancePolicy.Patch7, true, 0)]
    [InlineData(MaintenancePolicy.Fate, true, 0, 2)]
    public void Equal_states_go_on_alike(MaintenancePolicy policy, bool isSymmetric, int features, int vcpus = 0)
    {
        var bounds = new ExhaustiveBounds(2, 2, 3, 1, Vcpus: vcpus);
        ProgramStep[] alphabet = [.. bounds.Alphabet()];
        var options = new ProgramOptions(
            policy, MachineFeatures.Number(features), bounds.Pes, bounds.Vms, Chunks: bounds.Chunks, Vcpus: vcpus);
        var reader = new StateReader(isSymmetric ? ExhaustiveReductions.All : ExhaustiveReductions.EqualStates);
        var first = new Dictionary<UInt128, ProgramStep[]>();
        var random = new Random(7);
        int pairs = 0;
        while (pairs < 40)
        {
            // Programs that do something: of steps that are drawn, those that change the state.
            var steps = new List<ProgramStep>();
            for (int length = random.Next(4, 12); steps.Count < length;)
            {
                ProgramStep[] longer = [.. steps, alphabet[random.Next(alphabet.Length)]];
                if (StateAfter(options, longer, reader) is not UInt128 state)
                {
                    break;
                }

                if (steps.Count == 0 || StateAfter(options, [.. steps], reader) != state)
                {
                    steps = [.. longer];
                }

                if (first.TryAdd(state, longer) || first[state].SequenceEqual(longer))
                {
                    continue;
                }

                pairs++;
                Next(options, longer, alphabet, reader)
                    .ShouldBe(Next(options, first[state], alphabet, reader), string.Join("; ", longer));
            }
        }
    }

    [Fact]
    public void The_count_of_states_does_not_depend_on_the_threads_nor_on_the_run()
    {
        ExhaustiveCoverage[] runs = [.. Enumerable.Range(1, 3).Select(jobs =>
            new ExhaustiveSearch(Subject.Engine, MaintenancePolicy.Patch7, new ExhaustiveBounds(2, 2, 2, 5))
                .Run(jobs, CancellationToken.None))];
        foreach (ExhaustiveCoverage run in runs)
        {
            (run.States, run.Transitions).ShouldBe((runs[0].States, runs[0].Transitions));
            run.Findings.Select(finding => string.Join("; ", finding.Steps) + finding.Violation)
                .ShouldBe(runs[0].Findings.Select(finding => string.Join("; ", finding.Steps) + finding.Violation));
        }
    }

    [Fact]
    public void A_search_that_is_cut_off_tells_what_it_found_until_then()
    {
        using var stop = new CancellationTokenSource();
        var search = new ExhaustiveSearch(
            new Stopping(Subject.Engine, stop), MaintenancePolicy.Patch7, new ExhaustiveBounds(2, 2, 2, 20));
        ExhaustiveCoverage coverage = search.Run(2, stop.Token);
        coverage.Findings.ShouldNotBeEmpty();
        coverage.Depth.ShouldBeLessThan(20);
        coverage.IsComplete.ShouldBeFalse();
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    public void A_search_that_runs_out_of_states_says_so(int pes, int vcpus)
    {
        ExhaustiveCoverage coverage = new ExhaustiveSearch(
            Subject.Engine, MaintenancePolicy.Fate, new ExhaustiveBounds(pes, 1, 1, 20, Vcpus: vcpus))
            .Run(2, CancellationToken.None);
        output.WriteLine($"{coverage.States} states, depth {coverage.Depth}, {coverage.Transitions} transitions");
        coverage.IsComplete.ShouldBeTrue();
        coverage.Findings.ShouldBeEmpty();
    }

    [Fact]
    public void The_engine_without_a_defect_has_none_whatever_the_machine_has()
    {
        foreach (MachineFeatures features in ExhaustiveBounds.FeatureSets)
        {
            new ExhaustiveSearch(Subject.Engine, MaintenancePolicy.Fate, new ExhaustiveBounds(2, 2, 4, 4, features))
                .Run(2, CancellationToken.None).Findings.ShouldBeEmpty();
        }
    }

    private static UInt128? StateAfter(ProgramOptions options, ProgramStep[] steps, StateReader reader)
    {
        Subject.Engine.Reach(options, steps, reader, out UInt128? state);
        reader.Leave!();
        return state;
    }

    /// <summary>All that one more step leads to: a state, or a rule that is broken.</summary>
    private static SortedSet<string> Next(
        ProgramOptions options, ProgramStep[] steps, ProgramStep[] alphabet, StateReader reader)
    {
        var all = new SortedSet<string>(StringComparer.Ordinal);
        foreach (ProgramStep step in alphabet)
        {
            Violation? broken = Subject.Engine.Reach(options, [.. steps, step], reader, out UInt128? state);
            reader.Leave!();
            all.Add(broken is null ? $"{state}" : $"{broken.Kind} {Alike(broken.Consumer)}");
        }

        return all;
    }

    private void Compare(Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds)
    {
        ExhaustiveCoverage plain = Search(subject, policy, bounds, ExhaustiveReductions.None);
        ExhaustiveCoverage reduced = Search(subject, policy, bounds, ExhaustiveReductions.All);
        output.WriteLine($"{plain.Transitions} transitions, reduced {reduced.Transitions}, {reduced.States} states");
        plain.Findings.ShouldNotBeEmpty();
        Kinds(reduced).ShouldBe(Kinds(plain), ignoreOrder: true);
        reduced.Transitions.ShouldBeLessThan(plain.Transitions / 4);
    }

    private static ExhaustiveCoverage Search(
        Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds, ExhaustiveReductions reductions) =>
        new ExhaustiveSearch(subject, policy, bounds) { Reductions = reductions }.Run(2, CancellationToken.None);

    private static List<(ViolationKind Kind, string Consumer)> Kinds(ExhaustiveCoverage coverage) =>
        [.. coverage.Findings.Select(finding => (
            finding.Violation.Kind, Alike(finding.Violation.Consumer))).Distinct()];

    /// <summary>VM B's violations are VM A's by symmetry.</summary>
    private static string Alike(string consumer) =>
        consumer.Replace("VM B", "VM A", StringComparison.Ordinal);

    /// <summary>Cancels the search with the first violation, so in the middle of a level.</summary>
    private sealed class Stopping(Subject inner, CancellationTokenSource stop) : Subject
    {
        public override Outcome Run(
            ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null) =>
            inner.Run(options, steps, tell);

        internal override Violation? Reach(
            ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state)
        {
            Violation? broken = inner.Reach(options, steps, reader, out state);
            if (broken is not null)
            {
                stop.Cancel();
            }

            return broken;
        }
    }
}

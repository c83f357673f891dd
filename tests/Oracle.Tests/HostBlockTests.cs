using System;
using System.Collections.Generic;
using System.Diagnostics;
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
using Machine = Quietus.Oracle.Machines.ObservedMachine<
    Quietus.Oracle.Machines.ModelMachine, Quietus.Oracle.Programs.JudgeObserver>;

namespace Quietus.Oracle.Tests;

/// <summary>
/// Host's blocks, moved pages, bounded invalidations and the granules: what random programs find there.
/// </summary>
public class HostBlockTests(ITestOutputHelper output)
{
    /// <summary>What is wrong with the engine or its host.</summary>
    public enum Fault
    {
        None,

        /// <summary>
        /// A block of which one page was mapped is mapped in its place, and the others are not cleaned.
        /// </summary>
        BlockNotCleaned,

        /// <summary>A page that the host moves is not cleaned where it comes to.</summary>
        MovedPageNotCleaned,

        /// <summary>A bounded invalidation is ended after its first call.</summary>
        EndsEarly,
    }

    [Theory]
    [InlineData(Fault.BlockNotCleaned, 1, ViolationKind.ForeignData, ViolationKind.StaleData)]
    [InlineData(Fault.BlockNotCleaned, 1_000_000, ViolationKind.ForeignData, ViolationKind.StaleData)]
    [InlineData(Fault.MovedPageNotCleaned, 1, ViolationKind.ForeignData, ViolationKind.StaleData)]
    [InlineData(Fault.EndsEarly, 1, ViolationKind.FrameFreedInUse, ViolationKind.FrameFreedInUse)]
    public void A_fault_is_found_and_told_in_few_steps(
        Fault fault, int firstSeed, ViolationKind kind, ViolationKind otherKind)
    {
        var watch = Stopwatch.StartNew();
        Coverage coverage = new RandomSearch(SubjectWith(fault), [MaintenancePolicy.Fate]) { StepsPerProgram = 400 }
            .Run(firstSeed, 2000, 1, CancellationToken.None);
        Finding found = coverage.Findings.ShouldHaveSingleItem();
        output.WriteLine(
            $"{watch.Elapsed.TotalSeconds:F2} s, {coverage.Programs} programs, {found.Steps.Length} steps");
        output.WriteLine(found.Violation.Text);
        found.Violation.Kind.ShouldBeOneOf(kind, otherKind);
        found.Steps.Length.ShouldBeLessThanOrEqualTo(12);
    }

    [Theory]
    [InlineData(12)]
    [InlineData(14)]
    [InlineData(16)]
    public void Each_granule_is_explored_and_sound(int shift)
    {
        Coverage coverage = new RandomSearch(
            new OneGranule(shift), [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries])
        { StepsPerProgram = 400 }
            .Run(1, 100, 2, CancellationToken.None);
        coverage.Findings.ShouldBeEmpty();
        coverage.Steps.ShouldBe(100 * 400);
    }

    [Fact]
    public void Seeds_draw_every_granule_feature_and_operation()
    {
        ProgramOptions[] options =
            [.. Enumerable.Range(1, 500).Select(seed => RandomProgram.Options(seed, MaintenancePolicy.Fate))];
        options.Select(each => each.GranuleShift).Distinct().Order().ShouldBe([12, 14, 16]);
        options.Select(each => each.Features).Distinct().Count().ShouldBe(MachineFeatures.Count);
        IEnumerable<ProgramStep> steps = Enumerable.Range(1, 50).SelectMany(seed => RandomProgram.Steps(seed, 400));
        steps.Select(step => step.Operation).Distinct().Count().ShouldBe(ProgramStep.Operations);
    }

    [Fact]
    public void A_page_of_code_that_is_only_aged_owes_nothing_to_what_was_written_meanwhile()
    {
        // A false alarm once: setting the access flag again passed for handing the page out as code.
        ProgramStep[] steps =
        [
            new(Operation.Create, 0, 0, 64, 0, 0), new(Operation.Enter, 0, 0, 64, 0, 0),
            new(Operation.Execute, 0, 0, 64, 0, 0), new(Operation.Age, 0, 0, 64, 0, 0),
            new(Operation.WriteFile, 0, 0, 64, 0, 0), new(Operation.Execute, 0, 0, 64, 0, 0),
        ];
        var options = new ProgramOptions(MaintenancePolicy.Fate, default, Pes: 1, Vms: 1);
        Subject.Engine.Run(options, steps).Violation.ShouldBeNull();

        // Code that is there when the page is mapped anew is owed.
        ProgramStep[] anew = [.. steps[..3], new(Operation.MunmapFile, 0, 0, 64, 0, 0), .. steps[4..]];
        var leavesOut = new Subject<Arm<Granule4K>, Machine>(each => new(each, (machine, port) =>
        {
            port.LeavesOut = (kind, _, _) => kind == CacheKind.Instruction;
            return machine;
        }));
        Outcome outcome = leavesOut.Run(options, anew);
        outcome.Violation.ShouldNotBeNull().Kind.ShouldBe(ViolationKind.StaleInstructions);
    }

    private static Subject<Arm<Granule4K>, Machine> SubjectWith(Fault fault) => new(options => new(
        options,
        (machine, port) =>
        {
            port.LeavesOut = fault switch
            {
                Fault.BlockNotCleaned => new CleansOnePage(port).LeavesOut,
                Fault.MovedPageNotCleaned => (_, _, _) => port.Current == Operation.MovePage,
                _ => null,
            };
            return machine;
        },
        new EarlyEnd(fault != Fault.EndsEarly)));

    private sealed class EarlyEnd(bool goesOn) : HostContract<Arm<Granule4K>, Machine>
    {
        public override bool GoesOn => goesOn;
    }

    /// <summary>As the engine once was: where a page of a block is mapped, the block passes for clean.</summary>
    private sealed class CleansOnePage(VmPort port)
    {
        private readonly HashSet<ulong> _cleaned = [];

        public bool LeavesOut(CacheKind kind, Pa start, ulong bytes)
        {
            if (port.Current > Operation.Execute)
            {
                _cleaned.Clear();
                return false;
            }

            if (kind == CacheKind.CleanInvalidate && bytes < FramePool.ChunkBytes)
            {
                _cleaned.Add(start.Value & ~(FramePool.ChunkBytes - 1));
            }

            return bytes == FramePool.ChunkBytes && _cleaned.Contains(start.Value);
        }
    }

    /// <summary>The engine, with one granule whatever a program says.</summary>
    private sealed class OneGranule(int shift) : Subject
    {
        public override Outcome Run(
            ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null) =>
            Engine.Run(options with { GranuleShift = shift }, steps, tell);

        internal override Violation? Reach(
            ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state) =>
            Engine.Reach(options with { GranuleShift = shift }, steps, reader, out state);
    }
}

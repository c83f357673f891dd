using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>
/// The conditions under which the posted patches are safe, of docs/series-findings.md: programs that keep to one find
/// nothing, and programs that do not, do (SeriesTests).
/// </summary>
public class SeriesConditionTests
{
    private const int Programs = 300;

    /// <summary>What the programs are changed to.</summary>
    private enum Condition
    {
        ForcedWriteBack,
        NoUncachedAlias,
        OnlyFreedPages,
        VcpusOut,
    }

    [Fact]
    public void Patch_7_is_safe_with_forced_write_back() =>
        Kinds(MaintenancePolicy.Patch7, Condition.ForcedWriteBack).ShouldBeEmpty();

    [Fact]
    public void Patch_7_is_safe_where_no_guest_has_an_uncached_alias() =>
        Kinds(MaintenancePolicy.Patch7, Condition.NoUncachedAlias).ShouldBeEmpty();

    [Fact]
    public void Patch_7_is_safe_for_pages_that_are_freed_and_overwritten() =>
        Kinds(MaintenancePolicy.Patch7, Condition.OnlyFreedPages).ShouldBeEmpty();

    [Fact]
    public void Patch_5_frees_nothing_in_use_where_every_vCPU_is_out() =>
        Kinds(MaintenancePolicy.Patch5, Condition.VcpusOut).ShouldBe([ViolationKind.StaleData]);

    [Fact]
    public void Patch_5_is_safe_where_every_vCPU_is_out_and_only_freed_pages_are_left() =>
        Kinds(MaintenancePolicy.Patch5, Condition.VcpusOut, Condition.OnlyFreedPages).ShouldBeEmpty();

    [Fact]
    public void Patch_5_is_safe_where_every_vCPU_is_out_and_with_forced_write_back() =>
        Kinds(MaintenancePolicy.Patch5, Condition.VcpusOut, Condition.ForcedWriteBack).ShouldBeEmpty();

    /// <summary>Which rules break in programs that keep to the conditions.</summary>
    private static SortedSet<ViolationKind> Kinds(MaintenancePolicy policy, params Condition[] conditions)
    {
        var kinds = new SortedSet<ViolationKind>();
        for (int seed = 1; seed <= Programs; seed++)
        {
            ProgramOptions options = RandomProgram.Options(seed, policy);
            IEnumerable<ProgramStep> steps = RandomProgram.Steps(seed, 1000);
            foreach (Condition condition in conditions)
            {
                options = condition switch
                {
                    Condition.ForcedWriteBack => options with
                    {
                        Features = options.Features with { ForcedWriteBack = true },
                    },
                    Condition.NoUncachedAlias => options with { UncachedGuests = false },
                    _ => options,
                };
                steps = steps.Select(step => Keep(step, condition));
            }

            if (Subject.Engine.Run(options, [.. steps]).Violation is Violation violation)
            {
                kinds.Add(violation.Kind);
            }
        }

        return kinds;
    }

    private static ProgramStep Keep(ProgramStep step, Condition condition) => condition switch
    {
        Condition.VcpusOut when step.Operation == Operation.KillLate => step with { Operation = Operation.Kill },

        // Pages of the file become the VMM's own, and what keeps or shows a page after its unmapping becomes munmap.
        Condition.OnlyFreedPages => step with
        {
            Page = (byte)((step.Page & 3) == 2 ? (step.Page & 63) | 1 : step.Page & 63),
            Operation = step.Operation is Operation.MunmapPinned or Operation.MunmapFile or Operation.Mremap
                ? Operation.MunmapAnonymous
                : step.Operation,
        },
        _ => step,
    };
}

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

/// <summary>What the engine itself refuses, or finds impossible, is no silence.</summary>
public class EngineDefectTests
{
    [Fact]
    public void A_free_that_the_pool_refuses_is_a_violation()
    {
        var subject = new Subject<Arm<Granule4K>, Machine>(options => new Host<Arm<Granule4K>, Machine>(
            options, static (machine, _) => machine, new FreesTwice()));
        Finding found = new RandomSearch(subject, [MaintenancePolicy.Fate])
            .Run(1, 10, 1, CancellationToken.None).Findings.ShouldHaveSingleItem();
        found.Violation.Kind.ShouldBe(ViolationKind.EngineDefect);
        found.Steps.Length.ShouldBeLessThanOrEqualTo(3);
    }

    /// <summary>Each unmap frees the pool's first frame twice as well.</summary>
    private sealed class FreesTwice : HostContract<Arm<Granule4K>, Machine>
    {
        public override MemoryResult Unmap(
            ref GuestMemory<Arm<Granule4K>, Machine> memory, ref Machine machine, in NotifierRange range)
        {
            MemoryResult result = base.Unmap(ref memory, ref machine, in range);
            machine.Pool.FreeData(ref machine.Frames, new Pa(ModelWorld.PoolStart));
            machine.Pool.FreeData(ref machine.Frames, new Pa(ModelWorld.PoolStart));
            return result;
        }
    }
}

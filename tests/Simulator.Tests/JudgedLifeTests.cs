using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Servers;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>The oracle's judge over the simulated server, and defects between the two that it has to find.</summary>
public sealed class JudgedLifeTests
{
    public static TheoryData<string, GuestPages, DeathKind, MaintenancePolicy> Clean()
    {
        var data = new TheoryData<string, GuestPages, DeathKind, MaintenancePolicy>();
        foreach (MaintenancePolicy policy in (MaintenancePolicy[])
            [MaintenancePolicy.BeforeSeries, MaintenancePolicy.TablesOnly, MaintenancePolicy.Fate])
        {
            foreach (DeathKind death in Enum.GetValues<DeathKind>())
            {
                data.Add("d05", GuestPages.Pages4K, death, policy);
                data.Add("modern", GuestPages.Transparent, death, policy);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Clean))]
    public void The_engine_under_a_sound_policy_passes(
        string machine, GuestPages pages, DeathKind death, MaintenancePolicy policy)
    {
        LifeOutcome outcome = JudgedLife.Run(
            Request(machine, pages, death, policy), cancellation: TestContext.Current.CancellationToken);
        outcome.Violation.ShouldBeNull();
        outcome.Events.ShouldBeGreaterThan(10_000);
    }

    [Theory]
    [InlineData(GuestPages.Blocks2M)]
    [InlineData(GuestPages.Blocks1G)]
    public void So_it_does_by_blocks(GuestPages pages)
    {
        ulong bytes = pages == GuestPages.Blocks1G ? 1UL << 30 : 4UL << 20;
        foreach (DeathKind death in (DeathKind[])[DeathKind.Kill, DeathKind.Munmap])
        {
            LifeOutcome outcome = JudgedLife.Run(
                Request("d05", pages, death, MaintenancePolicy.Fate) with { MemoryBytes = bytes },
                cancellation: TestContext.Current.CancellationToken);
            outcome.Violation.ShouldBeNull();
            outcome.Pages.ShouldBe(2 * (long)((bytes + JudgedLife.FileBytes + JudgedLife.PoolBytes) / 4096));
        }
    }

    // docs/series-findings.md: what the random programs find in the series as posted is found on the server as well.
    [Theory]
    [InlineData("d05", MaintenancePolicy.Patch7, DeathKind.Mremap, "the process that keeps it")]
    [InlineData("d05", MaintenancePolicy.Series, DeathKind.Munmap, "write-back")]
    [InlineData("d05", MaintenancePolicy.Patch5, DeathKind.Kill, "write-back")]
    [InlineData("modern", MaintenancePolicy.Series, DeathKind.Mremap, null)]
    public void The_series_as_posted_leaves_stale_lines_where_there_is_no_FWB(
        string machine, MaintenancePolicy policy, DeathKind death, string? reader)
    {
        List<string> story = [];
        LifeOutcome outcome = JudgedLife.Run(
            Request(machine, GuestPages.Pages4K, death, policy), story.Add, TestContext.Current.CancellationToken);
        outcome.Violation?.Kind.ShouldBe(ViolationKind.StaleData);
        outcome.Violation?.Consumer.ShouldBe(reader);
        (outcome.Violation is null).ShouldBe(reader is null);
        story[0].ShouldBe("VM A is made, VMID 1, and runs on 2 PEs");
    }

    [Theory]
    [InlineData(Defect.LosesInvalidations, DeathKind.Munmap, ViolationKind.TableFreedInUse)]
    [InlineData(Defect.LosesInvalidations, DeathKind.Slot, ViolationKind.TableFreedInUse)]
    [InlineData(Defect.LosesInvalidations, DeathKind.Kill, ViolationKind.VmidReused)]
    [InlineData(Defect.LosesBarriers, DeathKind.Munmap, ViolationKind.TableFreedInUse)]
    [InlineData(Defect.LosesCleaning, DeathKind.Kill, ViolationKind.ForeignData)]
    [InlineData(Defect.DoesNotScrub, DeathKind.Kill, ViolationKind.ForeignData)]
    [InlineData(Defect.DoesNotScrub, DeathKind.Munmap, ViolationKind.ForeignData)]
    public void A_machine_with_a_defect_is_found(Defect defect, DeathKind death, ViolationKind kind)
    {
        LifeOutcome outcome = JudgedLife.Run(
            Request("d05", GuestPages.Pages4K, death, MaintenancePolicy.Fate),
            observer => new Defective(observer, defect),
            cancellation: TestContext.Current.CancellationToken);
        outcome.Violation.ShouldNotBeNull().Kind.ShouldBe(kind, outcome.Violation.Text);
    }

    [Fact]
    public void What_is_too_large_for_a_judge_is_refused()
    {
        SimulationRequest request = Request("d05", GuestPages.Pages4K, DeathKind.Kill, MaintenancePolicy.Fate);
        Should.Throw<SimulationException>(() => JudgedLife.Run(request with { MemoryBytes = 2UL << 30 }))
            .Message.ShouldContain("at most 1024 MB and 31 vCPUs");
        Should.Throw<SimulationException>(() => JudgedLife.Run(request with { Vcpus = 32 }))
            .Message.ShouldContain("31 vCPUs");
    }

    /// <summary>What a machine does not do, although it was told to.</summary>
    public enum Defect
    {
        /// <summary>TLBIs have no effect.</summary>
        LosesInvalidations,

        /// <summary>DSB ISH does not wait for TLBIs.</summary>
        LosesBarriers,

        /// <summary>DC has no effect.</summary>
        LosesCleaning,

        /// <summary>Chunks of the dead are handed out as they are.</summary>
        DoesNotScrub,
    }

    private static SimulationRequest Request(
        string machine, GuestPages pages, DeathKind death, MaintenancePolicy policy) => new()
        {
            Machine = Machines.Named(machine),
            MemoryBytes = 4UL << 20,
            Pages = pages,
            Death = death,
            Policy = policy,
            Vcpus = 2,
        };

    /// <summary>A machine that forgets one kind of operation: the judge never hears of those.</summary>
    private readonly struct Defective(JudgeObserver judge, Defect defect) : IMachineObserver
    {
        public void Read(Pa entry) => judge.Read(entry);

        public void Wrote(Pa entry, ulong value) => judge.Wrote(entry, value);

        public void Invalidates(TlbiKind kind, Vmid vmid, Ipa start, ulong bytes, int levelHint)
        {
            if (defect != Defect.LosesInvalidations)
            {
                judge.Invalidates(kind, vmid, start, bytes, levelHint);
            }
        }

        public void Completes(BarrierKind kind)
        {
            if (defect != Defect.LosesBarriers || kind != BarrierKind.InnerShareable)
            {
                judge.Completes(kind);
            }
        }

        public void Maintains(CacheKind kind, Pa start, ulong bytes)
        {
            if (defect != Defect.LosesCleaning)
            {
                judge.Maintains(kind, start, bytes);
            }
        }

        public void Copied(Pa target, Pa source, ulong bytes) => judge.Copied(target, source, bytes);

        public void Zeroed(Pa start, ulong bytes)
        {
            if (defect != Defect.DoesNotScrub)
            {
                judge.Zeroed(start, bytes);
            }
        }

        public void TookTables(Pa first, uint count) => judge.TookTables(first, count);

        public void ReturnsTables(Pa first, uint count) => judge.ReturnsTables(first, count);

        public void TouchesPool() => judge.TouchesPool();
    }
}

using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class DebtTests
{
    [Fact]
    public void A_range_keeps_its_level_only_while_all_of_it_is_of_that_level()
    {
        MaintenanceDebt debt = MaintenanceDebt.Range(new Ipa(0x1000), new Ipa(0x2000), 3);
        MaintenanceDebt same = MaintenanceDebt.Range(new Ipa(0x8000), new Ipa(0x9000), 3);
        MaintenanceDebt other = MaintenanceDebt.Range(new Ipa(0x20_0000), new Ipa(0x40_0000), 2);
        FakeMachine machine = new(new FakeWorld(12));
        PageTable<Arm4K, FakeMachine>.Merge(ref machine, ref debt, ref same);
        (debt.Start.Value, debt.End.Value, debt.LevelHint).ShouldBe((0x1000UL, 0x9000UL, 3));
        PageTable<Arm4K, FakeMachine>.Merge(ref machine, ref debt, ref other);
        (debt.Start.Value, debt.End.Value, debt.LevelHint).ShouldBe((0x1000UL, 0x40_0000UL, 0));
        other.IsNone.ShouldBeTrue();
    }

    [Fact]
    public void The_whole_VMID_swallows_every_range()
    {
        Rig<Arm4K> rig = new();
        MaintenanceDebt debt = MaintenanceDebt.Range(new Ipa(0x1000), new Ipa(0x2000), 3);
        MaintenanceDebt whole = MaintenanceDebt.WholeVmid;
        PageTable<Arm4K, FakeMachine>.Merge(ref rig.Machine, ref debt, ref whole);
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBe(Rig<Arm4K>.InvalidationOfVmid());
    }

    [Fact]
    public void No_debt_costs_nothing_to_settle_and_a_settled_debt_is_none()
    {
        Rig<Arm4K> rig = new();
        MaintenanceDebt none = MaintenanceDebt.None;
        rig.Table.Settle(ref rig.Machine, ref none);
        rig.World.Log.ShouldBeEmpty();
        MaintenanceDebt debt = MaintenanceDebt.Range(new Ipa(0x1000), new Ipa(0x2000), 3);
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBe(Rig<Arm4K>.InvalidationByIpa(0x1000));
        rig.World.Log.Clear();
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBeEmpty();
    }

    [Fact]
    public void Merged_debts_free_the_tables_of_both_after_one_invalidation()
    {
        Rig<Arm4K> rig = new();
        MaintenanceDebt debt = default;
        foreach (ulong ipa in new ulong[] { 0, 0x4000_0000, 0x8000_0000 })
        {
            rig.Map(ipa, 0x1000).ShouldBe(Stage2Result.Done);
            RangeCursor cursor = new(new Ipa(ipa), 0x1000);
            NoSink sink = default;
            MaintenanceDebt one = rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.ElideCacheMaintenance,
                PartialBlock.TakeWhole, ref sink);
            PageTable<Arm4K, FakeMachine>.Merge(ref rig.Machine, ref debt, ref one);
        }

        rig.Audit(detachedTables: 6).ShouldBeEmpty();
        rig.World.Log.Clear();
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.Select(e => e.Operation).ShouldBe(
        [
            .. Rig<Arm4K>.InvalidationOfVmid().Select(e => e.Operation),
            .. Enumerable.Repeat(MachineOperation.ReturnTable, 6),
        ]);
        rig.Audit().ShouldBeEmpty();
    }

    [Fact]
    public void A_waiver_lets_the_invalidation_go_and_not_the_tables()
    {
        Rig<Arm4K> rig = new();
        rig.Map(0, 0x1000).ShouldBe(Stage2Result.Done);
        RangeCursor cursor = new(new Ipa(0), 0x1000);
        NoSink sink = default;
        MaintenanceDebt debt = rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.ElideCacheMaintenance,
            PartialBlock.TakeWhole, ref sink);
        rig.World.Log.Clear();
        debt.Waive(DebtWaiver.VmidIsInvalidatedNext);
        rig.Table.InvalidateVmid(ref rig.Machine);
        debt.HoldsTables.ShouldBeTrue();
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.Select(e => e.Operation).ShouldBe(
        [
            .. Rig<Arm4K>.InvalidationOfVmid().Select(e => e.Operation),
            MachineOperation.ReturnTable,
            MachineOperation.ReturnTable,
        ]);
    }
}

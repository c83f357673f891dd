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
        debt.Add(in same);
        (debt.Start.Value, debt.End.Value, debt.LevelHint).ShouldBe((0x1000UL, 0x9000UL, 3));
        debt.Add(in other);
        (debt.Start.Value, debt.End.Value, debt.LevelHint).ShouldBe((0x1000UL, 0x40_0000UL, 0));
    }

    [Fact]
    public void No_debt_costs_nothing_to_settle_and_a_settled_debt_is_none()
    {
        Rig<Arm<Granule4K>> rig = new();
        MaintenanceDebt none = default;
        rig.Table.Settle(ref rig.Machine, ref none);
        rig.World.Log.ShouldBeEmpty();
        MaintenanceDebt debt = MaintenanceDebt.Range(new Ipa(0x1000), new Ipa(0x2000), 3);
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBe(Rig<Arm<Granule4K>>.InvalidationByIpa(0x1000));
        rig.World.Log.Clear();
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBeEmpty();
    }

    [Fact]
    public void A_waived_debt_costs_nothing_to_settle()
    {
        Rig<Arm<Granule4K>> rig = new();
        MaintenanceDebt debt = MaintenanceDebt.Range(new Ipa(0x1000), new Ipa(0x2000), 3);
        debt.Waive(DebtWaiver.AgeMayLag);
        rig.Table.Settle(ref rig.Machine, ref debt);
        rig.World.Log.ShouldBeEmpty();
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>Running out of table pages, at each place where it can happen, changes nothing.</summary>
public sealed class OutOfTablesTests
{
    private const ulong Pa = 0x10_0000_0000;

    [Fact]
    public void A_4K_table_is_unchanged_wherever_the_table_pages_run_out() => EachOperation<Arm<Granule4K>>(48);

    [Fact]
    public void A_16K_table_is_unchanged_wherever_the_table_pages_run_out() => EachOperation<Arm<Granule16K>>(48);

    [Fact]
    public void A_64K_table_is_unchanged_wherever_the_table_pages_run_out() => EachOperation<Arm<Granule64K>>(42);

    [Fact]
    public void An_alien_table_is_unchanged_wherever_the_table_pages_run_out() => EachOperation<AlienFormat>(45);

    [Fact]
    public void No_root_is_an_error_and_no_table()
    {
        FakeMachine machine = new(new FakeWorld(12) { TablesLeft = 1 });
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 48, out Stage2Geometry geometry).ShouldBeTrue();
        PageTable<Arm<Granule4K>, FakeMachine> table;
        PageTable<Arm<Granule4K>, FakeMachine>.Create(ref machine, geometry, new Vmid(1), out table)
            .ShouldBe(Stage2Result.OutOfTables);
        table.Exists.ShouldBeFalse();
        machine.World.TablesOut.ShouldBe(0);
    }

    private static void EachOperation<TFormat>(int ipaBits)
        where TFormat : struct, IDescriptorFormat
    {
        ulong page = Rig<TFormat>.Granule;
        ulong block = Rig<TFormat>.Bytes(2);
        ulong far = 1UL << (ipaBits - 1);
        Each<TFormat>(ipaBits, rig => rig.Map(far, Pa));

        // A range over three tables, blocks in its middle.
        Each<TFormat>(ipaBits, rig => rig.MapRange(far + block - page, Pa + block - page, (2 * block) + (2 * page)));
        Each<TFormat>(ipaBits, rig => rig.MapRange(far + page, Pa, 2 * block, MapOptions.PagesOnly));
        Each<TFormat>(ipaBits, rig => rig.Table.SplitBlock(ref rig.Machine, new Ipa(page), 3));

        // Both ends of the range are inside blocks.
        ulong inner = (2 * block) - (2 * page);
        Each<TFormat>(ipaBits, rig => rig.UnmapEager(page, inner, partial: PartialBlock.Split));
        Each<TFormat>(ipaBits, rig => rig.Unmap(page, inner, partial: PartialBlock.Split));
        Each<TFormat>(ipaBits, rig =>
        {
            RangeCursor cursor = new(new Ipa(page), inner);
            Stage2Result result = rig.Table.WriteProtect(ref rig.Machine, ref cursor, PartialBlock.Split,
                out MaintenanceDebt debt);
            rig.Table.Settle(ref rig.Machine, ref debt);
            return result;
        });
    }

    /// <summary>Gives the operation 0, 1, 2, … tables until it succeeds. Two blocks are mapped at 0.</summary>
    private static void Each<TFormat>(int ipaBits, Func<Rig<TFormat>, Stage2Result> operation)
        where TFormat : struct, IDescriptorFormat
    {
        Stage2Result result = Stage2Result.OutOfTables;
        for (int tables = 0; result == Stage2Result.OutOfTables; tables++)
        {
            Rig<TFormat> rig = new(ipaBits);
            rig.Map(0, Pa, 2).ShouldBe(Stage2Result.Done);
            rig.Map(Rig<TFormat>.Bytes(2), Pa, 2).ShouldBe(Stage2Result.Done);
            List<Leaf> before = rig.Audit();
            ulong tablesBefore = rig.Table.TableCount;
            rig.World.Log.Clear();
            rig.World.TablesLeft = tables;
            result = operation(rig);
            if (result == Stage2Result.OutOfTables)
            {
                rig.World.Log.ShouldBeEmpty("something was written, or maintained, before it failed");
                rig.Table.TableCount.ShouldBe(tablesBefore);
                rig.Audit().ShouldBe(before);
            }
            else
            {
                result.ShouldBe(Stage2Result.Done);
                tables.ShouldBeGreaterThan(0, "nothing could fail here");
                rig.World.Log.Count(e => e.Operation == MachineOperation.TakeTable)
                    .ShouldBe(tables, "it succeeded with just enough tables, and took all of them");
                rig.Audit();
            }
        }
    }
}

using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>Stopping when the budget is spent, and going on.</summary>
public sealed class CursorTests
{
    private const ulong Pa = 0x10_0000_0000;

    [Fact]
    public void Every_budget_unmaps_the_same_of_a_4K_table() => EveryBudget<Arm<Granule4K>>();

    [Fact]
    public void Every_budget_unmaps_the_same_of_a_16K_table() => EveryBudget<Arm<Granule16K>>();

    [Fact]
    public void Every_budget_unmaps_the_same_of_an_alien_table() => EveryBudget<AlienFormat>();

    [Fact]
    public void A_call_reads_no_more_entries_than_its_budget_and_the_walk_to_them()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 0x20_0000, MapOptions.PagesOnly).ShouldBe(Stage2Result.Done);
        RangeCursor cursor = new(new Ipa(0), 0x20_0000, 10);
        NoSink sink = default;
        long before = rig.World.Reads;
        rig.Table.UnmapEager(ref rig.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink)
            .ShouldBe(Stage2Result.Again);
        cursor.Next.Value.ShouldBe(10 * 0x1000UL);
        // Four short walks: to isolate both ends, to the run, to the table's count; and one look at the stop.
        (rig.World.Reads - before).ShouldBeLessThanOrEqualTo(10 + (4 * 3) + 1);
    }

    [Fact]
    public void A_budget_that_ends_inside_a_contiguous_run_is_stretched_to_its_end()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(0, Pa, 48 * 0x1000, MapOptions.PagesOnly | MapOptions.Contiguous).ShouldBe(Stage2Result.Done);
        RangeCursor cursor = new(new Ipa(0), 48 * 0x1000, 20);
        NoSink sink = default;
        rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink)
            .ShouldBe(Stage2Result.Again);
        cursor.Next.Value.ShouldBe(32 * 0x1000UL);
        rig.Audit().Count.ShouldBe(16);
    }

    [Fact]
    public void A_finished_cursor_stays_finished_and_changes_nothing()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(0, Pa).ShouldBe(Stage2Result.Done);
        RangeCursor cursor = new(new Ipa(0), 0x1000);
        NoSink sink = default;
        for (int call = 0; call < 3; call++)
        {
            rig.Table.UnmapEager(ref rig.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink)
                .ShouldBe(Stage2Result.Done);
            rig.World.Log.Clear();
            rig.Map(0, Pa);
            rig.World.Log.Clear();
        }

        rig.Audit().Count.ShouldBe(1);
    }

    private static void EveryBudget<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        ulong page = Rig<TFormat>.Granule;
        ulong block = Rig<TFormat>.Bytes(2);
        List<(ulong, ulong, int)>? reference = null;
        foreach (bool eager in new[] { true, false })
        {
            foreach (uint budget in Enumerable.Range(1, 40).Select(b => (uint)b).Append(RangeCursor.Unlimited))
            {
                Rig<TFormat> rig = new(38);
                rig.MapRange(block - (3 * page), Pa + block - (3 * page), block + (20 * page), MapOptions.Contiguous)
                    .ShouldBe(Stage2Result.Done);
                rig.Map(5 * block, Pa).ShouldBe(Stage2Result.Done);
                ListSink<TFormat> sink = new() { Unlinked = [] };
                RangeCursor cursor = new(new Ipa(0), 8 * block, budget);
                ulong last = 0;
                Stage2Result result;
                do
                {
                    result = eager
                        ? rig.Table.UnmapEager(ref rig.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole,
                            ref sink)
                        : rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole,
                            ref sink);
                    cursor.Next.Value.ShouldBeGreaterThan(last);
                    last = cursor.Next.Value;
                    if (budget % 7 == 0)
                    {
                        rig.Audit();
                    }
                }
                while (result == Stage2Result.Again);

                reference ??= sink.Unlinked;
                sink.Unlinked.SequenceEqual(reference).ShouldBeTrue();
                rig.Audit().ShouldBeEmpty();
            }
        }
    }
}

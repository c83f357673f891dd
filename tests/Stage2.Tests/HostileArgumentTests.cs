using System;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>Arguments that a guest or a caller may get wrong are error values, and change nothing.</summary>
public sealed class HostileArgumentTests
{
    private const ulong Limit = 1UL << 40;
    private const ulong Page = 0x1000;

    [Theory]
    [InlineData(0x800, 0, 3, Stage2Result.Misaligned)]
    [InlineData(0, 0x800, 3, Stage2Result.Misaligned)]
    [InlineData(0x1000, 0, 2, Stage2Result.Misaligned)]
    [InlineData(0, 0x1000, 2, Stage2Result.Misaligned)]
    [InlineData(0x20_0000, 0, 1, Stage2Result.Misaligned)]
    [InlineData(Limit, 0, 3, Stage2Result.OutOfRange)]
    [InlineData(0xFFFF_FFFF_FFFF_F000, 0, 3, Stage2Result.OutOfRange)]
    [InlineData(0, 1UL << 48, 3, Stage2Result.OutOfRange)]
    [InlineData(0, 0xFFFF_FFFF_FFFF_F000, 3, Stage2Result.OutOfRange)]
    [InlineData(0, 0, 0, Stage2Result.IllegalLevel)]
    [InlineData(0, 0, 4, Stage2Result.IllegalLevel)]
    [InlineData(0, 0, -1, Stage2Result.IllegalLevel)]
    [InlineData(0, 0, int.MinValue, Stage2Result.IllegalLevel)]
    [InlineData(0, 0, int.MaxValue, Stage2Result.IllegalLevel)]
    public void A_leaf_that_cannot_be_is_refused(ulong ipa, ulong pa, int level, Stage2Result expected)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(ipa, pa, level).ShouldBe(expected);
        Replacements(rig, ipa, pa, level).ShouldBe(expected);
        rig.World.Log.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(0, 0, 0, Stage2Result.OutOfRange)]
    [InlineData(0, 0, 0x800, Stage2Result.Misaligned)]
    [InlineData(0x800, 0, 0x1000, Stage2Result.Misaligned)]
    [InlineData(0, 0x800, 0x1000, Stage2Result.Misaligned)]
    [InlineData(Limit, 0, 0x1000, Stage2Result.OutOfRange)]
    [InlineData(Limit - Page, 0, 2 * Page, Stage2Result.OutOfRange)]
    [InlineData(Page, 0, 0xFFFF_FFFF_FFFF_F000, Stage2Result.OutOfRange)]
    [InlineData(0, (1UL << 48) - Page, 2 * Page, Stage2Result.OutOfRange)]
    [InlineData(0, 0xFFFF_FFFF_FFFF_F000, 2 * Page, Stage2Result.OutOfRange)]
    public void A_range_that_cannot_be_mapped_is_refused(ulong ipa, ulong pa, ulong bytes, Stage2Result expected)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.MapRange(ipa, pa, bytes).ShouldBe(expected);
        rig.World.Log.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(0, 0, 1, Stage2Result.OutOfRange)]
    [InlineData(0, 0x800, 1, Stage2Result.Misaligned)]
    [InlineData(0x800, 0x1000, 1, Stage2Result.Misaligned)]
    [InlineData(Limit, 0x1000, 1, Stage2Result.OutOfRange)]
    [InlineData(Limit - Page, 2 * Page, 1, Stage2Result.OutOfRange)]
    [InlineData(0xFFFF_FFFF_FFFF_F000, 0x1000, 1, Stage2Result.OutOfRange)]
    [InlineData(0x2000, 0xFFFF_FFFF_FFFF_F000, 1, Stage2Result.OutOfRange)]
    [InlineData(0, 0x1000, 0, Stage2Result.OutOfRange)]
    public void A_range_that_cannot_be_walked_is_refused_by_every_walk(ulong ipa, ulong bytes, uint budget,
        Stage2Result expected)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(0, 0).ShouldBe(Stage2Result.Done);
        rig.Map(Limit - Page, 0).ShouldBe(Stage2Result.Done);
        rig.World.Log.Clear();
        NoSink sink = default;
        NothingSeen visitor = default;
        foreach (PartialBlock partial in Enum.GetValues<PartialBlock>())
        {
            RangeCursor cursor = new(new Ipa(ipa), bytes, budget);
            rig.Table.UnmapEager(ref rig.Machine, ref cursor, UnmapFlags.None, partial, ref sink).ShouldBe(expected);
            rig.Table.DestroyEager(ref rig.Machine, ref cursor, UnmapFlags.None, ref sink).ShouldBe(expected);
            rig.Table.DestroyAsPosted(ref rig.Machine, ref cursor, ref sink).ShouldBe(expected);
            rig.Table.Visit(ref rig.Machine, ref cursor, ref visitor).ShouldBe(expected);
            rig.Table.Unmap(ref rig.Machine, ref cursor, UnmapFlags.None, partial, ref sink).ShouldBe(expected);
            rig.Table.WriteProtect(ref rig.Machine, ref cursor, partial, out MaintenanceDebt debt).ShouldBe(expected);
            debt.OwesInvalidation.ShouldBeFalse();
            rig.Table.ChangePermissions(ref rig.Machine, ref cursor, default, partial, out debt).ShouldBe(expected);
            debt.OwesInvalidation.ShouldBeFalse();
            rig.Table.Age(ref rig.Machine, ref cursor, out debt).ShouldBe(expected);
            debt.OwesInvalidation.ShouldBeFalse();
            rig.Table.IsYoung(ref rig.Machine, ref cursor, out bool young).ShouldBe(expected);
            young.ShouldBeFalse();
        }

        rig.World.Log.ShouldBeEmpty();
        rig.Audit().Count.ShouldBe(2);
    }

    [Theory]
    [InlineData(Limit)]
    [InlineData(ulong.MaxValue)]
    public void An_address_beyond_the_input_size_maps_nothing(ulong ipa)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Translate(ipa).IsMapped.ShouldBeFalse();
        rig.Translate(ipa).Level.ShouldBe((sbyte)0);
        rig.Table.SplitBlock(ref rig.Machine, new Ipa(ipa), 3).ShouldBe(Stage2Result.OutOfRange);
        rig.Table.MarkAccessed(ref rig.Machine, new Ipa(ipa)).ShouldBe(Stage2Result.OutOfRange);
        rig.Table.Replace(ref rig.Machine, new Ipa(ipa), default, default, UnmapFlags.None, out _)
            .ShouldBe(Stage2Result.OutOfRange);
    }

    [Fact]
    public void Nothing_can_be_done_with_a_table_that_does_not_exist()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Table.Destroy(ref rig.Machine);
        rig.World.Log.Clear();
        rig.Map(0, 0).ShouldBe(Stage2Result.OutOfRange);
        rig.MapRange(0, 0, Page).ShouldBe(Stage2Result.OutOfRange);
        rig.Unmap(0, Page).ShouldBe(Stage2Result.OutOfRange);
        rig.Translate(0).IsMapped.ShouldBeFalse();
        rig.Table.SplitBlock(ref rig.Machine, default, 3).ShouldBe(Stage2Result.OutOfRange);
        rig.Table.Destroy(ref rig.Machine);
        rig.Table.DestroyByOwner(ref rig.Machine);
        rig.World.Log.ShouldBeEmpty();

        PageTable<Arm<Granule4K>, FakeMachine> zeroed = default;
        zeroed.Map(ref rig.Machine, default, default, 3, LeafAttributes.GuestMemory)
            .ShouldBe(Stage2Result.OutOfRange);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(4)]
    public void A_block_cannot_be_split_to_a_level_without_leaves(int level)
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(0, 0, 1).ShouldBe(Stage2Result.Done);
        rig.Table.SplitBlock(ref rig.Machine, default, level).ShouldBe(Stage2Result.IllegalLevel);
    }

    [Fact]
    public void A_geometry_of_another_format_makes_no_table()
    {
        FakeMachine machine = new(new FakeWorld(12));
        Stage2Geometry.TryCreate<Arm<Granule16K>>(40, 48, out Stage2Geometry geometry).ShouldBeTrue();
        PageTable<Arm<Granule4K>, FakeMachine>.Create(ref machine, geometry, default, out _)
            .ShouldBe(Stage2Result.IllegalLevel);
        PageTable<Arm<Granule4K>, FakeMachine>.Create(ref machine, default, default, out _)
            .ShouldBe(Stage2Result.IllegalLevel);
    }

    [Fact]
    public void Only_a_cursor_over_everything_can_end_the_table()
    {
        Rig<Arm<Granule4K>> rig = new();
        rig.Map(0, 0).ShouldBe(Stage2Result.Done);
        rig.Map(Limit - Page, 0).ShouldBe(Stage2Result.Done);
        NoSink sink = default;
        RangeCursor part = new(default, Page);
        rig.Table.DestroyEager(ref rig.Machine, ref part, UnmapFlags.None, ref sink).ShouldBe(Stage2Result.OutOfRange);
        rig.Table.Exists.ShouldBeTrue();
        rig.Audit().Count.ShouldBe(1);
    }

    private static Stage2Result Replacements(Rig<Arm<Granule4K>> rig, ulong ipa, ulong pa, int level)
    {
        NoSink sink = default;
        Stage2Result eager = rig.Table.ReplaceTableByBlockEager(ref rig.Machine, new Ipa(ipa), new Pa(pa), level,
            LeafAttributes.GuestMemory, UnmapFlags.None, ref sink);
        rig.Table.ReplaceTableByBlock(ref rig.Machine, new Ipa(ipa), new Pa(pa), level, LeafAttributes.GuestMemory,
            UnmapFlags.None, ref sink).ShouldBe(eager);
        return eager;
    }

    private struct NothingSeen : ILeafVisitor
    {
        public readonly void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) =>
            Assert.Fail("nothing was to be seen");
    }
}

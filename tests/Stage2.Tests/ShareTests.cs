using System.Linq;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>Tables shared between a template and its forks.</summary>
public sealed class ShareTests
{
    private const ulong Gigabyte = 1UL << 30;
    private const ulong Block = 2UL << 20;
    private const ulong Page = 4096;

    private readonly FakeWorld _world = new(12);
    private readonly Relative<Arm<Granule4K>> _template;
    private readonly Relative<Arm<Granule4K>> _child;

    public ShareTests()
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 48, out Stage2Geometry geometry).ShouldBeTrue();
        _template = new(_world, 0, geometry);
        _child = new(_world, 1, geometry);
        CreateTemplate(geometry);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(40)]
    [InlineData(48)]
    public void Families_of_4K_do_what_their_models_do(int ipaBits) => Check<Arm<Granule4K>>(ipaBits, 10, 50);

    [Theory]
    [InlineData(36)]
    [InlineData(47)]
    public void Families_of_16K_do_what_their_models_do(int ipaBits) => Check<Arm<Granule16K>>(ipaBits, 4, 40);

    [Theory]
    [InlineData(42)]
    public void Families_of_64K_do_what_their_models_do(int ipaBits) => Check<Arm<Granule64K>>(ipaBits, 2, 30);

    [Theory]
    [InlineData(32)]
    [InlineData(45)]
    public void Families_of_an_alien_format_do_what_their_models_do(int ipaBits) => Check<AlienFormat>(ipaBits, 10, 50);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_freeze_protects_invalidates_and_only_then_cleans(bool forcedWriteBack)
    {
        _world.HasForcedWriteBack = forcedWriteBack;
        CreateTemplate(_template.Table.Geometry);
        MapTemplate(0, 2 * Page, MapOptions.PagesOnly);
        _world.Log.Clear();
        _template.Freeze();

        MachineOperation[] done = [.. _world.Log.Select(e => e.Operation)];
        MachineOperation[] protect = [MachineOperation.WriteEntry, MachineOperation.WriteEntry];
        MachineOperation[] invalidate =
        [
            MachineOperation.DsbInnerShareableStores, MachineOperation.InvalidateVmid,
            MachineOperation.DsbInnerShareable, MachineOperation.Isb,
        ];
        MachineOperation[] clean = [MachineOperation.CleanInvalidateToPoC, MachineOperation.DsbFullSystem];
        done.ShouldBe([.. protect, .. invalidate, .. forcedWriteBack ? [] : clean]);
    }

    [Fact]
    public void A_birth_copies_the_roots_entries_and_nothing_else()
    {
        MapTemplate(Gigabyte, 3 * Gigabyte, MapOptions.None);
        _template.Freeze();
        _world.Log.Clear();
        long reads = _world.Reads;
        PageTable<Arm<Granule4K>, FakeMachine>.Fork(ref _child.Machine, in _template.Table, _child.Vmid,
            new Ipa(Gigabyte), new Ipa(4 * Gigabyte), out _child.Table).ShouldBe(Stage2Result.Done);

        (_world.Reads - reads).ShouldBe(3);
        _world.Log.Select(e => e.Operation).ShouldBe(
        [
            MachineOperation.TakeRoot, MachineOperation.WriteEntry, MachineOperation.WriteEntry,
            MachineOperation.WriteEntry, MachineOperation.DsbInnerShareableStores,
        ]);
        _child.Leaves().ShouldBe(_template.Leaves());
    }

    /// <summary>The copies are seen before anything leads to them; one address is invalidated.</summary>
    [Fact]
    public void The_first_write_in_a_gigabyte_copies_two_tables_and_invalidates_once()
    {
        _world.HasRangeInvalidation = true;
        _world.HasLevelHint = true;
        MapTemplate(0, 4 * Block, MapOptions.PagesOnly);
        _template.Freeze();
        _child.Be(_template);
        _world.SetOwner(0x50_0000_0000, 1);
        _world.Log.Clear();
        _child.Table.BreakShare(ref _child.Machine, new Ipa(Page), new Pa(0x50_0000_0000), LeafAttributes.GuestMemory)
            .ShouldBe(Stage2Result.Done);

        _world.Count(MachineOperation.TakeTable).ShouldBe(2);

        // The last store before the first barrier breaks the root's entry: the copies are made by then, and that
        // barrier and the next stand between them and the store that leads to them.
        int first = _world.Log.FindIndex(e => e.Operation == MachineOperation.DsbInnerShareableStores);
        MachineEvent[] end = [.. _world.Log.Skip(first - 1)];
        end.Select(e => e.Operation).ShouldBe(
        [
            MachineOperation.WriteEntry, MachineOperation.DsbInnerShareableStores,
            MachineOperation.InvalidateIpa, MachineOperation.DsbInnerShareable,
            MachineOperation.InvalidateCombined, MachineOperation.DsbInnerShareable,
            MachineOperation.Isb, MachineOperation.WriteEntry, MachineOperation.DsbInnerShareableStores,
        ]);
        end[2].ShouldBe(new MachineEvent(MachineOperation.InvalidateIpa, Page, 0));
        end[0].Address.ShouldBe(_child.Table.Root.Value);
        Arm<Granule4K>.IsValid(end[0].Value).ShouldBeFalse();
    }

    [Fact]
    public void The_next_write_beside_it_copies_nothing_and_names_the_leaf()
    {
        _world.HasLevelHint = true;
        MapTemplate(0, 4 * Block, MapOptions.PagesOnly);
        _template.Freeze();
        _child.Be(_template);
        Break(Page);
        _world.Log.Clear();
        Break(2 * Page);
        _world.Count(MachineOperation.TakeTable).ShouldBe(0);
        _world.Log.Where(e => e.Operation == MachineOperation.InvalidateIpa)
            .ShouldHaveSingleItem().ShouldBe(new MachineEvent(MachineOperation.InvalidateIpa, 2 * Page, 3));
    }

    [Fact]
    public void A_write_to_a_shared_block_leaves_its_neighbours_shared()
    {
        MapTemplate(0, Block, MapOptions.None);
        _template.Freeze();
        _child.Be(_template);
        Break(5 * Page);
        _child.Leaves().Count.ShouldBe(512);
        _child.Leaves().Count(leaf => _world.OwnerOf(leaf.Output) == 1).ShouldBe(1);
        _template.Leaves().ShouldHaveSingleItem().Level.ShouldBe(2);
    }

    [Fact]
    public void An_unmap_of_a_whole_fork_copies_no_table_of_leaves()
    {
        MapTemplate(0, 16 * Block, MapOptions.PagesOnly);
        _template.Freeze();
        _child.Be(_template);
        _world.Log.Clear();
        RangeCursor cursor = new(default, Gigabyte);
        NoSink sink = default;
        _child.Table.Unmap(ref _child.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink)
            .ShouldBe(Stage2Result.Done);
        _world.Count(MachineOperation.TakeTable).ShouldBe(1);
        _child.Leaves().ShouldBeEmpty();
        _template.Leaves().Count.ShouldBe(16 * 512);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Without_tables_nothing_is_broken(int tables)
    {
        MapTemplate(0, 4 * Block, MapOptions.PagesOnly);
        _template.Freeze();
        _child.Be(_template);
        _world.TablesLeft = tables;
        _child.Table.BreakShare(ref _child.Machine, default, new Pa(0x50_0000_0000), LeafAttributes.GuestMemory)
            .ShouldBe(Stage2Result.OutOfTables);
        RangeCursor cursor = new(new Ipa(Page), Page);
        NoSink sink = default;
        _child.Table.Unmap(ref _child.Machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink)
            .ShouldBe(Stage2Result.OutOfTables);
        _child.Table.Map(ref _child.Machine, new Ipa(4 * Block), new Pa(0x50_0000_0000), 3, LeafAttributes.GuestMemory)
            .ShouldBe(Stage2Result.OutOfTables);
        _child.Leaves().ShouldBe(_template.Leaves());
    }

    [Fact]
    public void A_fork_of_nothing_or_beyond_the_limit_is_refused()
    {
        Fork(0, (1UL << 40) + Page).ShouldBe(Stage2Result.OutOfRange);
        Fork(Page, 0).ShouldBe(Stage2Result.OutOfRange);
        _template.Table.Destroy(ref _template.Machine);
        Fork(0, Page).ShouldBe(Stage2Result.OutOfRange);
    }

    private void CreateTemplate(Stage2Geometry geometry) => PageTable<Arm<Granule4K>, FakeMachine>.Create(
        ref _template.Machine, geometry, _template.Vmid, out _template.Table).ShouldBe(Stage2Result.Done);

    private Stage2Result Fork(ulong start, ulong end) => PageTable<Arm<Granule4K>, FakeMachine>.Fork(
        ref _child.Machine, in _template.Table, _child.Vmid, new Ipa(start), new Ipa(end), out _child.Table);

    private void MapTemplate(ulong ipa, ulong bytes, MapOptions options) => _template.Table.MapRange(
        ref _template.Machine, new Ipa(ipa), new Pa(0x40_0000_0000), bytes, LeafAttributes.GuestMemory, options)
        .ShouldBe(Stage2Result.Done);

    private void Break(ulong ipa)
    {
        _world.SetOwner(0x50_0000_0000 + ipa, 1);
        _child.Table.BreakShare(
            ref _child.Machine, new Ipa(ipa), new Pa(0x50_0000_0000 + ipa), LeafAttributes.GuestMemory)
            .ShouldBe(Stage2Result.Done);
    }

    private static void Check<TFormat>(int ipaBits, int programs, int steps)
        where TFormat : struct, IDescriptorFormat
    {
        Gen<ulong> instruction =
            from high in Gen.Choose(0, int.MaxValue)
            from low in Gen.Choose(0, int.MaxValue)
            select ((ulong)(uint)high << 31) | (uint)low;
        Prop.ForAll(Arb.From(instruction.ArrayOf(steps)), program =>
                new Family<TFormat>(ipaBits, program[0]).Run(program))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(programs).WithReplay(20191213, (ulong)ipaBits | 1));
    }
}

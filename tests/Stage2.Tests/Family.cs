using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;

namespace Quietus.Stage2.Tests;

/// <summary>A VM of a <see cref="Family{TFormat}"/>: its table, its machine, and the model of what it maps.</summary>
internal sealed class Relative<TFormat>(FakeWorld world, int vm, Stage2Geometry geometry)
    where TFormat : struct, IDescriptorFormat
{
    public FakeMachine Machine = new(world, vm);
    public PageTable<TFormat, FakeMachine> Table;

    public int Vm => vm;

    public Vmid Vmid => new((ushort)(vm + 1));

    public Model<TFormat> Model { get; private set; } = new(geometry);

    public List<Leaf> Leaves()
    {
        Rig<TFormat>.Collector collector = new() { Leaves = [] };
        RangeCursor cursor = Table.WholeRange();
        Table.Visit(ref Machine, ref cursor, ref collector).ShouldBe(Stage2Result.Done);
        return collector.Leaves;
    }

    /// <summary>Makes this VM ready to be forked.</summary>
    public void Freeze(UnmapFlags flags = UnmapFlags.None, uint budget = RangeCursor.Unlimited)
    {
        RangeCursor cursor = Table.WholeRange(budget);
        while (Table.Freeze(ref Machine, ref cursor, flags) == Stage2Result.Again)
        {
        }

        cursor.Next.ShouldBe(cursor.End);
        _ = Model.Update(0, geometry.IpaLimit.Value, false, bits =>
            new LeafAttributes(bits).WithWrite(false).WithAccessed(true).Bits);
    }

    public void Be(Relative<TFormat> template)
    {
        PageTable<TFormat, FakeMachine>.Fork(
            ref Machine, in template.Table, Vmid, default, geometry.IpaLimit, out Table).ShouldBe(Stage2Result.Done);
        Model = template.Model.Copy();
    }
}

/// <summary>
/// A template, its children, and theirs, over one world that throws when a VM writes or frees a table of another. Runs
/// random instructions on the VMs that are not frozen, and compares all of them with their models after each.
/// </summary>
internal sealed class Family<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    private readonly FakeWorld _world;
    private readonly Stage2Geometry _geometry;
    private readonly List<Relative<TFormat>> _alive = [];
    private readonly List<Relative<TFormat>> _frozen = [];
    private ulong _bits;
    private int _vms;
    private ulong _nextPage = 0x70_0000_0000;

    public Family(int ipaBits, ulong machine)
    {
        _world = new FakeWorld(TFormat.GranuleShift)
        {
            HasForcedWriteBack = (machine & 1) != 0,
            HasRangeInvalidation = (machine & 2) != 0,
            HasLevelHint = (machine & 4) != 0,
        };
        Stage2Geometry.TryCreate<TFormat>(ipaBits, 48, out _geometry).ShouldBeTrue();
    }

    private static int Entries => 1 << TFormat.BitsPerLevel;

    private static ulong Granule => 1UL << TFormat.GranuleShift;

    public void Run(ulong[] program)
    {
        Relative<TFormat> first = New();
        PageTable<TFormat, FakeMachine>.Create(ref first.Machine, _geometry, first.Vmid, out first.Table)
            .ShouldBe(Stage2Result.Done);
        _alive.Add(first);
        for (int at = 0; at < program.Length; at++)
        {
            _bits = program[at];
            if (at == program.Length / 3 || at == 2 * program.Length / 3)
            {
                Bear(_alive[Take(_alive.Count)]);
            }
            else
            {
                Step(_alive[Take(_alive.Count)]);
            }
        }

        // In any order: each frees its own tables, and no other's.
        while (_alive.Count + _frozen.Count != 0)
        {
            List<Relative<TFormat>> from = _alive.Count != 0 ? _alive : _frozen;
            Relative<TFormat> last = from[^1];
            from.RemoveAt(from.Count - 1);
            last.Table.Destroy(ref last.Machine);
            _world.TablesOf(last.Vm).ShouldBe(0);
            Compare();
        }

        _world.TablesOut.ShouldBe(0);
    }

    private Relative<TFormat> New() => new(_world, _vms++, _geometry);

    /// <summary>Freezes a VM, and goes on with two children of it.</summary>
    private void Bear(Relative<TFormat> template)
    {
        _world.Log.Clear();
        List<Leaf> writable = [.. template.Leaves().Where(leaf => new LeafAttributes(leaf.Attributes).Write)];
        template.Freeze((UnmapFlags)Take(2), Take(2) == 0 ? RangeCursor.Unlimited : 13);
        ShouldCover(template, writable);
        _alive.Remove(template);
        _frozen.Add(template);
        for (int child = 0; child < 2; child++)
        {
            int before = _world.TablesOut;
            Relative<TFormat> born = New();
            born.Be(template);
            _world.TablesOut.ShouldBe(before + (int)_geometry.RootTables);
            _alive.Add(born);
        }

        Compare();
    }

    private void Step(Relative<TFormat> vm)
    {
        _world.Log.Clear();
        List<Leaf> before = vm.Leaves();
        switch (Take(9))
        {
            case 0 or 1:
                Map(vm);
                break;
            case 2:
                MapRange(vm);
                break;
            case 3 or 4:
                Break(vm);
                break;
            case 5:
                Unmap(vm);
                break;
            case 6:
                Update(vm);
                break;
            case 7:
                Split(vm);
                break;
            default:
                Age(vm);
                break;
        }

        HashSet<Leaf> after = [.. vm.Leaves()];
        ShouldCover(vm, before.Where(leaf => !after.Contains(leaf) && !IsOnlyOlder(leaf, after)));
        Compare();
    }

    /// <summary>A TLB may go on with the access flag set.</summary>
    private static bool IsOnlyOlder(Leaf leaf, HashSet<Leaf> after) =>
        after.Contains(leaf with { Attributes = leaf.Attributes ^ LeafAttributes.AccessedBit });

    private void Map(Relative<TFormat> vm)
    {
        int level = 3 - Take(2);
        level = level >= _geometry.StartLevel && TFormat.HasLeafAt(level) ? level : 3;
        ulong ipa = AnyIpa() & ~(Stage2Geometry.LevelBytes<TFormat>(level) - 1);
        ulong output = AnyOutput(vm, Stage2Geometry.LevelBytes<TFormat>(level));
        vm.Table.Map(ref vm.Machine, new Ipa(ipa), new Pa(output), level, LeafAttributes.GuestMemory)
            .ShouldBe(vm.Model.Map(ipa, output, level, LeafAttributes.GuestMemory.Bits));
    }

    private void MapRange(Relative<TFormat> vm)
    {
        (ulong start, ulong end) = AnyRange();
        ulong output = AnyOutput(vm, end - start);
        MapOptions options = (MapOptions)Take(4);
        bool pagesOnly = (options & MapOptions.PagesOnly) != 0;
        Stage2Result expected =
            vm.Model.MapRange(start, output, end - start, LeafAttributes.GuestMemory.Bits, pagesOnly);
        Stage2Result result = vm.Table.MapRange(
            ref vm.Machine, new Ipa(start), new Pa(output), end - start, LeafAttributes.GuestMemory, options);
        (result == Stage2Result.Done).ShouldBe(expected == Stage2Result.Done);
    }

    /// <summary>Copy on write: one invalidation, whatever had to be copied.</summary>
    private void Break(Relative<TFormat> vm)
    {
        ulong ipa = AnyIpa();
        Leaf? leaf = vm.Model.At(ipa);
        if (leaf is { } there && _world.OwnerOf(there.Output) == vm.Vm)
        {
            return;
        }

        bool isInRun = vm.Table.Translate(ref vm.Machine, new Ipa(ipa)).Attributes.Contiguous;
        ulong page = AnyOutput(vm, Granule);
        Stage2Result result =
            vm.Table.BreakShare(ref vm.Machine, new Ipa(ipa), new Pa(page), LeafAttributes.GuestMemory);
        result.ShouldBe(leaf is null ? Stage2Result.NotMapped : Stage2Result.Done);
        if (leaf is not null)
        {
            vm.Model.Split(ipa, 3);
            vm.Model.Replace(ipa, page, LeafAttributes.GuestMemory.Bits);
            int sequences = _world.Log.Count(e =>
                e.Operation is MachineOperation.InvalidateVmid or MachineOperation.InvalidateCombined);
            sequences.ShouldBeLessThanOrEqualTo(isInRun ? 3 : 1);
        }
    }

    private void Unmap(Relative<TFormat> vm)
    {
        (ulong start, ulong end) = AnyRange();
        PartialBlock partial = (PartialBlock)Take(2);
        uint budget = Take(3) == 0 ? 1 + (uint)Take(40) : RangeCursor.Unlimited;
        RangeCursor cursor = new(new Ipa(start), end - start, budget);
        bool eager = Take(3) == 0;
        NoSink sink = default;
        _ = vm.Model.Unmap(start, end, partial == PartialBlock.Split);
        Stage2Result result;
        do
        {
            result = eager
                ? vm.Table.UnmapEager(ref vm.Machine, ref cursor, (UnmapFlags)Take(2), partial, ref sink)
                : vm.Table.Unmap(ref vm.Machine, ref cursor, (UnmapFlags)Take(2), partial, ref sink);
        }
        while (result == Stage2Result.Again);
        result.ShouldBe(Stage2Result.Done);
    }

    /// <summary>Permissions change as asked, but memory of another VM never becomes writable.</summary>
    private void Update(Relative<TFormat> vm)
    {
        (ulong start, ulong end) = AnyRange();
        PartialBlock partial = (PartialBlock)Take(2);
        LeafAttributes asked = Take(2) == 0 ? LeafAttributes.GuestMemory : LeafAttributes.ReadOnlyGuestMemory;
        if (partial == PartialBlock.Split)
        {
            _ = vm.Model.Update(start, end, true, bits => bits);
        }

        foreach (Leaf leaf in vm.Model.Overlapping(start, end))
        {
            LeafAttributes next = new LeafAttributes(leaf.Attributes).WithPermissionsOf(asked);
            vm.Model.Replace(leaf.Ipa, leaf.Output,
                next.WithWrite(next.Write && _world.OwnerOf(leaf.Output) == vm.Vm).Bits);
        }

        RangeCursor cursor = new(new Ipa(start), end - start);
        vm.Table.ChangePermissions(ref vm.Machine, ref cursor, asked, partial, out MaintenanceDebt debt)
            .ShouldBe(Stage2Result.Done);
        vm.Table.Settle(ref vm.Machine, ref debt);
    }

    private void Split(Relative<TFormat> vm)
    {
        ulong ipa = AnyIpa();
        Stage2Result expected = vm.Model.At(ipa) is null ? Stage2Result.NotMapped : Stage2Result.Done;
        vm.Model.Split(ipa, 3);
        vm.Table.SplitBlock(ref vm.Machine, new Ipa(ipa), 3).ShouldBe(expected);
    }

    private void Age(Relative<TFormat> vm)
    {
        (ulong start, ulong end) = AnyRange();
        RangeCursor cursor = new(new Ipa(start), end - start);
        _ = vm.Model.Update(start, end, false, bits => new LeafAttributes(bits).WithAccessed(false).Bits);
        vm.Table.Age(ref vm.Machine, ref cursor, out MaintenanceDebt debt).ShouldBe(Stage2Result.Done);
        vm.Table.Settle(ref vm.Machine, ref debt);
        ulong ipa = AnyIpa();
        Stage2Result expected = vm.Model.At(ipa) is null ? Stage2Result.NotMapped : Stage2Result.Done;
        if (expected == Stage2Result.Done)
        {
            _ = vm.Model.Update(ipa, ipa + 1, false, bits => new LeafAttributes(bits).WithAccessed(true).Bits);
        }

        vm.Table.MarkAccessed(ref vm.Machine, new Ipa(ipa)).ShouldBe(expected);
    }

    /// <summary>All VMs, frozen ones too: what one does shows in no other.</summary>
    private void Compare()
    {
        foreach (Relative<TFormat> vm in _alive.Concat(_frozen))
        {
            List<Leaf> leaves = [.. vm.Leaves().Select(WithoutRuns)];
            if (!leaves.SequenceEqual(vm.Model.Leaves))
            {
                leaves.ShouldBe(vm.Model.Leaves, $"VM {vm.Vm}");
            }

            for (int level = 0; level <= 3; level++)
            {
                vm.Table.LeafCount(level).ShouldBe((ulong)leaves.Count(leaf => leaf.Level == level));
            }
        }
    }

    /// <summary>Whatever a TLB may hold of these leaves was invalidated, under the VM's own VMID.</summary>
    private void ShouldCover(Relative<TFormat> vm, IEnumerable<Leaf> leaves)
    {
        _world.Log.Where(e => e.Operation is MachineOperation.InvalidateVmid or MachineOperation.InvalidateCombined)
            .ShouldAllBe(e => e.Address == vm.Vmid.Value);
        Invalidations done = new(_world.Log);
        foreach (Leaf leaf in leaves)
        {
            done.Cover(leaf.Ipa, leaf.End<TFormat>()).ShouldBeTrue($"{leaf} of VM {vm.Vm} was never invalidated");
        }
    }

    private static Leaf WithoutRuns(Leaf leaf) =>
        leaf with { Attributes = leaf.Attributes & ~LeafAttributes.ContiguousBit };

    private int Take(int choices)
    {
        int taken = (int)(_bits % (uint)choices);
        _bits = (_bits / (uint)choices) + (0x9E37_79B9 * (_bits & 0xFFFF));
        return taken;
    }

    /// <summary>Around the edges of a few tables, two of them in another table of level 2.</summary>
    private ulong AnyIpa()
    {
        ulong table = Stage2Geometry.LevelBytes<TFormat>(2);
        ulong start = Take(2) == 0 ? 0 : _geometry.IpaLimit.Value / 2;
        int[] pages = [0, 1, 15, 16, 17, Entries / 2, Entries - 16, Entries - 1];
        return start + ((ulong)Take(2) * table) + ((ulong)pages[Take(pages.Length)] * Granule);
    }

    private (ulong Start, ulong End) AnyRange()
    {
        ulong start = AnyIpa();
        int[] pages = [1, 2, 16, 17, Entries - 1, Entries, Entries + 1, 2 * Entries];
        ulong end = start + ((ulong)pages[Take(pages.Length)] * Granule);
        return (start, end < _geometry.IpaLimit.Value ? end : _geometry.IpaLimit.Value);
    }

    /// <summary>Memory of the VM's own, never given before, aligned for blocks.</summary>
    private ulong AnyOutput(Relative<TFormat> vm, ulong bytes)
    {
        ulong alignment = Stage2Geometry.LevelBytes<TFormat>(2);
        ulong output = _nextPage = (_nextPage + alignment - 1) / alignment * alignment;
        _nextPage += bytes;
        for (ulong page = output; page < _nextPage; page += Granule)
        {
            _world.SetOwner(page, vm.Vm);
        }

        return output;
    }
}

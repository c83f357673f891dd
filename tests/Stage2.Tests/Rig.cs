using System;
using System.Collections.Generic;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>A table of one format over a fake world, with what tests ask of it again and again.</summary>
internal sealed class Rig<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    public FakeMachine Machine;
    public PageTable<TFormat, FakeMachine> Table;

    public Rig(int ipaBits = 40, Action<FakeWorld>? setUp = null)
    {
        World = new FakeWorld(TFormat.GranuleShift);
        setUp?.Invoke(World);
        Machine = new FakeMachine(World);
        Stage2Geometry.TryCreate<TFormat>(ipaBits, 48, out Stage2Geometry geometry).ShouldBeTrue();
        PageTable<TFormat, FakeMachine>.Create(ref Machine, geometry, new Vmid(7), out Table)
            .ShouldBe(Stage2Result.Done);
        World.Log.Clear();
    }

    public FakeWorld World { get; }

    public static ulong Granule => 1UL << TFormat.GranuleShift;

    public static ulong Bytes(int level) => Stage2Geometry.LevelBytes<TFormat>(level);

    public static MachineEvent[] InvalidationByIpa(ulong ipa, int hint = 0) =>
    [
        new(MachineOperation.DsbInnerShareableStores),
        new(MachineOperation.InvalidateIpa, ipa, (ulong)(uint)hint),
        new(MachineOperation.DsbInnerShareable),
        new(MachineOperation.InvalidateCombined, 7),
        new(MachineOperation.DsbInnerShareable),
        new(MachineOperation.Isb),
    ];

    public static MachineEvent[] InvalidationOfVmid() =>
    [
        new(MachineOperation.DsbInnerShareableStores),
        new(MachineOperation.InvalidateVmid, 7),
        new(MachineOperation.DsbInnerShareable),
        new(MachineOperation.Isb),
    ];

    public Stage2Result Map(ulong ipa, ulong pa, int level = 3, LeafAttributes? attributes = null) =>
        Table.Map(ref Machine, new Ipa(ipa), new Pa(pa), level, attributes ?? LeafAttributes.GuestMemory);

    public Stage2Result MapRange(ulong ipa, ulong pa, ulong bytes, MapOptions options = MapOptions.None) =>
        Table.MapRange(ref Machine, new Ipa(ipa), new Pa(pa), bytes, LeafAttributes.GuestMemory, options);

    public Translation Translate(ulong ipa) => Table.Translate(ref Machine, new Ipa(ipa));

    /// <summary>Unmaps in batches.</summary>
    public Stage2Result Unmap(ulong ipa, ulong bytes, UnmapFlags flags = UnmapFlags.None,
        PartialBlock partial = PartialBlock.TakeWhole, uint budget = RangeCursor.Unlimited)
    {
        RangeCursor cursor = new(new Ipa(ipa), bytes, budget);
        NoSink sink = default;
        Stage2Result result;
        do
        {
            result = Table.Unmap(ref Machine, ref cursor, flags, partial, ref sink);
        }
        while (result == Stage2Result.Again);
        return result;
    }

    public Stage2Result UnmapEager(ulong ipa, ulong bytes, UnmapFlags flags = UnmapFlags.None,
        PartialBlock partial = PartialBlock.TakeWhole, uint budget = RangeCursor.Unlimited)
    {
        RangeCursor cursor = new(new Ipa(ipa), bytes, budget);
        NoSink sink = default;
        Stage2Result result;
        do
        {
            result = Table.UnmapEager(ref Machine, ref cursor, flags, partial, ref sink);
        }
        while (result == Stage2Result.Again);
        return result;
    }

    /// <summary>Every leaf, as a visit shows it.</summary>
    public List<Leaf> Leaves()
    {
        Collector collector = new() { Leaves = [] };
        RangeCursor cursor = Table.WholeRange();
        Table.Visit(ref Machine, ref cursor, ref collector).ShouldBe(Stage2Result.Done);
        return collector.Leaves;
    }

    /// <summary>
    /// Reads the tables entry by entry, without the engine's walks, and checks what must always hold: counts, no empty
    /// table, no parked entry, whole contiguous runs, no table lost. Gives the leaves.
    /// </summary>
    public List<Leaf> Audit()
    {
        List<Leaf> leaves = [];
        Stage2Geometry geometry = Table.Geometry;
        int tables = (int)geometry.RootTables;
        int start = geometry.StartLevel;
        ulong entries = geometry.IpaLimit.Value >> Stage2Geometry.LevelShift<TFormat>(start);
        _ = AuditTable(Table.Root.Value, start, 0, entries, leaves, ref tables);
        tables.ShouldBe((int)Table.TableCount);
        World.TablesOut.ShouldBe(tables);
        for (int level = 0; level <= 3; level++)
        {
            Table.LeafCount(level).ShouldBe((ulong)leaves.FindAll(leaf => leaf.Level == level).Count);
        }

        AuditRuns(leaves);
        return leaves;
    }

    private int AuditTable(ulong table, int level, ulong ipa, ulong entries, List<Leaf> leaves, ref int tables)
    {
        int valid = 0;
        for (ulong index = 0; index < entries; index++, ipa += Bytes(level))
        {
            ulong entry = World.Peek(table + (index * 8));
            if (!TFormat.IsValid(entry))
            {
                if (entry != 0 && entry != TFormat.Invalid)
                {
                    Assert.Fail($"{ipa:x} was left parked");
                }

                continue;
            }

            valid++;
            if (level < 3 && TFormat.IsTable(entry, level))
            {
                tables++;
                int count = AuditTable(TFormat.TableAddress(entry).Value, level + 1, ipa,
                    1UL << TFormat.BitsPerLevel, leaves, ref tables);
                count.ShouldBeGreaterThan(0, "an empty table is linked");
                TFormat.TableCount(entry).ShouldBe(count);
            }
            else
            {
                leaves.Add(new Leaf(ipa, TFormat.OutputAddress(entry, level).Value, level,
                    TFormat.Attributes(entry, World.HasForcedWriteBack).Bits));
            }
        }

        return valid;
    }

    private static void AuditRuns(List<Leaf> leaves)
    {
        for (int first = 0; first < leaves.Count; first++)
        {
            Leaf leaf = leaves[first];
            if ((leaf.Attributes & LeafAttributes.ContiguousBit) == 0)
            {
                continue;
            }

            int run = 1 << TFormat.ContiguousShift(leaf.Level);
            ulong bytes = Bytes(leaf.Level);
            (leaf.Ipa % (bytes * (ulong)run)).ShouldBe(0UL, "a contiguous run begins in its middle");
            (leaf.Output % (bytes * (ulong)run)).ShouldBe(0UL);
            for (int i = 0; i < run; i++)
            {
                ulong offset = (ulong)i * bytes;
                Leaf expected = leaf with { Ipa = leaf.Ipa + offset, Output = leaf.Output + offset };
                if (leaves[first + i] != expected)
                {
                    Assert.Fail($"{leaves[first + i]} is in a run, where {expected} belongs");
                }
            }

            first += run - 1;
        }
    }

    private struct Collector : ILeafVisitor
    {
        public List<Leaf> Leaves;

        public readonly void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) =>
            Leaves.Add(new Leaf(ipa.Value, output.Value, level, attributes.Bits));
    }
}

/// <summary>A leaf, as tests compare them.</summary>
internal readonly record struct Leaf(ulong Ipa, ulong Output, int Level, uint Attributes)
{
    public ulong End<TFormat>()
        where TFormat : struct, IDescriptorFormat => Ipa + Stage2Geometry.LevelBytes<TFormat>(Level);
}

/// <summary>Keeps what it is told, leaf by leaf.</summary>
internal struct ListSink<TFormat> : ILeafSink
    where TFormat : struct, IDescriptorFormat
{
    public List<(ulong Ipa, ulong Output, int Level)> Unlinked;

    readonly void ILeafSink.Unlinked(Ipa ipa, Pa output, int level, ulong leaves)
    {
        for (; leaves != 0; leaves--)
        {
            Unlinked.Add((ipa.Value, output.Value, level));
            ipa += 1UL << TFormat.GranuleShift;
            output += 1UL << TFormat.GranuleShift;
        }
    }
}

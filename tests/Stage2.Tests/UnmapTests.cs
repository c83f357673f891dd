using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

/// <summary>Unmapping that pays for itself, against a dictionary: every format, also an alien one.</summary>
public class UnmapTests
{
    private static readonly LeafAttributes _normal = new(true, true, true, MemoryType.NormalWriteBack);

    private sealed class Told : Dictionary<ulong, ulong>;

    private readonly struct Sink(Told told, ulong granule, Action onRun) : ILeafSink
    {
        public void Unlinked(Ipa ipa, Pa output, int level, ulong leaves)
        {
            onRun();
            for (ulong i = 0; i < leaves; i++)
            {
                told.Add(ipa.Value + (i * granule), output.Value + (i * granule));
            }
        }
    }

    [Fact]
    public void Arm_4K_agrees_with_a_dictionary() => Agrees<Arm<Granule4K>>();

    [Fact]
    public void Arm_16K_agrees_with_a_dictionary() => Agrees<Arm<Granule16K>>();

    [Fact]
    public void Arm_64K_agrees_with_a_dictionary() => Agrees<Arm<Granule64K>>();

    [Fact]
    public void An_alien_format_agrees_with_a_dictionary() => Agrees<AlienFormat>();

    private static void Agrees<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        var random = new Random(11);
        ulong granule = 1UL << TFormat.GranuleShift;
        ulong perTable = 1UL << TFormat.BitsPerLevel;
        for (int round = 0; round < 6; round++)
        {
            var world = new FakeWorld(TFormat.GranuleShift) { HasRangeInvalidation = round % 2 == 0 };
            var machine = new FakeMachine(world);
            Stage2Geometry.TryCreate<TFormat>(36, 40, out Stage2Geometry geometry).ShouldBeTrue();
            PageTable<TFormat, FakeMachine>.Create(ref machine, geometry, new Vmid(1), out var table)
                .ShouldBe(Stage2Result.Done);
            int tablesAtFirst = world.TablesOut;
            var leaves = new Dictionary<ulong, ulong>();
            for (int i = 0; i < 80; i++)
            {
                ulong page = ((ulong)random.Next(3) * perTable) + (ulong)random.Next((int)Math.Min(perTable, 96));
                ulong memory = (page + (ulong)random.Next(2)) * granule;
                if (table.Map(ref machine, new Ipa(page * granule), new Pa(memory), 3, _normal)
                    == Stage2Result.Done)
                {
                    leaves[page * granule] = memory;
                }
            }

            while (leaves.Count != 0)
            {
                ulong first = (ulong)random.Next((int)(3 * perTable));
                ulong count = 1 + (ulong)random.Next((int)(3 * perTable));
                uint budget = random.Next(3) == 0 ? (uint)(1 + random.Next(40)) : RangeCursor.Unlimited;
                bool cleans = random.Next(2) == 0;
                UnmapFlags flags = cleans ? UnmapFlags.None : UnmapFlags.ElideCacheMaintenance;
                ulong start = first * granule;
                Dictionary<ulong, ulong> covered = leaves
                    .Where(leaf => leaf.Key >= start && leaf.Key < start + (count * granule)).ToDictionary();
                world.Log.Clear();
                var told = new Told();
                var sink = new Sink(told, granule, () => world.Log
                    .ShouldContain(e => e.Operation == MachineOperation.DsbInnerShareable));
                var cursor = new RangeCursor(new Ipa(start), count * granule, budget);
                Stage2Result result;
                do
                {
                    result = table.Unmap(ref machine, ref cursor, flags, PartialBlock.Split, ref sink);
                }
                while (result == Stage2Result.Again);

                result.ShouldBe(Stage2Result.Done);
                told.OrderBy(leaf => leaf.Key).ShouldBe(covered.OrderBy(leaf => leaf.Key));
                long cleaned = world.Log
                    .Where(e => e.Operation == MachineOperation.CleanInvalidateToPoC).Sum(e => (long)e.Value);
                cleaned.ShouldBe(cleans ? covered.Count * (long)granule : 0);
                foreach (ulong gone in covered.Keys)
                {
                    leaves.Remove(gone);
                    table.Translate(ref machine, new Ipa(gone)).IsMapped.ShouldBeFalse();
                }

                foreach ((ulong ipa, ulong memory) in leaves)
                {
                    table.Translate(ref machine, new Ipa(ipa)).Output.Value.ShouldBe(memory);
                }

                table.LeafCount(3).ShouldBe((ulong)leaves.Count);
            }

            world.TablesOut.ShouldBe(tablesAtFirst, "emptied tables are free");
        }
    }
}

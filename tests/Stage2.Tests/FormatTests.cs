using System.Collections.Generic;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class FormatTests
{
    [Fact]
    public void Arm_4K_descriptors_keep_what_they_are_given() => KeepsEverything<Arm<Granule4K>>();

    [Fact]
    public void Arm_16K_descriptors_keep_what_they_are_given() => KeepsEverything<Arm<Granule16K>>();

    [Fact]
    public void Arm_64K_descriptors_keep_what_they_are_given() => KeepsEverything<Arm<Granule64K>>();

    [Fact]
    public void Alien_descriptors_keep_what_they_are_given() => KeepsEverything<AlienFormat>();

    // Bit by bit from DDI 0487 D8.3: XN 54, C 52, AF 10, SH 9:8, S2AP 7:6, MemAttr 5:2, type 1, valid 0.
    [Fact]
    public void A_page_of_guest_memory_is_the_descriptor_that_the_manual_draws()
    {
        Leaf(LeafAttributes.GuestMemory, 3, false).ShouldBe(0x4000_07FFUL);
        Leaf(LeafAttributes.GuestMemory, 3, true).ShouldBe(0x4000_07DBUL);
        Leaf(LeafAttributes.GuestMemory, 2, false).ShouldBe(0x4000_07FDUL);
        Leaf(LeafAttributes.ReadOnlyGuestMemory, 3, false).ShouldBe(0x4000_077FUL);
        Leaf(LeafAttributes.DeviceMemory, 3, false).ShouldBe(0x0040_0000_4000_07C7UL);
        Leaf(LeafAttributes.DeviceMemory, 3, true).ShouldBe(0x0040_0000_4000_07C7UL);
        LeafAttributes nonCacheable = new(true, true, false, MemoryType.NormalNonCacheable);
        Leaf(nonCacheable, 3, false).ShouldBe(0x4000_07D7UL);
        Leaf(nonCacheable, 3, true).ShouldBe(0x4000_07D7UL);
    }

    [Fact]
    public void A_table_descriptor_is_an_address_and_two_bits_beside_the_count()
    {
        Arm<Granule4K>.Table(new Pa(0x1234_5000)).ShouldBe(0x1234_5003UL);
        Arm<Granule4K>.WithTableCount(Arm<Granule4K>.Table(new Pa(0x1234_5000)), 512).ShouldBe(0x1234_5803UL);
        Arm<Granule64K>.WithTableCount(Arm<Granule64K>.Table(new Pa(0x1235_0000)), 8192).ShouldBe(0x1235_0083UL);
        Arm<Granule64K>.WithTableCount(Arm<Granule64K>.Table(new Pa(0x1235_0000)), 255)
            .ShouldBe(0x07F8_0000_1235_0003UL);
        Arm<Granule4K>.WithTableCount(Arm<Granule4K>.Table(new Pa(0x1234_5000)), 255).ShouldBe(0x1234_53FFUL);
    }

    [Fact]
    public void Leaves_are_at_the_levels_that_the_granule_has()
    {
        LevelsOf<Arm<Granule4K>>().ShouldBe([1, 2, 3]);
        LevelsOf<Arm<Granule16K>>().ShouldBe([2, 3]);
        LevelsOf<Arm<Granule64K>>().ShouldBe([2, 3]);
    }

    // Entries of a contiguous run: DDI 0487 D8, the Contiguous bit.
    [Fact]
    public void Contiguous_runs_are_as_long_as_the_manual_says()
    {
        (1 << Arm<Granule4K>.ContiguousShift(1), 1 << Arm<Granule4K>.ContiguousShift(2),
            1 << Arm<Granule4K>.ContiguousShift(3))
            .ShouldBe((16, 16, 16));
        (1 << Arm<Granule16K>.ContiguousShift(2), 1 << Arm<Granule16K>.ContiguousShift(3)).ShouldBe((32, 128));
        (1 << Arm<Granule64K>.ContiguousShift(2), 1 << Arm<Granule64K>.ContiguousShift(3)).ShouldBe((32, 32));
    }

    // What makes the alien a test of the engine: with Arm's formats, a block read as one of another level often fits.
    [Fact]
    public void A_leaf_of_the_alien_format_makes_sense_at_its_own_level_only()
    {
        Pa output = new(0x40_0000_0000);
        for (int level = 0; level <= 3; level++)
        {
            ulong leaf = AlienFormat.Leaf(AlienFormat.LeafTemplate(LeafAttributes.GuestMemory, level, false), output);
            for (int other = 0; other <= 3; other++)
            {
                (AlienFormat.OutputAddress(leaf, other).Value == output.Value).ShouldBe(other == level);
                AlienFormat.IsTable(leaf, other).ShouldBe(level == 3 && other < 3);
            }
        }
    }

    private static ulong Leaf(LeafAttributes attributes, int level, bool forcedWriteBack) =>
        Arm<Granule4K>.Leaf(Arm<Granule4K>.LeafTemplate(attributes, level, forcedWriteBack), new Pa(0x4000_0000));

    private static List<int> LevelsOf<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        List<int> levels = [];
        for (int level = -1; level <= 4; level++)
        {
            if (TFormat.HasLeafAt(level))
            {
                levels.Add(level);
            }
        }

        return levels;
    }

    private static void KeepsEverything<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        TFormat.IsValid(TFormat.Invalid).ShouldBeFalse();
        TFormat.IsValid(0).ShouldBeFalse();
        TFormat.IsParked(TFormat.Invalid).ShouldBeFalse();
        TFormat.IsParked(0).ShouldBeFalse();
        Tables<TFormat>();
        foreach (int level in LevelsOf<TFormat>())
        {
            foreach (bool forced in new[] { false, true })
            {
                foreach (LeafAttributes attributes in Attributes.All)
                {
                    Leaves<TFormat>(attributes, level, forced);
                }
            }
        }
    }

    private static void Tables<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        for (int bit = TFormat.GranuleShift; bit < 48; bit++)
        {
            Pa table = new(1UL << bit);
            for (int count = 0; count <= 1 << TFormat.BitsPerLevel; count += bit == 40 ? 1 : 61)
            {
                ulong entry = TFormat.WithTableCount(TFormat.Table(table), count);
                if (!TFormat.IsValid(entry) || !TFormat.IsTable(entry, 0) || !TFormat.IsTable(entry, 2)
                    || TFormat.TableAddress(entry).Value != table.Value || TFormat.TableCount(entry) != count
                    || TFormat.TableCount(TFormat.WithTableCount(entry, 1)) != 1
                    || (count < 1 << TFormat.BitsPerLevel
                        && TFormat.CountingOneMore(entry) != TFormat.WithTableCount(entry, count + 1)))
                {
                    Assert.Fail($"{table.Value:x} with {count} becomes {entry:x}");
                }
            }
        }
    }

    private static void Leaves<TFormat>(LeafAttributes attributes, int level, bool forced)
        where TFormat : struct, IDescriptorFormat
    {
        ulong encoded = TFormat.LeafTemplate(attributes, level, forced);
        for (int bit = Stage2Geometry.LevelShift<TFormat>(level); bit < 48; bit++)
        {
            Pa output = new(1UL << bit);
            ulong leaf = TFormat.Leaf(encoded, output);
            bool holds = IsLeaf<TFormat>(leaf, level, output, attributes.Bits, forced);
            ulong parked = TFormat.Park(leaf);
            holds &= !TFormat.IsValid(parked) && TFormat.IsParked(parked) && TFormat.Unpark(parked) == leaf
                && TFormat.OutputAddress(parked, level).Value == output.Value
                && TFormat.IsDevice(parked, forced) == (attributes.Type == MemoryType.Device);
            holds &= IsLeaf<TFormat>(TFormat.WithContiguous(leaf, true), level, output,
                attributes.Bits | LeafAttributes.ContiguousBit, forced);
            holds &= TFormat.WithContiguous(TFormat.WithContiguous(leaf, true), false) == leaf;
            holds &= IsLeaf<TFormat>(TFormat.WithoutWrite(leaf), level, output, attributes.WithWrite(false).Bits,
                forced);
            holds &= IsLeaf<TFormat>(TFormat.WithAccessed(leaf, false), level, output,
                attributes.WithAccessed(false).Bits, forced);
            holds &= IsLeaf<TFormat>(TFormat.WithAccessed(leaf, true), level, output,
                attributes.WithAccessed(true).Bits, forced);
            foreach (LeafAttributes other in Attributes.Permissions)
            {
                holds &= IsLeaf<TFormat>(TFormat.WithPermissions(leaf, other), level, output,
                    attributes.WithPermissionsOf(other).Bits, forced);
            }

            if (!holds)
            {
                Assert.Fail($"{attributes.Bits:x} to {output.Value:x} at level {level} becomes {leaf:x}");
            }
        }
    }

    private static bool IsLeaf<TFormat>(ulong leaf, int level, Pa output, uint attributes, bool forced)
        where TFormat : struct, IDescriptorFormat =>
        TFormat.IsValid(leaf) && !TFormat.IsTable(leaf, level)
        && TFormat.OutputAddress(leaf, level).Value == output.Value
        && TFormat.Attributes(leaf, forced).Bits == attributes
        && TFormat.IsContiguous(leaf) == ((attributes & LeafAttributes.ContiguousBit) != 0);
}

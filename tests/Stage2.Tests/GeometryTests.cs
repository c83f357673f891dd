using System;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class GeometryTests
{
    private static readonly int[] PaSizes = [32, 36, 40, 42, 44, 48, 52];

    [Fact]
    public void Every_4K_geometry_follows_the_architectures_rules() => EveryGeometry<Arm<Granule4K>>();

    [Fact]
    public void Every_16K_geometry_follows_the_architectures_rules() => EveryGeometry<Arm<Granule16K>>();

    [Fact]
    public void Every_64K_geometry_follows_the_architectures_rules() => EveryGeometry<Arm<Granule64K>>();

    [Fact]
    public void Every_alien_geometry_follows_the_same_rules() => EveryGeometry<AlienFormat>();

    // IPA bits, start level, concatenated tables: DDI 0487, the tables of section D8.2 for each granule.
    [Theory]
    [InlineData(32, 2, 4)]
    [InlineData(34, 2, 16)]
    [InlineData(35, 1, 1)]
    [InlineData(39, 1, 1)]
    [InlineData(40, 1, 2)]
    [InlineData(43, 1, 16)]
    [InlineData(44, 0, 1)]
    [InlineData(48, 0, 1)]
    public void The_4K_root_is_where_the_manual_has_it(int ipaBits, int level, int tables) =>
        RootIs<Arm<Granule4K>>(ipaBits, level, tables);

    [Theory]
    [InlineData(32, 2, 1)]
    [InlineData(36, 2, 1)]
    [InlineData(37, 2, 2)]
    [InlineData(40, 2, 16)]
    [InlineData(41, 1, 1)]
    [InlineData(47, 1, 1)]
    [InlineData(48, 1, 2)]
    public void The_16K_root_is_where_the_manual_has_it(int ipaBits, int level, int tables) =>
        RootIs<Arm<Granule16K>>(ipaBits, level, tables);

    [Theory]
    [InlineData(32, 3, 8)]
    [InlineData(33, 3, 16)]
    [InlineData(34, 2, 1)]
    [InlineData(42, 2, 1)]
    [InlineData(43, 2, 2)]
    [InlineData(46, 2, 16)]
    [InlineData(47, 1, 1)]
    [InlineData(48, 1, 1)]
    public void The_64K_root_is_where_the_manual_has_it(int ipaBits, int level, int tables) =>
        RootIs<Arm<Granule64K>>(ipaBits, level, tables);

    [Theory]
    [InlineData(31)]
    [InlineData(49)]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void Input_sizes_outside_32_to_48_bits_are_refused(int ipaBits)
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(ipaBits, 52, out _).ShouldBeFalse();
        Stage2Geometry.TryCreate<Arm<Granule4K>>(ipaBits, 52, 1, out _).ShouldBeFalse();
    }

    [Fact]
    public void An_input_larger_than_the_physical_size_is_refused()
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(41, 40, out _).ShouldBeFalse();
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 40, out _).ShouldBeTrue();
    }

    [Fact]
    public void The_topmost_level_needs_the_physical_size_that_the_manual_names()
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 42, 0, out _).ShouldBeFalse();
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 44, 0, out _).ShouldBeTrue();
        Stage2Geometry.TryCreate<Arm<Granule16K>>(40, 40, 1, out _).ShouldBeFalse();
        Stage2Geometry.TryCreate<Arm<Granule16K>>(40, 42, 1, out _).ShouldBeTrue();
        Stage2Geometry.TryCreate<Arm<Granule64K>>(42, 42, 1, out _).ShouldBeFalse();
        Stage2Geometry.TryCreate<Arm<Granule64K>>(44, 44, 1, out _).ShouldBeTrue();
    }

    [Fact]
    public void A_physical_size_of_52_bits_leaves_48_to_descriptors_of_48()
    {
        Stage2Geometry.TryCreate<Arm<Granule64K>>(40, 52, out Stage2Geometry geometry).ShouldBeTrue();
        geometry.OutputBits.ShouldBe(48);
        geometry.OutputLimit.Value.ShouldBe(1UL << 48);
    }

    private static void RootIs<TFormat>(int ipaBits, int level, int tables)
        where TFormat : struct, IDescriptorFormat
    {
        Stage2Geometry.TryCreate<TFormat>(ipaBits, 48, out Stage2Geometry geometry).ShouldBeTrue();
        geometry.StartLevel.ShouldBe(level);
        geometry.RootTables.ShouldBe((uint)tables);
    }

    private static void EveryGeometry<TFormat>()
        where TFormat : struct, IDescriptorFormat
    {
        int possible = 0;
        foreach (int paBits in PaSizes)
        {
            for (int ipaBits = 0; ipaBits <= 64; ipaBits++)
            {
                int deepest = -1;
                for (int level = -1; level <= 4; level++)
                {
                    bool made = Stage2Geometry.TryCreate<TFormat>(ipaBits, paBits, level, out Stage2Geometry geometry);
                    made.ShouldBe(IsLegal<TFormat>(ipaBits, paBits, level), $"{ipaBits} {paBits} {level}");
                    if (made)
                    {
                        possible++;
                        deepest = level;
                        Check<TFormat>(geometry, ipaBits, level);
                    }
                }

                Stage2Geometry.TryCreate<TFormat>(ipaBits, paBits, out Stage2Geometry chosen).ShouldBe(deepest >= 0);
                if (deepest >= 0)
                {
                    chosen.StartLevel.ShouldBe(deepest);
                }
            }
        }

        possible.ShouldBeGreaterThan(0);
    }

    /// <summary>The shared pseudocode's way of putting it: sizes, not entries.</summary>
    private static bool IsLegal<TFormat>(int ipaBits, int paBits, int level)
        where TFormat : struct, IDescriptorFormat
    {
        if (ipaBits is < 32 or > 48 || ipaBits > Math.Min(paBits, 48) || level is < 0 or > 3)
        {
            return false;
        }

        int stride = TFormat.BitsPerLevel;
        int below = ((3 - level) * stride) + TFormat.GranuleShift;
        bool reserved = (TFormat.GranuleShift, level) switch
        {
            (12, 0) => paBits < 44,
            (14, 1) => paBits <= 40,
            (16, 1) => paBits <= 42,
            (14, 0) or (16, 0) => true,
            _ => false,
        };
        return !reserved && ipaBits >= below + 1 && ipaBits <= below + stride + 4;
    }

    private static void Check<TFormat>(Stage2Geometry geometry, int ipaBits, int level)
        where TFormat : struct, IDescriptorFormat
    {
        geometry.IpaBits.ShouldBe(ipaBits);
        geometry.StartLevel.ShouldBe(level);
        geometry.IpaLimit.Value.ShouldBe(1UL << ipaBits);

        // The root's entries fit its tables, and fewer tables would not hold them.
        ulong entries = (1UL << ipaBits) / Stage2Geometry.LevelBytes<TFormat>(level);
        ulong perTable = 1UL << TFormat.BitsPerLevel;
        entries.ShouldBeGreaterThanOrEqualTo(2UL);
        entries.ShouldBeLessThanOrEqualTo(geometry.RootTables * perTable);
        if (geometry.RootTables > 1)
        {
            entries.ShouldBeGreaterThan((geometry.RootTables - 1) * perTable);
        }

        geometry.RootTables.ShouldBeInRange(1u, 16u);
        ulong.IsPow2(geometry.RootTables).ShouldBeTrue();
    }
}

using System;
using System.Collections.Generic;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class BreakBeforeMakeTests
{
    private static readonly BreakBeforeMakeSupport[] Supports = Enum.GetValues<BreakBeforeMakeSupport>();

    [Fact]
    public void Every_pair_of_4K_descriptors_is_judged_by_the_manuals_list() => EveryPair<Arm<Granule4K>>(2);

    [Fact]
    public void Every_pair_of_4K_pages_is_judged_by_the_manuals_list() => EveryPair<Arm<Granule4K>>(3);

    [Fact]
    public void Every_pair_of_16K_descriptors_is_judged_by_the_manuals_list() => EveryPair<Arm<Granule16K>>(2);

    [Fact]
    public void Every_pair_of_64K_descriptors_is_judged_by_the_manuals_list() => EveryPair<Arm<Granule64K>>(2);

    [Fact]
    public void Every_pair_of_alien_descriptors_is_judged_by_the_same_list() => EveryPair<AlienFormat>(1);

    private static void EveryPair<TFormat>(int level)
        where TFormat : struct, IDescriptorFormat
    {
        foreach (bool forced in new[] { false, true })
        {
            List<Case> cases = Cases<TFormat>(level, forced);
            foreach (Case from in cases)
            {
                foreach (Case to in cases)
                {
                    foreach (BreakBeforeMakeSupport support in Supports)
                    {
                        BreakReason reason = BreakBeforeMake.IsRequired<TFormat>(from.Entry, to.Entry, level, forced,
                            support);
                        if (reason != Expected(from, to, support))
                        {
                            Assert.Fail($"{from} to {to} under {support}: {reason}");
                        }
                    }
                }
            }
        }
    }

    /// <summary>The list, told in the terms of what was encoded and not of what was decoded.</summary>
    private static BreakReason Expected(Case from, Case to, BreakBeforeMakeSupport support)
    {
        bool sizesAreFree = support == BreakBeforeMakeSupport.Level2WithoutAbort;
        if (from.Kind == 'i' || to.Kind == 'i')
        {
            return BreakReason.None;
        }

        if (from.Kind != to.Kind)
        {
            return sizesAreFree ? BreakReason.None : BreakReason.Size;
        }

        if (from.Output != to.Output)
        {
            return BreakReason.OutputAddress;
        }

        if (from.Kind == 't')
        {
            return BreakReason.None;
        }

        if (from.Type != to.Type)
        {
            return BreakReason.MemoryType;
        }

        if (from.Shareability != to.Shareability)
        {
            return BreakReason.Shareability;
        }

        return from.Contiguous != to.Contiguous && !sizesAreFree ? BreakReason.Contiguous : BreakReason.None;
    }

    private static List<Case> Cases<TFormat>(int level, bool forced)
        where TFormat : struct, IDescriptorFormat
    {
        Case empty = new(0, 'i', 0, default, default, false);
        List<Case> cases = [empty, empty with { Entry = TFormat.Invalid }];
        for (ulong output = 0; output < 2; output++)
        {
            Pa address = new((output + 1) << Stage2Geometry.LevelShift<TFormat>(level));
            foreach (LeafAttributes attributes in Attributes.All)
            {
                ulong leaf = TFormat.Leaf(TFormat.LeafTemplate(attributes, level, forced), address);
                Case single = new(leaf, 'l', output, attributes.Type, attributes.Shareability, false);
                cases.Add(single);
                cases.Add(single with { Entry = TFormat.WithContiguous(leaf, true), Contiguous = true });
            }

            if (level < 3)
            {
                ulong table = TFormat.Table(address);
                cases.Add(new(table, 't', output, default, default, false));
                cases.Add(new(TFormat.WithTableCount(table, 9), 't', output, default, default, false));
            }
        }

        return cases;
    }

    private readonly record struct Case(ulong Entry, char Kind, ulong Output, MemoryType Type,
        Shareability Shareability, bool Contiguous);
}

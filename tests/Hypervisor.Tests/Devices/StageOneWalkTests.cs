using System.Buffers.Binary;
using System.Collections.Generic;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class StageOneWalkTests
{
    private const ulong Tables = 0x4000_0000;

    /// <summary>Granule, T0SZ, and the level that such a walk begins at (DDI 0487 D8.2).</summary>
    public static TheoryData<int, int, int> Shapes() => new()
    {
        { 12, 16, 0 }, { 12, 24, 0 }, { 12, 25, 1 }, { 12, 33, 1 }, { 12, 34, 2 }, { 12, 39, 2 },
        { 14, 16, 0 }, { 14, 17, 1 }, { 14, 28, 2 },
        { 16, 12, 1 }, { 16, 16, 1 }, { 16, 22, 2 }, { 16, 35, 3 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_level_is_that_of_the_table_that_the_walk_reads(int shift, int unused, int first)
    {
        foreach (bool isUpper in (bool[])[false, true])
        {
            foreach (bool isBigEndian in (bool[])[false, true])
            {
                ulong address = 0x0012_3456_789A_BCD8 & ((1UL << (64 - unused)) - 1);
                address |= isUpper ? ulong.MaxValue << 52 : 0;
                StageOneRegime regime = Regime(shift, unused, isUpper, isBigEndian);
                var memory = new Memory { Entries = [] };
                ulong table = Tables;
                for (int level = first; level <= 3; level++)
                {
                    int stride = shift - 3;
                    int lowest = shift + (stride * (3 - level));
                    int top = level == first ? 64 - unused : lowest + stride;
                    ulong index = (address & ((1UL << top) - 1)) >> lowest;
                    ulong entry = table + (index << 3);
                    StageOneWalk.FindLevel(ref memory, in regime, address, entry).ShouldBe(level);
                    StageOneWalk.FindLevel(ref memory, in regime, address, StageOneWalk.NoTable)
                        .ShouldBe(ExceptionInjection.UnknownLevel);
                    table += 0x10_0000;
                    ulong descriptor = table | 3;
                    memory.Entries[entry] = isBigEndian ? BinaryPrimitives.ReverseEndianness(descriptor) : descriptor;
                }

                // The last entry was a page, whose level is asked for by its address; no walk reads a fifth table.
                StageOneWalk.FindLevel(ref memory, in regime, address, StageOneWalk.NoTable).ShouldBe(3);
                StageOneWalk.FindLevel(ref memory, in regime, address, table).ShouldBe(ExceptionInjection.UnknownLevel);
            }
        }
    }

    [Theory]
    [InlineData(1UL, 1)]
    [InlineData(0UL, ExceptionInjection.UnknownLevel)]
    [InlineData(2UL, ExceptionInjection.UnknownLevel)]
    public void A_block_ends_the_walk_and_an_invalid_entry_says_nothing(ulong entry, int expected)
    {
        StageOneRegime regime = Regime(12, 25, isUpper: false, isBigEndian: false);
        var memory = new Memory { Entries = new() { [Tables + 8] = 0x8000_0000 | entry } };
        StageOneWalk.FindLevel(ref memory, in regime, 0x4123_4567, StageOneWalk.NoTable).ShouldBe(expected);
    }

    [Fact]
    public void Without_a_stage_1_the_level_is_0()
    {
        StageOneRegime regime = Regime(12, 25, isUpper: false, isBigEndian: false);
        regime.SystemControl = 0;
        var memory = new Memory { Entries = [] };
        StageOneWalk.FindLevel(ref memory, in regime, 0x4123_4567, StageOneWalk.NoTable).ShouldBe(0);
    }

    [Fact]
    public void Hostile_registers_and_entries_end_the_walk()
    {
        var random = new System.Random(1);
        ulong Any() => (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        for (int round = 0; round < 20_000; round++)
        {
            var memory = new Memory { Entries = [], Anything = Any() };
            StageOneRegime regime = new()
            {
                SystemControl = Any() | 1, TranslationControl = Any(), LowerTable = Any(), UpperTable = Any(),
            };
            StageOneWalk.FindLevel(ref memory, in regime, Any(), Any()).ShouldBeInRange(-1, 3);
        }
    }

    private static StageOneRegime Regime(int shift, int unused, bool isUpper, bool isBigEndian)
    {
        ulong lower = shift switch { 12 => 0, 16 => 1, _ => 2UL };
        ulong upper = shift switch { 14 => 1, 12 => 2, _ => 3UL };
        return new StageOneRegime
        {
            SystemControl = 1 | (isBigEndian ? 1UL << 25 : 0),
            TranslationControl = isUpper ? (upper << 30) | ((ulong)(uint)unused << 16) : (lower << 14) | (uint)unused,
            LowerTable = isUpper ? 0 : Tables | (5UL << 48) | 1,
            UpperTable = isUpper ? Tables | (5UL << 48) | 1 : 0,
        };
    }

    private struct Memory : IGuestMemoryReader
    {
        internal Dictionary<ulong, ulong> Entries;
        internal ulong Anything;

        public readonly bool TryRead(ulong address, out ulong value)
        {
            value = Anything;
            return Anything != 0 || Entries.TryGetValue(address, out value);
        }
    }
}

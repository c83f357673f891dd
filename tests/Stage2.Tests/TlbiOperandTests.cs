using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class TlbiOperandTests
{
    [Fact]
    public void An_IPA_operand_has_the_page_number_and_the_level_hint_in_their_fields()
    {
        new TlbiIpa(new Ipa(0x1234_5678_9000), 3, 12).Operand.ShouldBe(0x0000_7001_2345_6789UL);
        new TlbiIpa(new Ipa(0x1234_5678_9000), 2, 16).Operand.ShouldBe(0x0000_E001_2345_6789UL);
        new TlbiIpa(new Ipa(0xFFFF_FFFF_F000), 0, 12).Operand.ShouldBe(0x0000_000F_FFFF_FFFFUL);
        new TlbiIpa(new Ipa(0x1000), -1, 14).Operand.ShouldBe(1UL);
    }

    [Fact]
    public void A_range_operand_has_its_fields_where_the_manual_has_them()
    {
        // 512 pages from 2M: scale 1 (units of 64), NUM 7, level 3, 4K.
        TlbiRange range = TlbiRange.Greatest(new Ipa(0x20_0000), 0x20_0000, 3, 12);
        range.Operand.ShouldBe((1UL << 46) | (1UL << 44) | (7UL << 39) | (3UL << 37) | 0x200);
        range.Granules.ShouldBe(512UL);
    }

    // Every size that one debt of a table can have, and all that one operation can reach.
    [Fact]
    public void The_operations_for_every_size_up_to_2_to_the_21_cover_exactly_the_range()
    {
        for (ulong granules = 1; granules <= TlbiRange.MaximumGranules; granules++)
        {
            ulong start = 0x1_0000_0000 + ((granules % 977) << 12);
            ulong at = start;
            ulong left = granules;
            int operations = 0;
            while (left > 1)
            {
                TlbiRange range = TlbiRange.Greatest(new Ipa(at), left << 12, 0, 12);
                if (range.Start.Value != at || range.Granules < 2 || range.Granules > left
                    || range.Scale > 3 || range.Operand >> 48 != 0)
                {
                    Assert.Fail($"{granules} granules: {range.Operand:x} at {at:x} with {left} left");
                }

                at += range.Bytes;
                left -= range.Granules;
                operations++;
            }

            at += left << 12;
            if (at != start + (granules << 12) || operations > 4)
            {
                Assert.Fail($"{granules} granules: ended at {at:x} after {operations} operations");
            }
        }
    }

    [Fact]
    public void The_greatest_range_is_one_operation_and_not_an_underflow()
    {
        TlbiRange range = TlbiRange.Greatest(new Ipa(0), 1UL << 33, 0, 12);
        range.Scale.ShouldBe(3);
        range.Num.ShouldBe(31u);
        range.Granules.ShouldBe(1UL << 21);
    }

    [Fact]
    public void Beyond_the_greatest_range_one_operation_covers_the_greatest() =>
        TlbiRange.Greatest(new Ipa(0), (1UL << 33) + 0x5000, 0, 12).Granules.ShouldBe(1UL << 21);

    [Theory]
    [InlineData(1, 12)]
    [InlineData(2, 14)]
    [InlineData(3, 16)]
    public void The_base_counts_granules_of_the_formats_own_size(int code, int shift)
    {
        TlbiRange range = TlbiRange.Greatest(new Ipa(5UL << shift), 2UL << shift, 0, shift);
        (range.Operand & 0x1F_FFFF_FFFF).ShouldBe(5UL);
        range.Start.Value.ShouldBe(5UL << shift);
        range.Bytes.ShouldBe(2UL << shift);
        ((int)(range.Operand >> 46)).ShouldBe(code);
    }

    [Theory]
    [InlineData(0, 1, false, InvalidationKind.None)]
    [InlineData(1, 1, false, InvalidationKind.ByIpa)]
    [InlineData(8, 1, false, InvalidationKind.ByIpa)]
    [InlineData(9, 1, false, InvalidationKind.WholeVmid)]
    [InlineData(512, 512, false, InvalidationKind.ByIpa)]
    [InlineData(4096, 512, false, InvalidationKind.ByIpa)]
    [InlineData(4097, 512, false, InvalidationKind.WholeVmid)]
    [InlineData(1, 1, true, InvalidationKind.ByIpa)]
    [InlineData(512, 512, true, InvalidationKind.ByIpa)]
    [InlineData(2, 1, true, InvalidationKind.ByRange)]
    [InlineData(1 << 21, 1, true, InvalidationKind.ByRange)]
    [InlineData((1 << 21) + 1, 1, true, InvalidationKind.WholeVmid)]
    [InlineData((1 << 21) + 1, 1 << 19, true, InvalidationKind.ByIpa)]
    public void The_plan_takes_the_cheapest_kind_that_suffices(ulong granules, ulong perLeaf, bool hasRange,
        InvalidationKind expected) =>
        InvalidationPlan.Choose(granules, perLeaf, hasRange).ShouldBe(expected);
}

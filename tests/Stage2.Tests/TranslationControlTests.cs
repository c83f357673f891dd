using Shouldly;
using Xunit;

namespace Quietus.Stage2.Tests;

public sealed class TranslationControlTests
{
    [Fact]
    public void A_40_bit_4K_table_has_the_control_value_that_the_fields_make()
    {
        // T0SZ 24, SL0 1 (level 1), write-back inner and outer, inner shareable, 4K, PS 44 bits, 8-bit VMIDs.
        Stage2Geometry.TryCreate<Arm<Granule4K>>(40, 44, out Stage2Geometry geometry).ShouldBeTrue();
        TranslationControl.Vtcr(geometry, vmid16: false).ShouldBe(0x8004_3558UL);
        TranslationControl.Vtcr(geometry, vmid16: true).ShouldBe(0x800C_3558UL);
    }

    // SL0 counts from level 2 with 4K (and wraps for level 3, FEAT_TTST), from level 3 with 16K and 64K.
    [Theory]
    [InlineData(12, 48, 0, 2, 0)]
    [InlineData(12, 40, 1, 1, 0)]
    [InlineData(12, 32, 2, 0, 0)]
    [InlineData(14, 48, 1, 2, 2)]
    [InlineData(14, 40, 2, 1, 2)]
    [InlineData(16, 48, 1, 2, 1)]
    [InlineData(16, 42, 2, 1, 1)]
    [InlineData(16, 32, 3, 0, 1)]
    public void Start_level_and_granule_are_encoded_as_each_granule_has_it(int granuleShift, int ipaBits, int level,
        int sl0, int tg0)
    {
        Stage2Geometry geometry = default;
        bool made = granuleShift switch
        {
            12 => Stage2Geometry.TryCreate<Arm<Granule4K>>(ipaBits, 48, level, out geometry),
            14 => Stage2Geometry.TryCreate<Arm<Granule16K>>(ipaBits, 48, level, out geometry),
            _ => Stage2Geometry.TryCreate<Arm<Granule64K>>(ipaBits, 48, level, out geometry),
        };
        made.ShouldBeTrue();
        ulong vtcr = TranslationControl.Vtcr(geometry, vmid16: false);
        ((int)(vtcr >> 6) & 3).ShouldBe(sl0);
        ((int)(vtcr >> 14) & 3).ShouldBe(tg0);
        ((int)vtcr & 63).ShouldBe(64 - ipaBits);
    }

    [Theory]
    [InlineData(32, 0)]
    [InlineData(36, 1)]
    [InlineData(40, 2)]
    [InlineData(42, 3)]
    [InlineData(44, 4)]
    [InlineData(48, 5)]
    [InlineData(52, 5)]
    public void The_physical_size_is_what_the_descriptors_and_the_PEs_both_have(int paBits, int ps)
    {
        Stage2Geometry.TryCreate<Arm<Granule4K>>(32, paBits, out Stage2Geometry geometry).ShouldBeTrue();
        ((int)(TranslationControl.Vtcr(geometry, vmid16: false) >> 16) & 7).ShouldBe(ps);
    }

    [Fact]
    public void The_base_register_holds_root_and_VMID() =>
        TranslationControl.Vttbr(new Pa(0x8_0000_4000), new Vmid(0xABCD)).ShouldBe(0xABCD_0008_0000_4000UL);
}

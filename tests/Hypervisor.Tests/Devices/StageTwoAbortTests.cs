using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class StageTwoAbortTests
{
    private const ulong Data = 0x24UL << 26;
    private const ulong Fetch = 0x20UL << 26;
    private const ulong Valid = 1 << 24;
    private const ulong Write = 1 << 6;
    private const ulong Walk = 1 << 7;
    private const ulong Maintenance = 1 << 8;

    [Fact]
    public void A_load_that_can_be_emulated_names_its_register_and_size()
    {
        // LDRSH W5, level 3 translation fault.
        StageTwoAbort abort = StageTwoAbort.Decode(Data | Valid | (1UL << 22) | (1 << 21) | (5 << 16) | 0x07);
        abort.IsFetch.ShouldBeFalse();
        abort.IsStageTwoFault.ShouldBeTrue();
        abort.IsTranslationFault.ShouldBeTrue();
        abort.IsPermissionFault.ShouldBeFalse();
        abort.Level.ShouldBe(3);
        abort.IsDecoded.ShouldBeTrue();
        abort.IsWrite.ShouldBeFalse();
        abort.Size.ShouldBe(2);
        abort.GeneralRegister.ShouldBe(5u);
        abort.HasFaultAddress.ShouldBeTrue();
        abort.Extend(0x1_8001).ShouldBe(0xFFFF_8001UL);
    }

    [Theory]
    [InlineData(0, false, false, 0xFFFF_FFFF_FFFF_FF80UL, 0x80UL)]
    [InlineData(0, true, false, 0x80UL, 0xFFFF_FF80UL)]
    [InlineData(0, true, true, 0x80UL, 0xFFFF_FFFF_FFFF_FF80UL)]
    [InlineData(0, true, true, 0x7FUL, 0x7FUL)]
    [InlineData(2, true, true, 0x8000_0000UL, 0xFFFF_FFFF_8000_0000UL)]
    [InlineData(2, false, true, 0xF_8000_0000UL, 0x8000_0000UL)]
    [InlineData(3, false, true, 0x8000_0000_0000_0001UL, 0x8000_0000_0000_0001UL)]
    public void A_loaded_value_is_extended_as_the_instruction_says(
        int size, bool extends, bool wide, ulong value, ulong expected)
    {
        ulong kind = ((ulong)size << 22) | (extends ? 1UL << 21 : 0) | (wide ? 1UL << 15 : 0);
        StageTwoAbort.Decode(Data | Valid | kind | 7).Extend(value).ShouldBe(expected);
    }

    [Theory]
    [InlineData(0, 0xEFUL)]
    [InlineData(1, 0xCDEFUL)]
    [InlineData(2, 0x89AB_CDEFUL)]
    [InlineData(3, 0x0123_4567_89AB_CDEFUL)]
    public void A_stored_value_is_the_registers_low_bytes(int size, ulong expected) =>
        StageTwoAbort.Decode(Data | Valid | Write | ((ulong)size << 22) | 7)
            .Truncate(0x0123_4567_89AB_CDEF).ShouldBe(expected);

    [Theory]
    [InlineData(0, 0xEFUL, 0xEFUL)]
    [InlineData(1, 0xCDEFUL, 0xEFCDUL)]
    [InlineData(2, 0x89AB_CDEFUL, 0xEFCD_AB89UL)]
    [InlineData(3, 0x0123_4567_89AB_CDEFUL, 0xEFCD_AB89_6745_2301UL)]
    public void A_big_endian_access_has_its_bytes_swapped(int size, ulong value, ulong expected) =>
        StageTwoAbort.Decode(Data | Valid | ((ulong)size << 22) | 7).Swap(value).ShouldBe(expected);

    [Fact]
    public void What_cannot_be_emulated_is_not_decoded()
    {
        StageTwoAbort.Decode(Data | 7).IsDecoded.ShouldBeFalse();
        StageTwoAbort.Decode(Data | Valid | Walk | 7).IsDecoded.ShouldBeFalse();
        StageTwoAbort.Decode(Data | Valid | Maintenance | 7).IsDecoded.ShouldBeFalse();
        StageTwoAbort.Decode(Fetch | Valid | 7).IsDecoded.ShouldBeFalse();
    }

    [Fact]
    public void Writes_are_told_from_maintenance_fetches_and_table_walks()
    {
        StageTwoAbort.Decode(Data | Write | 7).IsWrite.ShouldBeTrue();
        StageTwoAbort.Decode(Data | Write | Maintenance | 7).IsWrite.ShouldBeFalse();
        StageTwoAbort.Decode(Data | Write | Maintenance | 7).IsCacheMaintenance.ShouldBeTrue();
        StageTwoAbort.Decode(Fetch | Write | 7).IsWrite.ShouldBeFalse();
        StageTwoAbort.Decode(Data | Write | Walk | 7).IsWrite.ShouldBeFalse();
        StageTwoAbort.Decode(Data | Walk | 0xF).IsWrite.ShouldBeTrue();
        StageTwoAbort.Decode(Fetch | Walk | 0xF).IsWrite.ShouldBeTrue();
    }

    [Theory]
    [InlineData(0x00, true)]
    [InlineData(0x07, true)]
    [InlineData(0x0B, true)]
    [InlineData(0x0F, true)]
    [InlineData(0x10, false)]
    [InlineData(0x14, false)]
    [InlineData(0x18, false)]
    [InlineData(0x21, false)]
    [InlineData(0x30, false)]
    public void Only_faults_of_the_tables_are_stage_two_faults(ulong status, bool expected)
    {
        StageTwoAbort abort = StageTwoAbort.Decode(Data | status);
        abort.IsStageTwoFault.ShouldBe(expected);
    }

    [Fact]
    public void The_address_is_HPFARs_page_and_FARs_offset()
    {
        const ulong Far = 0xFFFF_8000_1234_5678;
        StageTwoAbort.Decode(Data | 7).IntermediateAddress(0x9_0000, Far).ShouldBe(0x0900_0678UL);
        StageTwoAbort.Decode(Data | Walk | 7).IntermediateAddress(0x9_0000, Far).ShouldBe(0x0900_0000UL);
        StageTwoAbort.Decode(Data | 7).IntermediateAddress(ulong.MaxValue, 0).ShouldBe(0x000F_FFFF_FFFF_F000UL);
        StageTwoAbort.Decode(Data | 0xF).NeedsTranslation.ShouldBeTrue();
        StageTwoAbort.Decode(Data | Walk | 0xF).NeedsTranslation.ShouldBeFalse();
        StageTwoAbort.Decode(Data | 0xB).NeedsTranslation.ShouldBeFalse();
        StageTwoAbort.Decode(Data | (1 << 10) | 7).HasFaultAddress.ShouldBeFalse();
    }
}

using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Monitor;

public class NumbersTests
{
    [Fact]
    public void Every_64_bit_number_reads_back_as_itself() =>
        Prop.ForAll<ulong>(number =>
        {
            byte[] text = Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));
            return Numbers.TryParse(text, out ulong read) == NumberError.None && read == number;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("0", NumberError.None, 0UL)]
    [InlineData("18446744073709551615", NumberError.None, ulong.MaxValue)]
    [InlineData("000000000000000000000000000012", NumberError.None, 12UL)]
    [InlineData("18446744073709551616", NumberError.Overflow, 0UL)]
    [InlineData("99999999999999999999999", NumberError.Overflow, 0UL)]
    [InlineData("", NumberError.Empty, 0UL)]
    [InlineData("-1", NumberError.NotANumber, 0UL)]
    [InlineData("1 ", NumberError.NotANumber, 0UL)]
    [InlineData("0x10", NumberError.NotANumber, 0UL)]
    public void A_number_is_decimal_and_fits_64_bits(string text, NumberError error, ulong value)
    {
        Numbers.TryParse(Encoding.ASCII.GetBytes(text), out ulong read).ShouldBe(error);
        read.ShouldBe(value);
        Numbers.Describe(error).Length.ShouldBeGreaterThan(5);
    }

    [Theory]
    [InlineData("4096", NumberError.None, 4096UL)]
    [InlineData("64M", NumberError.None, 64UL << 20)]
    [InlineData("1g", NumberError.None, 1UL << 30)]
    [InlineData("3K", NumberError.None, 3072UL)]
    [InlineData("16777215T", NumberError.None, 16777215UL << 40)]
    [InlineData("16777216T", NumberError.Overflow, 0UL)]
    [InlineData("M", NumberError.NotANumber, 0UL)]
    [InlineData("1MB", NumberError.NotANumber, 0UL)]
    [InlineData("", NumberError.Empty, 0UL)]
    public void A_size_has_an_optional_binary_unit(string text, NumberError error, ulong value)
    {
        Numbers.TryParseSize(Encoding.ASCII.GetBytes(text), out ulong read).ShouldBe(error);
        read.ShouldBe(value);
    }
}

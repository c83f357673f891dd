using System.Numerics;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Monitor;

public class CoreListTests
{
    [Theory]
    [InlineData("0", 1UL)]
    [InlineData("1,3", 0b1010UL)]
    [InlineData("1-3", 0b1110UL)]
    [InlineData("0-2,5,7-63", 0xFFFF_FFFF_FFFF_FFA7UL)]
    [InlineData("0-63", ulong.MaxValue)]
    [InlineData("3,3,2-4", 0b11100UL)]
    public void A_list_has_numbers_and_ranges(string text, ulong cores)
    {
        CoreList.TryParse(Encoding.ASCII.GetBytes(text), out ulong read).ShouldBeTrue();
        read.ShouldBe(cores);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",")]
    [InlineData("1,")]
    [InlineData(",1")]
    [InlineData("1--2")]
    [InlineData("-1")]
    [InlineData("1-")]
    [InlineData("2-1")]
    [InlineData("64")]
    [InlineData("0-64")]
    [InlineData("18446744073709551616")]
    [InlineData("0xA")]
    [InlineData("1 2")]
    public void What_is_no_list_is_refused(string text)
    {
        CoreList.TryParse(Encoding.ASCII.GetBytes(text), out ulong read).ShouldBeFalse();
        read.ShouldBe(0UL);
    }

    [Fact]
    public void What_is_written_reads_back() =>
        Prop.ForAll<ulong, int>((bits, turn) =>
        {
            ulong cores = BitOperations.RotateLeft(bits, turn) | 1;
            byte[] buffer = new byte[256];
            var line = new LineBuilder(buffer);
            CoreList.Write(ref line, cores);
            return CoreList.TryParse(line.Written, out ulong read) && read == cores;
        }).QuickCheckThrowOnFailure();
}

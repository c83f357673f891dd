using System;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Monitor;

public class LineBuilderTests
{
    [Fact]
    public void Fields_are_separated_by_one_space()
    {
        var line = new LineBuilder(new byte[200]);
        line.Text("ok"u8);
        line.Field("vm"u8, 3);
        line.Field("state"u8, "running"u8);
        line.HexadecimalField("midr"u8, 0x410fd083);
        line.HexadecimalField("esr"u8, 0x2, 8);
        line.QuotedField("reason"u8, "say \"no\" \\ \n"u8);
        line.Character((byte)'\n');
        line.Field("a"u8, 0);
        line.Truncated.ShouldBeFalse();
        Text(line).ShouldBe(
            "ok vm=3 state=running midr=0x410fd083 esr=0x00000002 reason=\"say \\\"no\\\" \\\\ ?\"\na=0");
        line.Clear();
        line.Field("b"u8, 1);
        Text(line).ShouldBe("b=1");
    }

    [Fact]
    public void Numbers_are_formatted_as_the_framework_formats_them() =>
        Prop.ForAll<ulong>(number =>
        {
            var line = new LineBuilder(new byte[64]);
            line.Number(number);
            line.Character((byte)' ');
            line.Hexadecimal(number);
            return Text(line) == string.Create(CultureInfo.InvariantCulture, $"{number} 0x{number:x}");
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_greatest_number_fits_twenty_bytes_and_not_nineteen()
    {
        var fits = new LineBuilder(new byte[20]);
        fits.Number(ulong.MaxValue);
        Text(fits).ShouldBe("18446744073709551615");
        fits.Truncated.ShouldBeFalse();
        var tight = new LineBuilder(new byte[19]);
        tight.Number(ulong.MaxValue);
        tight.Length.ShouldBe(0);
        tight.Truncated.ShouldBeTrue();
    }

    [Fact]
    public void Whatever_does_not_fit_is_flagged_and_never_written_past_the_end()
    {
        for (int room = 0; room < 64; room++)
        {
            byte[] memory = new byte[64];
            Array.Fill(memory, (byte)0xEE);
            var line = new LineBuilder(memory.AsSpan(0, room));
            line.Text("error"u8);
            line.Field("code"u8, 12345);
            line.QuotedField("message"u8, "a \"b\" c"u8);
            line.Hexadecimal(0xabc, 99);
            const int Whole = 5 + 11 + 9 + 11 + 18;
            line.Truncated.ShouldBe(room < Whole);
            line.Length.ShouldBeLessThanOrEqualTo(room);
            for (int i = room; i < memory.Length; i++)
            {
                memory[i].ShouldBe((byte)0xEE);
            }
        }
    }

    [Fact]
    public void A_quoted_text_that_is_cut_still_has_both_quotes_and_no_half_escape()
    {
        for (int room = 2; room < 12; room++)
        {
            byte[] memory = new byte[room + 4];
            var line = new LineBuilder(memory.AsSpan(0, room));
            line.Quoted("\\\\\\\\\\\\"u8);
            line.Truncated.ShouldBeTrue();
            string text = Text(line);
            text.Length.ShouldBe(room % 2 == 0 ? room : room - 1);
            text.ShouldBe("\"" + new string('\\', text.Length - 2) + "\"");
        }
    }

    private static string Text(LineBuilder line) => Encoding.UTF8.GetString(line.Written);
}

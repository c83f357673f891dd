using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Run;
using Quietus.Cli.Terminals;
using Quietus.Cli.Tests.Bench;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.CommandLine;

public sealed class UnitTests
{
    [Theory]
    [InlineData("4096", 4096)]
    [InlineData("4K", 4096)]
    [InlineData("64M", 64L << 20)]
    [InlineData("64m", 64L << 20)]
    [InlineData("1G", 1L << 30)]
    [InlineData("1.5G", 3L << 29)]
    [InlineData("0.5M", 1L << 19)]
    [InlineData("1GiB", 1L << 30)]
    [InlineData("2GB", 2L << 30)]
    [InlineData("1T", 1L << 40)]
    public void Sizes_are_read_as_people_write_them(string text, long bytes)
    {
        ByteSize.TryParse(text, out long read).ShouldBeTrue();
        read.ShouldBe(bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("M")]
    [InlineData("-1M")]
    [InlineData("1.5")]
    [InlineData("1,5G")]
    [InlineData("0.0000000001K")]
    [InlineData("1 G")]
    [InlineData("0x10")]
    [InlineData("1P")]
    [InlineData("9999999999T")]
    [InlineData("B")]
    [InlineData("iB")]
    public void What_is_no_size_is_not_read(string text) => ByteSize.TryParse(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData(1L << 30, "1 GB", "1G")]
    [InlineData(256L << 20, "256 MB", "256M")]
    [InlineData((1L << 30) + (1L << 20), "1025 MB", "1025M")]
    [InlineData(17, "17 bytes", "17")]
    public void Sizes_are_written_exactly(long bytes, string text, string option)
    {
        ByteSize.Format(bytes).ShouldBe(text);
        ByteSize.FormatOption(bytes).ShouldBe(option);
        ByteSize.TryParse(option, out long back).ShouldBeTrue();
        back.ShouldBe(bytes);
    }

    [Theory]
    [InlineData(0, "0 ns")]
    [InlineData(1508, "1.51 us")]
    [InlineData(999.4, "999 ns")]
    [InlineData(999.6, "1.00 us")]
    [InlineData(138_000_000, "138 ms")]
    [InlineData(12_000_000_000, "12.0 s")]
    public void Times_have_three_digits_and_a_unit(double nanoseconds, string text) =>
        Duration.Format(nanoseconds).ShouldBe(text);

    [Theory]
    [InlineData("300", 300_000)]
    [InlineData("1.5", 1_500)]
    [InlineData("5s", 5_000)]
    [InlineData("200ms", 200)]
    [InlineData("2m", 120_000)]
    [InlineData("0.5h", 1_800_000)]
    public void Times_are_read_as_people_write_them(string text, double milliseconds)
    {
        Duration.TryParse(text, out TimeSpan time).ShouldBeTrue();
        time.TotalMilliseconds.ShouldBe(milliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("0")]
    [InlineData("-5s")]
    [InlineData("5 years")]
    [InlineData("5S")]
    [InlineData("1e3")]
    [InlineData("300h")]
    [InlineData("1.2.3s")]
    public void What_is_no_time_is_not_read(string text) => Duration.TryParse(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData("bensh", "bench")]
    [InlineData("chek", "check")]
    [InlineData("benhc", "bench")]
    [InlineData("rnu", "run")]
    [InlineData("explode", null)]
    public void The_nearest_name_is_suggested(string text, string? meant) =>
        Commands.Nearest(text, ["run", "bench", "sim", "check", "replay"]).ShouldBe(meant);

    [Fact]
    public void Policies_come_in_the_order_of_the_story_whatever_was_asked()
    {
        MaintenancePolicy.ParseList(["fate", "before-series", "fate"]).Select(policy => policy.Name)
            .ShouldBe(["before-series", "fate"]);
        MaintenancePolicy.ParseList(["all"]).Count.ShouldBe(7);
        Should.Throw<CliException>(() => MaintenancePolicy.ParseList(["all", "fats"])).ExitCode.ShouldBe(2);
    }

    [Fact]
    public void A_line_of_the_monitor_is_read_with_its_quotes()
    {
        KeyValueLine line = KeyValueLine.Parse("error code=no-such-vm message=\"there is \\\"no\\\" VM \\\\ 7\" vm=7");
        line.Verb.ShouldBe("error");
        line.Value("code").ShouldBe("no-such-vm");
        line.Value("message").ShouldBe("there is \"no\" VM \\ 7");
        line.Number("vm").ShouldBe(7);
        Should.Throw<MonitorException>(() => line.Number("code")).Message.ShouldContain("'code'");
    }

    [Fact]
    public void Any_text_survives_quoting()
    {
        var random = new Random(4);
        for (int round = 0; round < 5000; round++)
        {
            string value = new([.. Enumerable.Range(0, random.Next(0, 20)).Select(_ => "ab =\\\"-\t"[random.Next(8)])]);
            KeyValueLine line = KeyValueLine.Parse("create append=" + KeyValueLine.Quote(value) + " vm=1");
            line.Value("append").ShouldBe(value);
            line.Number("vm").ShouldBe(1);
        }
    }

    [Fact]
    public void No_line_whatever_it_holds_breaks_the_reader()
    {
        var random = new Random(5);
        for (int round = 0; round < 20000; round++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(0, 30)).Select(_ => "a=\" \\ok-"[random.Next(8)])]);
            KeyValueLine.Parse(text).Text.ShouldBe(text);
        }
    }

    [Fact]
    public void A_guest_s_command_line_is_quoted_in_the_order()
    {
        new GuestOrder("linux", 1 << 20, 2, "4k", Samples.Fate, "console=ttyAMA0").Command.ShouldBe(
            "create guest=linux memory=1048576 cpus=2 pages=4k policy=fate append=\"console=ttyAMA0\"");
        new GuestOrder("filler", 1 << 20, 1, "2m", Samples.Series, "").Command.ShouldBe(
            "create guest=filler memory=1048576 cpus=1 pages=2m policy=series");
        KeyValueLine.Parse(new GuestOrder("linux", 1, 1, "4k", Samples.Fate, "a=\"b c\"").Command).Value("append")
            .ShouldBe("a=\"b c\"");
    }

    [Theory]
    [InlineData("hello", "hello", nameof(EscapeAction.None))]
    [InlineData("\x01\x01", "\x01", nameof(EscapeAction.None))]
    [InlineData("ab\x01xcd", "ab", nameof(EscapeAction.End))]
    [InlineData("a\x01hb", "ab", nameof(EscapeAction.Help))]
    [InlineData("\x01q", "\x01q", nameof(EscapeAction.None))]
    [InlineData("a\x01kb", "ab", nameof(EscapeAction.Kill))]
    public void Ctrl_A_is_ours_and_everything_else_is_the_guest_s(string typed, string forGuest, string action)
    {
        foreach (int step in (int[])[1, 2, 100])
        {
            var keys = new EscapeKeys(hasTemplate: true);
            List<byte> sent = [];
            EscapeAction seen = EscapeAction.None;
            foreach (char[] piece in typed.Chunk(step))
            {
                EscapeAction one = keys.Take(Encoding.Latin1.GetBytes(piece), sent);
                seen = one == EscapeAction.None ? seen : one;
                if (one == EscapeAction.End)
                {
                    break;
                }
            }

            Encoding.Latin1.GetString([.. sent]).ShouldBe(forGuest);
            seen.ToString().ShouldBe(action);
        }
    }

    [Theory]
    [InlineData("Auto", false, null, null, "xterm", true)]
    [InlineData("Auto", true, null, null, "xterm", false)]
    [InlineData("Auto", false, null, null, "dumb", false)]
    [InlineData("Auto", false, "1", null, "xterm", false)]
    [InlineData("Auto", false, "", null, "xterm", true)]
    [InlineData("Auto", true, null, "1", "xterm", true)]
    [InlineData("Auto", true, null, "0", "xterm", false)]
    [InlineData("Auto", true, "1", "1", "xterm", false)]
    [InlineData("Always", true, "1", null, "dumb", true)]
    [InlineData("Never", false, null, "1", "xterm", false)]
    public void Colour_follows_the_option_then_the_environment_then_the_terminal(
        string choice, bool redirected, string? noColor, string? force, string term, bool expected) =>
        Style.UsesColor(Enum.Parse<ColorChoice>(choice), redirected, name => name switch
        {
            "NO_COLOR" => noColor,
            "CLICOLOR_FORCE" => force,
            _ => term,
        }).ShouldBe(expected);

    [Fact]
    public void No_control_character_of_a_guest_reaches_the_terminal() =>
        Printable.Line("a\e[31mb\tc\x9b\r\n").ShouldBe("a?[31mb\tc?");
}

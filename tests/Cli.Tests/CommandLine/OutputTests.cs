using System;
using System.IO;
using System.Runtime.Versioning;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.CommandLine;

/// <summary>Where results go: files are replaced, everything else is written as it is.</summary>
public sealed class OutputTests
{
    private const string Sim = "$Q sim --memory 64M --policy fate ";

    [Theory]
    [InlineData("--json")]
    [InlineData("--csv")]
    [InlineData("--markdown")]
    public void A_dash_is_stdout_for_every_output(string option)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(Sim + option + " - --quiet");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldBeEmpty();
        outcome.Output.ShouldStartWith(option switch
        {
            "--json" => "{\n",
            "--csv" => "machine,memory_bytes,page_size,die,policy,",
            _ => "### d05, 64 MB, pages 2m, kill (32 x 2 MB)\n",
        });
    }

    [Fact]
    public void A_report_can_go_to_stdout_too()
    {
        using var cli = new Cli();
        cli.Shell(Sim + "--report -").Output.ShouldStartWith("<!doctype html>");
    }

    [Theory]
    [InlineData("--json /dev/stdout >out", "out")]
    [InlineData("--json /dev/fd/3 3>out >table", "out")]
    [InlineData("--json link >table", "target")]
    public void Links_and_descriptors_are_followed(string arguments, string target)
    {
        using var cli = new Cli();
        cli.WriteFile("target", "old"u8.ToArray());
        File.CreateSymbolicLink(cli.PathOf("link"), "target");
        Cli.Outcome outcome = cli.Shell(Sim + arguments);
        outcome.Code.ShouldBe(0, outcome.Errors);
        JsonDocument.Parse(File.ReadAllText(cli.PathOf(target))).RootElement.GetProperty("rows").GetArrayLength()
            .ShouldBe(1);
        new FileInfo(cli.PathOf("link")).LinkTarget.ShouldBe("target");
        File.Exists(cli.PathOf("target.part")).ShouldBeFalse();
    }

    [Fact]
    public void A_FIFO_is_written_and_stays_one()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(
            "mkfifo f; cat f >got & " + Sim + "--json f >table; wait; test -p f && echo still");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldBe("still\n");
        JsonDocument.Parse(File.ReadAllText(cli.PathOf("got"))).RootElement.GetProperty("schema").GetString()
            .ShouldBe("quietus.sim/1");
    }

    [Fact]
    public void A_full_device_is_an_error_and_stays_a_device()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(Sim + "--json /dev/full; code=$?; test -c /dev/full && echo still; exit $code");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain("'/dev/full' could not be written: No space left on device");
        outcome.Output.ShouldEndWith("still\n");
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public void A_file_that_is_replaced_keeps_its_permissions_and_two_names_of_one_file_are_one()
    {
        using var cli = new Cli();
        string file = cli.WriteFile("a", "old"u8.ToArray());
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.CreateSymbolicLink(cli.PathOf("b"), "a");
        Cli.Outcome both = cli.Shell(Sim + "--json a --csv b");
        both.Code.ShouldBe(2);
        both.Errors.ShouldContain("--json and --csv both write to 'b'");
        File.ReadAllText(file).ShouldBe("old");
        cli.Shell(Sim + "--json a").Code.ShouldBe(0);
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public void On_a_narrow_terminal_a_row_becomes_a_paragraph()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.With("COLUMNS", "40").Run("sim", "--memory", "64M", "--policy", "fate");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 40);
        outcome.Output.ShouldContain("fate\n  death ");
    }

    [Fact]
    public void Quiet_says_nothing_beside_the_result()
    {
        using var cli = new Cli();
        cli.Run("bench", "--guest", "filler", "--policies", "fate", "-q", "--json", "b.json").Errors.ShouldBeEmpty();
    }
}

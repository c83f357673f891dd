using System.IO;
using System.Linq;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Many;

public sealed class ManyProcessTests
{
    [Fact]
    public void Many_VMs_come_as_table_JSON_and_report_and_can_be_compared()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "bench", "--many", "20", "--guest", "filler", "--json", "m.json", "--report", "r.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("20 filler VMs on 4 cores");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        outcome.Errors.ShouldContain("[16/20] born");
        outcome.Errors.ShouldContain("[20/20] dead");
        JsonElement json = JsonDocument.Parse(File.ReadAllText(cli.PathOf("m.json"))).RootElement;
        json.GetProperty("schema").GetString().ShouldBe("quietus.many/1");
        json.GetProperty("answered_vms").GetInt32().ShouldBe(20);

        // Away for 1,001 us, of which the other had 999: two switches.
        Value(json, "switch_instructions").ShouldBe(1000);
        Value(json, "wake_and_block_instructions").ShouldBe(2000);
        Value(json, "share_error_percent").ShouldBe(0);
        Value(json, "idle_core_percent").ShouldBe(0.02);
        Value(json, "lost_frames").ShouldBe(0);
        string html = File.ReadAllText(cli.PathOf("r.html"));
        html.ShouldContain("<h1>Many VMs on few cores</h1>");
        html.ShouldContain("quietus.many/1");
        cli.Run("compare", "m.json", "m.json", "--fail-above", "0%").Code.ShouldBe(0);
    }

    [Theory]
    [InlineData("unfair", "share_error_percent")]
    [InlineData("leaks", "lost_frames")]
    [InlineData("frees-twice", "lost_frames")]
    public void A_promise_that_is_missed_ends_it_with_1(string mode, string figure)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("bench", "--many", "3", "--guest", "filler", "--json", "m.json");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("MISSED");
        JsonElement json = JsonDocument.Parse(File.ReadAllText(cli.PathOf("m.json"))).RootElement;
        Row(json, figure).GetProperty("met").GetBoolean().ShouldBeFalse();
    }

    [Theory]
    [InlineData("refuses-births", "the hypervisor refused: there is no chunk for a child")]
    [InlineData("draws-alike", "it drew the same random number as another one")]
    public void Whatever_happens_ends_as_one_error(string mode, string message)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("bench", "--many", "3", "--guest", "filler");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        outcome.Output.ShouldBeEmpty();
    }

    private static double Value(JsonElement json, string figure) => Row(json, figure).GetProperty("value").GetDouble();

    private static JsonElement Row(JsonElement json, string figure) => json.GetProperty("rows").EnumerateArray()
        .Single(row => row.GetProperty("figure").GetString() == figure);
}

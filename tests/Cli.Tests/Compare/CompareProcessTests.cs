using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Compare;

/// <summary>Two results of each kind, and what the comparison of them says and exits with.</summary>
public sealed class CompareProcessTests
{
    [Fact]
    public void A_result_of_sim_is_what_it_was_and_a_slower_machine_is_a_regression()
    {
        using var cli = new Cli();
        string[] sim = ["sim", "--machine", "d05", "--memory", "1G", "--policies", "series,fate", "--json"];
        cli.Run([.. sim, "a.json"]).Code.ShouldBe(0);
        cli.Run([.. sim, "b.json", "--set", "tlbi_wait=90us"]).Code.ShouldBe(0);

        Cli.Outcome same = cli.Run("compare", "a.json", "a.json", "--fail-above", "0%");
        same.Code.ShouldBe(0, same.Errors);
        same.Output.ShouldContain("No regression: 0 worse and 0 better");

        Cli.Outcome worse = cli.Run("compare", "a.json", "b.json", "--json", "c.json", "--markdown", "c.md");
        worse.Code.ShouldBe(1, worse.Errors);
        worse.Output.ShouldContain("death_ns");
        worse.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        worse.Output.ReplaceLineEndings(" ").ShouldContain("their config differs in machines");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(cli.PathOf("c.json")));
        json.RootElement.GetProperty("schema").GetString().ShouldBe("quietus.compare/1");
        json.RootElement.GetProperty("config").GetProperty("compared").GetString().ShouldBe("quietus.sim/1");
        json.RootElement.GetProperty("regressions").GetInt32().ShouldBe(
            json.RootElement.GetProperty("rows").EnumerateArray()
                .Count(row => row.GetProperty("verdict").GetString() == "worse"));
        string markdown = File.ReadAllText(cli.PathOf("c.md"));
        markdown.ShouldStartWith("### ");
        markdown.ShouldContain("| row | figure | before | after | ratio |");
        markdown.ShouldContain("| death_ns | ");
    }

    [Theory]
    [InlineData(102, 5, 0, "within")]
    [InlineData(105, 5, 0, "within")]
    [InlineData(106, 5, 1, "worse")]
    [InlineData(101, 0, 1, "worse")]
    [InlineData(90, 5, 0, "better")]
    [InlineData(100, 0, 0, "same")]
    public void The_limit_decides(int after, int limit, int code, string verdict)
    {
        using var cli = new Cli();
        Write(cli, "a.json", Churn(100));
        Write(cli, "b.json", Churn(after));
        Cli.Outcome outcome = cli.Run(
            "compare", "a.json", "b.json", "--fail-above", $"{limit}%", "--figures", "p50_instructions", "--csv", "-");
        outcome.Code.ShouldBe(code, outcome.Errors);
        string[] lines = outcome.Output.Split("\r\n");
        lines[0].ShouldBe(
            "row,figure,before,before_min,before_max,after,after_min,after_max,ratio,ratio_min,ratio_max,verdict");
        lines[1].ShouldStartWith($"birth,p50_instructions,100,100,100,{after},");
        lines[1].ShouldEndWith(verdict);
    }

    [Fact]
    public void Nothing_that_was_is_worse_than_something_at_any_limit_and_more_births_are_better()
    {
        using var cli = new Cli();
        Write(cli, "a.json", Churn(100));
        JsonObject leaking = Churn(100);
        leaking["leaked_frames"] = 1;
        leaking["births_per_virtual_second"] = 20.0;
        Write(cli, "b.json", leaking);
        Cli.Outcome outcome = cli.Run("compare", "a.json", "b.json", "--fail-above", "1000%");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("leaked_frames");
        outcome.Output.ShouldContain("new worse");
        cli.Run("compare", "a.json", "b.json", "--figures", "births_per_virtual_second").Code.ShouldBe(0);
        cli.Run("compare", "b.json", "a.json", "--figures", "births_per_virtual_second").Code.ShouldBe(1);
    }

    [Fact]
    public void Of_several_runs_the_spread_decides()
    {
        using var cli = new Cli();
        int[] before = [100, 104, 130];
        int[] near = [128, 140, 150];
        int[] far = [131, 140, 150];
        for (int i = 0; i < 3; i++)
        {
            Write(cli, $"a{i}.json", Churn(before[i]));
            Write(cli, $"n{i}.json", Churn(near[i]));
            Write(cli, $"f{i}.json", Churn(far[i]));
        }

        // 128 has been seen before the change as well: 130.
        string[] figure = ["--figures", "p50_instructions"];
        cli.Run(["compare", "a0.json,a1.json,a2.json", "n0.json,n1.json,n2.json", .. figure]).Code.ShouldBe(0);
        Cli.Outcome outcome = cli.Run(["compare", "a0.json,a1.json,a2.json", "f0.json,f1.json,f2.json", .. figure]);
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("1.01-1.50");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
    }

    [Fact]
    public void Rows_in_one_only_are_told_and_a_result_without_an_end_is()
    {
        using var cli = new Cli();
        JsonObject after = Churn(100);
        after["interrupted"] = true;
        after["config"]!["cpu"] = "max";
        ((JsonArray)after["phases"]!)[1]!["phase"] = "kill-all";
        Write(cli, "a.json", Churn(100));
        Write(cli, "b.json", after);
        Cli.Outcome outcome = cli.Run("compare", "a.json", "b.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        string said = outcome.Output.ReplaceLineEndings(" ");
        said.ShouldContain("Only before, and not compared: kill.");
        said.ShouldContain("Only after, and not compared: kill-all.");
        said.ShouldContain("'b.json' did not come to its end");
        said.ShouldContain("their config differs in cpu");
    }

    [Theory]
    [InlineData("{\"schema\":\"quietus.check/1\"}", "quietus.check/1, which cannot be compared")]
    [InlineData("{\"schema\":\"quietus.none/1\"}", "quietus.none/1, which cannot be compared")]
    [InlineData("{\"schema\":7}", "no whole document")]
    [InlineData("{\"schema\":\"quietus.churn/1\",\"phases\":[{\"phase\":\"birth\",\"x\":", "no whole JSON document")]
    [InlineData("{\"a\":1,\"a\":2}", "no whole")]
    [InlineData("[]", "no document of Quietus")]
    [InlineData("{\"schema\":\"quietus.bench/1\",\"rows\":[{\"memory_bytes\":\"x\"}]}", "no whole document")]
    [InlineData("{\"schema\":\"quietus.sim/1\",\"rows\":[]}", "is quietus.churn/1 and")]
    [InlineData("{\"schema\":\"quietus.churn/1\",\"phases\":[]}", "no row of")]
    public void What_cannot_be_compared_is_refused(string text, string message)
    {
        using var cli = new Cli();
        Write(cli, "a.json", Churn(100));
        cli.WriteFile("b.json", Encoding.UTF8.GetBytes(text));
        Cli.Outcome outcome = cli.Run("compare", "a.json", "b.json");
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain(message);
        outcome.Output.ShouldBeEmpty();
    }

    [Fact]
    public void Usage_errors_name_the_next_step()
    {
        using var cli = new Cli();
        Write(cli, "a.json", Churn(100));
        cli.Run("compare", "a.json", "none.json").Errors.ShouldContain("quietus.bench/1, quietus.births/1");
        cli.Run("compare", "a.json").Code.ShouldBe(2);
        cli.Run("compare", "a.json", "a.json", "--fail-above", "-1").Errors.ShouldContain("0% to 1000%");
        Cli.Outcome outcome = cli.Run("compare", "a.json", "a.json", "--figures", "p51_instructions");
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("p50_instructions");
    }

    /// <summary>Every schema with rows that the verbs write today has a key that tells its rows apart.</summary>
    [Fact]
    public void The_page_names_every_schema()
    {
        string page = File.ReadAllText(Path.Combine(Processes.Folders.Home!, "docs", "compare.md"));
        Schemas().ShouldAllBe(schema => page.Contains($"`{schema}`", StringComparison.Ordinal));
    }

    private static string[] Schemas() => [.. Quietus.Cli.Compare.ComparedArray.Schemas];

    private static void Write(Cli cli, string name, JsonObject json) =>
        cli.WriteFile(name, Encoding.UTF8.GetBytes(json.ToJsonString()));

    /// <summary>A churn of two phases, as the verb writes it.</summary>
    private static JsonObject Churn(int instructions) => new()
    {
        ["schema"] = "quietus.churn/1",
        ["version"] = "1",
        ["config"] = new JsonObject { ["count"] = 10, ["cpu"] = "cortex-a72", ["command"] = $"c{instructions}" },
        ["births"] = 10,
        ["interrupted"] = false,
        ["births_per_virtual_second"] = 10.5,
        ["lost_bytes"] = 0,
        ["leaked_frames"] = 0,
        ["phases"] = new JsonArray(Phase("birth", instructions), Phase("kill", 50)),
        ["wall_ns"] = instructions,
    };

    private static JsonObject Phase(string name, int p50) => new()
    {
        ["phase"] = name,
        ["count"] = 10,
        ["p50_instructions"] = p50,
        ["p99_instructions"] = null,
    };
}

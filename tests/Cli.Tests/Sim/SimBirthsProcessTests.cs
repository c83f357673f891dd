using System.IO;
using System.Linq;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Sim;

/// <summary><c>sim --births</c>: templates and children on simulated servers.</summary>
public sealed class SimBirthsProcessTests
{
    [Fact]
    public void Births_are_shown_in_80_columns_with_what_assumptions_leave_open()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "sim", "--births", "--machine", "d05,modern", "--memory", "64M", "--json", "b.json", "--csv", "b.csv");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        outcome.Output.ShouldContain("modern, 64 MB, pages 4k: ");
        JsonElement root = JsonDocument.Parse(File.ReadAllText(cli.PathOf("b.json"))).RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.sim.births/1");
        root.GetProperty("complete").GetBoolean().ShouldBeTrue();
        root.GetProperty("config").GetProperty("vcpus").GetInt32().ShouldBe(1);
        root.GetProperty("config").GetProperty("command").GetString()
            .ShouldBe("./quietus sim --births --machine d05,modern --memory 64M --pages 4k,2m --vcpus 1");
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        rows.Length.ShouldBe(2 * 2 * 7);
        rows.Take(7).Select(row => row.GetProperty("step").GetString()).ShouldBe(
            ["freeze", "birth", "write_first_1g", "write_first_2m", "write", "reset", "kill"]);
        foreach (JsonElement row in rows)
        {
            double at = row.GetProperty("step_ns").GetDouble();
            row.GetProperty("low_ns").GetDouble().ShouldBeInRange(1, at);
            row.GetProperty("high_ns").GetDouble().ShouldBeGreaterThanOrEqualTo(at);
            row.GetProperty("read_faults").GetInt64().ShouldBe(0);
        }

        // Without FEAT_S2FWB the copy of a page is cleaned, with it it is not.
        Write(rows, "d05").GetProperty("dc_lines").GetInt64().ShouldBe(64);
        Write(rows, "modern").GetProperty("dc_lines").GetInt64().ShouldBe(0);
        File.ReadAllLines(cli.PathOf("b.csv")).Length.ShouldBe(1 + rows.Length);
    }

    [Theory]
    [InlineData("--policies fate", "--policies means nothing with --births")]
    [InlineData("--shard 0/2", "--shard means nothing with --births")]
    [InlineData("--pages 1g", "a template is mapped by 4k or 2m")]
    [InlineData("--memory 16G", "--births takes templates of up to 8 GB, not of 16 GB")]
    [InlineData("--machine xeon", "xeon is a machine of x86")]
    [InlineData("--memory 64M --vcpus 64 --set pes=8 --machine d05", "64 vCPUs on 8 PEs")]
    public void What_makes_no_sense_of_births_is_refused(string arguments, string says)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(["sim", "--births", .. arguments.Split(' ')]);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldContain("\n  next: ");
    }

    private static JsonElement Write(JsonElement[] rows, string machine) => rows.First(row =>
        row.GetProperty("machine").GetString() == machine && row.GetProperty("step").GetString() == "write");
}

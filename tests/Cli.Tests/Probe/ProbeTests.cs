using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Probe;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Probe;

/// <summary>What a probe wrote, read back: figures, advice, and what must not be believed.</summary>
public sealed class ProbeTests
{
    private const string Begin = """{"schema": "quietus.probe/1", "host": {}, "rows": [""";

    [Fact]
    public void Figures_are_read_and_the_advice_names_what_it_rests_on()
    {
        ProbeResult result = ProbeResult.Parse("p.json", Sample().ToJsonString());
        result.Rows.Count.ShouldBe(5);
        result.Row("4k", 64 << 20, ProbeWay.Kill)!["total_ns"].ShouldBe(10e6);
        result.Row("4k", 64 << 20, ProbeWay.Kill)!.Entries.ShouldBe(16384);
        string[] advice = [.. ProbeAdvice.Of(result).Select(one => $"{one.Text} ({one.Evidence})")];
        advice.ShouldContain(text => text.Contains("munmap of the guest's memory before the end costs 3.0 times")
            && text.Contains("30.0 ms against 10.0 ms"));
        advice.ShouldContain(text => text.Contains("80 % is the VM's"));
        advice.ShouldContain(text => text.Contains("kind thp would save 90 % of a kill"));
        advice.ShouldContain(text => text.Contains("no FEAT_S2FWB"));
        advice.ShouldNotContain(text => text.Contains("by range"));
    }

    /// <summary>A close by 4k and one of twice the memory by thp say nothing of a part that does not grow.</summary>
    [Fact]
    public void The_wait_of_a_close_is_seen_among_pages_of_one_kind()
    {
        JsonObject json = JsonNode.Parse("""
            {"schema": "quietus.probe/1", "host": {}, "rows": [
             {"page_size": "4k", "memory_bytes": 8388608, "way": "close", "order_ns": 2820000},
             {"page_size": "thp", "memory_bytes": 16777216, "way": "close", "order_ns": 696000}],
             "neighbours": [{"page_size": "thp", "memory_bytes": 16777216, "way": "punch", "order_ns": 9000000,
               "quiet_rounds_per_second": 10000, "rounds_per_second": 0, "quiet_longest_ns": 100, "longest_ns": 0}]}
            """)!.AsObject();
        string[] advice = [.. Told()];
        advice.ShouldNotContain(text => text.Contains("does not grow"));
        advice.ShouldContain(text => text.Contains("it ended no round then"));
        json["rows"]![1]!["page_size"] = "4k";
        Told().ShouldContain(text => text.Contains("does not grow"));

        string[] Told() => [.. ProbeAdvice.Of(ProbeResult.Parse("p.json", json.ToJsonString()))
            .Select(one => $"{one.Text} ({one.Evidence})")];
    }

    [Fact]
    public void No_advice_rests_on_runs_that_overlap()
    {
        JsonObject json = Sample();
        foreach (JsonNode? row in json["rows"]!.AsArray())
        {
            JsonObject samples = row!["samples"]!.AsObject();
            foreach (string key in samples.Select(pair => pair.Key).ToArray())
            {
                samples[key] = new JsonArray(1, 50e6, 1, 50e6, 50e6);
            }
        }

        ProbeAdvice.Of(ProbeResult.Parse("p.json", json.ToJsonString()))
            .ShouldNotContain(one => one.Text.Contains("times what the process's end"));
    }

    [Theory]
    [InlineData("""{"schema": "quietus.probe/1"}""")]
    [InlineData("""{"schema": "quietus.probe/2", "host": {}, "rows": []}""")]
    [InlineData("""{"schema": 7}""")]
    [InlineData("""{"schema": "quietus.probe/1", "host": [], "rows": []}""")]
    [InlineData("""{"schema": "quietus.probe/1", "host": {}, "rows": [7]}""")]
    [InlineData("""{"schema": "quietus.probe/1", "host": {}, "rows": [null]}""")]
    [InlineData("""{"schema": "quietus.probe/1", "host": {}, "rows": [{"page_size": "4k"}]}""")]
    [InlineData(Begin + """{"page_size":"4k","way":"kill","memory_bytes":-1}]}""")]
    [InlineData(Begin + """{"page_size":"4k","way":"k\n","memory_bytes":4096}]}""")]
    [InlineData(Begin + """{"page_size":"4k","way":"kill","memory_bytes":1e300}]}""")]
    [InlineData("""{"schema":"quietus.probe/1","host":{},"rows":[],"warnings":[null]}""")]
    [InlineData("""{"schema":"quietus.probe/1","host":{},"rows":[],"together":[{"vms":0}]}""")]
    [InlineData("[]")]
    [InlineData("")]
    public void What_is_no_result_is_a_usage_error(string text)
    {
        var error = Should.Throw<CliException>(() => ProbeResult.Parse("p.json", text));
        error.ExitCode.ShouldBe(ExitCode.Usage);
        error.NextStep.ShouldNotBeNull().ShouldContain("--json");
    }

    [Fact]
    public void A_result_with_bytes_changed_is_read_or_refused_and_nothing_else()
    {
        byte[] text = Encoding.UTF8.GetBytes(Sample().ToJsonString());
        var random = new Random(7);
        for (int i = 0; i < 3000; i++)
        {
            byte[] changed = [.. text];
            for (int j = 0; j <= i % 3; j++)
            {
                changed[random.Next(changed.Length)] = (byte)random.Next(32, 127);
            }

            try
            {
                ProbeResult result = ProbeResult.Parse("p.json", Encoding.UTF8.GetString(changed));
                var advice = ProbeAdvice.Of(result);
                ProbeTable.Write(TextWriter.Null, result, advice);
                ProbeReport.Make(result, advice, "{}").ShouldContain("</html>");
            }
            catch (CliException error)
            {
                error.ExitCode.ShouldBe(ExitCode.Usage);
            }
        }
    }

    [Fact]
    public void A_result_from_elsewhere_is_shown_compared_and_reported()
    {
        using var cli = new Cli();
        cli.WriteFile("a.json", Encoding.UTF8.GetBytes(Sample().ToJsonString()));
        JsonObject slower = Sample();
        slower["rows"]![0]!["total_ns"] = 20e6;
        cli.WriteFile("b.json", Encoding.UTF8.GetBytes(slower.ToJsonString()));
        Cli.Outcome shown = cli.Run("probe", "--from", "a.json", "--report", "p.html");
        shown.Code.ShouldBe(0, shown.Errors);
        shown.Output.ShouldContain("Deaths: 64 MB by 4k");
        shown.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        File.ReadAllText(cli.PathOf("p.html")).ShouldContain("quietus.probe/1");
        cli.Run("compare", "a.json", "a.json").Code.ShouldBe(0);
        Cli.Outcome compared = cli.Run("compare", "a.json", "b.json");
        compared.Code.ShouldBe(1, compared.Errors);
        compared.Output.ShouldContain("total_ns");
    }

    [Theory]
    [InlineData("--memory", "3M")]
    [InlineData("--pages", "2m")]
    [InlineData("--ways", "sleep")]
    [InlineData("--repeat", "0")]
    [InlineData("--cpu", "max")]
    [InlineData("--under", "xen")]
    public void A_wrong_option_is_a_usage_error(string option, string value)
    {
        using var cli = new Cli();
        cli.Run("probe", option, value).Code.ShouldBe(2);
        cli.Run("probe", "--from", "a.json", option, value).Code.ShouldBe(2);
    }

    [Fact]
    public void What_has_not_been_built_is_said()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("probe");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("./quietus probe builds it");
    }

    internal static JsonObject Sample() => JsonNode.Parse("""
        {"schema": "quietus.probe/1", "version": "0.1.0", "config": {"repeat": 5},
         "host": {"kernel": "6.1.0-56", "architecture": "aarch64", "cpu": "Cortex-A72", "cpus": 4,
           "second_stage": "Stage-2",
           "forced_write_back": false, "range_tlbi": false, "kvm_parameters": {}},
         "rows": [
          {"page_size": "4k", "memory_bytes": 67108864, "way": "kill", "total_ns": 10e6, "order_ns": 10e3,
            "exit_ns": 9.9e6,
            "samples": {"total_ns": [9.9e6, 10e6, 10e6, 10e6, 10.1e6]}},
          {"page_size": "4k", "memory_bytes": 67108864, "way": "munmap", "total_ns": 30e6, "order_ns": 25e6,
            "close_ns": 5e6,
            "samples": {"total_ns": [30e6, 30e6, 30e6, 31e6, 29e6], "order_ns": [25e6, 25e6, 25e6, 25e6, 25e6]}},
          {"page_size": "4k", "memory_bytes": 67108864, "way": "munmap-no-vm", "total_ns": 5.1e6, "order_ns": 5e6,
            "samples": {"total_ns": [5e6, 5e6, 5e6, 5e6, 5e6], "order_ns": [5e6, 5e6, 5e6, 5e6, 5e6]}},
          {"page_size": "thp", "memory_bytes": 67108864, "way": "kill", "total_ns": 1e6, "order_ns": 10e3,
            "exit_ns": 0.9e6,
            "samples": {"total_ns": [1e6, 1e6, 1e6, 1e6, 1e6]}},
          {"page_size": "thp", "memory_bytes": 67108864, "way": "close", "total_ns": 1e6, "order_ns": 10e3,
            "create_vm_ns": 1000, "touch_ns": 5000, "touch_again_ns": 50,
            "samples": {"total_ns": [1e6, 1e6, 1e6, 1e6, 1e6]}}],
         "neighbours": [{"page_size": "4k", "memory_bytes": 67108864, "way": "munmap", "quiet_rounds_per_second": 10000,
            "rounds_per_second": 5000, "order_ns": 25000000, "quiet_longest_ns": 100, "longest_ns": 900}],
         "together": [{"page_size": "4k", "memory_bytes": 67108864, "vms": 1, "total_ns": 10e6},
            {"page_size": "4k", "memory_bytes": 67108864, "vms": 2, "total_ns": 5e6}],
         "warnings": ["other programs are at work"]}
        """)!.AsObject();
}

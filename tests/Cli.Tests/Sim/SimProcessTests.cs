using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Xml.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Sim;

public sealed class SimProcessTests
{
    private static readonly string[] _required =
    [
        "machine", "memory_bytes", "page_size", "die", "policy", "mapped_pages_4k", "mapped_blocks_2m", "death_ns",
        "cmo_ns", "tlbi_ns", "walk_ns", "free_ns", "other_ns", "tlbi_ipa", "tlbi_range", "tlbi_vmid", "tlbi_vmalle1",
        "dc_lines", "dsb",
    ];

    private static readonly string[] _parts = ["cmo_ns", "tlbi_ns", "walk_ns", "free_ns", "other_ns"];

    [Fact]
    public void The_headline_is_what_comes_without_options()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldStartWith("d05, 64 GB, pages 2m, kill (32,768 x 2 MB)\n");
        string[] lines = outcome.Output.Split('\n');
        lines.ShouldAllBe(line => line.Length <= 80);
        outcome.Output.ShouldNotContain("\e");
        lines.ShouldContain(line => line.StartsWith("before-series", StringComparison.Ordinal) && line.Contains(" s "));

        // Which ends last is the host's to say.
        outcome.Errors.ShouldContain("[7/7] d05 64G 2m kill ");
        outcome.Errors.ShouldContain("/7] d05 64G 2m kill fate");
    }

    [Fact]
    public void The_JSON_has_the_schema_the_machines_and_a_row_for_every_death_in_order()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "sim", "--machine", "d05,modern", "--memory", "64M,1G", "--pages", "4k,2m", "--die", "kill,munmap",
            "--set", "tlbi_wait=500ns", "--json", "s.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("s.json")));
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.sim/1");
        root.GetProperty("version").GetString().ShouldBe("0.1.0");
        root.GetProperty("complete").GetBoolean().ShouldBeTrue();
        JsonElement config = root.GetProperty("config");
        JsonElement wait = config.GetProperty("machines")[0].GetProperty("figures").GetProperty("tlbi_wait");
        wait.GetProperty("value").GetDouble().ShouldBe(500);
        wait.GetProperty("unit").GetString().ShouldBe("ns");
        wait.GetProperty("source").GetString().ShouldBe("--set");
        config.GetProperty("command").GetString()!.ShouldContain("--seed 1 --set tlbi_wait=500ns");
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        rows.Length.ShouldBe(2 * 2 * 2 * 2 * 7);
        foreach (JsonElement row in rows)
        {
            row.EnumerateObject().Select(property => property.Name).Take(_required.Length).ShouldBe(_required);
            double sum = _parts.Sum(part => row.GetProperty(part).GetDouble());
            sum.ShouldBe(row.GetProperty("death_ns").GetDouble(), 1);
        }

        rows.Take(8).Select(row => row.GetProperty("policy").GetString())
            .ShouldBe(
            [
                "before-series", "patch5", "patch6", "patch7", "series", "tables-only", "fate", "before-series",
            ]);
    }

    [Fact]
    public void JSON_on_stdout_is_all_that_is_there_and_its_command_repeats_it()
    {
        using var cli = new Cli();
        Cli.Outcome first = cli.Run("sim", "--memory", "64M", "--policy", "series", "--json", "-");
        first.Code.ShouldBe(0, first.Errors);
        using JsonDocument document = JsonDocument.Parse(first.Output);
        string command = document.RootElement.GetProperty("config").GetProperty("command").GetString()!;
        Cli.Outcome again = cli.Run([.. command.Split(' ').Skip(1), "--json", "-"]);
        again.Output.ShouldBe(first.Output);
    }

    [Fact]
    public void A_sweep_doubles_and_ends_at_its_end()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--sweep", "memory=64M..384M", "--policy", "fate", "--json", "-");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(outcome.Output);
        document.RootElement.GetProperty("rows").EnumerateArray()
            .Select(row => row.GetProperty("memory_bytes").GetInt64() >> 20)
            .ShouldBe([64, 128, 256, 384]);
    }

    [Fact]
    public void A_sweep_ends_in_one_table_and_jobs_change_no_figure()
    {
        using var cli = new Cli();
        string[] arguments = ["sim", "--sweep", "memory=64M..256M", "--pages", "4k", "--policy", "series,fate"];
        Cli.Outcome one = cli.Run([.. arguments, "--jobs", "1"]);
        one.Code.ShouldBe(0, one.Errors);
        one.Output.ShouldContain("d05, pages 4k, kill: the death by memory\nmemory           series          fate\n");
        cli.Run([.. arguments, "--jobs", "4"]).Output.ShouldBe(one.Output);
    }

    [Fact]
    public void Machines_whose_figures_were_fitted_to_different_things_are_not_compared_without_a_word()
    {
        using var cli = new Cli();
        string[] arguments = ["sim", "--memory", "64M", "--policy", "series", "--report", "r.html", "--machine"];
        cli.Run([.. arguments, "d05,modern"]).Output.ReplaceLineEndings(" ")
            .ShouldContain("Not to be compared: entry_unlink is 21.3 ns on d05");
        File.ReadAllText(cli.PathOf("r.html")).ShouldContain("Not to be compared: entry_unlink");
        cli.Run([.. arguments, "d05,kunpeng920"]).Output.ShouldNotContain("Not to be compared");
    }

    [Theory]
    [InlineData("kill", "patch5", "patch7")]
    [InlineData("munmap", "patch7", "patch5")]
    public void The_ablation_says_which_patch_it_was(string die, string saver, string bystander)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--memory", "64M", "--die", die, "--ablate", "--json", "-");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(outcome.Output);
        var saved = document.RootElement.GetProperty("ablation").EnumerateArray().ToDictionary(
            line => line.GetProperty("patches").GetString()!, line => line.GetProperty("saved_ns").GetDouble());
        saved["before-series"].ShouldBe(0);
        saved[saver].ShouldBeGreaterThan(1_000_000);
        saved["series less " + saver].ShouldBeLessThan(-1_000_000);
        Math.Abs(saved["series less " + bystander]).ShouldBeLessThan(10_000);
        saved["fate"].ShouldBeGreaterThanOrEqualTo(saved[saver]);
    }

    [Fact]
    public void The_report_is_one_sound_document_with_every_figure_and_a_table_to_each()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "sim", "--machine", "d05,emag", "--memory", "4G", "--ablate", "--report", "r.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        string html = File.ReadAllText(cli.PathOf("r.html"));

        // Every tag closed, every attribute quoted: then it is XML, but for the first line and the two lone tags.
        XElement page = XElement.Parse(html[html.IndexOf("<html", StringComparison.Ordinal)..]
            .Replace("<meta charset=\"utf-8\">", string.Empty, StringComparison.Ordinal)
            .Replace(
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">", string.Empty,
                StringComparison.Ordinal));
        page.Descendants("h2").Select(title => title.Value).ShouldBe(
        [
            "Step by step to a death in constant time", "How long it takes", "Where the time goes",
            "Which patch saves what", "How it grows with memory", "What the assumed figures leave open", "The machines",
        ]);
        XElement[] figures = [.. page.Descendants("svg")];
        figures.Length.ShouldBeGreaterThanOrEqualTo(1 + 2 + 1 + 1);
        figures.ShouldAllBe(figure => figure.Elements("title").Any());
        page.Descendants("table").Count().ShouldBeGreaterThan(figures.Length);
        foreach (XAttribute place in figures.Descendants().Attributes()
            .Where(attribute => attribute.Name.LocalName is "x" or "y" or "width" or "height" or "x1" or "points"))
        {
            place.Value.ShouldNotContain("NaN");
            place.Value.ShouldNotContain("∞");
            place.Value.ShouldNotStartWith("-");
        }

        html.ShouldNotContain("<script");
        html.ShouldNotContain("http://");
        html.ShouldNotContain("https://");
    }

    [Fact]
    public void The_steps_to_constant_time_are_for_deaths_of_whole_VMs_and_need_all_four_policies()
    {
        using var cli = new Cli();
        const string Steps = "Step by step";
        cli.Run("sim", "--memory", "64M", "--die", "munmap", "--report", "r.html").Code.ShouldBe(0);
        File.ReadAllText(cli.PathOf("r.html")).ShouldNotContain(Steps);
        cli.Run("sim", "--memory", "64M", "--policy", "series,fate", "--report", "r.html").Code.ShouldBe(0);
        File.ReadAllText(cli.PathOf("r.html")).ShouldNotContain(Steps);
        Cli.Outcome outcome = cli.Run("sim", "--memory", "64M", "--report", "r.html");
        File.ReadAllText(cli.PathOf("r.html")).ShouldContain(Steps);
        outcome.Output.Replace('\n', ' ').ShouldMatch("before, .* with the series .*; tables-only .*; constant time ");
    }

    [Fact]
    public void A_check_judges_each_life_and_finds_nothing_under_policies_that_are_sound()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--check", "--memory", "32M", "--pages", "4k,thp", "--die", "kill,munmap");
        outcome.Code.ShouldBe(0, outcome.Errors);
        string[] lines = outcome.Output.TrimEnd().Split('\n');
        lines.Length.ShouldBe((2 * 2 * 4) + 1);
        lines[0].ShouldMatch("^d05 32M 4k kill before-series: [0-9,]+ checks, nothing found$");
        lines[^1].ShouldMatch("^16 of 16 lives, [0-9,]+ checks, 0 violations$");
    }

    [Fact]
    public void A_check_that_finds_something_tells_it_and_how_to_see_it_again()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "sim", "--check", "--machine", "all", "--memory", "32M", "--pages", "4k", "--die", "mremap", "--policy",
            "patch7,fate");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("violation: StaleData\n   1  VM A is made, VMID 1, and runs on 4 PEs\n");
        outcome.Output.ShouldContain("d05 32M 4k mremap fate: ");
        string[] lines = outcome.Output.Split('\n');
        string[] again = [.. lines.Where(line => line.StartsWith("again: ", StringComparison.Ordinal))];
        again.Length.ShouldBe(4);
        lines.Except(again).ShouldAllBe(line => line.Length <= 80);
        Cli.Outcome repeated = cli.Run(again[0]["again: ./quietus ".Length..].Split(' '));
        repeated.Code.ShouldBe(1);
        outcome.Output.ShouldContain(repeated.Output[..repeated.Output.IndexOf("again", StringComparison.Ordinal)]);
    }

    [Fact]
    public void A_run_that_is_interrupted_shows_what_is_done_and_ends_with_130()
    {
        using var cli = new Cli();
        using Process process = cli.Start("sim", "--pages", "4k", "--memory", "64M,64G", "--policy", "before-series");
        process.StandardInput.Close();
        process.StandardError.ReadLine().ShouldNotBeNull();
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130);
        outcome.Output.ShouldStartWith("d05, 64 MB, pages 4k, kill");
        outcome.Output.ShouldContain("Interrupted: 1 of 2 deaths");
        outcome.Errors.ShouldContain("interrupted");
    }

    [Fact]
    public void The_calibration_is_a_table_of_published_against_predicted()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--calibration");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("|---");
    }
}

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Check;

public sealed class CheckProcessTests
{
    [Fact]
    public void Sound_policies_end_with_0_and_a_count()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("check", "--steps", "20000");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldStartWith("20 programs, 20,000 steps, ");
        outcome.Output.ShouldContain("0 violations");
        IsPlain(outcome);
    }

    [Fact]
    public void A_violation_ends_with_1_and_the_line_that_it_prints_finds_it_again()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("check", "--policies", "patch7", "--steps", "100000");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("  =>  ");
        string again = outcome.Output[outcome.Output.IndexOf("again: ./quietus ", StringComparison.Ordinal)..];
        Cli.Outcome second = cli.Run(again[..again.IndexOf('\n')].Split(' ')[2..]);
        second.Code.ShouldBe(1);
        second.Output.ShouldBe(outcome.Output);
    }

    [Fact]
    public void A_time_limit_before_the_steps_are_done_ends_with_124()
    {
        using var cli = new Cli();
        cli.Run("check", "--policies", "fate", "--steps", "2000000000", "--time-limit", "1").Code.ShouldBe(124);
        Cli.Outcome exhaustive = cli.Run(
            "check", "--exhaustive", "pes=4,vms=3,pages=4,steps=20", "--policies", "fate", "--time-limit", "2");
        exhaustive.Code.ShouldBe(124);
        exhaustive.Output.ShouldContain(" of 20 steps, 0 violations");
        IsPlain(exhaustive);
    }

    [Theory]
    [InlineData("--policies patch7 --steps 6000 --all-findings")]
    [InlineData("--policies patch7 --exhaustive pes=1,vms=1,pages=2,steps=5")]
    public void Threads_change_nothing(string arguments)
    {
        using var cli = new Cli();
        Cli.Outcome one = cli.Run(["check", .. arguments.Split(' '), "--jobs", "1"]);
        Cli.Outcome three = cli.Run(["check", .. arguments.Split(' '), "--jobs", "3"]);
        one.Code.ShouldBe(1, one.Errors);
        three.Output.ShouldBe(one.Output);
    }

    [Fact]
    public void An_exhaustive_search_of_few_states_is_one_of_programs_of_any_length()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "check", "--exhaustive", "pes=1,vms=1,pages=1,steps=20", "--policies", "fate");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("all programs of any length: no step leads to a new state, 0 violations");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        IsPlain(outcome);
    }

    /// <summary>What a bound adds shows in the counts, and in the command that a violation prints.</summary>
    [Fact]
    public void Forks_and_faults_in_two_steps_are_options_of_the_exhaustive_search()
    {
        using var cli = new Cli();
        Dictionary<string, long> states = [];
        foreach (string more in (string[])["", ",forks=1", ",faults=1", ",faults=2"])
        {
            Cli.Outcome outcome = cli.Run(
                "check", "--exhaustive", "pes=1,vms=2,pages=1,steps=5" + more, "--policies", "fate", "--json", "-");
            outcome.Code.ShouldBe(0, outcome.Errors);
            JsonNode json = JsonNode.Parse(outcome.Output)!;
            json["schema"]!.ToString().ShouldBe("quietus.exhaustive/1");
            json["config"]!["forks"]!.GetValue<bool>().ShouldBe(more == ",forks=1");
            json["config"]!["splits_faults"]!.GetValue<bool>().ShouldBe(more == ",faults=2");
            states[more] = json["searches"]![0]!["states"]!.GetValue<long>();
        }

        states[",forks=1"].ShouldBeGreaterThan(states[""]);
        states[",faults=2"].ShouldBeGreaterThan(states[""]);
        states[",faults=1"].ShouldBe(states[""]);
        Cli.Outcome found = cli.Run(
            "check", "--exhaustive", "pes=1,vms=1,pages=2,steps=5,faults=2", "--policies", "patch7");
        found.Code.ShouldBe(1, found.Errors);
        found.Output.ShouldContain(
            "again: ./quietus check --exhaustive pes=1,vms=1,pages=2,steps=5,faults=2 --policies patch7");
    }

    [Theory]
    [InlineData("check")]
    [InlineData("check --exhaustive pes=4,vms=3,pages=4,steps=20")]
    public void Interrupted_it_says_what_was_covered(string arguments)
    {
        using var cli = new Cli();
        string trace = cli.PathOf("trace");
        using Process process = cli.Start([.. arguments.Split(' '), "--policies", "fate", "--record", trace]);

        // More than starting takes: it searches.
        Cli.Wait(() => process.TotalProcessorTime > TimeSpan.FromSeconds(1.5), "the search does not begin");
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130, outcome.Errors);
        outcome.Output.ShouldContain("0 violations");
        IsPlain(outcome);
    }

    [Theory]
    [InlineData("pes=0", "'0' is no bound", "pes= takes 1 to 4")]
    [InlineData("pes=5", "'5' is no bound", "pes= takes 1 to 4")]
    [InlineData("vms=4", "'4' is no bound", "vms= takes 1 to 3")]
    [InlineData("pages=-1", "'-1' is no bound", "pages= takes 1 to 4")]
    [InlineData("pages=", "'' is no bound", "pages= takes 1 to 4")]
    [InlineData("steps=99999999999999999999", "'99999999999999999999' is no bound", "steps= takes 1 to 20")]
    [InlineData("steps", "'' is no bound", "steps= takes 1 to 20")]
    [InlineData("cores=2", "--exhaustive takes no 'cores=2'", "pes=2,vms=2,pages=2")]
    [InlineData("pes=2,", "--exhaustive takes no ''", "pes=2,vms=2,pages=2")]
    [InlineData("pes=2,pes=2", "--exhaustive takes 'pes' once", "leave one")]
    [InlineData("forks=2", "'2' is no bound", "forks= takes 1 to 1")]
    [InlineData("faults=3", "'3' is no bound", "faults= takes 1 to 2")]
    [InlineData("pes=4,vms=3,pages=4,faults=2", "have 315 different steps, more than 256", "fewer pes, vms or pages")]
    [InlineData("features=sve", "features= takes no 'sve'", "fwb+tlbirange")]
    [InlineData("features=early-completion", "features= takes no 'early-completion'", "fwb+tlbirange")]
    public void Bounds_that_are_none_are_usage_errors(string bounds, string problem, string remedy)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("check", "--exhaustive", bounds);
        outcome.Code.ShouldBe(2);
        outcome.Output.ShouldBeEmpty();
        outcome.Errors.ShouldContain(problem);
        outcome.Errors.ShouldContain(remedy);
    }

    [Theory]
    [InlineData("--exhaustive pes=1 --seed 3", "--seed means nothing to --exhaustive")]
    [InlineData("--exhaustive pes=1 --all-findings", "--all-findings means nothing to --exhaustive")]
    [InlineData("--scenario good_unmap --jobs 2", "--jobs says nothing to a trace")]
    [InlineData("--scenario good_unmap --trace x", "do not go together")]
    [InlineData("--scenario nothing", "there is no scenario 'nothing'")]
    [InlineData("--trace missing", "'missing' cannot be read")]
    [InlineData("--trace /", "'/' cannot be read")]
    [InlineData("--trace /proc/self/mem", "'/proc/self/mem' cannot be read to its end")]
    [InlineData("--trace /dev/zero", "a byte 0x00")]
    [InlineData("--trace /dev/null", "no trace of this oracle")]
    [InlineData("--steps 1000 --policies fate --record /dev/full", "'/dev/full' could not be written")]
    [InlineData("--steps 1000 --policies fate --export-casemate /dev/full", "'/dev/full' could not be written")]
    [InlineData("--scenario good_unmap --export-casemate /dev/full", "'/dev/full' could not be written")]
    [InlineData("--scenario good_unmap --export-casemate no/such/folder", "'no/such/folder' cannot be written")]
    [InlineData("--record no/such/folder", "'no/such/folder' cannot be written")]
    [InlineData("--record same --export-casemate ./same", "both write to")]
    [InlineData("--litmus no/such/folder", "'no/such/folder' cannot be read")]
    [InlineData("--litmus /dev", "'/dev' has no file that ends in .trace")]
    [InlineData("--litmus /dev --seed 3", "--seed says nothing to --litmus")]
    [InlineData("--shard 0/2", "--shard needs --steps")]
    [InlineData("--exhaustive pes=1 --shard 0/2", "--shard needs --level and --states")]
    [InlineData("--exhaustive pes=1 --level 2", "--level means nothing without --shard")]
    [InlineData("--exhaustive steps=3 --shard 0/2 --level 4 --states s", "there is no level 4 of 3 steps")]
    [InlineData("--exhaustive pes=1 --shard 0/2 --level 0 --states s --record r", "do not go with --shard")]
    [InlineData("--exhaustive pes=1 --shard 0/2 --level 1 --states s", "level 0 of shard 0/2 cannot be read")]
    [InlineData("--states s", "--states means nothing without --exhaustive")]
    public void What_cannot_be_read_or_written_or_meant_is_an_error(string arguments, string problem)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(["check", .. arguments.Split(' ')]);
        outcome.Code.ShouldBe(arguments.Contains("/dev/full", StringComparison.Ordinal) ? 1 : 2);
        outcome.Errors.ShouldContain(problem);
        outcome.Errors.ShouldNotContain("   at ");
        if (arguments.StartsWith("--trace", StringComparison.Ordinal))
        {
            outcome.Output.ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_violation_is_recorded_and_the_trace_is_judged_alike()
    {
        using var cli = new Cli();
        string trace = cli.PathOf("trace");
        foreach (string search in (string[])["--steps 100000", "--exhaustive pes=1,vms=1,pages=2,steps=4"])
        {
            Cli.Outcome found = cli.Run(
                ["check", "--policies", "patch7", .. search.Split(' '), "--record", trace]);
            found.Code.ShouldBe(1, found.Errors);
            string broken = found.Output.Split('\n').First(line => line.StartsWith("  =>  ", StringComparison.Ordinal));
            Cli.Outcome judged = cli.Run("check", "--trace", trace);
            judged.Code.ShouldBe(1, judged.Errors);
            judged.Output.ShouldContain(broken);
        }
    }

    [Theory]
    [InlineData("FORBIDDEN.", 0, "1 agree, 0 stricter, 0 unsound, 0 not expressible")]
    [InlineData("ALLOWED. with a remark", 1, "0 agree, 0 stricter, 1 unsound, 0 not expressible")]
    [InlineData("?", 0, "0 agree, 0 stricter, 0 unsound, 1 not expressible")]
    [InlineData("PERHAPS", 2, "line 2: the head's verdict is none of")]
    public void A_folder_of_traces_is_held_against_its_heads(string head, int code, string says)
    {
        using var cli = new Cli();
        string trace = cli.PathOf("recorded");
        cli.Run("check", "--steps", "1000", "--policies", "fate", "--record", trace).Code.ShouldBe(0);
        string[] lines = File.ReadAllText(trace).Split('\n', 2);
        string folder = Directory.CreateDirectory(cli.PathOf("litmus")).FullName;
        File.WriteAllText(Path.Combine(folder, "one.trace"), $"{lines[0]}\n# published: {head}\n{lines[1]}");
        Cli.Outcome outcome = cli.Run("check", "--litmus", folder);
        outcome.Code.ShouldBe(code, outcome.Errors);
        (code == 2 ? outcome.Errors : outcome.Output).ShouldContain(says);
        if (code != 2)
        {
            cli.Run("check", "--litmus", folder, "--json", "-").Output.ShouldContain("\"quietus.litmus/1\"");
        }
    }

    [Fact]
    public void There_is_no_verdict_for_a_trace_that_is_cut_or_spoilt()
    {
        using var cli = new Cli();
        string trace = cli.PathOf("trace");
        cli.Run("check", "--steps", "1000", "--policies", "fate", "--record", trace).Code.ShouldBe(0);
        byte[] whole = File.ReadAllBytes(trace);
        cli.Run("check", "--trace", trace).Code.ShouldBe(0);
        byte[][] hostile =
        [
            whole[..(whole.Length / 2)],
            whole[..^1],
            [.. whole, .. "dsb pe=0 op=sy\n"u8],
            [.. whole[..200], 0x1B, .. "[2J"u8, .. whole[200..]],
            Encoding.ASCII.GetBytes("quietus oracle trace 1\nmachine granule=4K pes=2 features=none\nend events=2\n"),
        ];
        for (int at = 0; at < hostile.Length; at++)
        {
            string path = cli.WriteFile($"hostile{at}", hostile[at]);
            Cli.Outcome outcome = cli.Run("check", "--trace", path, "--export-casemate", cli.PathOf("export"));
            outcome.Code.ShouldBe(2, outcome.Output);
            outcome.Output.ShouldBeEmpty();
            outcome.Errors.ShouldContain("line ");
            outcome.Errors.ShouldContain("nothing was judged");
            IsPlain(outcome);
        }

        cli.Run("check", "--trace", trace, "--export-casemate", trace).Errors.ShouldContain("would overwrite");
        File.ReadAllBytes(trace).ShouldBe(whole);
    }

    private static void IsPlain(Cli.Outcome outcome) =>
        (outcome.Output + outcome.Errors).ShouldAllBe(letter => letter == '\n' || !char.IsControl(letter));
}

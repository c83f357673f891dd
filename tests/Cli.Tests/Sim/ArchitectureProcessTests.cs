using System.IO;
using System.Linq;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Sim;

/// <summary><c>sim</c> on machines of other architectures, and the table of their hooks.</summary>
public sealed class ArchitectureProcessTests
{
    [Fact]
    public void Each_machine_dies_in_every_way_under_its_own_policies_and_names()
    {
        using var cli = new Cli();
        foreach ((string machine, string word) in new[]
        {
            ("xeon", "INVEPT"), ("epyc-sev", "WBINVD"), ("power9", "tlbie LPID"), ("power9-hpt", "ptesync"),
            ("power9-pr", "tlbie"), ("e500mc", "tlbilxlpid"), ("mips-vz", "GuestID flush"), ("arm32", "TLBIALLIS"),
        })
        {
            Cli.Outcome outcome = cli.Run("sim", "--machine", machine, "--memory", "32M", "--die", "all");
            outcome.Code.ShouldBe(0, outcome.Errors);
            outcome.Output.ShouldContain(word);
            outcome.Output.Split('\n').Count(line => line.StartsWith(machine + " (")).ShouldBe(7);
            outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80 || line.StartsWith(machine));
        }
    }

    [Theory]
    [InlineData("power9", "--policy", "patch6", "no cache is cleaned there when a table becomes a block")]
    [InlineData("xeon", "--policy", "patch7", "no cache is cleaned there when memory is unmapped")]
    [InlineData("power9-hpt", "--policy", "tables-only", "the table is one allocation")]
    [InlineData("power9", "--pages", "4k", "Its base page has 64 KB")]
    [InlineData("mips-vz", "--pages", "2m", "maps no guest memory by such pages")]
    [InlineData("d05,xeon", "--die", "kill", "have no operation in common")]
    [InlineData("d05", "--pages", "64k", "has base pages of 4 KB")]
    public void What_means_nothing_there_is_refused_with_the_reason(
        string machine, string option, string value, string reason)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--machine", machine, "--memory", "64M", option, value);
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain(reason, Case.Insensitive);
    }

    [Fact]
    public void Other_verbs_say_that_they_need_arm64()
    {
        using var cli = new Cli();
        File.WriteAllText(cli.PathOf("t.txt"), "");
        Cli.Outcome outcome = cli.Run("replay", cli.PathOf("t.txt"), "--machine", "xeon");
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("xeon is a machine of x86-ept");
    }

    [Fact]
    public void A_check_looks_for_what_is_freed_before_its_flush()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "sim", "--check", "--machine", "e500mc", "--memory", "32M", "--die", "munmap,kill");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("0 violations");
        outcome.Output.Split('\n').Count(line => line.StartsWith("e500mc 32M 4k")).ShouldBe(6);
    }

    [Fact]
    public void The_hooks_table_has_every_architecture_and_event_and_never_more_flushes_than_before()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("sim", "--hooks", "--memory", "32M", "--json", "h.json", "--report", "h.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("5.5: ");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("h.json")));
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.sim.hooks/1");
        root.GetProperty("complete").GetBoolean().ShouldBeTrue();
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        rows.Select(static row => row.GetProperty("architecture").GetString()).Distinct().Count().ShouldBe(9);
        foreach (string what in new[]
            { "munmap", "mremap", "madvise", "migration", "swap-out", "exit", "mprotect", "fork", "slot" })
        {
            rows.Count(row => row.GetProperty("event").GetString() == what)
                .ShouldBeGreaterThanOrEqualTo(what == "swap-out" ? 8 : 9);
        }

        foreach (JsonElement row in rows)
        {
            row.GetProperty("flushes").GetInt64()
                .ShouldBeLessThanOrEqualTo(row.GetProperty("before_flushes").GetInt64(), row.ToString());
        }

        File.ReadAllText(cli.PathOf("h.html")).ShouldContain("must not");
    }

    [Fact]
    public void The_JSON_of_a_death_has_its_own_schema_and_its_command_repeats_it()
    {
        using var cli = new Cli();
        Cli.Outcome first = cli.Run(
            "sim", "--machine", "power9", "--memory", "64M", "--policy", "series", "--json", "-");
        first.Code.ShouldBe(0, first.Errors);
        using JsonDocument document = JsonDocument.Parse(first.Output);
        document.RootElement.GetProperty("schema").GetString().ShouldBe("quietus.sim.architectures/1");
        JsonElement row = document.RootElement.GetProperty("rows")[0];
        row.GetProperty("page_size").GetString().ShouldBe("64k");
        string command = document.RootElement.GetProperty("config").GetProperty("command").GetString()!;
        cli.Run([.. command.Split(' ').Skip(1), "--json", "-"]).Output.ShouldBe(first.Output);
    }
}

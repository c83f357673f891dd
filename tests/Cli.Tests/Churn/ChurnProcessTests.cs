using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json;
using Quietus.Cli.CommandLine;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Churn;

public sealed class ChurnProcessTests
{
    private static readonly string[] _phases =
        ["create", "first_instruction", "fill", "kill", "memory_back", "scrub_zero", "scrub_clean"];

    private static readonly string[] _ranks = ["p50", "p90", "p99", "max"];

    [Theory]
    [InlineData("--churn 0", "'0' is no number of VMs", "1 to 1000000")]
    [InlineData("--churn -5", "'-5' is no number of VMs", "1 to 1000000")]
    [InlineData("--churn many", "'many' is no number of VMs", "1 to 1000000")]
    [InlineData("--churn 1000001", "'1000001' is no number of VMs", "1 to 1000000")]
    [InlineData("--churn 10 --lifetime long", "unknown lifetime 'long'", "created, started, filled, mixed")]
    [InlineData("--lifetime mixed", "--lifetime means nothing without --churn", "--churn 1000")]
    [InlineData("--churn 10 --against kvm", "--against means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --guest filler", "--guest means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --memory 64M", "--memory means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --policies fate", "--policies means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --cpus 2", "--cpus means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --jobs 2", "--jobs means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--churn 10 --report r.html", "--report means nothing with --churn", "--lifetime, --cpu")]
    [InlineData("--from template", "--from means nothing without --churn", "--churn 1000")]
    [InlineData("--churn 10 --from thin-air", "unknown origin 'thin-air'", "template")]
    [InlineData("--churn 10 --from template --lifetime started", "a template's child runs from its birth on", "filled")]
    [InlineData(
        "--churn 10 --from template --guest linux,filler", "the children of one template have one guest", "takes one")]
    [InlineData("--churn 10 --pages 8k", "unknown page size '8k'", "4k, 2m")]
    [InlineData("--churn 10 --json /nowhere/c.json", "--json: '/nowhere/c.json' cannot be", "another")]
    public void What_makes_no_sense_is_refused_before_a_machine_is_started(string arguments, string says, string next)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(["bench", .. arguments.Split(' ')]);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain("quietus: " + says);
        outcome.Errors.ShouldContain(next);
        outcome.Output.ShouldBeEmpty();
        cli.Machines().ShouldBeEmpty();
    }

    [Fact]
    public void The_JSON_has_every_field_with_its_type_and_in_its_order()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--churn", "220", "--lifetime", "mixed", "--json", "c.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("c.json")));
        JsonElement root = document.RootElement;
        NamesOf(root).ShouldBe(
        [
            "schema", "version", "config", "births", "interrupted", "births_per_virtual_second", "lost_bytes",
            "refused_frees", "leaked_frames", "phases", "wall_ns",
        ]);
        root.GetProperty("schema").GetString().ShouldBe("quietus.churn/1");
        root.GetProperty("version").GetString().ShouldBe("0.1.0");
        JsonElement config = root.GetProperty("config");
        NamesOf(config).ShouldBe(
            ["count", "lifetime", "cpu", "memory_bytes", "page_sizes", "qemu_version", "image_sha256", "command"]);
        config.GetProperty("count").GetInt32().ShouldBe(220);
        config.GetProperty("lifetime").GetString().ShouldBe("mixed");
        config.GetProperty("cpu").GetString().ShouldBe("cortex-a72");
        config.GetProperty("memory_bytes").EnumerateArray().Select(size => size.GetInt64() / ByteSize.Megabyte)
            .ShouldBe([16, 22, 34, 50, 64]);
        config.GetProperty("page_sizes").EnumerateArray().Select(size => size.GetString()).ShouldBe(["4k", "2m"]);
        config.GetProperty("qemu_version").GetString().ShouldBe("7.2.22");
        config.GetProperty("image_sha256").GetString()!.Length.ShouldBe(64);
        config.GetProperty("command").GetString()
            .ShouldBe("./quietus bench --churn 220 --lifetime mixed --cpu cortex-a72 --pages 4k,2m");
        root.GetProperty("births").GetInt32().ShouldBe(220);
        root.GetProperty("interrupted").GetBoolean().ShouldBeFalse();
        root.GetProperty("births_per_virtual_second").GetDouble().ShouldBeInRange(1, 1000);
        root.GetProperty("lost_bytes").GetInt64().ShouldBe(0);
        root.GetProperty("refused_frees").GetInt64().ShouldBe(0);
        root.GetProperty("leaked_frames").GetInt64().ShouldBe(0);
        root.GetProperty("wall_ns").GetInt64().ShouldBePositive();

        JsonElement[] phases = [.. root.GetProperty("phases").EnumerateArray()];
        phases.Select(phase => phase.GetProperty("phase").GetString()).ShouldBe(_phases);
        foreach (JsonElement phase in phases)
        {
            NamesOf(phase).ShouldBe(
            [
                "phase", "count", "p50_instructions", "p90_instructions", "p99_instructions", "max_instructions",
                "first_tenth_p50_instructions", "last_tenth_p50_instructions",
            ]);
            long[] ranks =
            [
                .. _ranks.Select(rank => phase.GetProperty(rank + "_instructions").GetInt64()),
            ];
            ranks.ShouldBeInOrder();
            ranks[0].ShouldBePositive();
        }

        // Of four VMs two are filled, one is only started, one not even that; and what few did has no drift.
        phases.Select(phase => phase.GetProperty("count").GetInt32()).ShouldBe([220, 165, 165, 220, 220, 220, 220]);
        phases.Select(phase => phase.GetProperty("last_tenth_p50_instructions").ValueKind == JsonValueKind.Null)
            .ShouldBe([false, true, true, false, false, false, false]);
        phases[3].GetProperty("first_tenth_p50_instructions").GetInt64().ShouldBe(900);
        phases[4].GetProperty("p50_instructions").GetInt64().ShouldBe(780);
    }

    [Fact]
    public void A_shard_lives_the_lives_with_its_numbers()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "bench", "--churn", "10", "--lifetime", "mixed", "--shard", "1/3", "--json", "c.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldContain("[3/3] VMs");
        outcome.Output.ShouldStartWith("3 VMs of 16 to 64 MB in one boot, cortex-a72, lifetime mixed, shard 1/3\n");
        JsonElement root = JsonDocument.Parse(File.ReadAllText(cli.PathOf("c.json"))).RootElement;
        root.GetProperty("config").GetProperty("count").GetInt32().ShouldBe(10);
        root.GetProperty("shard").GetProperty("first").GetInt32().ShouldBe(3);
        root.GetProperty("shard").GetProperty("end").GetInt32().ShouldBe(6);

        // Of 3, 4 and 5 the first is only created, and the last only started.
        JsonElement[] phases = [.. root.GetProperty("phases").EnumerateArray()];
        phases.Select(phase => phase.GetProperty("count").GetInt32()).ShouldBe([3, 2, 2, 3, 3, 3, 3]);
        phases[3].GetProperty("figures_instructions").EnumerateArray().Select(value => value.GetInt64())
            .ShouldBe([900]);
        phases[3].GetProperty("figures_counts").EnumerateArray().Select(value => value.GetInt64()).ShouldBe([3]);
    }

    [Fact]
    public void JSON_on_stdout_is_all_that_is_there_and_what_no_VM_came_to_is_null()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--churn", "4", "--lifetime", "created", "--json", "-");
        outcome.Code.ShouldBe(0, outcome.Errors);
        JsonElement fill = JsonDocument.Parse(outcome.Output).RootElement.GetProperty("phases")[2];
        fill.GetProperty("count").GetInt32().ShouldBe(0);
        fill.GetProperty("p50_instructions").ValueKind.ShouldBe(JsonValueKind.Null);
        outcome.Errors.ShouldContain("[4/4] VMs");
    }

    [Fact]
    public void Piped_output_is_plain_and_at_most_80_columns_wide()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--churn", "230");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldNotContain('\e');
        outcome.Errors.ShouldNotContain('\e');
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeInRange(60, 80);
        outcome.Output.ShouldStartWith("230 VMs of 16 to 64 MB in one boot, cortex-a72, lifetime filled\n");
        Row(outcome, "kill").ShouldBe(["kill", "230", "900", "900", "900", "900", "0.0", "%"]);
        outcome.Output.ShouldContain("0 bytes lost, 0 frees refused, 0 frames leaked");
    }

    [Fact]
    public void A_drift_of_few_VMs_is_a_dash_and_so_is_a_phase_that_none_came_to()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--churn", "12", "--lifetime", "created");
        outcome.Code.ShouldBe(0, outcome.Errors);
        Row(outcome, "kill").ShouldBe(["kill", "12", "900", "900", "900", "900", "-"]);
        Row(outcome, "fill").ShouldBe(["fill", "0", "-", "-", "-", "-", "-"]);
        outcome.Output.ShouldContain("- for fewer than 200 VMs");
    }

    [Fact]
    public void Ctrl_C_between_two_lives_shows_what_was_done_and_is_130()
    {
        using var cli = new Cli("slow");
        using Process process = cli.Start("bench", "--churn", "1000", "--json", "c.json");
        process.StandardError.ReadLine().ShouldBe("[50/1000] VMs");
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130);
        outcome.Errors.ShouldContain("quietus: interrupted; nothing is left running");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("c.json")));
        document.RootElement.GetProperty("interrupted").GetBoolean().ShouldBeTrue();
        int births = document.RootElement.GetProperty("births").GetInt32();
        births.ShouldBeInRange(50, 999);
        outcome.Output.ShouldStartWith($"{births} VMs of 16 to 64 MB");
        outcome.Output.ShouldContain($"Interrupted: {births} of 1,000 VMs born and dead.");
        outcome.Output.ShouldContain("0 bytes lost");
    }

    [Fact]
    public void Ctrl_C_while_a_guest_fills_ends_its_life_which_does_not_count()
    {
        using var cli = new Cli("hangs-midway");
        string orders = cli.PathOf("orders");
        cli.With("FAKE_QEMU_ORDERS", orders);
        using Process process = cli.Start("bench", "--churn", "1000");
        Cli.Wait(
            () => File.Exists(orders) && File.ReadAllLines(orders).Contains("start vm=1"), "no VM was started");
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130);
        outcome.Output.ShouldContain("Interrupted: 0 of 1,000 VMs born and dead.");
    }

    [Fact]
    public void Ctrl_C_of_a_terminal_goes_to_the_whole_group_and_does_not_end_the_machine_first()
    {
        using var cli = new Cli("slow");
        using Process process = cli.StartGroup("bench", "--churn", "1000");
        process.StandardError.ReadLine().ShouldBe("[50/1000] VMs");
        Cli.SignalGroup(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130);
        outcome.Output.ShouldContain("of 1,000 VMs born and dead.");
    }

    [Theory]
    [InlineData("leaks", 1, "memory did not come back as it should")]
    [InlineData("loses-chunks", 1, "memory did not come back as it should")]
    [InlineData("frees-twice", 1, "memory did not come back as it should")]
    [InlineData("guest-finds-bytes", 1, "VM 1 found memory that was not zero")]
    [InlineData("guest-faults", 1, "VM 1 found memory that was not zero, or stopped by itself")]
    [InlineData("refuses", 1, "VM 1: the hypervisor refused: not enough free \"chunks\"")]
    [InlineData("dies-midway", 1, "QEMU ended unexpectedly")]
    [InlineData("hangs-midway", 124, "time limit: VM 1 has not dirtied its memory within 1.5 s")]
    public void A_machine_that_fails_is_one_clear_error_and_leaves_nothing_running(string mode, int code, string says)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("bench", "--churn", "3", "--timeout", "1.5");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldNotContain("\n   at ");
        outcome.Errors.ShouldNotContain("internal error");
        Directory.GetFileSystemEntries(Path.Combine(cli.Cache, "runs")).ShouldBeEmpty();
    }

    private static string[] NamesOf(JsonElement element) =>
        [.. element.EnumerateObject().Select(property => property.Name)];

    private static string[] Row(Cli.Outcome outcome, string phase) => outcome.Output.Split('\n')
        .Single(line => line.StartsWith(phase + " ", System.StringComparison.Ordinal))
        .Split(' ', System.StringSplitOptions.RemoveEmptyEntries);
}

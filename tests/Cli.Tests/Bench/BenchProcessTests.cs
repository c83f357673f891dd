using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Bench;

public sealed class BenchProcessTests
{
    private static readonly string[] _required =
    [
        "guest", "memory_bytes", "page_size", "policy", "way", "mapped_pages_4k", "mapped_blocks_2m", "instructions",
        "tlbi_ipa", "tlbi_range", "tlbi_vmid", "tlbi_vmalle1", "dc_lines", "dsb", "wall_ns",
    ];

    [Fact]
    public void The_JSON_has_the_schema_the_configuration_and_a_row_for_every_death_in_order()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "bench", "--guest", "filler", "--memory", "64M,256M", "--pages", "4k,2m", "--policies", "all",
            "--json", "b.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("b.json")));
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.bench/1");
        root.GetProperty("version").GetString().ShouldBe("0.1.0");
        JsonElement config = root.GetProperty("config");
        config.GetProperty("cpu").GetString().ShouldBe("cortex-a72");
        config.GetProperty("qemu_version").GetString().ShouldBe("7.2.22");
        config.GetProperty("image_sha256").GetString()!.Length.ShouldBe(64);
        config.GetProperty("command").GetString()!.ShouldContain("--policies before-series,patch5");
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        rows.Length.ShouldBe(2 * 2 * 7 * 2);
        foreach (JsonElement row in rows)
        {
            row.EnumerateObject().Select(property => property.Name).Take(_required.Length).ShouldBe(_required);
        }

        rows.Select(row => row.GetProperty("memory_bytes").GetInt64()).ShouldBeInOrder();
        rows.Take(4).Select(row => row.GetProperty("policy").GetString() + "/" + row.GetProperty("way").GetString())
            .ShouldBe(["before-series/kill", "before-series/unmap", "patch5/kill", "patch5/unmap"]);
        root.GetProperty("primitives").GetProperty("hvc_round_trip_instructions").GetDouble().ShouldBe(122);
    }

    [Fact]
    public void JSON_on_stdout_is_all_that_is_there()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--guest", "filler", "--policies", "series", "--json", "-");
        outcome.Code.ShouldBe(0, outcome.Errors);
        JsonDocument.Parse(outcome.Output).RootElement.GetProperty("rows").GetArrayLength().ShouldBe(2);
    }

    [Fact]
    public void Piped_output_is_plain_and_at_most_80_columns_wide()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--guest", "filler", "--memory", "64M,1G", "--pages", "4k,2m");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldNotContain('\e');
        outcome.Errors.ShouldNotContain('\e');
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeInRange(60, 80);
        outcome.Errors.ShouldContain("[56/56]");
    }

    [Fact]
    public void A_reader_that_has_seen_enough_is_no_error()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell("$Q bench --guest filler --policies fate --color never | head -1");
        outcome.Code.ShouldBe(0);
        outcome.Errors.ShouldNotContain("quietus: internal");
        outcome.Output.ShouldBe("filler, 256 MB, pages 4k, cortex-a72, 1 vCPU\n");
    }

    [Fact]
    public void Output_and_errors_into_one_file_follow_one_another()
    {
        using var cli = new Cli();
        cli.Shell("(echo before; $Q bench --guest filler --policies fate --jobs 1; echo after) >both 2>&1");
        string[] lines = File.ReadAllLines(cli.PathOf("both"));
        lines[0].ShouldBe("before");
        lines[1].ShouldStartWith("[1/2] filler");
        lines[3].ShouldStartWith("filler, 256 MB");
        lines[^1].ShouldBe("after");
    }

    [Fact]
    public void A_full_disk_is_one_clear_error()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell("$Q bench --guest filler --policies fate >/dev/full");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain("quietus: the output cannot be written");
    }

    [Fact]
    public void Colour_can_be_forced_and_comes_only_then()
    {
        using var cli = new Cli();
        string[] arguments = ["bench", "--guest", "filler", "--policies", "fate"];
        cli.Run([.. arguments, "--color", "always"]).Output.ShouldContain('\e');
        cli.With("CLICOLOR_FORCE", "1").Run(arguments).Output.ShouldContain('\e');
        cli.With("NO_COLOR", "1").Run(arguments).Output.ShouldNotContain('\e');
    }

    [Fact]
    public void The_report_is_one_file_that_loads_nothing()
    {
        using var cli = new Cli();
        cli.Run("bench", "--guest", "filler", "--report", "r.html").Code.ShouldBe(0);
        string html = File.ReadAllText(cli.PathOf("r.html"));
        html.ShouldStartWith("<!doctype html>");
        html.ShouldContain("<svg");
        html.ShouldContain("before-series");
        html.ShouldContain("./quietus bench --guest filler");
        html.ShouldContain("a model, not a measurement");
        foreach (string loads in (string[])["src=", "<link", "<script", "@import", "url(", "http://", "https://"])
        {
            html.ShouldNotContain(loads);
        }
    }

    [Fact]
    public void Without_a_Linux_kernel_the_filler_serves_and_the_output_says_so()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--policies", "fate");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("filler, 256 MB");
        outcome.Output.ShouldContain("Note: no Linux kernel is cached");
        outcome.Errors.ShouldContain("no Linux kernel is cached");
    }

    [Fact]
    public void A_cached_Linux_is_the_default_guest_and_travels_in_an_archive()
    {
        using var cli = new Cli();
        cli.WriteFile("cache/linux/Image", Guests.KernelImageTests.MakeImage());
        cli.WriteFile("cache/linux/initrd", Guests.CpioWriterTests.MakeArchive(("init", "#!/bin/sh"u8.ToArray())));
        cli.WriteFile("cache/linux/version", "Linux 6.1.0-test\n"u8.ToArray());
        Cli.Outcome outcome = cli.Run("bench", "--policies", "fate", "--json", "b.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("linux, 256 MB");
        File.ReadAllText(cli.PathOf("b.json")).ShouldContain("Linux 6.1.0-test");
        cli.MachineArguments().ShouldAllBe(arguments => arguments.Contains("-initrd " + cli.Cache));
        Directory.GetFileSystemEntries(Path.Combine(cli.Cache, "runs")).ShouldBeEmpty();
    }

    [Fact]
    public void The_machine_is_told_to_count_instructions_and_the_cores_and_memory_that_the_VM_needs()
    {
        using var cli = new Cli();
        cli.Run("bench", "--guest", "filler", "--policies", "fate", "--cpus", "2", "--cpu", "max", "--jobs", "1")
            .Code.ShouldBe(0);
        string arguments = cli.MachineArguments().ShouldHaveSingleItem();
        arguments.ShouldContain("-icount shift=0,sleep=on");
        arguments.ShouldContain("-smp 3 -m 448 ");
        arguments.ShouldContain("-cpu max,pauth-impdef=on");
        arguments.ShouldContain("dtb-randomness=off");
    }

    [Fact]
    public void The_VMs_of_a_group_share_a_boot_and_two_boots_share_the_work()
    {
        using var cli = new Cli();
        cli.Run("bench", "--guest", "filler", "--jobs", "1").Code.ShouldBe(0);
        cli.Machines().Length.ShouldBe(1);
        cli.Run("bench", "--guest", "filler", "--jobs", "2").Code.ShouldBe(0);
        cli.Machines().Length.ShouldBe(3);
    }

    [Theory]
    [InlineData("dies-at-start", 1, "QEMU ended unexpectedly (exit code 1)", "Addressing limited to 32 bits")]
    [InlineData("dies-midway", 1, "QEMU ended unexpectedly", "outside RAM or ROM")]
    [InlineData("dies-at-kill", 1, "QEMU ended unexpectedly", "measuring the primitives: ")]
    [InlineData("panics", 1, "the hypervisor has panicked", "FAR_EL2 0xdead0000")]
    [InlineData("guest-faults", 1, "the VM stopped by itself: stage 2 abort", "")]
    [InlineData("refuses", 1, "the hypervisor refused: not enough free \"chunks\"", "")]
    [InlineData("other-protocol", 1, "speaks protocol 9, this program speaks 2", "build the image again")]
    [InlineData("leaks", 1, "3 frames did not come back", "")]
    [InlineData("loses-frames", 1, "frames were lost on the way", "")]
    [InlineData("damage", 1, " damaged", "")]
    [InlineData("silent", 124, "the hypervisor does not come up within", "--timeout")]
    [InlineData("hangs-midway", 124, "has not dirtied its memory within", "--timeout")]
    public void A_machine_that_fails_is_one_clear_error_and_leaves_nothing_running(
        string mode, int code, string says, string details)
    {
        using var cli = new Cli(mode);
        string limit = code == 124 ? "1.5" : "20";
        Cli.Outcome outcome = cli.Run(
            "bench", "--guest", "filler", "--policies", "series", "--memory", "64M", "--timeout", limit,
            "--jobs", "1");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldContain(details);
        outcome.Errors.ShouldNotContain("\n   at ");
        outcome.Errors.ShouldNotContain("internal error");
        Directory.GetFileSystemEntries(Path.Combine(cli.Cache, "runs")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("garbage", "")]
    [InlineData("reports-anything", "")]
    [InlineData("floods", "reports of a guest came faster than they were read, and went unheard")]
    public void A_guest_that_says_anything_at_all_disturbs_nothing(string mode, string says)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("bench", "--guest", "filler", "--policies", "series");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldContain(says);
    }

    [Fact]
    public void A_missed_promise_is_exit_code_1_and_other_configurations_are_not_judged()
    {
        using var cli = new Cli();
        string good = cli.Run("bench", "--guest", "filler").Output;
        good.ShouldContain("Must reach");
        good.ShouldNotContain("MISSED");
        cli.Run("bench", "--guest", "filler", "--cpu", "neoverse-n1").Output.ShouldNotContain("Must reach");
        cli.Run("bench", "--guest", "filler", "--memory", "128M").Output.ShouldNotContain("Must reach");
    }

    [Theory]
    [InlineData(Cli.Interrupt, 130)]
    [InlineData(Cli.Terminate, 143)]
    [InlineData(Cli.HangUp, 129)]
    public void A_signal_in_the_middle_ends_everything_with_its_code(int signal, int code)
    {
        using var cli = new Cli("hangs-midway");
        using Process process = cli.Start("bench", "--guest", "filler", "--jobs", "2");
        int[] machines = cli.WaitForMachines(2);
        Cli.Signal(process, signal);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(code);
        outcome.Errors.ShouldContain("quietus: interrupted");
        machines.ShouldAllBe(pid => !Cli.IsAlive(pid));
    }

    [Fact]
    public void Ctrl_C_keeps_what_was_measured()
    {
        using var cli = new Cli("hangs-late");
        using Process process = cli.Start("bench", "--guest", "filler", "--jobs", "1", "--json", "b.json");
        process.StandardError.ReadLine()!.ShouldStartWith("[1/14] ");
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Code.ShouldBe(130, outcome.Errors);
        outcome.Output.ShouldContain("before-series kill");
        outcome.Output.ReplaceLineEndings(" ").ShouldContain("interrupted: 1 of 14 deaths measured");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("b.json")));
        document.RootElement.GetProperty("complete").GetBoolean().ShouldBeFalse();
        document.RootElement.GetProperty("rows").GetArrayLength().ShouldBe(1);
    }

    [Fact]
    public void Even_SIGKILL_leaves_no_machine_behind_and_the_next_run_cleans_up()
    {
        using var cli = new Cli("hangs-midway");
        using Process process = cli.Start("bench", "--guest", "filler", "--jobs", "2");
        int[] machines = cli.WaitForMachines(2);
        Cli.Signal(process, Cli.KillNow);
        Cli.Finish(process).Code.ShouldBe(137);
        Cli.Wait(() => !machines.Any(Cli.IsAlive), "a machine outlived the command line");
        string runs = Path.Combine(cli.Cache, "runs");
        Directory.GetDirectories(runs).ShouldHaveSingleItem();
        cli.With("FAKE_QEMU", "good").Run("bench", "--guest", "filler", "--policies", "fate").Code.ShouldBe(0);
        Directory.GetDirectories(runs).ShouldBeEmpty();
    }

    [Fact]
    public void A_run_does_not_sweep_another_that_is_alive()
    {
        using var cli = new Cli("hangs-midway");
        using Process first = cli.Start("bench", "--guest", "filler", "--jobs", "1");
        int[] machines = cli.WaitForMachines();
        cli.With("FAKE_QEMU", "good").Run("bench", "--guest", "filler", "--policies", "fate").Code.ShouldBe(0);
        machines.ShouldAllBe(pid => Cli.IsAlive(pid));
        Directory.GetDirectories(Path.Combine(cli.Cache, "runs")).ShouldHaveSingleItem();
        Cli.Signal(first, Cli.Interrupt);
        Cli.Finish(first).Code.ShouldBe(130);
    }

    [Fact]
    public void What_a_crashed_run_left_is_ended_by_the_next()
    {
        using var cli = new Cli();
        using Process orphan = Process.Start("sleep", "1000");
        string stat = File.ReadAllText($"/proc/{orphan.Id}/stat");
        string started = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[19];
        cli.WriteFile("cache/runs/crashed/lock", []);
        cli.WriteFile(
            "cache/runs/crashed/children",
            System.Text.Encoding.ASCII.GetBytes($"{Environment.ProcessId} 1\n{orphan.Id} {started}\n"));
        cli.Run("bench", "--guest", "filler", "--policies", "fate").Code.ShouldBe(0);
        orphan.WaitForExit(5000).ShouldBeTrue();
        Directory.Exists(cli.PathOf("cache/runs/crashed")).ShouldBeFalse();
    }
}

using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text.Json;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Exec;

/// <summary>
/// <c>exec</c> as a process, against a machine whose agent runs this host's programs: what passes through, and how it
/// ends. Disposing proves that no machine is left.
/// </summary>
public sealed class ExecProcessTests
{
    [Fact]
    public void Output_error_and_exit_code_are_the_program_s()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run("exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
        outcome.Code.ShouldBe(7, outcome.Errors);
        outcome.Output.ShouldBe("out\n");
        outcome.Errors.ShouldContain("err\n");
        outcome.Errors.ShouldContain("[quietus] no server runs: booting a machine for this run alone");
    }

    [Fact]
    public void Quietly_there_is_nothing_but_the_program_s()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run("exec", "--quiet", "--", "sh", "-c", "echo err >&2");
        (outcome.Code, outcome.Output, outcome.Errors).ShouldBe((0, "", "err\n"));
    }

    [Fact]
    public void Ten_megabytes_go_in_and_come_out_byte_for_byte()
    {
        using Cli cli = Make();
        byte[] bytes = new byte[10 << 20];
        new Random(14).NextBytes(bytes);
        string file = cli.WriteFile("ten", bytes);
        Cli.Outcome outcome = cli.Shell($"$Q exec -q -- cat <{file} >{file}.out; echo $?");
        outcome.Output.ShouldBe("0\n", outcome.Errors);
        SHA256.HashData(File.ReadAllBytes(file + ".out")).ShouldBe(SHA256.HashData(bytes));
    }

    [Fact]
    public void A_hundred_megabytes_of_output_are_not_held_in_memory()
    {
        using Cli cli = Make();

        // The reader takes the first bytes late: what is held by then would be seen in the highest resident size.
        Cli.Outcome outcome = cli.Shell("""
            $Q exec -q -- head -c 104857600 /dev/zero >fifo & pid=$!
            exec 3<fifo; sleep 2
            grep VmHWM /proc/$pid/status; wc -c <&3; wait $pid; echo $?
            """.Insert(0, "mkfifo fifo\n"));
        string[] lines = outcome.Output.Split('\n');
        lines[1..3].ShouldBe(["104857600", "0"], outcome.Errors);
        int.Parse(lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]).ShouldBeLessThan(150_000);
    }

    [Fact]
    public void A_reader_that_goes_ends_the_program()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Shell("($Q exec -q -- yes; echo code=$? >&2) | head -n 1");
        outcome.Output.ShouldBe("y\n");
        outcome.Errors.ShouldContain("code=141");
    }

    [Theory]
    [InlineData(127, "/no/such/program")]
    [InlineData(126, "/etc/passwd")]
    public void A_program_that_cannot_start_has_the_shell_s_codes(int code, string program)
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run("exec", "--", program);
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain($"'{program}'");
    }

    [Fact]
    public void At_its_time_limit_a_program_ends_with_124()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run("exec", "--timeout", "300ms", "--", "sleep", "60");
        outcome.Code.ShouldBe(124, outcome.Errors);
        outcome.Errors.ShouldContain("time limit: the program was still running after 300 ms");
    }

    [Theory]
    [InlineData("vm-dies", "the VM has ended under the program: the VM has no memory left")]
    [InlineData("dies-in-job", "QEMU ended unexpectedly")]
    [InlineData("agent-garbage", "the VM's agent")]
    [InlineData("refuses-births", "there is no room for another VM")]
    [InlineData("dies-at-start", "QEMU ended unexpectedly")]
    [InlineData("refuses", "the hypervisor refused")]
    [InlineData("no-freeze", "cannot be made a template")]
    public void What_is_not_the_program_s_fault_is_125(string mode, string message)
    {
        using Cli cli = Make(mode);
        Cli.Outcome outcome = cli.Run("exec", "--", "true");
        outcome.Code.ShouldBe(125, outcome.Errors);
        outcome.Errors.ShouldContain(message);
    }

    [Fact]
    public void A_machine_that_does_not_come_up_in_time_is_125()
    {
        using Cli cli = Make("silent");
        Cli.Outcome outcome = cli.Run("exec", "--boot-timeout", "500ms", "--", "true");
        outcome.Code.ShouldBe(125, outcome.Errors);
        outcome.Errors.ShouldContain("time limit");
    }

    [Fact]
    public void Environment_folder_and_user_are_the_program_s()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.With("TAKEN", "over").Run(
            "exec", "-q", "--env", "A=1,2", "--env", "B=x=y", "--env", "TAKEN", "--workdir", "/usr", "--user", "root",
            "--", "sh", "-c", "echo $A $B $TAKEN $(pwd) $PATH");
        outcome.Output.ShouldBe(
            "1,2 x=y over /usr /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", outcome.Errors);
        cli.Run("exec", "--user", "stranger", "--", "true").Code.ShouldBe(125);
        cli.Run("exec", "--workdir", "/nowhere", "--", "true").Code.ShouldBe(125);
    }

    [Fact]
    public void Files_go_in_before_and_come_out_after()
    {
        using Cli cli = Make();
        string source = cli.WriteFile("source", "hello\n"u8.ToArray());
        string there = cli.PathOf("there");
        Cli.Outcome outcome = cli.Run(
            "exec", "-q", "--copy-in", $"{source}:{there}", "--copy-out", $"{there}.2:{cli.PathOf("back")}", "--",
            "cp", there, there + ".2");
        outcome.Code.ShouldBe(0, outcome.Errors);
        File.ReadAllText(cli.PathOf("back")).ShouldBe("hello\n");
        Cli.Outcome missing = cli.Run("exec", "-q", "--copy-out", $"/no/file:{cli.PathOf("never")}", "--", "true");
        missing.Code.ShouldBe(125);
        missing.Errors.ShouldContain("--copy-out: /no/file in the guest: the file cannot be opened: no such file");
        File.Exists(cli.PathOf("never")).ShouldBeFalse();
    }

    [Fact]
    public void Ctrl_C_reaches_the_program_and_its_end_is_its_own()
    {
        using Cli cli = Make();
        using Process process = cli.Start(
            "exec", "-q", "--", "sh", "-c", "trap 'echo heard; exit 9' INT; echo ready; while :; do sleep 0.1; done");
        process.StandardOutput.ReadLine().ShouldBe("ready");
        Cli.Signal(process, Cli.Interrupt);
        Cli.Outcome outcome = Cli.Finish(process);
        outcome.Output.ShouldBe("heard\n", outcome.Errors);
        outcome.Code.ShouldBe(9, outcome.Errors);
    }

    [Fact]
    public void A_second_Ctrl_C_ends_a_program_that_does_not_heed_the_first()
    {
        using Cli cli = Make();
        using Process process = cli.Start(
            "exec", "-q", "--", "sh", "-c", "trap '' INT; echo ready; while :; do sleep 0.1; done");
        process.StandardOutput.ReadLine().ShouldBe("ready");
        Cli.Signal(process, Cli.Interrupt);
        System.Threading.Thread.Sleep(100);
        Cli.Signal(process, Cli.Interrupt);
        Cli.Finish(process).Code.ShouldBe(130);
    }

    [Fact]
    public void Killed_it_leaves_no_machine()
    {
        using Cli cli = Make();
        using Process process = cli.Start("exec", "-q", "--", "sh", "-c", "echo ready; sleep 600");
        process.StandardOutput.ReadLine().ShouldBe("ready");
        Cli.Signal(process, Cli.KillNow);
        Cli.Finish(process).Code.ShouldBe(137);
    }

    [Fact]
    public void Many_runs_have_percentiles_and_the_first_bad_code()
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run(
            "exec", "--repeat", "20", "--parallel", "4", "--json", "e.json", "--", "sh", "-c", "echo x; exit 3");
        outcome.Code.ShouldBe(3, outcome.Errors);
        outcome.Output.ShouldContain("20 jobs, 4 at a time, 256 MB, 1 vCPU each");
        outcome.Output.ShouldContain("20 jobs ended with another code than 0, the first with 3");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("e.json")));
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.exec/1");
        (root.GetProperty("jobs").GetInt32(), root.GetProperty("failed").GetInt32()).ShouldBe((20, 20));
        JsonElement[] steps = [.. root.GetProperty("steps").EnumerateArray()];
        steps.Select(step => step.GetProperty("step").GetString())
            .ShouldBe(["birth", "first_output", "run", "death", "total"]);
        steps.ShouldAllBe(step => step.GetProperty("count").GetInt32() == 20
            && step.GetProperty("p50_ns").GetInt64() > 0
            && step.GetProperty("p50_ns").GetInt64() <= step.GetProperty("max_ns").GetInt64());
        cli.Machines().Length.ShouldBe(1);
    }

    [Theory]
    [InlineData("no command", "exec")]
    [InlineData("does not begin with /", "exec", "--copy-in", "quietus.img:relative", "--", "true")]
    [InlineData("there is no file", "exec", "--copy-in", "nothing:/x", "--", "true")]
    [InlineData("names no variable", "exec", "--env", "=1", "--", "true")]
    [InlineData("is not there", "exec", "--image", "nothing", "--", "true")]
    [InlineData("none that is known", "exec", "--image", "quietus.img", "--", "true")]
    [InlineData("means nothing with --repeat 1", "exec", "--parallel", "2", "--", "true")]
    [InlineData("--tty means nothing with --repeat", "exec", "--repeat", "2", "-t", "--", "true")]
    [InlineData("let --json name a file", "exec", "--json", "-", "--", "true")]
    public void What_makes_no_sense_is_a_usage_error_before_any_machine_starts(
        string message, params string[] arguments)
    {
        using Cli cli = Make();
        Cli.Outcome outcome = cli.Run(arguments);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        cli.Machines().ShouldBeEmpty();
    }

    [Fact]
    public void Without_the_fetched_guest_it_is_not_supported()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("exec", "--", "true");
        outcome.Code.ShouldBe(77, outcome.Errors);
        outcome.Errors.ShouldContain("no Linux guest");
    }

    internal static Cli Make(string mode = "good") => FakeGuest.Install(new Cli(mode));
}

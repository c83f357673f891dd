using System;
using System.Diagnostics;
using System.IO;
using System.Text.Json;
using System.Threading.Tasks;
using Quietus.Cli.Tests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary><c>exec</c> where a server runs: the same as without one, in no machine of its own.</summary>
public sealed class ExecOnServerTests(OneServer shared) : IClassFixture<OneServer>
{
    private Command Cli => shared.Server.Cli;

    [Fact]
    public void It_finds_the_server_and_boots_no_machine()
    {
        Command.Outcome outcome = Cli.RunWithInput(
            "in\n", "exec", "--env", "A=1", "--", "sh", "-c", "cat; echo $A; echo err >&2; exit 7");
        (outcome.Code, outcome.Output, outcome.Errors).ShouldBe((7, "in\n1\n", "err\n"));
        Cli.Machines().Length.ShouldBe(1);
    }

    [Fact]
    public void Codes_are_the_shell_s()
    {
        Cli.Run("exec", "--", "/no/such/program").Code.ShouldBe(127);
        Cli.Run("exec", "--", "/etc/passwd").Code.ShouldBe(126);
        Cli.Run("exec", "--timeout", "300ms", "--", "sleep", "600").Code.ShouldBe(124);
        Command.Outcome outcome = Cli.Shell("($Q exec -- yes; echo code=$? >&2) | head -n 1");
        outcome.Output.ShouldBe("y\n");
        outcome.Errors.ShouldContain("code=141");
    }

    [Fact]
    public void Files_go_in_before_and_come_out_after()
    {
        string source = Cli.WriteFile("source", "hello\n"u8.ToArray());
        string there = Cli.PathOf("there");
        Command.Outcome outcome = Cli.Run(
            "exec", "--copy-in", $"{source}:{there}", "--copy-in", $"/dev/../etc/hostname:{there}.name",
            "--copy-out", $"{there}.2:{Cli.PathOf("back")}", "--copy-out", $"{there}.3:{Cli.PathOf("empty")}",
            "--", "sh", "-c", $"cp {there} {there}.2; : >{there}.3");
        outcome.Code.ShouldBe(0, outcome.Errors);
        File.ReadAllText(Cli.PathOf("back")).ShouldBe("hello\n");
        File.ReadAllText(Cli.PathOf("empty")).ShouldBe("");
        File.ReadAllText(there + ".name").ShouldBe(File.ReadAllText("/etc/hostname"));
        Command.Outcome missing = Cli.Run("exec", "--copy-out", $"/no/file:{Cli.PathOf("never")}", "--", "true");
        missing.Code.ShouldBe(125);
        missing.Errors.ShouldContain("/no/file");
        File.Exists(Cli.PathOf("never")).ShouldBeFalse();
    }

    [Fact]
    public void Ctrl_C_reaches_the_program_and_its_end_is_its_own()
    {
        using Process process = Cli.Start(
            "exec", "--", "sh", "-c", "trap 'echo heard; exit 9' INT; echo ready; while :; do sleep 0.1; done");
        process.StandardOutput.ReadLine().ShouldBe("ready");
        Command.Signal(process, Command.Interrupt);
        Command.Outcome outcome = Command.Finish(process);
        (outcome.Code, outcome.Output).ShouldBe((9, "heard\n"));
    }

    [Fact]
    public void Many_runs_have_percentiles()
    {
        Command.Outcome outcome = Cli.Run(
            "exec", "--repeat", "20", "--parallel", "4", "--json", "many.json", "--", "sh", "-c", "echo x; exit 3");
        outcome.Code.ShouldBe(3, outcome.Errors);
        outcome.Output.ShouldContain("20 jobs, 4 at a time, 256 MB, 1 vCPU each");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Cli.PathOf("many.json")));
        document.RootElement.GetProperty("config").GetProperty("server").GetString()!.ShouldStartWith("unix:/");
        document.RootElement.GetProperty("steps").GetArrayLength().ShouldBe(5);
    }

    [Fact]
    public void What_the_server_does_not_have_boots_a_machine_and_says_so()
    {
        using Command cli = Guests();
        Command.Outcome outcome = cli.With("QUIETUS_SERVER", "unix:" + shared.Server.Socket).Run(
            "exec", "--memory", "512M", "--", "echo", "x");
        (outcome.Code, outcome.Output).ShouldBe((0, "x\n"), outcome.Errors);
        outcome.Errors.ShouldContain(
            "no server has this image, memory or CPU, or copies folders: booting a machine");
        cli.Machines().Length.ShouldBe(1);
    }

    [Fact]
    public void A_server_that_was_named_has_to_be_there()
    {
        using Command cli = Guests();
        Command.Outcome outcome = cli.Run("exec", "--server", "unix:nowhere", "--", "true");
        outcome.Code.ShouldBe(125, outcome.Errors);
        outcome.Errors.ShouldContain("there is no server at unix:");
        cli.Run("exec", "--server", "unix:" + shared.Server.Socket, "--template", "other", "--", "true").Code
            .ShouldBe(2);
        cli.Run("exec", "--server", "nonsense", "--", "true").Code.ShouldBe(2);
        cli.Machines().ShouldBeEmpty();
    }

    private static Command Guests() => Quietus.Cli.Tests.Guests.FakeGuest.Install(new Command());
}

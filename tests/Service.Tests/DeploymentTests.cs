using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using Quietus.Cli.Processes;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>What deploy/ starts is a command line that the server takes.</summary>
public sealed class DeploymentTests
{
    [Fact]
    public void The_unit_starts_the_server_with_options_that_it_has()
    {
        string start = Lines("quietus.service")
            .Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal));
        string[] words = start.Split(' ');
        words[1].ShouldEndWith("/quietus-serve.dll");
        ShouldBeTaken(words[2..]);
    }

    [Fact]
    public void The_container_starts_the_server_with_options_that_it_has()
    {
        string[] lines = Lines("serve.Containerfile");
        string[] entry = Words("ENTRYPOINT ");
        entry[1].ShouldEndWith("/quietus-serve.dll");
        ShouldBeTaken([.. entry[2..], .. Words("CMD ")]);

        string[] Words(string instruction) => JsonSerializer.Deserialize<string[]>(
            lines.Single(line => line.StartsWith(instruction, StringComparison.Ordinal))[instruction.Length..])!;
    }

    /// <summary>
    /// As systemd itself sees the unit; the program that it starts need not be where it will be.
    /// </summary>
    [Fact]
    public void Systemd_finds_nothing_wrong_with_the_unit()
    {
        string? analyze = Programs.Find("systemd-analyze");
        Assert.SkipWhen(analyze is null, "systemd-analyze is not installed: Debian has it in systemd");
        using var cli = new Command();
        string text = string.Join('\n', Lines("quietus.service"));
        string unit = cli.WriteFile(
            "quietus.service",
            Encoding.UTF8.GetBytes(text.Replace("/usr/bin/dotnet", "/bin/true", StringComparison.Ordinal)));
        Command.Outcome verified = Command.Finish(cli.StartProgram(analyze!, ["verify", unit]));
        verified.Code.ShouldBe(0, verified.Errors);
        verified.Errors.ShouldNotContain("quietus.service");
        Command.Outcome secure = Command.Finish(cli.StartProgram(
            analyze!, ["security", "--offline=true", "--threshold=20", "--no-pager", unit]));
        secure.Code.ShouldBe(0, secure.Output);
    }

    /// <summary>QEMU asks for seccomp as it starts, and is killed where that is not allowed.</summary>
    [Fact]
    public void The_unit_lets_QEMU_ask_for_seccomp() =>
        Lines("quietus.service").ShouldContain("SystemCallFilter=@system-service seccomp");

    [Fact]
    public void The_documented_commands_make_what_the_unit_names()
    {
        string commands = File.ReadAllText(Path.Combine(Folders.Home!, "docs/serve.md"));
        commands = commands[commands.IndexOf("dotnet publish", StringComparison.Ordinal)..];
        commands = commands[..commands.IndexOf("```", StringComparison.Ordinal)];
        string[] made = ["/opt/quietus/serve", "/opt/quietus/image/", "/var/cache/quietus"];
        foreach (string path in made)
        {
            commands.ShouldContain(path);
        }

        string[] named = [.. string.Join(' ', Lines("quietus.service")
                .Where(line => line.StartsWith("ExecStart=", StringComparison.Ordinal)
                    || line.StartsWith("Environment=", StringComparison.Ordinal)))
            .Split(' ', '=').Where(word => word.StartsWith("/opt/", StringComparison.Ordinal)
                || word.StartsWith("/var/", StringComparison.Ordinal))];
        named.Length.ShouldBe(4);
        named.ShouldAllBe(path => path == "/opt/quietus" || made.Any(
            folder => path.StartsWith(folder, StringComparison.Ordinal)));
        File.Exists(Path.Combine(AppContext.BaseDirectory, Path.GetFileName(named[0]))).ShouldBeTrue();
    }

    private static string[] Lines(string name) =>
        File.ReadAllLines(Path.Combine(Folders.Home!, "deploy", name));

    private static void ShouldBeTaken(string[] words)
    {
        words[0].ShouldBe("serve");
        using Command cli = FakeGuest.Install(new Command());
        Command.Outcome outcome = Command.Finish(cli.StartServerProgram(["[validate]", .. words]));
        outcome.Code.ShouldBe(0, outcome.Errors);
    }
}

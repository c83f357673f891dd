using System;
using System.IO;
using System.Linq;
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

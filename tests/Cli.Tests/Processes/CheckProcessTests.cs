using System;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Processes;

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
        outcome.Output.ShouldNotContain("\e");
    }

    [Fact]
    public void A_violation_ends_with_1_and_the_line_that_it_prints_finds_it_again()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("check", "--policies", "patch7", "--steps", "100000");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("   => ");
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
    }
}

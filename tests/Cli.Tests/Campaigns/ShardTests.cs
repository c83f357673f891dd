using System;
using System.Collections.Generic;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Campaigns;

/// <summary>How a work is cut, and where a task learns which part is its own.</summary>
public sealed class ShardTests
{
    [Fact]
    public void Parts_follow_each_other_leave_nothing_out_and_differ_by_one()
    {
        for (int count = 1; count <= 40; count++)
        {
            for (long things = 0; things <= 100; things++)
            {
                long next = 0;
                for (int index = 0; index < count; index++)
                {
                    ShardRange part = new Shard(index, count).Of(things);
                    part.First.ShouldBe(next);
                    part.Length.ShouldBeInRange(things / count, (things + count - 1) / count);
                    next = part.End;
                }

                next.ShouldBe(things);
            }
        }

        new Shard(99_999, 100_000).Of(long.MaxValue).End.ShouldBe(long.MaxValue);
    }

    [Theory]
    [InlineData("0/1", 0, 1)]
    [InlineData("7/8", 7, 8)]
    [InlineData("99999/100000", 99_999, 100_000)]
    public void A_shard_is_written_as_index_and_count(string text, int index, int count) =>
        Shard.Parse(text).ShouldBe(new Shard(index, count));

    [Theory]
    [InlineData("8/8")]
    [InlineData("1/0")]
    [InlineData("-1/4")]
    [InlineData("1")]
    [InlineData("1/2/3")]
    [InlineData("1/100001")]
    [InlineData("a/b")]
    [InlineData(" 1/2")]
    public void What_is_no_shard_is_refused(string text) =>
        Should.Throw<CliException>(() => Shard.Parse(text)).ExitCode.ShouldBe(ExitCode.Usage);

    [Theory]
    [InlineData("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=6 SLURM_ARRAY_TASK_COUNT=4", "2/4")]
    [InlineData("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=1 QUIETUS_SHARDS=8", "5/8")]
    [InlineData("JOB_COMPLETION_INDEX=0 QUIETUS_SHARDS=3", "0/3")]
    public void A_task_of_an_engine_knows_its_part(string variables, string shard) =>
        Shard.FromEnvironment(Reader(variables)).ToString().ShouldBe(shard);

    [Theory]
    [InlineData("A=1", "neither a task")]
    [InlineData("JOB_COMPLETION_INDEX=0", "how many")]
    [InlineData("JOB_COMPLETION_INDEX=3 QUIETUS_SHARDS=3", "no part 3 of 3")]
    [InlineData("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_COUNT=3", "gaps")]
    public void A_task_that_cannot_know_is_told_so(string variables, string why) =>
        Should.Throw<CliException>(() => Shard.FromEnvironment(Reader(variables))).Message.ShouldContain(why);

    private static Func<string, string?> Reader(string variables)
    {
        Dictionary<string, string> known = [];
        foreach (string pair in variables.Split(' '))
        {
            known.Add(pair.Split('=')[0], pair.Split('=')[1]);
        }

        return known.GetValueOrDefault;
    }
}

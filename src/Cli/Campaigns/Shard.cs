using System;
using System.Globalization;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// One of the parts that a work is cut into, so that several machines can share it. Parts are ranges of what the work
/// counts (programs, deaths): they do not overlap, leave nothing out, and differ by one at most.
/// </summary>
/// <param name="Index">From 0.</param>
/// <param name="Count">How many parts there are.</param>
internal sealed record Shard(int Index, int Count)
{
    /// <summary>Parts of one work, at most.</summary>
    public const int Most = 100_000;

    /// <summary>
    /// What a campaign tells its tasks, since an engine need not know the whole when it repeats a part.
    /// </summary>
    public const string CountVariable = "QUIETUS_SHARDS";

    private const string Automatic = "auto";

    /// <summary><c>--shard</c>, for the verbs whose work can be cut.</summary>
    public static Value<Shard?> Option() => new(
        "--shard", "i/n", "Only part i of n, from 0/n; auto: what a Slurm array or an indexed Job says", Parse);

    /// <summary>Reads <c>2/8</c> or <c>auto</c>.</summary>
    public static Shard? Parse(string text)
    {
        if (text == Automatic)
        {
            return FromEnvironment(Environment.GetEnvironmentVariable);
        }

        string[] parts = text.Split('/');
        if (parts.Length != 2 || !TryRead(parts[0], out int index) || !TryRead(parts[1], out int count)
            || count is 0 or > Most)
        {
            throw CliException.Usage($"'{text}' is no shard", "write it as 2/8, or auto: part 2 of 8, from 0/8 to 7/8");
        }

        return Checked(index, count, "--shard " + text);
    }

    /// <summary>
    /// The part that an array task of Slurm (sbatch(1), OUTPUT ENVIRONMENT VARIABLES) or a pod of an indexed Job of
    /// Kubernetes is to do.
    /// </summary>
    /// <param name="variable">Reads an environment variable; null where it is not set.</param>
    public static Shard FromEnvironment(Func<string, string?> variable)
    {
        bool hasCount = TryRead(variable(CountVariable), out int count);
        if (TryRead(variable("SLURM_ARRAY_TASK_ID"), out int task))
        {
            // A part that is run again alone is an array of one, so its own count says nothing of the whole.
            if (hasCount)
            {
                return Checked(task, count, "SLURM_ARRAY_TASK_ID");
            }

            if (TryRead(variable("SLURM_ARRAY_TASK_MIN"), out int least)
                && TryRead(variable("SLURM_ARRAY_TASK_MAX"), out int most)
                && TryRead(variable("SLURM_ARRAY_TASK_COUNT"), out count) && count == most - least + 1)
            {
                return Checked(task - least, count, "SLURM_ARRAY_TASK_ID");
            }

            throw CliException.Usage(
                "the Slurm array has gaps, so it does not say how many parts there are",
                $"set {CountVariable}, or give --array=0-7 without gaps");
        }

        return !TryRead(variable("JOB_COMPLETION_INDEX"), out int index)
            ? throw CliException.Usage(
                "--shard auto: this is neither a task of a Slurm array nor a pod of an indexed Job",
                "write it as --shard 2/8")
            : hasCount ? Checked(index, count, "JOB_COMPLETION_INDEX")
            : throw CliException.Usage(
                "an indexed Job does not say how many parts there are", $"set {CountVariable} in its manifest");
    }

    /// <summary>This part of so many things.</summary>
    public ShardRange Of(long things) => new(Start(things, Index), Start(things, Index + 1), things);

    /// <summary>As <c>--shard</c> takes it.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");

    private long Start(long things, int index) => (long)((Int128)things * index / Count);

    private static bool TryRead(string? text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    private static Shard Checked(int index, int count, string where) =>
        count is < 1 or > Most || index >= count
            ? throw CliException.Usage(
                string.Create(CultureInfo.InvariantCulture, $"{where}: there is no part {index} of {count}"),
                string.Create(CultureInfo.InvariantCulture, $"parts count from 0: 0/{count} to {count - 1}/{count}"))
            : new Shard(index, count);
}

/// <summary>Things from a number up to another, of so many in all.</summary>
internal readonly record struct ShardRange(long First, long End, long Of)
{
    public long Length => End - First;
}

/// <summary>Which part of its work a document holds.</summary>
internal sealed record ShardEntry(int Index, int Count, long First, long End, long Of)
{
    /// <summary>Null where the document holds the whole.</summary>
    public static ShardEntry? For(Shard? shard, long things) =>
        shard?.Of(things) is { } range ? new(shard.Index, shard.Count, range.First, range.End, range.Of) : null;
}

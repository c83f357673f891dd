using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Jobs;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Exec;

/// <summary>A program to run in a fresh child, and what goes in and out with it.</summary>
internal sealed record JobPlan
{
    public required JobOrder Order { get; init; }

    /// <summary>Called when the child is born; null for nothing.</summary>
    public Action<MachineVm>? Born { get; init; }

    /// <summary>Puts files into the VM before the program starts; null for none.</summary>
    public Func<JobClient, CancellationToken, Task>? Before { get; init; }

    /// <summary>Takes files out of the VM after the program's end; null for none.</summary>
    public Func<JobClient, CancellationToken, Task>? After { get; init; }

    /// <summary>
    /// How long it may take from the child's birth to the program's end; null for as long as it likes.
    /// </summary>
    public TimeSpan? Limit { get; init; }
}

/// <summary>Where a program's bytes come from and go to.</summary>
/// <param name="Input">Null for none. Its reads can be cancelled.</param>
/// <param name="Output">Standard output, or the terminal.</param>
/// <param name="Error">Standard error.</param>
internal sealed record JobStreams(Stream? Input, Stream Output, Stream Error);

/// <summary>When what happened in a job, in nanoseconds of the host's clock.</summary>
internal sealed record JobTimes
{
    /// <summary>From the fork order to its answer.</summary>
    public long BirthNs { get; init; }

    /// <summary>From the fork order to the program's first output; null where it had none.</summary>
    public long? FirstOutputNs { get; init; }

    /// <summary>From the order to start the program to its end.</summary>
    public long RunNs { get; init; }

    /// <summary>From the kill order to its answer.</summary>
    public long DeathNs { get; init; }

    /// <summary>From the fork order to the end of all.</summary>
    public long TotalNs { get; init; }
}

/// <summary>How a job ended.</summary>
/// <param name="Code">
/// As a shell has it: the program's code, 128 and the signal, 124 at its time limit, 126 or 127 where it did not start.
/// </param>
/// <param name="Message">What a person should know; null for nothing.</param>
/// <param name="Times">When what happened.</param>
internal sealed record JobOutcome(int Code, string? Message, JobTimes Times);

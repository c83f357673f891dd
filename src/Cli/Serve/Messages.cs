using System.Collections.Generic;
using System.Text.Json.Serialization;
using Quietus.Cli.Exec;
using Quietus.Cli.Reports;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Serve;

/// <summary>A program to run.</summary>
/// <param name="Command">The program and its arguments; empty for what the image runs.</param>
/// <param name="Environment">Each NAME=VALUE.</param>
/// <param name="User">Who runs it; null for the template's.</param>
/// <param name="WorkingFolder">Where it begins; null for the template's.</param>
/// <param name="Stdin">Its standard input, as base64; null for none. A WebSocket has messages for it.</param>
/// <param name="TimeoutMs">How long it may take; null, or more than the server allows, for what that allows.</param>
/// <param name="Terminal">It gets a terminal of this size. Only over a WebSocket.</param>
/// <param name="FilesIn">Files to be written first; their bytes follow. Only over a WebSocket.</param>
/// <param name="FilesOut">Paths of files to be read afterwards. Only over a WebSocket.</param>
/// <param name="Network">The network that the VM must have, none or user; null for what the template has.</param>
internal sealed record ExecRequest(
    IReadOnlyList<string>? Command = null,
    IReadOnlyList<string>? Environment = null,
    string? User = null,
    string? WorkingFolder = null,
    string? Stdin = null,
    long? TimeoutMs = null,
    TerminalEntry? Terminal = null,
    IReadOnlyList<FileEntry>? FilesIn = null,
    IReadOnlyList<string>? FilesOut = null,
    string? Network = null);

/// <summary>A terminal's size, in characters.</summary>
internal sealed record TerminalEntry(int Rows, int Columns);

/// <summary>A file of a VM's.</summary>
/// <param name="Path">Absolute, in the VM.</param>
/// <param name="Mode">Permission bits, as a number.</param>
/// <param name="Bytes">Its length.</param>
internal sealed record FileEntry(string Path, uint Mode, long Bytes);

/// <summary>One line of the answer: each has one of these.</summary>
/// <param name="Stdout">Bytes of standard output, as base64.</param>
/// <param name="Stderr">Bytes of standard error, as base64.</param>
/// <param name="End">The last line of a program that ended, or did not start.</param>
/// <param name="Problem">The last line where what runs the program failed.</param>
internal sealed record ExecLine(
    string? Stdout = null, string? Stderr = null, ExecEnd? End = null, Problem? Problem = null);

/// <summary>What a client says in a text message of a WebSocket: one of these. The first message is a run.</summary>
/// <param name="Run">The program.</param>
/// <param name="InputEnd">Its standard input is over.</param>
/// <param name="Signal">For its process group, by arm64 Linux's number.</param>
/// <param name="Terminal">The terminal's new size.</param>
internal sealed record ClientNote(
    ExecRequest? Run = null, bool? InputEnd = null, int? Signal = null, TerminalEntry? Terminal = null);

/// <summary>What the server says in a text message: one of these. The last is an end or a problem.</summary>
/// <param name="Started">The program runs.</param>
/// <param name="FileMode">A file that was asked for is complete; these are its permission bits.</param>
/// <param name="End">How the program ended.</param>
/// <param name="Problem">What runs it failed.</param>
internal sealed record ServerNote(
    bool? Started = null, uint? FileMode = null, ExecEnd? End = null, Problem? Problem = null);

/// <summary>How a program ended.</summary>
/// <param name="ExitCode">As a shell has it; 124 at its time limit, 126 and 127 where it did not start.</param>
/// <param name="Message">What a person should know; null for nothing.</param>
/// <param name="BirthNs">From the fork order to its answer.</param>
/// <param name="FirstOutputNs">From the fork order to the first output; null where there was none.</param>
/// <param name="RunNs">From the order to start the program to its end.</param>
/// <param name="DeathNs">From the kill order to its answer.</param>
/// <param name="TotalNs">From the fork order to the end of all.</param>
/// <param name="MemoryBytes">What the VM had.</param>
/// <param name="Cpus">Its vCPUs.</param>
internal sealed record ExecEnd(
    int ExitCode, string? Message, long BirthNs, long? FirstOutputNs, long RunNs, long DeathNs, long TotalNs,
    long MemoryBytes, int Cpus)
{
    public static ExecEnd Of(JobOutcome outcome, TemplateRecipe recipe) => new(
        outcome.Code, outcome.Message, outcome.Times.BirthNs, outcome.Times.FirstOutputNs, outcome.Times.RunNs,
        outcome.Times.DeathNs, outcome.Times.TotalNs, recipe.MemoryBytes, recipe.Cpus);

    public JobOutcome Outcome() => new(ExitCode, Message, new JobTimes
    {
        BirthNs = BirthNs,
        FirstOutputNs = FirstOutputNs,
        RunNs = RunNs,
        DeathNs = DeathNs,
        TotalNs = TotalNs,
    });
}

/// <summary>A template and its machine.</summary>
/// <param name="Name">As it is kept.</param>
/// <param name="State">starting, ready, or failed until its machine is started anew.</param>
/// <param name="Message">Why it failed; null otherwise.</param>
/// <param name="MemoryBytes">Of each VM.</param>
/// <param name="Cpus">Of each VM.</param>
/// <param name="Vms">VMs alive, and jobs that are about to have one.</param>
/// <param name="MostVms">How many there can be.</param>
/// <param name="Waiting">Jobs that wait for a VM.</param>
/// <param name="Starts">How often its machine was started.</param>
/// <param name="Network">none, or user.</param>
internal sealed record TemplateState(
    string Name, string State, string? Message, long MemoryBytes, int Cpus, int Vms, int MostVms, int Waiting,
    int Starts, string Network);

/// <summary>The templates.</summary>
/// <param name="Templates">Those that are held warm.</param>
/// <param name="Others">Names of those that could be.</param>
internal sealed record TemplateList(IReadOnlyList<TemplateState> Templates, IReadOnlyList<string> Others);

/// <summary>A template to hold warm.</summary>
/// <param name="Name">As it was built.</param>
internal sealed record HoldRequest(string? Name = null);

/// <summary>A VM.</summary>
/// <param name="Id">Names it in this server; never used again.</param>
/// <param name="Template">What it was born of.</param>
/// <param name="Kind">job: a job's, dead with it; kept: lives until it is killed.</param>
/// <param name="State">running, frozen, or ended.</param>
/// <param name="Message">Why it ended; null otherwise.</param>
/// <param name="Parent">The VM that it was forked from; null for the template.</param>
internal sealed record VmState(long Id, string Template, string Kind, string State, string? Message, long? Parent);

/// <summary>The VMs.</summary>
internal sealed record VmList(IReadOnlyList<VmState> Vms);

/// <summary>Whether the server takes work.</summary>
/// <param name="Status">ok, or stopping.</param>
/// <param name="Version">The program's.</param>
internal sealed record Health(string Status, string Version);

/// <summary>Percentiles of one step of the last 1,000 jobs, in nanoseconds.</summary>
internal sealed record StepEntry(string Step, int Count, long P50Ns, long P90Ns, long P99Ns, long MaxNs)
{
    public static StepEntry Of(string step, Percentiles times) =>
        new(step, times.Count, (long)times.P50, (long)times.P90, (long)times.P99, (long)times.Maximum);
}

/// <summary>What was wrong.</summary>
/// <param name="Status">As HTTP has it.</param>
/// <param name="Error">In one line.</param>
/// <param name="Next">What to do about it; null where there is nothing to say.</param>
/// <param name="Details">Lines that belong to it, such as the VM's console; null for none.</param>
internal sealed record Problem(int Status, string Error, string? Next, string? Details = null);

/// <summary>The code that reads and writes these, generated.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ExecRequest))]
[JsonSerializable(typeof(ExecLine))]
[JsonSerializable(typeof(ClientNote))]
[JsonSerializable(typeof(ServerNote))]
[JsonSerializable(typeof(TemplateList))]
[JsonSerializable(typeof(TemplateState))]
[JsonSerializable(typeof(HoldRequest))]
[JsonSerializable(typeof(Overview))]
[JsonSerializable(typeof(VmState))]
[JsonSerializable(typeof(VmList))]
[JsonSerializable(typeof(Health))]
[JsonSerializable(typeof(Problem))]
internal sealed partial class MessageContext : JsonSerializerContext;

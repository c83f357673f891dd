using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Exec;

/// <summary>The result for programs.</summary>
internal sealed record ExecDocument(
    ExecConfiguration Config,
    int ExitCode,
    long BootNs,
    int Jobs,
    int Failed,
    IEnumerable<ExecStepEntry> Steps) : Document(Name)
{
    public const string Name = "quietus.exec/1";

    public static ExecDocument Of(ExecResult result) => new(
        ExecConfiguration.Of(result),
        result.Code,
        result.BootNs,
        result.Outcomes.Count,
        result.Outcomes.Count(outcome => outcome.Code != 0),
        result.Steps.Select(ExecStepEntry.Of));
}

/// <summary>All that it takes to repeat it.</summary>
internal sealed record ExecConfiguration(
    IEnumerable<string> Command,
    string? Image,
    long MemoryBytes,
    int Cpus,
    string Network,
    string Cpu,
    int Repeat,
    int Parallel,
    string? Server,
    string? QemuVersion)
{
    public static ExecConfiguration Of(ExecResult result) => new(
        result.Plan.Command,
        result.Recipe.Image,
        result.Recipe.MemoryBytes,
        result.Recipe.Cpus,
        result.Recipe.HasNetwork ? "user" : "none",
        result.Plan.Cpu.Name,
        result.Plan.Repeat,
        result.Plan.Parallel,
        result.QemuVersion is null ? result.Plan.Server?.ToString() : null,
        result.QemuVersion);
}

/// <summary>One step of all jobs.</summary>
internal sealed record ExecStepEntry(
    string Step,
    int Count,
    [property: JsonPropertyName("p50_ns")] long? P50,
    [property: JsonPropertyName("p90_ns")] long? P90,
    [property: JsonPropertyName("p99_ns")] long? P99,
    long? MaxNs)
{
    public static ExecStepEntry Of(ExecStep step) => new(
        step.Name.Replace(' ', '_'), step.Count, step.P50, step.P90, step.P99, step.Maximum);
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Churn;

/// <summary>A churn for programs.</summary>
internal sealed record ChurnDocument(
    ChurnConfiguration Config,
    int Births,
    bool Interrupted,
    double BirthsPerVirtualSecond,
    long LostBytes,
    long RefusedFrees,
    long LeakedFrames,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? RepeatedRandom,
    IEnumerable<ChurnPhaseEntry> Phases,
    long WallNs) : Document(Name)
{
    public const string Name = "quietus.churn/1";

    public static ChurnDocument Of(ChurnResult result) => new(
        ChurnConfiguration.Of(result),
        result.Lives.Count,
        result.IsInterrupted,
        Math.Round(result.BirthsPerVirtualSecond, 1),
        result.LostBytes,
        result.RefusedFrees,
        result.LeakedFrames,
        result.RepeatedRandom,
        result.Phases.Select(ChurnPhaseEntry.Of),
        result.WallNanoseconds);
}

/// <summary>All that it takes to repeat the churn.</summary>
internal sealed record ChurnConfiguration(
    int Count,
    string Lifetime,
    string Cpu,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Template,
    IEnumerable<long> MemoryBytes,
    IEnumerable<string> PageSizes,
    string QemuVersion,
    [property: JsonPropertyName("image_sha256")] string ImageHash,
    string Command)
{
    public static ChurnConfiguration Of(ChurnResult result) => new(
        result.Plan.Count,
        result.Plan.Lifetime,
        result.Plan.Cpu.Name,
        result.Plan.Template?.Name,
        result.Plan.Template is null ? ChurnPlan.Sizes : [TemplateChurn.MemoryOf(result.Plan.Template)],
        result.Plan.Pages,
        result.QemuVersion,
        result.ImageSha256,
        result.Plan.Command);
}

/// <summary>One step of all lives.</summary>
internal sealed record ChurnPhaseEntry(
    string Phase,
    int Count,
    [property: JsonPropertyName("p50_instructions")] long? P50,
    [property: JsonPropertyName("p90_instructions")] long? P90,
    [property: JsonPropertyName("p99_instructions")] long? P99,
    long? MaxInstructions,
    [property: JsonPropertyName("first_tenth_p50_instructions")] long? FirstTenth,
    [property: JsonPropertyName("last_tenth_p50_instructions")] long? LastTenth)
{
    public static ChurnPhaseEntry Of(ChurnPhase phase) => new(
        phase.Name,
        phase.Count,
        phase.P50,
        phase.P90,
        phase.P99,
        phase.Maximum,
        phase.FirstTenth,
        phase.LastTenth);
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Churn;

/// <summary>A churn for programs.</summary>
internal sealed record ChurnDocument(
    ChurnConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    long Births,
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

    public static ChurnDocument Of(ChurnResult result)
    {
        IReadOnlyList<ChurnPhase> phases = result.Phases;
        return new(
            ChurnConfiguration.Of(result),
            ShardEntry.For(result.Plan.Shard, result.Plan.Count),
            result.Totals.Births,
            result.IsInterrupted,
            Rate(result.Totals.Births, phases),
            result.Totals.LostBytes,
            result.Totals.RefusedFrees,
            result.Totals.LeakedFrames,
            result.Totals.RepeatedRandom,
            phases.Select(phase => ChurnPhaseEntry.Of(phase, result.Plan.Shard is not null)),
            result.WallNanoseconds);
    }

    /// <summary>Births and deaths in a virtual second, to one digit behind the point.</summary>
    public static double Rate(long births, IEnumerable<ChurnPhase> phases) =>
        Math.Round(ChurnPhase.BirthsPerVirtualSecond(births, phases), 1);
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

/// <summary>One step of all lives. A shard's has its figures as well, so that those of the whole can be made.</summary>
internal sealed record ChurnPhaseEntry(
    string Phase,
    long Count,
    [property: JsonPropertyName("p50_instructions")] long? P50,
    [property: JsonPropertyName("p90_instructions")] long? P90,
    [property: JsonPropertyName("p99_instructions")] long? P99,
    long? MaxInstructions,
    [property: JsonPropertyName("first_tenth_p50_instructions")] long? FirstTenth,
    [property: JsonPropertyName("last_tenth_p50_instructions")] long? LastTenth,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<long>? FiguresInstructions,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<long>? FiguresCounts)
{
    public static ChurnPhaseEntry Of(ChurnPhase phase, bool hasFigures) => new(
        phase.Name,
        phase.Figures.Count,
        phase.Figures.Rank(50),
        phase.Figures.Rank(90),
        phase.Figures.Rank(99),
        phase.Figures.Maximum,
        phase.FirstTenth,
        phase.LastTenth,
        hasFigures ? phase.Figures.Values : null,
        hasFigures ? phase.Figures.Counts : null);
}

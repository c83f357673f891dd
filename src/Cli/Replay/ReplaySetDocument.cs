using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;

namespace Quietus.Cli.Replay;

/// <summary>The replay of many traces for programs.</summary>
internal sealed record ReplaySetDocument(
    ReplaySetConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    bool Complete,
    IEnumerable<ReplayedTraceEntry> Traces,
    IEnumerable<ReplaySetRowEntry> Rows,
    IEnumerable<ReplayPercentiles> Percentiles) : Document(Name)
{
    public const string Name = "quietus.replays/1";

    public static ReplaySetDocument Of(ReplaySet set) => new(
        new ReplaySetConfiguration(
            set.Plan.Files,
            set.Plan.Policies.Select(policy => policy.Name),
            set.Plan.Cause.Name,
            set.Plan.Machines.Select(MachineEntry.Of),
            set.Plan.Command),
        ShardEntry.For(set.Plan.Shard, set.Plan.Files.Count),
        set.IsComplete,
        set.Traces.Select(ReplayedTraceEntry.Of),
        set.Rows.Select(row => ReplaySetRowEntry.Of(row.File, row.Row)),
        ReplayPercentiles.Of(set));
}

/// <summary>All that it takes to repeat the replay.</summary>
internal sealed record ReplaySetConfiguration(
    IReadOnlyList<string> Traces,
    IEnumerable<string> Policies,
    string Cause,
    IEnumerable<MachineEntry> Machines,
    string Command);

/// <summary>One trace: what it holds, or why it could not be played.</summary>
internal sealed record ReplayedTraceEntry(
    string Trace,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] TracedEntry? Traced,
    IEnumerable<Difference> Differences,
    IEnumerable<string> Notes)
{
    public static ReplayedTraceEntry Of(ReplayedTrace trace) => trace.Result is { } result
        ? new(
            trace.File, null, TracedEntry.Of(result.Trace), Difference.Find(result.Trace, result.Rows),
            ReplayTable.Notes(result))
        : new(trace.File, trace.Error, null, [], []);
}

/// <summary>A trace under one policy on one machine.</summary>
internal sealed record ReplaySetRowEntry(
    string Trace,
    string Machine,
    string Policy,
    ReplayPhaseEntry Map,
    ReplayPhaseEntry Unmap,
    ReplayPhaseEntry Death,
    long RefusedMaps)
{
    public static ReplaySetRowEntry Of(string file, ReplayRow row)
    {
        ReplayRowEntry entry = ReplayRowEntry.Of(row);
        return new(file, entry.Machine, entry.Policy, entry.Map, entry.Unmap, entry.Death, entry.RefusedMaps);
    }
}

/// <summary>One phase of all traces that have it, under one policy on one machine.</summary>
/// <param name="Phase">map, unmap or death.</param>
/// <param name="Traces">How many have it.</param>
internal sealed record ReplayPercentiles(
    string Machine,
    string Policy,
    string Phase,
    int Traces,
    [property: JsonPropertyName("p50_ns")] double P50,
    [property: JsonPropertyName("p90_ns")] double P90,
    [property: JsonPropertyName("p99_ns")] double P99,
    [property: JsonPropertyName("max_ns")] double Maximum)
{
    /// <summary>The phases, by their keys in a row.</summary>
    public static IReadOnlyList<string> Phases { get; } = ["map", "unmap", "death"];

    public static IReadOnlyList<ReplayPercentiles> Of(ReplaySet set) => Of(set.Rows.SelectMany(
        row => Phases, (row, phase) => (row.Row.Machine.Name, row.Row.Policy.Name, phase, Document.Rounded(
            (phase == Phases[0] ? row.Row.Mapping : phase == Phases[1] ? row.Row.Unmapping : row.Row.Death)
            .Nanoseconds))));

    /// <summary>From each trace's figures; a phase that took no time was not in its trace.</summary>
    public static IReadOnlyList<ReplayPercentiles> Of(
        IEnumerable<(string Machine, string Policy, string Phase, double Nanoseconds)> figures) =>
    [
        .. figures.Where(figure => figure.Nanoseconds > 0)
            .GroupBy(figure => (figure.Machine, figure.Policy, figure.Phase), figure => figure.Nanoseconds)
            .Select(group => Of(group.Key, Reports.Percentiles.Of(group))),
    ];

    private static ReplayPercentiles Of(
        (string Machine, string Policy, string Phase) of, Percentiles figures) => new(
        of.Machine, of.Policy, of.Phase, figures.Count, figures.P50, figures.P90, figures.P99, figures.Maximum);
}

using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Reports;
using Quietus.Oracle.Search;

namespace Quietus.Cli.Check;

/// <summary>What an exhaustive search came to, or a shard of one up to a level, for programs.</summary>
/// <param name="Complete">Whether it was not ended before it was through.</param>
internal sealed record ExhaustiveDocument(
    ExhaustiveConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    bool Complete,
    IReadOnlyList<ExhaustiveEntry> Searches) : Document(Name)
{
    public const string Name = "quietus.exhaustive/1";
}

/// <summary>All that it takes to repeat the searches.</summary>
/// <param name="Features">Sets of features, by the names that --exhaustive takes.</param>
/// <param name="Level">Of a shard: how far it is. Null where the document holds the whole.</param>
internal sealed record ExhaustiveConfiguration(
    IReadOnlyList<string> Policies,
    int Pes,
    int Vms,
    int Pages,
    int Steps,
    bool Forks,
    bool SplitsFaults,
    IReadOnlyList<string> Features,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Level);

/// <summary>One policy on one machine.</summary>
/// <param name="Depth">All programs of so many steps were run.</param>
/// <param name="AnyLength">Whether programs of any length were: no step leads to a new state.</param>
/// <param name="StatesByDepth">States that so many steps lead to, and fewer do not: from 0 steps on.</param>
internal sealed record ExhaustiveEntry(
    string Policy,
    string Features,
    long States,
    long Transitions,
    int Depth,
    bool AnyLength,
    IReadOnlyList<long> StatesByDepth,
    IReadOnlyList<ExhaustiveViolation> Violations)
{
    /// <summary>What one machine would have found.</summary>
    /// <param name="parts">Of all shards, or of one shard's levels; they may differ in how deep they are.</param>
    public static ExhaustiveEntry Join(IReadOnlyList<ExhaustiveEntry> parts)
    {
        List<long> byDepth =
        [
            .. Enumerable.Range(0, parts.Max(part => part.StatesByDepth.Count)).Select(depth =>
                parts.Sum(part => part.StatesByDepth.ElementAtOrDefault(depth))),
        ];
        int end = byDepth.IndexOf(0);
        if (end >= 0)
        {
            byDepth.RemoveRange(end + 1, byDepth.Count - end - 1);
        }

        return parts[0] with
        {
            States = byDepth.Sum(),
            Transitions = parts.Sum(part => part.Transitions),
            Depth = byDepth.Count - 1,
            AnyLength = end >= 0,
            StatesByDepth = byDepth,
            Violations = FirstOfEach(parts.SelectMany(part => part.Violations)),
        };
    }

    /// <summary>Of each kind and reader the one of the first program, in the order of the programs.</summary>
    public static IReadOnlyList<ExhaustiveViolation> FirstOfEach(IEnumerable<ExhaustiveViolation> violations) =>
    [
        .. violations.OrderBy(violation => violation.Program, _byProgram)
            .DistinctBy(violation => (violation.Kind, violation.Consumer)),
    ];

    private static readonly Comparer<IReadOnlyList<int>> _byProgram = Comparer<IReadOnlyList<int>>.Create(
        static (one, other) => StateExpansion.Compare(
            [.. one.Select(step => (byte)step)], [.. other.Select(step => (byte)step)]));
}

/// <summary>A violation, shrunk, and how to see it again.</summary>
/// <param name="Program">
/// Numbers of the steps that led to it first, before it was shrunk: its place in the order.
/// </param>
internal sealed record ExhaustiveViolation(
    IReadOnlyList<int> Program,
    string Policy,
    string Kind,
    string Consumer,
    IReadOnlyList<string> Story,
    string Command)
{
    public static ExhaustiveViolation Of(ExhaustiveFinding finding, string policy, string command) => new(
        [.. finding.Program.Select(step => (int)step)],
        policy,
        finding.Violation.Kind.ToString(),
        finding.Violation.Consumer,
        [.. Oracle.Search.Story.Of(Subject.Engine, finding, command).Select(line => line.TrimEnd())],
        command);
}

/// <summary>Generated code for what shards read of each other.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ExhaustiveEntry[]))]
internal sealed partial class ExhaustiveContext : JsonSerializerContext;

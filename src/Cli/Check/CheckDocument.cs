using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Reports;
using Quietus.Oracle.Search;

namespace Quietus.Cli.Check;

/// <summary>What a search of random programs came to, for programs.</summary>
/// <param name="Complete">Whether it was not ended before its last program, other than by a violation.</param>
internal sealed record CheckDocument(
    CheckConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    bool Complete,
    long Programs,
    long Steps,
    long Checks,
    IEnumerable<ViolationEntry> Violations) : Document(Name)
{
    public const string Name = "quietus.check/1";
}

/// <summary>All that it takes to repeat the search: the same for each of its shards.</summary>
/// <param name="Programs">In all; the last seed follows from it. Null where time alone ends the search.</param>
internal sealed record CheckConfiguration(
    IEnumerable<string> Policies,
    int FirstSeed,
    int? Programs,
    int StepsPerProgram,
    bool AllFindings);

/// <summary>A violation, shrunk, and how to see it again.</summary>
internal sealed record ViolationEntry(
    int Seed,
    string Policy,
    string Kind,
    string Consumer,
    IReadOnlyList<string> Story,
    string Command)
{
    public static ViolationEntry Of(Finding finding, string policy, string command) => new(
        finding.Seed,
        policy,
        finding.Violation.Kind.ToString(),
        finding.Violation.Consumer,
        [.. Oracle.Search.Story.Of(Subject.Engine, finding, command).Select(line => line.TrimEnd())],
        command);
}

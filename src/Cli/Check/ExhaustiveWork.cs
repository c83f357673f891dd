using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Oracle.Recording;
using Quietus.Oracle.Search;
using Policies = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Check;

/// <summary>What --exhaustive asks for: each policy, on each set of features.</summary>
/// <param name="Policies">One or more.</param>
/// <param name="Sets">The same bounds, once for each set of features.</param>
internal sealed record ExhaustiveWork(IReadOnlyList<Policies> Policies, IReadOnlyList<ExhaustiveBounds> Sets)
{
    /// <summary>The searches, in the order in which they are run and told.</summary>
    public IEnumerable<(Policies Policy, ExhaustiveBounds Bounds)> Searches =>
        Policies.SelectMany(policy => Sets, (policy, bounds) => (policy, bounds));

    /// <summary>All that it takes to repeat it.</summary>
    /// <param name="level">Of a shard; null for the whole.</param>
    public ExhaustiveConfiguration Configuration(int? level) => new(
        [.. Policies.Select(policy => policy.Name)], Sets[0].Pes, Sets[0].Vms, Sets[0].Pages, Sets[0].Steps,
        Sets[0].Forks, Sets[0].SplitsFaults, [.. Sets.Select(Features)], level);

    /// <summary>A machine's features, as features= takes them.</summary>
    public static string Features(ExhaustiveBounds bounds) =>
        TraceFormat.NameFeatures(bounds.Features).Replace(',', '+');

    /// <summary>Bounds as --exhaustive takes them; what is the default is left out.</summary>
    public static string Words(ExhaustiveBounds bounds)
    {
        string features = bounds.Features == default ? string.Empty : ",features=" + Features(bounds);
        string forks = bounds.Forks ? ",forks=1" : string.Empty;
        string faults = bounds.SplitsFaults ? ",faults=2" : string.Empty;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"pes={bounds.Pes},vms={bounds.Vms},pages={bounds.Pages},steps={bounds.Steps}{forks}{faults}{features}");
    }

    /// <summary>What a search found, with the command that finds it again.</summary>
    public static IReadOnlyList<ExhaustiveViolation> Violations(
        Policies policy, ExhaustiveBounds bounds, IEnumerable<ExhaustiveFinding> findings) =>
    [
        .. findings.Select(finding => ExhaustiveViolation.Of(
            finding, policy.Name, $"./quietus check --exhaustive {Words(bounds)} --policies {policy.Name}")),
    ];
}

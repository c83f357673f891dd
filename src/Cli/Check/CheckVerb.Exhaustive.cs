using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Recording;
using Quietus.Oracle.Search;
using Policies = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Check;

// --exhaustive: every program within bounds, policy by policy.
internal static partial class CheckVerb
{
    private const int DefaultDepth = 5;

    private const int MostSteps = 20;

    private static readonly Value<IReadOnlyList<ExhaustiveBounds>?> _exhaustive = new(
        "--exhaustive", "bounds",
        "Every program within bounds, such as pes=2,vms=2,pages=2,steps=5, instead of random ones; features= takes "
            + "names joined by +, or all",
        ReadBounds);

    /// <summary>The bounds, once for each set of features.</summary>
    private static IReadOnlyList<ExhaustiveBounds> ReadBounds(string text)
    {
        var bounds = new ExhaustiveBounds(2, 2, 2, DefaultDepth);
        var given = new HashSet<string>();
        IReadOnlyList<MachineFeatures> sets = [default];
        foreach (string item in text.Split(','))
        {
            string[] parts = item.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : string.Empty;
            if (!given.Add(parts[0]))
            {
                throw CliException.Usage(
                    $"--exhaustive takes '{Printable.Line(parts[0])}' once", "leave one of them out");
            }

            switch (parts[0])
            {
                case "pes":
                    bounds = bounds with { Pes = ReadBound(value, "pes", 4) };
                    break;
                case "vms":
                    bounds = bounds with { Vms = ReadBound(value, "vms", 3) };
                    break;
                case "pages":
                    bounds = bounds with { Pages = ReadBound(value, "pages", 4) };
                    break;
                case "steps":
                    bounds = bounds with { Steps = ReadBound(value, "steps", MostSteps) };
                    break;
                case "forks":
                    bounds = bounds with { Forks = ReadBound(value, "forks", 1) == 1 };
                    break;
                case "faults":
                    bounds = bounds with { SplitsFaults = ReadBound(value, "faults", 2) == 2 };
                    break;
                case "features":
                    sets = ReadFeatures(value);
                    break;
                default:
                    throw CliException.Usage(
                        $"--exhaustive takes no '{Printable.Line(item)}'",
                        "it takes bounds as in pes=2,vms=2,pages=2,steps=5");
            }
        }

        return [.. sets.Select(features => bounds with { Features = features })];
    }

    private static int ReadBound(string text, string name, int most) =>
        Values.ReadNumber(text, $"--exhaustive {name}=", "bound", 1, most);

    private static IReadOnlyList<MachineFeatures> ReadFeatures(string text) =>
        text == "all" ? ExhaustiveBounds.FeatureSets
        : TraceFormat.TryParseFeatures(text.Replace('+', ','), out MachineFeatures features)
            && !features.EarlyCompletion
            ? [features]
            : throw CliException.Usage(
                $"--exhaustive features= takes no '{Printable.Line(text)}'",
                "it takes none, all, or of fwb+tlbirange+ttl+dic+bbm2, each once");

    private static async Task<int> RunExhaustiveAsync(
        ParseResult result, IReadOnlyList<ExhaustiveBounds> sets, IReadOnlyList<Policies> policies, int jobs,
        TimeSpan? limit, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (limit is TimeSpan most)
        {
            stop.CancelAfter(most);
        }

        Finding? first = null;
        bool isCut = false;
        foreach ((Policies policy, ExhaustiveBounds bounds) in policies.SelectMany(
            policy => sets, (policy, bounds) => (policy, bounds)))
        {
            if (stop.IsCancellationRequested)
            {
                isCut = true;
                break;
            }

            string name = sets.Count == 1 ? policy.Name : $"{policy.Name}, {Story.FeaturesOf(bounds.Features)}";
            var search = new ExhaustiveSearch(Subject.Engine, ToEngine(policy), bounds);
            var watch = Stopwatch.StartNew();
            Task<ExhaustiveCoverage> running = Task.Run(() => search.Run(jobs, stop.Token), CancellationToken.None);
            while (await Task.WhenAny(running, Task.Delay(1000, CancellationToken.None)).ConfigureAwait(false)
                != running)
            {
                Notice.Status(
                    $"{policy.Name}: {Counted.Of(search.States, "state")}, "
                        + Counted.Of(search.Transitions, "transition"));
            }

            ExhaustiveCoverage coverage = await running.ConfigureAwait(false);
            Notice.Status(string.Empty);

            foreach (Finding finding in coverage.Findings)
            {
                Tell(finding, $"./quietus check --exhaustive {Words(bounds)} --policies {policy.Name}");
            }

            first ??= coverage.Findings.Count != 0 ? coverage.Findings[0] : null;
            isCut |= !coverage.IsComplete && coverage.Depth < bounds.Steps;
            Tell(name, bounds, coverage);
            Notice.Write(
                $"{watch.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s on "
                    + Counted.Of(jobs, "thread"));
        }

        if (first is not null)
        {
            CheckTraces.Record(result, listener =>
                Subject.Engine.Run(first.Options with { Listener = listener }, first.Steps));
        }
        else if (CheckTraces.Records(result))
        {
            Console.WriteLine("nothing was found, so nothing is recorded");
        }

        return first is not null ? ExitCode.Failed
            : cancellation.IsCancellationRequested ? ExitCode.Interrupted
            : isCut ? ExitCode.TimeLimit
            : ExitCode.Ok;
    }

    private static void Tell(string name, ExhaustiveBounds bounds, ExhaustiveCoverage coverage)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}: {Counted.Of(coverage.States, "distinct state")}, "
                + $"{Counted.Of(coverage.Transitions, "transition")},"));
        string depth = coverage.IsComplete
            ? "all programs of any length: no step leads to a new state"
            : $"all programs of {coverage.Depth} of {Counted.Of(bounds.Steps, "step")}";
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  {depth}, {Counted.Of(coverage.Findings.Count, "violation")}"));
    }

    private static string Words(ExhaustiveBounds bounds)
    {
        string features = bounds.Features == default ? string.Empty
            : ",features=" + TraceFormat.NameFeatures(bounds.Features).Replace(',', '+');
        string forks = bounds.Forks ? ",forks=1" : string.Empty;
        string faults = bounds.SplitsFaults ? ",faults=2" : string.Empty;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"pes={bounds.Pes},vms={bounds.Vms},pages={bounds.Pages},steps={bounds.Steps}{forks}{faults}{features}");
    }
}

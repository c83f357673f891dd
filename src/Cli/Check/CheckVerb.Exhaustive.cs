using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
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
        "Every program within bounds, such as pes=2,vms=2,pages=2,steps=5, instead of random ones; forks=1 adds "
            + "templates and children, faults=2 makes a fault two steps, vcpus=2 tells vCPUs apart, "
            + "features= takes names joined by +, or all",
        ReadBounds);

    private static readonly Value<int?> _level = Values.Number(
        "--level", "Of --exhaustive with --shard: take every step from the states that so many steps lead to", "level",
        0, MostSteps);

    private static readonly Value<string?> _states = Values.Text(
        "--states", "dir", "Of --exhaustive with --shard: where all shards keep their states from level to level");

    /// <summary>The bounds, once for each set of features.</summary>
    internal static IReadOnlyList<ExhaustiveBounds> ReadBounds(string text)
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
                case "vcpus":
                    bounds = bounds with
                    {
                        Vcpus = Values.ReadNumber(value, "--exhaustive vcpus=", "bound", 2, 4),
                    };
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

        int steps = bounds.Alphabet().Count;
        return steps <= ExhaustiveBounds.MostSteps
            ? [.. sets.Select(features => bounds with { Features = features })]
            : throw CliException.Usage(
                FormattableString.Invariant(
                    $"--exhaustive: these bounds have {steps} different steps, more than {ExhaustiveBounds.MostSteps}"),
                "give fewer pes, vms or pages");
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
        ParseResult result, ExhaustiveWork work, int jobs, TimeSpan? limit, CancellationToken cancellation)
    {
        ExhaustiveLevel? level = ReadLevel(result, work);
        string? json = Json.Of(result);
        CheckTraces.Prepare(result);
        if (json is not null)
        {
            ResultFile.Check([("--json", json)]);
        }

        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (limit is TimeSpan most)
        {
            stop.CancelAfter(most);
        }

        bool isQuiet = ResultFile.IsStandardOutput(json);
        var watch = Stopwatch.StartNew();
        ExhaustiveDocument document;
        Finding? first = null;
        if (level is not null)
        {
            if (await FollowAsync(() => level.Run(jobs, stop.Token), () => level.Progress).ConfigureAwait(false)
                is not { } part)
            {
                return cancellation.IsCancellationRequested ? ExitCode.Interrupted : ExitCode.TimeLimit;
            }

            document = part;
        }
        else
        {
            (document, first) = await SearchAsync(work, jobs, !isQuiet, stop.Token).ConfigureAwait(false);
        }

        if (level is not null && !isQuiet)
        {
            TellAll(document.Searches, work.Sets.Count, level.Depth);
        }

        if (json is not null)
        {
            ResultFile.Write(json, document.Write);
        }

        Notice.Write(
            $"{watch.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s on "
                + Counted.Of(jobs, "thread"));
        if (first is not null)
        {
            CheckTraces.Record(result, listener =>
                Subject.Engine.Run(first.Options with { Listener = listener }, first.Steps));
        }
        else if (CheckTraces.Records(result))
        {
            Notice.Write("nothing was found, so nothing is recorded");
        }

        return document.Searches.Any(search => search.Violations.Count != 0) ? ExitCode.Failed
            : cancellation.IsCancellationRequested ? ExitCode.Interrupted
            : document.Complete ? ExitCode.Ok
            : ExitCode.TimeLimit;
    }

    /// <summary>All searches on this machine; each is told when it ends.</summary>
    private static async Task<(ExhaustiveDocument Document, Finding? First)> SearchAsync(
        ExhaustiveWork work, int jobs, bool tells, CancellationToken stop)
    {
        List<ExhaustiveEntry> entries = [];
        Finding? first = null;
        bool isWhole = true;
        foreach ((Policies policy, ExhaustiveBounds bounds) in work.Searches)
        {
            if (stop.IsCancellationRequested)
            {
                isWhole = false;
                break;
            }

            var search = new ExhaustiveSearch(Subject.Engine, ToEngine(policy), bounds);
            ExhaustiveCoverage coverage = await FollowAsync(
                () => search.Run(jobs, stop),
                () => $"{policy.Name}: {Counted.Of(search.States, "state")}, "
                    + Counted.Of(search.Transitions, "transition")).ConfigureAwait(false);
            first ??= coverage.Findings.Count != 0 ? coverage.Findings[0] : null;
            isWhole &= coverage.IsComplete || coverage.Depth == bounds.Steps;
            var entry = new ExhaustiveEntry(
                policy.Name, ExhaustiveWork.Features(bounds), coverage.States, coverage.Transitions, coverage.Depth,
                coverage.IsComplete, coverage.StatesByDepth,
                ExhaustiveWork.Violations(policy, bounds, coverage.Findings));
            entries.Add(entry);
            if (tells)
            {
                TellAll([entry], work.Sets.Count, bounds.Steps);
            }
        }

        return (new ExhaustiveDocument(work.Configuration(null), null, isWhole, entries), first);
    }

    /// <summary>Runs something that takes long, and says once a second how far it is.</summary>
    private static async Task<T> FollowAsync<T>(Func<T> run, Func<string> progress)
    {
        Task<T> running = Task.Run(run, CancellationToken.None);
        while (await Task.WhenAny(running, Task.Delay(1000, CancellationToken.None)).ConfigureAwait(false) != running)
        {
            Notice.Status(progress());
        }

        Notice.Status(string.Empty);
        return await running.ConfigureAwait(false);
    }

    /// <summary>The shard and the level that are asked for; null where the search is this machine's alone.</summary>
    private static ExhaustiveLevel? ReadLevel(ParseResult result, ExhaustiveWork work)
    {
        if (_shard.Of(result) is not { } shard)
        {
            CommonOptions.Refuse(result, [_level, _states], "without --shard", "add --shard 0/2");
            return null;
        }

        if (!_level.IsGiven(result) || !_states.IsGiven(result))
        {
            throw CliException.Usage(
                "--exhaustive goes by levels: --shard needs --level and --states",
                "./quietus campaign check --exhaustive … runs them all; docs/campaigns.md says how to do it by hand");
        }

        int level = _level.Of(result)!.Value;
        if (level > work.Sets[0].Steps)
        {
            throw CliException.Usage(
                FormattableString.Invariant($"there is no level {level} of {work.Sets[0].Steps} steps"),
                FormattableString.Invariant($"--level takes 0 to {work.Sets[0].Steps}"));
        }

        return CheckTraces.Records(result)
            ? throw CliException.Usage(
                "--record and --export-casemate do not go with --shard", "give the command that the violation prints")
            : new ExhaustiveLevel(work, shard, level, _states.Of(result)!);
    }

    /// <summary>The stories of violations, and what was covered.</summary>
    /// <param name="searches">One or more.</param>
    /// <param name="sets">How many sets of features there are in all: one goes without saying.</param>
    /// <param name="steps">How deep was asked for.</param>
    internal static void TellAll(IReadOnlyList<ExhaustiveEntry> searches, int sets, int steps, TextWriter? to = null)
    {
        TextWriter writer = to ?? Console.Out;
        foreach (ExhaustiveEntry search in searches)
        {
            foreach (ExhaustiveViolation violation in search.Violations)
            {
                Tell(violation.Story, writer);
            }

            string name = sets == 1 ? search.Policy : $"{search.Policy}, {search.Features}";
            writer.WriteLine(
                $"{name}: {Counted.Of(search.States, "distinct state")}, "
                    + $"{Counted.Of(search.Transitions, "transition")},");
            string depth = search.AnyLength
                ? "all programs of any length: no step leads to a new state"
                : FormattableString.Invariant($"all programs of {search.Depth} of {Counted.Of(steps, "step")}");
            writer.WriteLine($"  {depth}, {Counted.Of(search.Violations.Count, "violation")}");
        }
    }
}

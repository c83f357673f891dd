using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Recording;
using Quietus.Oracle.Search;
using Quietus.Stage2;
using Engine = Quietus.Memory.MaintenancePolicy;
using Policies = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Check;

/// <summary><c>quietus check</c>: is it safe to leave this out? Random programs against the oracle.</summary>
internal static partial class CheckVerb
{
    private const int StepsPerProgram = 1000;

    private static readonly Value<IReadOnlyList<Policies>> _policies =
        CommonOptions.Policies("fate,before-series,patch6");

    private static readonly Value<int?> _seed =
        Values.Number("--seed", "The first program's seed", "seed", 1, int.MaxValue, "1");

    private static readonly Value<int?> _steps = Values.Number(
        "--steps", "Steps in all, rounded up to programs of 1000 [default: as the time allows]", "number of steps", 1,
        int.MaxValue - StepsPerProgram);

    private static readonly Value<TimeSpan?> _limit =
        Values.Time("--time-limit", "How long to search [default: 30s, or no limit with --steps]");

    private static readonly Value<int?> _jobs =
        Values.Number("--jobs", "Threads [default: one for each core]", "number of jobs", 1, 256);

    private static readonly Option<bool> _all = new("--all-findings")
    {
        Description = "Go on after a violation, to one of each kind and reader",
    };

    private static readonly Value<Shard?> _shard = Campaigns.Shard.Option();

    /// <summary>Where a search's result goes as JSON, or that of <see cref="CheckLitmus"/>.</summary>
    internal static Value<string?> Json { get; } = Values.Text(
        "--json", "file", $"Write the result as JSON ({CheckDocument.Name}); - is stdout");

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("check", "Find out whether elided maintenance is safe by the architecture")
        {
            _policies, _seed, _steps, _limit, _jobs, _all, _exhaustive, _shard, _level, _states, Json,
        };
        CheckTraces.AddTo(command);
        CheckLitmus.AddTo(command);
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        if ((CheckLitmus.Run(result, cancellation) ?? CheckTraces.Run(result, cancellation)) is int verdict)
        {
            return verdict;
        }

        IReadOnlyList<Policies> policies = _policies.Of(result);
        int seed = _seed.Of(result)!.Value;
        int programs = _steps.Of(result) is int steps
            ? ((steps - 1) / StepsPerProgram) + 1
            : int.MaxValue - seed;
        int jobs = _jobs.Of(result) ?? Environment.ProcessorCount;
        if (_exhaustive.Of(result) is { } sets)
        {
            CommonOptions.Refuse(
                result, [_seed, _steps, _all], "to --exhaustive", "it takes steps= in its bounds, and finds all");
            return await RunExhaustiveAsync(
                result, new ExhaustiveWork(policies, sets), jobs, _limit.Of(result), cancellation)
                .ConfigureAwait(false);
        }

        CommonOptions.Refuse(
            result, [_level, _states], "without --exhaustive", "add --exhaustive pes=2,vms=2,pages=2,steps=8");

        TimeSpan? limit = _limit.Of(result) ?? (_steps.IsGiven(result) ? null : TimeSpan.FromSeconds(30));
        Shard? shard = _shard.Of(result);
        if (shard is not null && !_steps.IsGiven(result))
        {
            throw CliException.Usage(
                "--shard needs --steps", "without it there is no whole to take a part of: add --steps 1000000");
        }

        ShardRange part = (shard ?? new Shard(0, 1)).Of(programs);
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

        var search = new RandomSearch(Subject.Engine, [.. policies.Select(ToEngine)])
        {
            StepsPerProgram = StepsPerProgram,
            FindsAll = result.GetValue(_all),
        };
        var watch = Stopwatch.StartNew();
        int first = seed + (int)part.First;
        Task<Coverage> running = Task.Run(
            () => search.Run(first, (int)part.Length, jobs, stop.Token), CancellationToken.None);
        while (await Task.WhenAny(running, Task.Delay(1000, CancellationToken.None)).ConfigureAwait(false) != running)
        {
            Notice.Status($"{Counted.Of(search.Programs, "program")}, {Count(Rate(search.Events, watch))} checks/s");
        }

        Coverage coverage = await running.ConfigureAwait(false);
        Notice.Status(string.Empty);
        CheckTraces.Record(result, listener => Rerun(coverage, first, policies, listener));
        bool isWhole = coverage.Programs == part.Length || (coverage.Findings.Count != 0 && !search.FindsAll);
        var document = new CheckDocument(
            new CheckConfiguration(
                policies.Select(policy => policy.Name), seed, _steps.IsGiven(result) ? programs : null,
                StepsPerProgram, search.FindsAll),
            ShardEntry.For(shard, programs), isWhole, coverage.Programs, coverage.Steps, coverage.Events,
            [.. coverage.Findings.Select(finding => ViolationEntry.Of(finding, NameOf(finding), Again(finding)))]);
        if (!ResultFile.IsStandardOutput(json))
        {
            Tell(document);
        }

        if (json is not null)
        {
            ResultFile.Write(json, document.Write);
        }

        Notice.Write(
            $"{watch.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s, "
            + $"{Count(Rate(coverage.Events, watch))} checks/s on {Counted.Of(jobs, "thread")}; policies "
            + string.Join(',', document.Config.Policies));
        return coverage.Findings.Count != 0 ? ExitCode.Failed
            : cancellation.IsCancellationRequested ? ExitCode.Interrupted
            : _steps.IsGiven(result) && stop.IsCancellationRequested ? ExitCode.TimeLimit
            : ExitCode.Ok;
    }

    /// <summary>The stories of a search's violations, and what it covered.</summary>
    internal static void Tell(CheckDocument document)
    {
        int violations = 0;
        foreach (ViolationEntry violation in document.Violations)
        {
            violations++;
            Tell(violation.Story, Console.Out);
        }

        // Where the first violation ends the search, how far the other threads had come by then is chance.
        Console.WriteLine(violations != 0 && !document.Config.AllFindings
            ? "1 violation; --all-findings goes on"
            : $"{Counted.Of(document.Programs, "program")}, {Counted.Of(document.Steps, "step")}, "
                + $"{Counted.Of(document.Checks, "check")}, {Counted.Of(violations, "violation")}");
    }

    private static string NameOf(Finding finding) =>
        Policies.All.First(policy => ToEngine(policy) == finding.Options.Policy).Name;

    private static string Again(Finding finding) => string.Create(
        CultureInfo.InvariantCulture,
        $"./quietus check --seed {finding.Seed} --steps {StepsPerProgram} --policies {NameOf(finding)}");

    /// <summary>
    /// The first violation's program, shrunk, or else the first program of pages of 4K, which casemate reads, too.
    /// </summary>
    private static void Rerun(
        Coverage coverage, int seed, IReadOnlyList<Policies> policies, IEventListener listener)
    {
        Finding? finding = coverage.Findings.Count != 0 ? coverage.Findings[0] : null;
        ProgramOptions options = finding?.Options ?? OptionsOf(seed);
        while (finding is null && options.GranuleShift != 12)
        {
            options = OptionsOf(++seed);
        }

        Subject.Engine.Run(
            options with { Listener = listener }, finding?.Steps ?? RandomProgram.Steps(seed, StepsPerProgram));

        ProgramOptions OptionsOf(int number) =>
            RandomProgram.Options(number, ToEngine(policies[(int)((uint)number % (uint)policies.Count)]));
    }

    /// <summary>A violation's story.</summary>
    internal static void Tell(IReadOnlyList<string> lines, TextWriter writer)
    {
        bool isFirst = true;
        foreach (string line in lines)
        {
            string text = Printable.Line(line);
            writer.WriteLine(isFirst ? Style.Bold(text) : text);
            isFirst = false;
        }

        writer.WriteLine();
    }

    /// <summary>A policy as the engine knows it.</summary>
    internal static Engine ToEngine(Policies policy) =>
        Enum.Parse<Engine>(policy.Name.Replace("-", string.Empty, StringComparison.Ordinal), ignoreCase: true);

    private static long Rate(long events, Stopwatch watch) =>
        (long)(events / Math.Max(0.001, watch.Elapsed.TotalSeconds));

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}

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

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("check", "Find out whether elided maintenance is safe by the architecture")
        {
            _policies, _seed, _steps, _limit, _jobs, _all, _exhaustive,
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
            CheckTraces.Prepare(result);
            return await RunExhaustiveAsync(result, sets, policies, jobs, _limit.Of(result), cancellation)
                .ConfigureAwait(false);
        }

        TimeSpan? limit = _limit.Of(result) ?? (_steps.IsGiven(result) ? null : TimeSpan.FromSeconds(30));
        CheckTraces.Prepare(result);
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
        Task<Coverage> running = Task.Run(() => search.Run(seed, programs, jobs, stop.Token), CancellationToken.None);
        while (await Task.WhenAny(running, Task.Delay(1000, CancellationToken.None)).ConfigureAwait(false) != running)
        {
            Notice.Status($"{Counted.Of(search.Programs, "program")}, {Count(Rate(search.Events, watch))} checks/s");
        }

        Coverage coverage = await running.ConfigureAwait(false);
        Notice.Status(string.Empty);

        string names = string.Join(',', policies.Select(policy => policy.Name));
        foreach (Finding finding in coverage.Findings)
        {
            string name = Policies.All.First(policy => ToEngine(policy) == finding.Options.Policy).Name;
            Tell(finding, string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus check --seed {finding.Seed} --steps {StepsPerProgram} --policies {name}"));
        }

        CheckTraces.Record(result, listener => Rerun(coverage, seed, policies, listener));

        // Where the first violation ends the search, how far the other threads had come by then is chance.
        Console.WriteLine(coverage.Findings.Count != 0 && !search.FindsAll
            ? "1 violation; --all-findings goes on"
            : $"{Counted.Of(coverage.Programs, "program")}, {Counted.Of(coverage.Steps, "step")}, "
                + $"{Counted.Of(coverage.Events, "check")}, {Counted.Of(coverage.Findings.Count, "violation")}");
        Notice.Write(
            $"{watch.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s, "
            + $"{Count(Rate(coverage.Events, watch))} checks/s on {Counted.Of(jobs, "thread")}; policies {names}");
        return coverage.Findings.Count != 0 ? ExitCode.Failed
            : cancellation.IsCancellationRequested ? ExitCode.Interrupted
            : _steps.IsGiven(result) && stop.IsCancellationRequested ? ExitCode.TimeLimit
            : ExitCode.Ok;
    }

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

    private static void Tell(Finding finding, string again)
    {
        IReadOnlyList<string> lines = Story.Of(Subject.Engine, finding, again);
        Console.WriteLine(Style.Bold(lines[0]));
        foreach (string line in lines.Skip(1))
        {
            Console.WriteLine(line);
        }

        Console.WriteLine();
    }

    private static Engine ToEngine(Policies policy) =>
        Enum.Parse<Engine>(policy.Name.Replace("-", string.Empty, StringComparison.Ordinal), ignoreCase: true);

    private static long Rate(long events, Stopwatch watch) =>
        (long)(events / Math.Max(0.001, watch.Elapsed.TotalSeconds));

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}

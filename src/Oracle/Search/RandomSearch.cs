using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>A violation that a search found: where, and by which program, already shrunk.</summary>
public record Finding(int Seed, ProgramOptions Options, Violation Violation, ProgramStep[] Steps);

/// <summary>What a search covered.</summary>
public sealed record Coverage(int Programs, long Steps, long Events, IReadOnlyList<Finding> Findings);

/// <summary>
/// Runs programs of successive seeds on several threads. What it finds depends on the seeds alone: the findings are
/// those of the lowest seeds, whatever the number of threads.
/// </summary>
public sealed class RandomSearch
{
    /// <summary>More steps than these are hard to read.</summary>
    private const int LongestStory = 12;

    private const int SeedsForShorter = 2000;

    private readonly Lock _lock = new();
    private readonly Subject _subject;
    private readonly IReadOnlyList<MaintenancePolicy> _policies;
    private readonly SortedDictionary<int, (ProgramOptions Options, ProgramStep[] Steps, Violation Violation)> _found =
        [];
    private int _next;
    private int _programs;
    private long _steps;
    private long _events;

    /// <param name="subject">What is searched.</param>
    /// <param name="policies">Taken in turn, by the seed.</param>
    public RandomSearch(Subject subject, IReadOnlyList<MaintenancePolicy> policies)
    {
        _subject = subject;
        _policies = policies;
    }

    /// <summary>Steps of each program; at most, since a violation ends it.</summary>
    public int StepsPerProgram { get; init; } = 1000;

    /// <summary>Whether the search goes on after a violation, to find one of each kind and reader.</summary>
    public bool FindsAll { get; init; }

    /// <summary>Programs run so far; may be read while the search runs.</summary>
    public int Programs => Volatile.Read(ref _programs);

    /// <summary>Steps run so far.</summary>
    public long Steps => Interlocked.Read(ref _steps);

    /// <summary>Checked operations so far.</summary>
    public long Events => Interlocked.Read(ref _events);

    /// <summary>Searches until the programs are run, something is found, or it is cancelled.</summary>
    /// <param name="firstSeed">The first program's seed.</param>
    /// <param name="programs">How many.</param>
    /// <param name="jobs">Threads.</param>
    /// <param name="cancellation">Ends the search early; what was covered is returned.</param>
    public Coverage Run(int firstSeed, int programs, int jobs, CancellationToken cancellation)
    {
        _next = 0;
        var threads = new Task[jobs];
        for (int i = 0; i < jobs; i++)
        {
            threads[i] = Task.Factory.StartNew(
                () => Work(firstSeed, programs, cancellation), CancellationToken.None,
                TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }

        Task.WaitAll(threads, CancellationToken.None);
        var findings = new List<Finding>();
        var seen = new HashSet<(ViolationKind Kind, string Consumer)>();
        foreach ((int seed, (ProgramOptions options, ProgramStep[] steps, Violation violation)) in _found)
        {
            if (seen.Add((violation.Kind, violation.Consumer)) && (FindsAll || findings.Count == 0))
            {
                findings.Add(Shorten(_subject, _policies, new Finding(seed, options, violation, steps)));
            }
        }

        return new Coverage(_programs, _steps, _events, findings);
    }

    /// <summary>
    /// Shrinks a finding. Some programs get to a violation by a long way that no step can be taken from: then the next
    /// seeds are looked at for the same violation in a shorter one.
    /// </summary>
    public static Finding Shorten(Subject subject, IReadOnlyList<MaintenancePolicy> policies, Finding found)
    {
        Finding shortest = Shrink(subject, found);
        int last = found.Seed + Math.Min(SeedsForShorter, int.MaxValue - found.Seed);
        for (int seed = found.Seed; shortest.Steps.Length > LongestStory && seed < last; seed++)
        {
            ProgramOptions options = RandomProgram.Options(seed + 1, policies[(seed + 1) % policies.Count]);
            ProgramStep[] steps = RandomProgram.Steps(seed + 1, found.Steps.Length);
            Outcome outcome = subject.Run(options, steps);
            if (outcome.Violation is Violation violation
                && violation.Kind == found.Violation.Kind && violation.Consumer == found.Violation.Consumer)
            {
                Finding other = Shrink(subject, new Finding(seed + 1, options, violation, steps[..outcome.Steps]));
                shortest = other.Steps.Length < shortest.Steps.Length ? other : shortest;
            }
        }

        return shortest;
    }

    private static Finding Shrink(Subject subject, Finding found)
    {
        ProgramStep[] shrunk = subject.Shrink(found.Options, found.Steps, found.Violation);
        return found with
        {
            Steps = shrunk,
            Violation = subject.Run(found.Options, shrunk).Violation ?? found.Violation,
        };
    }

    private void Work(int firstSeed, int programs, CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            int seed;
            lock (_lock)
            {
                // Seeds are taken in order, so those below a finding have all been taken before, and are finished.
                if (_next == programs || (!FindsAll && _found.Count != 0))
                {
                    return;
                }

                seed = firstSeed + _next++;
            }

            ProgramOptions options = RandomProgram.Options(seed, _policies[(int)((uint)seed % (uint)_policies.Count)]);
            ProgramStep[] steps = RandomProgram.Steps(seed, StepsPerProgram);
            Outcome outcome = _subject.Run(options, steps);
            lock (_lock)
            {
                _programs++;
                _steps += outcome.Steps;
                _events += outcome.Events;
                if (outcome.Violation is Violation violation)
                {
                    _found.Add(seed, (options, steps[..outcome.Steps], violation));
                }
            }
        }
    }
}

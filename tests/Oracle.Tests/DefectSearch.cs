using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Tests;

/// <summary>One defect, killed from one seed base.</summary>
/// <param name="Programs">Programs run, the killing one included.</param>
/// <param name="Seconds">The search and the shrinking: seconds of one core.</param>
/// <param name="First">Whatever broke first; the same as the finding where nothing else did.</param>
internal sealed record Kill(Finding Finding, int Programs, double Seconds, Violation First);

/// <summary>Runs random programs against an engine with a defect, on one thread.</summary>
internal static class DefectSearch
{
    private const int MostPrograms = 40_000;
    private const int StepsPerProgram = 400;

    /// <summary>A longer story is hard to read: the next program that comes to it is looked at.</summary>
    private const int LongestStory = 14;
    private const int MostTries = 8;

    /// <summary>Starts of seeds, so that no defect is found by the luck of one.</summary>
    public static readonly int[] Bases = [1, 1_000_001, 20_000_003, 300_000_007, 2_000_000_011];

    /// <summary>
    /// Runs successive seeds to the rule and the reader that must find the defect. Throws where a program fails that
    /// this defect does not explain, and where the seeds run out.
    /// </summary>
    public static Kill Run(KnownDefect known, int firstSeed)
    {
        Subject subject = SubjectWith(known.Defect);
        double start = ProcessorSeconds();
        Violation? first = null;
        int programs = 0;
        int tries = 0;
        Finding? best = null;
        for (int seed = firstSeed; programs < MostPrograms; seed++)
        {
            ProgramOptions options = RandomProgram.Options(seed, known.Policies[seed % known.Policies.Count]);
            if (known.Forks && !options.Forks)
            {
                continue;
            }

            programs++;
            ProgramStep[] steps = RandomProgram.Steps(seed, StepsPerProgram);
            Outcome outcome = subject.Run(options, steps);
            if (outcome.Violation is not Violation violation)
            {
                continue;
            }

            first ??= violation;
            if (known.IsFoundBy(violation))
            {
                var found = new Finding(seed, options, violation, steps[..outcome.Steps]);
                found = RandomSearch.Shorten(subject, known.Policies, found);
                best = best is null || found.Steps.Length < best.Steps.Length ? found : best;
                if (best.Steps.Length <= LongestStory || ++tries == MostTries)
                {
                    return new Kill(best, programs, ProcessorSeconds() - start, first);
                }

                continue;
            }

            if (!known.Explains(violation))
            {
                throw new InvalidOperationException($"seed {seed}: {violation.Kind}, {violation.Text}");
            }
        }

        throw new InvalidOperationException(
            $"{MostPrograms} programs from seed {firstSeed} on, and none came to {known.Rule}, {known.Reader}");
    }

    /// <summary>
    /// What this thread has had of a core, to 10 ms: other tests, and other people, run on the same cores. Where the
    /// system does not say, the time by the clock.
    /// </summary>
    private static double ProcessorSeconds()
    {
        const string Path = "/proc/thread-self/stat";
        if (!File.Exists(Path))
        {
            return Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
        }

        // Behind the name, which is in brackets: field 14 is user time, 15 the system's, in hundredths of a second.
        string text = File.ReadAllText(Path);
        string[] fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture)
            + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
    }

    /// <summary>The engine with a defect; on a machine with the erratum where the defect is about that.</summary>
    public static Subject SubjectWith(Defect defect) => new Subject<Arm<Granule4K>, DefectiveMachine>(
        options =>
        {
            var host = new DefectiveHost(defect);
            return new Host<Arm<Granule4K>, DefectiveMachine>(
                options with
                {
                    Features = options.Features with
                    {
                        EarlyCompletion = defect is Defect.EarlyCompletion or Defect.RepeatedCompletion,
                    },
                },
                (inner, port) => new DefectiveMachine(inner, port, defect, host),
                host);
        });
}

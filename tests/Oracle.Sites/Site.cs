using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;

namespace Quietus.Oracle.Sites;

/// <summary>What a search found that left out one site.</summary>
/// <param name="Rule">The rule that broke.</param>
/// <param name="Reader">Who found it.</param>
/// <param name="Programs">Programs run, the one that broke it included.</param>
/// <param name="Steps">Steps of the shrunk program.</param>
/// <param name="Text">The violation.</param>
public sealed record SiteKill(string Rule, string Reader, int Programs, int Steps, string Text);

/// <summary>What drives the engine while a site is left out.</summary>
public enum SitePrograms : byte
{
    /// <summary>Hosts and guests, over the memory layer.</summary>
    Machines,

    /// <summary>The same under patch 5, its VMs' vCPUs out when they die.</summary>
    PostedDeaths,

    /// <summary>Calls of the engine's tables, past the memory layer.</summary>
    Tables,

    /// <summary>Those of hosts and guests that are about templates and children.</summary>
    Forks,
}

/// <summary>
/// The places where the engine issues a barrier or a TLB invalidation; build/number-sites numbers them.
/// </summary>
public static partial class Site
{
    private const int StepsPerProgram = 400;

    /// <summary>More steps than these are hard to read: another program is looked for.</summary>
    private const int LongestStory = 12;

    /// <summary>Each has verbs of the engine that the others do not use.</summary>
    private static readonly MaintenancePolicy[] _policies =
        [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries, MaintenancePolicy.TablesOnly];

    [ThreadStatic]
    private static int _leftOut;

    private static (ProgramOptions Options, ProgramStep[] Steps) ProgramOf(SitePrograms kind, int seed)
    {
        MaintenancePolicy policy = _policies[seed % _policies.Length];
        if (kind == SitePrograms.Tables)
        {
            return (RandomProgram.Options(seed, policy), TableSubject.Steps(seed, StepsPerProgram));
        }

        ProgramStep[] steps = RandomProgram.Steps(seed, StepsPerProgram);
        if (kind != SitePrograms.PostedDeaths)
        {
            // Of all policies only fate forks.
            policy = kind == SitePrograms.Forks ? MaintenancePolicy.Fate : policy;
            return (RandomProgram.Options(seed, policy), steps);
        }

        // Patch 5 has its licence where no PE has the VTTBR of a VM that dies, and no guest reads past the caches.
        foreach (ref ProgramStep step in steps.AsSpan())
        {
            step = step.Operation == Operation.KillLate ? step with { Operation = Operation.Kill } : step;
        }

        return (RandomProgram.Options(seed, MaintenancePolicy.Patch5) with { UncachedGuests = false }, steps);
    }

    /// <summary>Whether a site does what it is there for, on this thread.</summary>
    public static bool Issues(int site) => site + 1 != _leftOut;

    /// <summary>Random programs without what a site issues, until a rule breaks; null where none does.</summary>
    /// <param name="site">Its place in <see cref="Names"/>; -1 leaves nothing out.</param>
    /// <param name="kind">What drives the engine.</param>
    /// <param name="firstSeed">The first program's seed.</param>
    /// <param name="programs">How many programs.</param>
    public static SiteKill? Search(int site, SitePrograms kind, int firstSeed, int programs)
    {
        _leftOut = site + 1;
        Subject subject = kind == SitePrograms.Tables ? new TableSubject() : Subject.Engine;
        SiteKill? shortest = null;
        try
        {
            int ran = 0;
            for (int seed = firstSeed; ran < programs; seed++)
            {
                (ProgramOptions options, ProgramStep[] steps) = ProgramOf(kind, seed);
                if (kind == SitePrograms.Forks && !options.Forks)
                {
                    continue;
                }

                ran++;
                Outcome outcome = subject.Run(options, steps);
                if (outcome.Violation is Violation violation)
                {
                    ProgramStep[] shrunk = subject.Shrink(options, steps[..outcome.Steps], violation);
                    if (shortest is null || shrunk.Length < shortest.Steps)
                    {
                        shortest = new SiteKill(
                            violation.Kind.ToString(), violation.Consumer, ran, shrunk.Length, violation.Text);
                    }

                    if (shortest.Steps <= LongestStory)
                    {
                        break;
                    }
                }
            }

            return shortest;
        }
        finally
        {
            _leftOut = 0;
        }
    }
}

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

/// <summary>
/// The places where the engine issues a barrier or a TLB invalidation; build/number-sites numbers them.
/// </summary>
public static partial class Site
{
    private const int StepsPerProgram = 400;

    /// <summary>Each has verbs of the engine that the others do not use.</summary>
    private static readonly MaintenancePolicy[] _policies =
        [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries, MaintenancePolicy.TablesOnly];

    [ThreadStatic]
    private static int _leftOut;

    /// <summary>Whether a site does what it is there for, on this thread.</summary>
    public static bool Issues(int site) => site + 1 != _leftOut;

    /// <summary>Random programs without what a site issues, until a rule breaks; null where none does.</summary>
    /// <param name="site">Its place in <see cref="Names"/>.</param>
    /// <param name="firstSeed">The first program's seed.</param>
    /// <param name="programs">How many programs.</param>
    public static SiteKill? Search(int site, int firstSeed, int programs)
    {
        _leftOut = site + 1;
        try
        {
            for (int ran = 0; ran < programs; ran++)
            {
                int seed = firstSeed + ran;
                ProgramOptions options = RandomProgram.Options(seed, _policies[seed % _policies.Length]);
                ProgramStep[] steps = RandomProgram.Steps(seed, StepsPerProgram);
                Outcome outcome = Subject.Engine.Run(options, steps);
                if (outcome.Violation is Violation violation)
                {
                    var found = new Finding(seed, options, violation, steps[..outcome.Steps]);
                    found = RandomSearch.Shorten(Subject.Engine, _policies, found);
                    return new SiteKill(
                        found.Violation.Kind.ToString(), found.Violation.Consumer, ran + 1, found.Steps.Length,
                        found.Violation.Text);
                }
            }

            return null;
        }
        finally
        {
            _leftOut = 0;
        }
    }
}

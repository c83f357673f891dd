using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Exec;

/// <summary>What came out.</summary>
/// <param name="Plan">What was asked for.</param>
/// <param name="Recipe">The template, resolved.</param>
/// <param name="Outcomes">One for each job, in their order.</param>
/// <param name="BootNs">From the machine's start until its template was frozen; 0 on a server.</param>
/// <param name="QemuVersion">For the document; null on a server.</param>
internal sealed record ExecResult(
    ExecPlan Plan, TemplateRecipe Recipe, IReadOnlyList<JobOutcome> Outcomes, long BootNs, string? QemuVersion)
{
    /// <summary>The first code that is not 0; else 0.</summary>
    public int Code => Outcomes.Select(outcome => outcome.Code).FirstOrDefault(code => code != 0, ExitCode.Ok);

    /// <summary>The steps of a job's life, and what each job took for them.</summary>
    public IReadOnlyList<ExecStep> Steps =>
    [
        ExecStep.Of("birth", Outcomes.Select(outcome => (long?)outcome.Times.BirthNs)),
        ExecStep.Of("first output", Outcomes.Select(outcome => outcome.Times.FirstOutputNs)),
        ExecStep.Of("run", Outcomes.Select(outcome => (long?)outcome.Times.RunNs)),
        ExecStep.Of("death", Outcomes.Select(outcome => (long?)outcome.Times.DeathNs)),
        ExecStep.Of("total", Outcomes.Select(outcome => (long?)outcome.Times.TotalNs)),
    ];
}

/// <summary>
/// Percentiles of a step, in nanoseconds: of n values in order, the one at n times the share, rounded up.
/// </summary>
internal sealed record ExecStep(string Name, int Count, long? P50, long? P90, long? P99, long? Maximum)
{
    public static ExecStep Of(string name, IEnumerable<long?> times)
    {
        long[] sorted = [.. times.OfType<long>().Order()];
        return new ExecStep(name, sorted.Length, At(0.5), At(0.9), At(0.99), At(1));

        long? At(double share) =>
            sorted.Length == 0 ? null : sorted[(int)Math.Ceiling(share * sorted.Length) - 1];
    }
}

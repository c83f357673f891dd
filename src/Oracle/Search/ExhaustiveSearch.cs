using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>What an exhaustive search covered.</summary>
/// <param name="Depth">All programs of so many steps were run.</param>
public sealed record ExhaustiveCoverage(long States, long Transitions, int Depth, IReadOnlyList<Finding> Findings);

/// <summary>
/// Runs every program within bounds, the shortest first, and goes on from each state once. Each program is run from the
/// start: the engine needs no way back.
/// </summary>
public sealed class ExhaustiveSearch(Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds)
{
    private long _states;
    private long _transitions;

    /// <summary>False: every sequence of steps is run, equal states or not, and no PEs or VMs count as alike.</summary>
    public bool Reduces { get; init; } = true;

    /// <summary>Distinct states so far.</summary>
    public long States => Interlocked.Read(ref _states);

    /// <summary>Steps from one state to another so far.</summary>
    public long Transitions => Interlocked.Read(ref _transitions);

    /// <summary>The circumstances: no optional feature, for a machine with fewer needs more maintenance.</summary>
    public ProgramOptions Options { get; } = new(policy, default, bounds.Pes, bounds.Vms);

    /// <summary>Searches to the bounds, or until it is cancelled.</summary>
    public ExhaustiveCoverage Run(int jobs, CancellationToken cancellation)
    {
        IReadOnlyList<ProgramStep> alphabet = bounds.Alphabet();
        var seen = new HashSet<UInt128>();
        var found =
            new SortedDictionary<(ViolationKind Kind, string Consumer), (ProgramStep[] Steps, Violation What)>();
        List<ProgramStep[]> frontier = [[]];
        int depth = 0;
        for (; depth < bounds.Steps && frontier.Count != 0; depth++)
        {
            var results = new List<(ProgramStep[] Steps, UInt128? State, Violation? Violation)>[frontier.Count];
            try
            {
                Parallel.For(
                    0, frontier.Count,
                    new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                    at => results[at] = Expand(frontier[at], alphabet));
            }
            catch (OperationCanceledException)
            {
                break;
            }

            // In the order of the frontier, so that the threads change nothing.
            var next = new List<ProgramStep[]>();
            foreach ((ProgramStep[] steps, UInt128? state, Violation? violation) in results.SelectMany(all => all))
            {
                if (violation is not null)
                {
                    found.TryAdd((violation.Kind, violation.Consumer), (steps, violation));
                }
                else if (!Reduces || state is not UInt128 known || seen.Add(known))
                {
                    next.Add(steps);
                    Interlocked.Increment(ref _states);
                }
            }

            frontier = next;
        }

        var findings = new List<Finding>();
        foreach ((ProgramStep[] steps, Violation violation) in found.Values)
        {
            ProgramStep[] shrunk = subject.Shrink(Options, steps, violation);
            findings.Add(new Finding(0, Options, subject.Run(Options, shrunk).Violation ?? violation, shrunk));
        }

        return new ExhaustiveCoverage(States, Transitions, depth, findings);
    }

    private List<(ProgramStep[] Steps, UInt128? State, Violation? Violation)> Expand(
        ProgramStep[] prefix, IReadOnlyList<ProgramStep> alphabet)
    {
        var reached = new List<(ProgramStep[] Steps, UInt128? State, Violation? Violation)>();

        // PEs and VMs that no step has named yet are alike: the first of them stands for all.
        int pes = prefix.Length == 0 ? 0 : prefix.Max(step => step.Pe) + 1;
        int vms = prefix.Length == 0 ? 0 : prefix.Max(step => step.Vm) + 1;
        foreach (ProgramStep step in alphabet)
        {
            if (Reduces && (step.Pe > pes || step.Vm > vms))
            {
                continue;
            }

            ProgramStep[] program = [.. prefix, step];
            Outcome outcome = subject.Reach(Options, program, out UInt128? state);
            Interlocked.Increment(ref _transitions);
            reached.Add((program, state, outcome.Violation));
        }

        return reached;
    }
}

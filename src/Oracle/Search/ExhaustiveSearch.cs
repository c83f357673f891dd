using System;
using System.Collections.Generic;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>What an exhaustive search covered.</summary>
/// <param name="StatesByDepth">Distinct states that so many steps lead to, and fewer do not: from 0 steps on.</param>
/// <param name="States">All of them.</param>
/// <param name="Transitions">Steps from one state to another.</param>
/// <param name="Depth">All programs of so many steps were run.</param>
/// <param name="IsComplete">No state is left that leads to a new one: longer programs have nothing to add.</param>
/// <param name="Findings">One of each kind and reader, shrunk.</param>
public sealed record ExhaustiveCoverage(
    IReadOnlyList<long> StatesByDepth, long States, long Transitions, int Depth, bool IsComplete,
    IReadOnlyList<ExhaustiveFinding> Findings);

/// <summary>
/// Runs every program within bounds, the shortest first, and goes on from each state once: on this machine alone.
/// <see cref="ExhaustiveShard"/> is the same for several.
/// </summary>
public sealed class ExhaustiveSearch(Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds)
{
    private readonly HashSet<UInt128> _seen = [];
    private StateExpansion? _expansion;
    private long _states;

    /// <summary>What is left out. None of it loses a violation.</summary>
    public ExhaustiveReductions Reductions { get; init; } = ExhaustiveReductions.All;

    /// <summary>Distinct states so far.</summary>
    public long States => Interlocked.Read(ref _states);

    /// <summary>Steps from one state to another so far.</summary>
    public long Transitions => Volatile.Read(ref _expansion)?.Transitions ?? 0;

    /// <summary>
    /// Searches to the bounds, or until it is cancelled. What was found until then counts, and so do the states; the
    /// depth is that to which nothing is missing.
    /// </summary>
    public ExhaustiveCoverage Run(int jobs, CancellationToken cancellation)
    {
        var expansion = new StateExpansion(subject, policy, bounds, Reductions);
        Volatile.Write(ref _expansion, expansion);
        var states = new List<ReachedState>();
        Accept(expansion.Begin());
        List<long> byDepth = [states.Count];
        bool isWhole = true;
        int depth = 0;
        while (isWhole && depth < bounds.Steps && states.Count != 0)
        {
            List<ReachedState> from = states;
            states = [];
            isWhole = expansion.TryExpand(from, jobs, Accept, cancellation);
            byDepth.Add(states.Count);
            depth += isWhole ? 1 : 0;
        }

        return new ExhaustiveCoverage(
            byDepth, States, Transitions, depth, isWhole && states.Count == 0, expansion.Findings());

        void Accept(ReachedState state)
        {
            if (state.Hash is not UInt128 known || _seen.Add(known))
            {
                states.Add(state);
                Interlocked.Increment(ref _states);
            }
        }
    }
}

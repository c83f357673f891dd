using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>What an exhaustive search covered.</summary>
/// <param name="States">Distinct states, the first one included.</param>
/// <param name="Transitions">Steps from one state to another.</param>
/// <param name="Depth">All programs of so many steps were run.</param>
/// <param name="IsComplete">No state is left that leads to a new one: longer programs have nothing to add.</param>
/// <param name="Findings">One of each kind and reader, shrunk.</param>
public sealed record ExhaustiveCoverage(
    long States, long Transitions, int Depth, bool IsComplete, IReadOnlyList<Finding> Findings);

/// <summary>
/// Runs every program within bounds, the shortest first, and goes on from each state once. Each program is run from the
/// start: the engine needs no way back.
/// </summary>
public sealed class ExhaustiveSearch(Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds)
{
    private const int Batch = 1024;

    private readonly SortedDictionary<(ViolationKind Kind, string Consumer), (byte[] Steps, Violation What)> _found =
        [];
    private readonly HashSet<UInt128> _seen = [];
    private readonly IReadOnlyList<ProgramStep> _alphabet = bounds.Alphabet();
    private long _states;
    private long _transitions;

    /// <summary>What is left out. None of it loses a violation.</summary>
    public ExhaustiveReductions Reductions { get; init; } = ExhaustiveReductions.All;

    /// <summary>Distinct states so far.</summary>
    public long States => Interlocked.Read(ref _states);

    /// <summary>Steps from one state to another so far.</summary>
    public long Transitions => Interlocked.Read(ref _transitions);

    /// <summary>The circumstances.</summary>
    public ProgramOptions Options { get; } =
        new(policy, bounds.Features, bounds.Pes, bounds.Vms, Chunks: bounds.Chunks, Forks: bounds.Forks);

    /// <summary>
    /// Searches to the bounds, or until it is cancelled. What was found until then counts, and so do the states; the
    /// depth is that to which nothing is missing.
    /// </summary>
    public ExhaustiveCoverage Run(int jobs, CancellationToken cancellation)
    {
        var frontier = new List<Node> { Begin() };
        int depth = 0;
        while (depth < bounds.Steps && frontier.Count != 0)
        {
            var next = new List<Node>();
            for (int from = 0; from < frontier.Count; from += Batch)
            {
                if (!TryExpand(frontier, from, Math.Min(Batch, frontier.Count - from), next, jobs, cancellation))
                {
                    return Coverage(depth, false);
                }
            }

            frontier = next;
            depth++;
        }

        return Coverage(depth, frontier.Count == 0);
    }

    private Node Begin()
    {
        var reader = new StateReader(Reductions);
        subject.Reach(Options, [], reader, out UInt128? state);
        _seen.Add(state ?? default);
        _states = 1;
        byte[] choices = reader.Choices(_alphabet, 0, 0, out _);
        reader.Leave!();
        return new Node([], choices);
    }

    /// <summary>
    /// Takes every step from some states, and keeps what is new in their order, so that threads change nothing. False
    /// where it was cancelled before it was through.
    /// </summary>
    private bool TryExpand(
        List<Node> frontier, int from, int count, List<Node> next, int jobs, CancellationToken cancellation)
    {
        var results = new List<Reached>?[count];
        bool isWhole = true;
        try
        {
            Parallel.For(
                0, count,
                new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                () => new StateReader(Reductions),
                (at, _, reader) =>
                {
                    results[at] = Expand(frontier[from + at], reader);
                    return reader;
                },
                static _ => { });
        }
        catch (OperationCanceledException)
        {
            isWhole = false;
        }

        foreach (List<Reached>? some in results)
        {
            foreach (Reached reached in some ?? [])
            {
                if (reached.Violation is Violation broken)
                {
                    _found.TryAdd((broken.Kind, broken.Consumer), (reached.Node.Steps, broken));
                }
                else if (reached.State is not UInt128 known || _seen.Add(known))
                {
                    next.Add(reached.Node);
                    Interlocked.Increment(ref _states);
                    Interlocked.Add(ref _transitions, reached.Reads);
                }
            }
        }

        return isWhole;
    }

    /// <summary>Everything one step on. The states that were seen before this batch are left out already.</summary>
    private List<Reached> Expand(Node node, StateReader reader)
    {
        var reached = new List<Reached>();
        var steps = new ProgramStep[node.Steps.Length + 1];
        int pes = 0;
        int vms = 0;
        for (int at = 0; at < node.Steps.Length; at++)
        {
            steps[at] = _alphabet[node.Steps[at]];
            pes = Math.Max(pes, steps[at].Pe + 1);
            vms = Math.Max(vms, steps[at].Vm + 1);
        }

        foreach (byte choice in node.Choices)
        {
            ProgramStep step = _alphabet[choice];
            steps[^1] = step;
            Violation? violation = subject.Reach(Options, steps, reader, out UInt128? state);
            Interlocked.Increment(ref _transitions);
            bool isNew = violation is null && !(state is UInt128 known && _seen.Contains(known));
            if (violation is not null || isNew)
            {
                byte[] program = [.. node.Steps, choice];
                byte[] choices = [];
                int reads = 0;
                if (isNew && steps.Length < bounds.Steps)
                {
                    choices = reader.Choices(
                        _alphabet, Math.Max(pes, step.Pe + 1), Math.Max(vms, step.Vm + 1), out var broken);
                    reads = reader.Reads;
                    if (broken is var (last, what))
                    {
                        reached.Add(new Reached(new Node([.. program, last], []), null, what, 0));
                    }
                }

                reached.Add(new Reached(new Node(program, choices), state, violation, reads));
            }

            reader.Leave!();
        }

        return reached;
    }

    private ExhaustiveCoverage Coverage(int depth, bool isComplete)
    {
        var findings = new List<Finding>();
        foreach ((byte[] numbers, Violation violation) in _found.Values)
        {
            ProgramStep[] steps = Array.ConvertAll(numbers, number => _alphabet[number]);
            ProgramStep[] shrunk = subject.Shrink(Options, steps, violation);
            findings.Add(new Finding(0, Options, subject.Run(Options, shrunk).Violation ?? violation, shrunk));
        }

        return new ExhaustiveCoverage(States, Transitions, depth, isComplete, findings);
    }

    /// <summary>A state, as a program that leads there, and the steps that may lead on from it.</summary>
    private readonly record struct Node(byte[] Steps, byte[] Choices);

    private readonly record struct Reached(Node Node, UInt128? State, Violation? Violation, int Reads);
}

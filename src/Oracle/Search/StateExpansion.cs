using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>A state of an exhaustive search, as a program that leads there.</summary>
/// <param name="Steps">Numbers of steps in <see cref="ExhaustiveBounds.Alphabet"/>.</param>
/// <param name="Hash">What tells it from others; null where it is like no other.</param>
public readonly record struct ReachedState(byte[] Steps, UInt128? Hash);

/// <summary>A violation that an exhaustive search found.</summary>
/// <param name="Program">Numbers of steps in <see cref="ExhaustiveBounds.Alphabet"/>, not shrunk.</param>
/// <param name="Options">The circumstances.</param>
/// <param name="Violation">What was broken.</param>
/// <param name="Steps">The program, shrunk.</param>
public sealed record ExhaustiveFinding(
    IReadOnlyList<byte> Program, ProgramOptions Options, Violation Violation, ProgramStep[] Steps)
    : Finding(0, Options, Violation, Steps);

/// <summary>
/// Takes every step from states: what a search on one machine and a shard of one have in common. Each program is run
/// from the start, so that the engine needs no way back.
/// </summary>
/// <remarks>
/// Programs have an order: the shorter first, then by their steps' numbers. Whatever the number of threads or shards,
/// of the programs that lead to a state the first one stands for it, and of those that break a rule the first is told.
/// </remarks>
public sealed class StateExpansion
{
    private const int Batch = 1024;

    private readonly Dictionary<(ViolationKind Kind, string Consumer), (byte[] Steps, Violation What)> _found = [];
    private readonly IReadOnlyList<ProgramStep> _alphabet;
    private readonly Subject _subject;
    private readonly ExhaustiveReductions _reductions;
    private long _transitions;

    /// <param name="subject">What programs are run against.</param>
    /// <param name="policy">Its policy.</param>
    /// <param name="bounds">
    /// How far to go; at most <see cref="ExhaustiveBounds.MostSteps"/> different steps, else
    /// <see cref="ArgumentOutOfRangeException"/>.
    /// </param>
    /// <param name="reductions">What is left out. None of it loses a violation.</param>
    public StateExpansion(
        Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds,
        ExhaustiveReductions reductions = ExhaustiveReductions.All)
    {
        _subject = subject;
        _reductions = reductions;
        _alphabet = bounds.Alphabet();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(_alphabet.Count, ExhaustiveBounds.MostSteps, nameof(bounds));
        Options = new(
            policy, bounds.Features, bounds.Pes, bounds.Vms, Chunks: bounds.Chunks, Forks: bounds.Forks,
            Vcpus: bounds.Vcpus);
    }

    /// <summary>The circumstances.</summary>
    public ProgramOptions Options { get; }

    /// <summary>Steps from one state to another so far.</summary>
    public long Transitions => Interlocked.Read(ref _transitions);

    /// <summary>The state that the program without steps is in.</summary>
    public ReachedState Begin()
    {
        var reader = new StateReader(_reductions);
        _subject.Reach(Options, [], reader, out UInt128? state);
        reader.Leave!();
        return new ReachedState([], state);
    }

    /// <summary>
    /// Takes every step from some states. False where it was cancelled before it was through.
    /// </summary>
    /// <param name="states">In the order of their programs.</param>
    /// <param name="jobs">Threads.</param>
    /// <param name="reached">Told, on this thread, of each state that a step leads to, in the programs' order.</param>
    /// <param name="cancellation">Ends it early.</param>
    public bool TryExpand(
        IReadOnlyList<ReachedState> states, int jobs, Action<ReachedState> reached, CancellationToken cancellation)
    {
        for (int from = 0; from < states.Count; from += Batch)
        {
            if (!TryExpand(states, from, Math.Min(Batch, states.Count - from), jobs, reached, cancellation))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>One of each kind and reader, of its first program, shrunk; in the order of the programs.</summary>
    public IReadOnlyList<ExhaustiveFinding> Findings() =>
    [
        .. _found.Values.Order(Comparer<(byte[] Steps, Violation What)>.Create(
            static (one, other) => Compare(one.Steps, other.Steps))).Select(Shrink),
    ];

    /// <summary>Which program comes first.</summary>
    public static int Compare(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other) =>
        one.Length != other.Length ? one.Length.CompareTo(other.Length) : one.SequenceCompareTo(other);

    private bool TryExpand(
        IReadOnlyList<ReachedState> states, int from, int count, int jobs, Action<ReachedState> reached,
        CancellationToken cancellation)
    {
        var results = new List<Result>?[count];
        bool isWhole = true;
        try
        {
            Parallel.For(
                0, count,
                new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                () => new StateReader(_reductions),
                (at, _, reader) =>
                {
                    results[at] = Expand(states[from + at].Steps, reader);
                    return reader;
                },
                static _ => { });
        }
        catch (OperationCanceledException)
        {
            isWhole = false;
        }

        for (int at = 0; at < count; at++)
        {
            foreach (Result result in results[at] ?? [])
            {
                byte[] program = [.. states[from + at].Steps, result.Step];
                if (result.Violation is null)
                {
                    reached(new ReachedState(program, result.Hash));
                }
                else if (!_found.TryGetValue((result.Violation.Kind, result.Violation.Consumer), out var known)
                    || Compare(program, known.Steps) < 0)
                {
                    _found[(result.Violation.Kind, result.Violation.Consumer)] = (program, result.Violation);
                }
            }
        }

        return isWhole;
    }

    /// <summary>Everything one step on from a state.</summary>
    private List<Result> Expand(byte[] program, StateReader reader)
    {
        var results = new List<Result>();
        var steps = new ProgramStep[program.Length + 1];
        int pes = 0;
        int vms = 0;
        for (int at = 0; at < program.Length; at++)
        {
            steps[at] = _alphabet[program[at]];
            pes = Math.Max(pes, steps[at].Pe + 1);
            vms = Math.Max(vms, steps[at].Vm + 1);
        }

        _subject.Reach(Options, steps.AsSpan(0, program.Length), reader, out _);
        byte[] choices = reader.Choices(_alphabet, pes, vms, out var broken);
        reader.Leave!();
        if (broken is var (read, what))
        {
            results.Add(new Result(read, null, what));
        }

        foreach (byte choice in choices)
        {
            steps[^1] = _alphabet[choice];
            Violation? violation = _subject.Reach(Options, steps, reader, out UInt128? state);
            reader.Leave!();
            results.Add(new Result(choice, state, violation));
        }

        Interlocked.Add(ref _transitions, choices.Length + reader.Reads);
        return results;
    }

    private ExhaustiveFinding Shrink((byte[] Steps, Violation What) found)
    {
        ProgramStep[] steps = Array.ConvertAll(found.Steps, number => _alphabet[number]);
        ProgramStep[] shrunk = _subject.Shrink(Options, steps, found.What);
        return new ExhaustiveFinding(
            found.Steps, Options, _subject.Run(Options, shrunk).Violation ?? found.What, shrunk);
    }

    /// <summary>What a step from a state came to.</summary>
    private readonly record struct Result(byte Step, UInt128? Hash, Violation? Violation);
}

using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Search;

/// <summary>What a program came to.</summary>
/// <param name="Violation">The rule that was broken; null when none was.</param>
/// <param name="Steps">Steps that were run, the breaking one included.</param>
/// <param name="Events">Checked operations.</param>
public readonly record struct Outcome(Violation? Violation, int Steps, long Events);

/// <summary>The thing that programs are run against: the engine, or the engine with a defect.</summary>
public abstract class Subject
{
    /// <summary>The engine as it is, with the granule that a program's options say.</summary>
    public static Subject Engine { get; } = new AnyGranule(
        EngineOf<Arm<Granule4K>>(), EngineOf<Arm<Granule16K>>(), EngineOf<Arm<Granule64K>>());

    /// <summary>Pairs of steps are tried in programs of up to so many.</summary>
    private const int MostForPairs = 32;

    /// <summary>Runs a program to its end or its first violation.</summary>
    public abstract Outcome Run(ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null);

    /// <summary>
    /// Runs a program and comes to the state that it leads to: its hash, none where that cannot be known, and what each
    /// step of an alphabet would do next.
    /// </summary>
    internal abstract Violation? Reach(
        ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state);

    /// <summary>
    /// Makes a failing program as short and plain as it stays failing in the same way: steps go by halves, quarters and
    /// singly, then two at a time, then races and choices are taken out.
    /// </summary>
    public ProgramStep[] Shrink(ProgramOptions options, ProgramStep[] steps, Violation violation)
    {
        var kept = new List<ProgramStep>(steps);
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int size = Math.Max(1, kept.Count / 2); size > 0; size /= 2)
            {
                for (int at = kept.Count - size; at >= 0; at -= size)
                {
                    if (at + size > kept.Count)
                    {
                        continue;
                    }

                    List<ProgramStep> shorter = [.. kept];
                    shorter.RemoveRange(at, size);
                    if (Fails(options, shorter, violation))
                    {
                        kept = shorter;
                        changed = true;
                    }
                }
            }

            changed |= kept.Count <= MostForPairs && RemovePair(options, ref kept, violation);
            for (int at = 0; at < kept.Count; at++)
            {
                for (int plain = 0; plain < 5; plain++)
                {
                    ProgramStep step = kept[at];
                    ProgramStep plainer = plain switch
                    {
                        0 => step with { Race = 0 },
                        1 => step with { Choice = 0 },
                        2 => step with { Pe = 0 },
                        3 => step with { Vm = 0 },
                        _ => step with { Page = (byte)(step.Page & (step.Page < 64 ? 3 : 64)) },
                    };
                    List<ProgramStep> simpler = [.. kept];
                    simpler[at] = plainer;
                    if (plainer != step && Fails(options, simpler, violation))
                    {
                        kept = simpler;
                        changed = true;
                    }
                }
            }
        }

        return [.. kept];
    }

    private static Subject<TFormat, ObservedMachine<ModelMachine, JudgeObserver>> EngineOf<TFormat>()
        where TFormat : struct, IDescriptorFormat => new(options => new(options, (machine, _) => machine));

    /// <summary>Two steps that only go together: a page taken and given back, say.</summary>
    private bool RemovePair(ProgramOptions options, ref List<ProgramStep> kept, Violation violation)
    {
        for (int later = kept.Count - 1; later > 0; later--)
        {
            for (int earlier = later - 1; earlier >= 0; earlier--)
            {
                List<ProgramStep> shorter = [.. kept];
                shorter.RemoveAt(later);
                shorter.RemoveAt(earlier);
                if (Fails(options, shorter, violation))
                {
                    kept = shorter;
                    return true;
                }
            }
        }

        return false;
    }

    private bool Fails(ProgramOptions options, List<ProgramStep> steps, Violation violation)
    {
        Violation? found = Run(options, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(steps)).Violation;
        return found is not null && found.Kind == violation.Kind && found.Consumer == violation.Consumer;
    }
}

/// <summary>A subject over hosts that a function makes.</summary>
public sealed class Subject<TFormat, TMachine>(Func<ProgramOptions, Host<TFormat, TMachine>> make) : Subject
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    /// <inheritdoc/>
    public override Outcome Run(ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null)
    {
        Host<TFormat, TMachine> host = make(options);
        host.Tell = tell;
        Outcome outcome = Run(host, steps);
        host.Leave();
        return outcome;
    }

    /// <inheritdoc/>
    internal override Violation? Reach(
        ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state)
    {
        Host<TFormat, TMachine> host = make(options);
        Outcome outcome = Run(host, steps);
        state = null;
        if (outcome.Violation is null)
        {
            state = reader.Merges && host.TryHashState(reader.Hash, reader.IsSymmetric, out UInt128 hash) ? hash : null;
            reader.EffectOf = host.EffectOf;
            reader.Take = host.Run;
        }

        reader.Leave = host.Leave;
        return outcome.Violation;
    }

    private static Outcome Run(Host<TFormat, TMachine> host, ReadOnlySpan<ProgramStep> steps)
    {
        int ran = 0;
        try
        {
            foreach (ProgramStep step in steps)
            {
                ran++;
                host.Run(step);
            }
        }
        catch (ViolationException broken)
        {
            host.TellEnd(broken.Violation);
            return new Outcome(broken.Violation, ran, host.Judge.Events);
        }

        return new Outcome(null, ran, host.Judge.Events);
    }
}

/// <summary>Three subjects that differ in their granule.</summary>
public sealed class AnyGranule(Subject small, Subject middle, Subject large) : Subject
{
    /// <inheritdoc/>
    public override Outcome Run(ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null) =>
        For(options).Run(options, steps, tell);

    /// <inheritdoc/>
    internal override Violation? Reach(
        ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state) =>
        For(options).Reach(options, steps, reader, out state);

    private Subject For(ProgramOptions options) => options.GranuleShift switch
    {
        14 => middle,
        16 => large,
        _ => small,
    };
}

using System;
using System.Collections.Generic;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>Looks at a state that a program led to, on one thread.</summary>
internal sealed class StateReader(ExhaustiveReductions reductions)
{
    private const int Enter = (int)Operation.Enter;

    public delegate StepEffect Effect(ProgramStep step, out ulong frame);

    public StateHash Hash { get; } = new();

    public bool Merges { get; } = (reductions & ExhaustiveReductions.EqualStates) != 0;

    public bool IsSymmetric { get; } = (reductions & ExhaustiveReductions.Symmetry) != 0;

    /// <summary>What a step would do in the state that was reached last.</summary>
    public Effect? EffectOf { get; set; }

    /// <summary>Ends the look at the state that was reached last.</summary>
    public Action? Leave { get; set; }

    /// <summary>
    /// The steps that are worth taking from the state that was reached last: not those that do nothing, nor those that
    /// could as well have come before the last one.
    /// </summary>
    public Choice[] Choices(IReadOnlyList<ProgramStep> alphabet, int knownPes, int knownVms, Choice? last)
    {
        var choices = new List<Choice>(alphabet.Count);
        for (int at = 0; at < alphabet.Count; at++)
        {
            ProgramStep step = alphabet[at];
            if (!Merges)
            {
                choices.Add(new Choice((byte)at, StepEffect.Any, 0));
                continue;
            }

            // PEs and VMs that no step has named yet are alike: the first of them stands for all.
            if (IsSymmetric && (step.Pe > knownPes || step.Vm > knownVms))
            {
                continue;
            }

            StepEffect effect = EffectOf!(step, out ulong frame);
            var choice = new Choice((byte)at, effect, (uint)(frame >> 12));
            bool isEarlier = last is Choice before
                && (reductions & ExhaustiveReductions.PartialOrder) != 0
                && AreIndependent(alphabet[before.Step], before, step, choice)
                && RankOf(step) < RankOf(alphabet[before.Step]);
            if (effect != StepEffect.Nothing && !isEarlier)
            {
                choices.Add(choice);
            }
        }

        return [.. choices];
    }

    /// <summary>
    /// Whether two steps come to the same in either order, and neither stops the other. Both are of guests that touch
    /// different frames by translations that are there, or one is that and the other an entry or exit of another PE.
    /// </summary>
    private static bool AreIndependent(ProgramStep one, Choice first, ProgramStep other, Choice second) =>
        first.Effect switch
        {
            StepEffect.Touches when second.Effect == StepEffect.Touches =>
                first.Frame != second.Frame || (IsRead(one) && IsRead(other)),
            StepEffect.Touches when second.Effect == StepEffect.Switches => one.Pe != other.Pe,
            StepEffect.Switches when second.Effect == StepEffect.Touches => one.Pe != other.Pe,
            _ => false,
        };

    private static bool IsRead(ProgramStep step) => step.Operation is Operation.Read or Operation.ReadUncached;

    /// <summary>
    /// The order that independent steps are taken in. PEs and VMs have no part in it: it must be the same for states
    /// that pass for one because they are alike but for those.
    /// </summary>
    private static int RankOf(ProgramStep step) => (((int)step.Operation - Enter) << 8) | step.Page;
}

/// <summary>A step of an alphabet, with what it does in a certain state.</summary>
internal readonly record struct Choice(byte Step, StepEffect Effect, uint Frame);

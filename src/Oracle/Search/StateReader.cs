using System;
using System.Collections.Generic;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>Looks at a state that a program led to, on one thread.</summary>
internal sealed class StateReader(ExhaustiveReductions reductions)
{
    public StateHash Hash { get; } = new();

    public bool Merges { get; } = (reductions & ExhaustiveReductions.EqualStates) != 0;

    public bool IsSymmetric { get; } = (reductions & ExhaustiveReductions.Symmetry) != 0;

    /// <summary>What a step would do in the state that was reached last.</summary>
    public Func<ProgramStep, StepEffect>? EffectOf { get; set; }

    /// <summary>Takes a step from the state that was reached last.</summary>
    public Action<ProgramStep>? Take { get; set; }

    /// <summary>Ends the look at the state that was reached last.</summary>
    public Action? Leave { get; set; }

    /// <summary>Reads that were taken on the spot, in all.</summary>
    public int Reads { get; private set; }

    /// <summary>
    /// The steps that may lead from the state that was reached last to another one. Reads have been taken when this
    /// returns; one that broke a rule is in <paramref name="broken"/>.
    /// </summary>
    public byte[] Choices(
        IReadOnlyList<ProgramStep> alphabet, int knownPes, int knownVms, out (byte Step, Violation What)? broken)
    {
        broken = null;
        Reads = 0;
        var choices = new List<byte>(alphabet.Count);
        for (int at = 0; at < alphabet.Count; at++)
        {
            ProgramStep step = alphabet[at];

            // PEs and VMs that no step has named yet are alike: the first of them stands for all.
            if (IsSymmetric && (step.Pe > knownPes || step.Vm > knownVms))
            {
                continue;
            }

            StepEffect effect = Merges ? EffectOf!(step) : StepEffect.Any;
            if (effect == StepEffect.Any)
            {
                choices.Add((byte)at);
            }
            else if (effect == StepEffect.Reads)
            {
                Reads++;
                try
                {
                    Take!(step);
                }
                catch (ViolationException found)
                {
                    broken ??= ((byte)at, found.Violation);
                }
            }
        }

        return [.. choices];
    }
}

using System;
using System.Collections.Generic;
using System.Threading;

namespace Quietus.Oracle.Search;

/// <summary>
/// One of several machines that share an exhaustive search, a level at a time. A state belongs to the shard that its
/// hash names; a shard takes every step from its states, and hands each state that it comes to over to its owner. The
/// owner keeps those that are new, by the first program of all that lead there. So the states, the transitions and the
/// violations are those of <see cref="ExhaustiveSearch"/>, whatever the number of shards.
/// </summary>
/// <param name="index">From 0.</param>
/// <param name="count">How many shards there are.</param>
public sealed class ExhaustiveShard(int index, int count)
{
    /// <summary>The level before the first step: the initial state, where it is this shard's.</summary>
    public IReadOnlyList<ReachedState> Begin(StateExpansion expansion)
    {
        ReachedState start = expansion.Begin();
        return Owner(start.Hash, 0) == index ? [start] : [];
    }

    /// <summary>The states of a level that are this shard's, in the order of their programs.</summary>
    /// <param name="handedOver">What each shard has handed over to this one.</param>
    /// <param name="seen">This shard's states of all levels before.</param>
    public static IReadOnlyList<ReachedState> Accept(
        IEnumerable<IEnumerable<ReachedState>> handedOver, IReadOnlySet<UInt128> seen)
    {
        var first = new Dictionary<UInt128, ReachedState>();
        var accepted = new List<ReachedState>();
        foreach (IEnumerable<ReachedState> from in handedOver)
        {
            foreach (ReachedState state in from)
            {
                if (state.Hash is not UInt128 hash)
                {
                    accepted.Add(state);
                }
                else if (!seen.Contains(hash) && (!first.TryGetValue(hash, out ReachedState known)
                    || StateExpansion.Compare(state.Steps, known.Steps) < 0))
                {
                    first[hash] = state;
                }
            }
        }

        accepted.AddRange(first.Values);
        accepted.Sort(static (one, other) => StateExpansion.Compare(one.Steps, other.Steps));
        return accepted;
    }

    /// <summary>
    /// Takes every step from this shard's states of a level. What it comes to, by owner, each in the order of the
    /// programs; null where it was cancelled.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<ReachedState>>? Expand(
        StateExpansion expansion, IReadOnlyList<ReachedState> states, int jobs, CancellationToken cancellation)
    {
        var byOwner = new List<ReachedState>[count];
        for (int owner = 0; owner < count; owner++)
        {
            byOwner[owner] = [];
        }

        // Of programs to one state the first comes first, and stands for the others.
        var handedOver = new HashSet<UInt128>();
        bool isWhole = expansion.TryExpand(
            states, jobs,
            state =>
            {
                if (state.Hash is not UInt128 hash || handedOver.Add(hash))
                {
                    byOwner[Owner(state.Hash, index)].Add(state);
                }
            },
            cancellation);
        return isWhole ? byOwner : null;
    }

    /// <summary>A state that is like no other stays where it was come to.</summary>
    private int Owner(UInt128? hash, int otherwise) => hash is UInt128 known ? (int)(known % (uint)count) : otherwise;
}

using System;

namespace Quietus.Oracle.Search;

/// <summary>What an exhaustive search leaves out because it is covered by something else.</summary>
[Flags]
public enum ExhaustiveReductions
{
    /// <summary>Every sequence of steps is run.</summary>
    None = 0,

    /// <summary>
    /// The search goes on from equal states once. Steps that do nothing are not taken; guests' reads by translations
    /// that are there, which change nothing, are taken on the spot.
    /// </summary>
    EqualStates = 1,

    /// <summary>With <see cref="EqualStates"/>: PEs are alike, and VMs are.</summary>
    Symmetry = 2,

    /// <summary>Both.</summary>
    All = EqualStates | Symmetry,
}

using System;

namespace Quietus.Oracle.Search;

/// <summary>What an exhaustive search leaves out because it is covered by something else.</summary>
[Flags]
public enum ExhaustiveReductions
{
    /// <summary>Every sequence of steps is run.</summary>
    None = 0,

    /// <summary>The search goes on from equal states once, and does not take steps that do nothing.</summary>
    EqualStates = 1,

    /// <summary>With <see cref="EqualStates"/>: PEs are alike, and VMs are.</summary>
    Symmetry = 2,

    /// <summary>With <see cref="EqualStates"/>: of two steps in a row that are independent, one order.</summary>
    PartialOrder = 4,

    /// <summary>All of them.</summary>
    All = EqualStates | Symmetry | PartialOrder,
}

using System;

namespace Quietus.Simulator;

/// <summary>A request that no machine can fulfil: what is wrong, and what to do.</summary>
public sealed class SimulationException : Exception
{
    /// <param name="problem">What is wrong, without a full stop.</param>
    /// <param name="remedy">What to do, as a sentence.</param>
    public SimulationException(string problem, string remedy)
        : base($"{problem}. {remedy}")
    {
        Problem = problem;
        Remedy = remedy;
    }

    /// <summary>What is wrong, without a full stop.</summary>
    public string Problem { get; }

    /// <summary>What to do, as a sentence.</summary>
    public string Remedy { get; }
}

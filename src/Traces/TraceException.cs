using System;

namespace Quietus.Traces;

/// <summary>A trace that cannot be read: where, why, and what to do about it.</summary>
public sealed class TraceException : Exception
{
    /// <param name="line">The line, from 1; 0 when it is about the whole file.</param>
    /// <param name="message">What is wrong with it.</param>
    /// <param name="nextStep">What the reader of the message can do.</param>
    public TraceException(long line, string message, string nextStep)
        : base(line > 0 ? $"line {line}: {message}" : message)
    {
        Line = line;
        NextStep = nextStep;
    }

    /// <summary>The line, from 1; 0 when it is about the whole file.</summary>
    public long Line { get; }

    /// <summary>What the reader of the message can do.</summary>
    public string NextStep { get; }
}

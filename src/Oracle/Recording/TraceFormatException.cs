using System;
using System.Globalization;

namespace Quietus.Oracle.Recording;

/// <summary>A trace that cannot be judged: the line, from 1 on, and what is wrong with it.</summary>
public sealed class TraceFormatException(int line, string problem)
    : Exception(string.Create(CultureInfo.InvariantCulture, $"line {line}: {problem}"))
{
    public int Line { get; } = line;

    /// <summary>The trace is whole, and says what its machine does not have or the judge does not model.</summary>
    public bool IsBeyondModel { get; init; }
}

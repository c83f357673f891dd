namespace Quietus.Simulator;

/// <summary>What a figure of a machine preset is measured in.</summary>
public enum FigureUnit
{
    /// <summary>A time. Written with ns, us or ms; kept in nanoseconds.</summary>
    Nanoseconds,

    /// <summary>A size. Written as bytes, or with K, M, G, T as powers of two; kept in bytes.</summary>
    Bytes,

    /// <summary>A number of things.</summary>
    Count,

    /// <summary>Yes or no; kept as 1 or 0.</summary>
    Flag,
}

/// <summary>
/// One figure of a machine: its value, where that comes from, and between which values it may lie.
/// </summary>
/// <param name="Key">Its name in the preset and for <c>--set</c>, such as <c>dc_line_local</c>.</param>
/// <param name="Group">The group that it stands in: <c>topology</c>, <c>features</c> or <c>costs</c>.</param>
/// <param name="Value">In nanoseconds, bytes, things, or 1 and 0 for yes and no.</param>
/// <param name="Unit">What the value is measured in.</param>
/// <param name="Source">A named public document, how it was derived, or <c>assumption</c>.</param>
/// <param name="Low">The least value that is plausible; that of the value itself where it is known.</param>
/// <param name="High">The greatest value that is plausible.</param>
/// <param name="Meaning">What it is, in one sentence.</param>
public sealed record Figure(
    string Key, string Group, double Value, FigureUnit Unit, string Source, double Low, double High, string Meaning)
{
    /// <summary>Not published: it is worth a sweep over its range.</summary>
    public bool IsAssumption => Source.StartsWith("assumption", System.StringComparison.Ordinal);
}

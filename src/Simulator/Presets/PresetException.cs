using System;

namespace Quietus.Simulator;

/// <summary>A machine preset, or a change of one, that cannot be used: where, what is wrong, what to do.</summary>
public sealed class PresetException : Exception
{
    /// <param name="file">The file's name, or <c>--set</c> for a change on the command line.</param>
    /// <param name="line">Line in the file, from 1; 0 where there is none.</param>
    /// <param name="problem">What is wrong, without a full stop.</param>
    /// <param name="remedy">What to do, as a sentence.</param>
    public PresetException(string file, int line, string problem, string remedy)
        : base($"{(line > 0 ? $"{file}:{line}" : file)}: {problem}. {remedy}")
    {
        File = file;
        Line = line;
        Problem = problem;
        Remedy = remedy;
    }

    /// <summary>The file's name, or <c>--set</c>.</summary>
    public string File { get; }

    /// <summary>Line in the file, from 1; 0 where there is none.</summary>
    public int Line { get; }

    /// <summary>What is wrong, without a full stop.</summary>
    public string Problem { get; }

    /// <summary>What to do, as a sentence.</summary>
    public string Remedy { get; }
}

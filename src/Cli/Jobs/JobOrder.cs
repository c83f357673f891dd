using System.Collections.Generic;

namespace Quietus.Cli.Jobs;

/// <summary>A program to run in a VM.</summary>
internal sealed record JobOrder
{
    /// <summary>The program, a path or a name to be found in PATH, and its arguments.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>NAME=VALUE, all of its environment.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>A user's name or number, and :GROUP where wanted; empty is root.</summary>
    public string User { get; init; } = string.Empty;

    /// <summary>Where it begins; empty is the user's home, else /.</summary>
    public string Folder { get; init; } = string.Empty;

    /// <summary>It gets a terminal: rows and columns. Null: three pipes.</summary>
    public (int Rows, int Columns)? Terminal { get; init; }
}

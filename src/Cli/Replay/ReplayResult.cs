using System.Collections.Generic;
using Quietus.Cli.Guests;
using Quietus.Cli.Sim;
using Quietus.Simulator;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>A trace, and what playing it again came to.</summary>
internal sealed record ReplayResult
{
    /// <summary>The trace's file, as it was given.</summary>
    public required string File { get; init; }

    /// <summary>The process whose VM was asked for; null where the trace has one VM.</summary>
    public required int? Process { get; init; }

    public required HostTrace Trace { get; init; }

    public required IReadOnlyList<MachinePreset> Machines { get; init; }

    public required IReadOnlyList<MaintenancePolicy> Policies { get; init; }

    public required UnmapCause Cause { get; init; }

    /// <summary>By machine, then by policy.</summary>
    public required IReadOnlyList<ReplayRow> Rows { get; init; }

    /// <summary>The command that repeats it, every default written out.</summary>
    public required string Command { get; init; }
}

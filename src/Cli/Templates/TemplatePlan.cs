using System;
using System.Collections.Generic;
using Quietus.Cli.Bench;
using Quietus.Cli.Guests;
using Quietus.Cli.Jobs;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Templates;

/// <summary>A template and the machine for it and its children, resolved.</summary>
internal sealed record TemplatePlan
{
    /// <summary>Linux, with an agent that its init starts.</summary>
    public required GuestPayload Guest { get; init; }

    public required long MemoryBytes { get; init; }

    public required int Cpus { get; init; }

    public required CpuModel Cpu { get; init; }

    /// <summary>The VMs have a network.</summary>
    public bool HasNetwork { get; init; }

    /// <summary>Children that live at a time.</summary>
    public required int MostChildren { get; init; }

    /// <summary>Programs that run before the freeze, one after the other; each must end with 0.</summary>
    public IReadOnlyList<JobOrder> WarmUp { get; init; } = [];

    /// <summary>How long it may take until the template is frozen.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>
    /// RAM of the machine: each child may come to own as much as its template has, and a little for its tables.
    /// </summary>
    public long MachineMemory =>
        BenchPlan.MachineMemory(Guest, MemoryBytes + (MostChildren * (MemoryBytes + (MemoryBytes / 32))));

    /// <summary>
    /// Cores: the monitor's, and one for each vCPU of each child. The template's go back at its freeze.
    /// </summary>
    public int Processors => Math.Max(2, 1 + (Cpus * MostChildren));
}

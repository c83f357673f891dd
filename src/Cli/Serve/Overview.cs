using System.Collections.Generic;

namespace Quietus.Cli.Serve;

/// <summary>All that the page shows, at one moment.</summary>
/// <param name="Status">ok, or stopping.</param>
/// <param name="Version">The program's.</param>
/// <param name="ClockNs">The moment, on a clock that only differences say something of.</param>
/// <param name="Births">VMs born since the server began.</param>
/// <param name="Deaths">VMs that have died since then.</param>
/// <param name="Alive">VMs that live.</param>
/// <param name="Steps">Percentiles of the last jobs.</param>
/// <param name="Templates">The templates.</param>
/// <param name="Others">Names of templates that could be held.</param>
/// <param name="Vms">The VMs.</param>
/// <param name="Pools">The memory of each template's machine that is ready.</param>
internal sealed record Overview(
    string Status,
    string Version,
    long ClockNs,
    long Births,
    long Deaths,
    int Alive,
    IReadOnlyList<StepEntry> Steps,
    IReadOnlyList<TemplateState> Templates,
    IReadOnlyList<string> Others,
    IReadOnlyList<VmView> Vms,
    IReadOnlyList<PoolView> Pools);

/// <summary>A VM and what it uses.</summary>
/// <param name="CpuNs">What its vCPUs have run so far.</param>
/// <param name="HeldBytes">Memory of its own; what it shares with its template is not in it.</param>
/// <param name="MemoryBytes">What it believes to have.</param>
internal sealed record VmView(
    long Id, string Template, string Kind, string State, string? Message, long? Parent, long CpuNs, long HeldBytes,
    long MemoryBytes);

/// <summary>Memory of a machine, in chunks.</summary>
/// <param name="Template">Whose machine.</param>
/// <param name="ChunkBytes">Of each.</param>
/// <param name="Chunks">How many there are.</param>
/// <param name="Runs">Neighbours that are used alike, from the first chunk on.</param>
internal sealed record PoolView(string Template, long ChunkBytes, long Chunks, IReadOnlyList<RunView> Runs);

/// <summary>Neighbouring chunks.</summary>
/// <param name="Count">How many.</param>
/// <param name="Use">clean, dirty, scrubbing, reserved, slots, template, or vm.</param>
/// <param name="Vm">Whose; null for none, or one that has no number here.</param>
internal sealed record RunView(long Count, string Use, long? Vm);

using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>Everything that a simulation run is to do, resolved: no default is left to be decided.</summary>
internal sealed record SimulationPlan
{
    public required IReadOnlyList<MachinePreset> Machines { get; init; }

    public required IReadOnlyList<long> MemoryBytes { get; init; }

    public required IReadOnlyList<GuestPages> Pages { get; init; }

    public required IReadOnlyList<DeathKind> Deaths { get; init; }

    public required IReadOnlyList<MaintenancePolicy> Policies { get; init; }

    public required int Vcpus { get; init; }

    public required int Seed { get; init; }

    /// <summary>Whether each patch is shown alone, and the series without each.</summary>
    public required bool Ablate { get; init; }

    /// <summary>The command that repeats the run, every default written out.</summary>
    public required string Command { get; init; }

    /// <summary>The part of the cases that is to be run; null for all.</summary>
    public Shard? Shard { get; init; }

    /// <summary>Which of the cases are to be run.</summary>
    public ShardRange Part => (Shard ?? new Shard(0, 1)).Of(Cases.Count);

    /// <summary>The deaths in the order of the results: machine, pages, way to die, memory, policy.</summary>
    public IReadOnlyList<SimulationCase> Cases =>
    [
        .. from machine in Machines
           from pages in Pages
           from death in Deaths
           from memory in MemoryBytes
           from policy in Policies
           select new SimulationCase(policy, new SimulationRequest
           {
               Machine = machine,
               MemoryBytes = (ulong)memory,
               Pages = pages,
               Death = death,
               Policy = policy.Engine,
               Vcpus = Vcpus,
               Seed = Seed,
           }),
    ];
}

/// <summary>One death to simulate.</summary>
internal sealed record SimulationCase(MaintenancePolicy Policy, SimulationRequest Request)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Request.Machine.Name} {ByteSize.FormatOption((long)Request.MemoryBytes)} "
            + $"{SimulationNames.Of(Request.Pages)} {SimulationNames.Of(Request.Death)} {Policy.Name}");
}

/// <summary>One simulated death.</summary>
internal sealed record SimulationRow(MaintenancePolicy Policy, SimulationResult Result)
{
    public SimulationRequest Request => Result.Request;
}

/// <summary>What a run has found.</summary>
internal sealed record SimulationRun
{
    public required SimulationPlan Plan { get; init; }

    public required IReadOnlyList<SimulationRow> Rows { get; init; }

    /// <summary>Whether all of the plan was done: false when it was interrupted.</summary>
    public bool IsComplete => Rows.Count == Plan.Part.Length;

    /// <summary>The rows that differ in nothing but policy, in the plan's order.</summary>
    public IEnumerable<IReadOnlyList<SimulationRow>> Groups => Rows
        .GroupBy(row => (row.Request.Machine.Name, row.Request.Pages, row.Request.Death, row.Request.MemoryBytes))
        .Select(group => (IReadOnlyList<SimulationRow>)[.. group]);
}

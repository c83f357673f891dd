using System;
using Quietus.Cli.Bench;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Run;

/// <summary>Everything that <c>run</c> is to do, resolved.</summary>
internal sealed record RunPlan
{
    public required GuestPayload Guest { get; init; }

    public required long MemoryBytes { get; init; }

    public required int Cpus { get; init; }

    /// <summary>Its vCPUs' shares of busy cores; null for the usual.</summary>
    public int? Weight { get; init; }

    /// <summary>The machine's cores that its vCPUs may use; null for all.</summary>
    public string? Cores { get; init; }

    /// <summary>Cores of the machine: one for each vCPU, and the monitor's.</summary>
    public int MachineCores => Cpus + 1;

    public required string Pages { get; init; }

    public required MaintenancePolicy Policy { get; init; }

    public required CpuModel Cpu { get; init; }

    /// <summary>What the guest's command line gets in addition.</summary>
    public required string Append { get; init; }

    /// <summary>The VM has a network.</summary>
    public bool HasNetwork { get; init; }

    /// <summary>A guest that asks for a reboot is started again; otherwise the run ends.</summary>
    public required bool Reboots { get; init; }

    /// <summary>It boots once, and children of it have the console, one after the other.</summary>
    public required bool IsFromTemplate { get; init; }

    /// <summary>RAM of the machine. A child may come to own as much as its template has.</summary>
    public long MachineMemory => BenchPlan.MachineMemory(Guest, IsFromTemplate ? 2 * MemoryBytes : MemoryBytes);

    /// <summary>How long the VM may run; null for as long as it likes.</summary>
    public required TimeSpan? Limit { get; init; }
}

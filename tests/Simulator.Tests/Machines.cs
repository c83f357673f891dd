using System.IO;
using System.Linq;
using System.Reflection;
using Quietus.Memory;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>The repository's presets, and short forms of requests.</summary>
internal static class Machines
{
    internal const ulong Gigabyte = 1UL << 30;

    internal static string Root { get; } = typeof(Machines).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(entry => entry.Key == "RepositoryRoot")
        .Value!;

    internal static string Folder => Path.Combine(Root, "machines");

    internal static MachinePreset Named(string name) => MachinePreset.Named(Folder, name);

    internal static SimulationResult Run(SimulationRequest request) =>
        Simulation.Run(request, cancellation: TestContext.Current.CancellationToken);

    internal static SimulationResult Die(
        string machine, ulong gigabytes, GuestPages pages, MaintenancePolicy policy,
        DeathKind death = DeathKind.Kill) =>
        Die(Named(machine), gigabytes, pages, policy, death);

    internal static SimulationResult Die(
        MachinePreset machine, ulong gigabytes, GuestPages pages, MaintenancePolicy policy,
        DeathKind death = DeathKind.Kill) =>
        Run(new SimulationRequest
        {
            Machine = machine,
            MemoryBytes = gigabytes * Gigabyte,
            Pages = pages,
            Policy = policy,
            Death = death,
        });
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Simulator;

namespace Quietus.Architectures;

/// <summary>What one thing that a host does costs its guest, in operations that every architecture has.</summary>
/// <param name="Visited">Entries, links and shadow entries that were looked at; on arm64 all table reads.</param>
/// <param name="Flushes">Invalidations that were issued, by address or of a whole guest.</param>
/// <param name="Interrupts">Interrupts of vCPUs.</param>
/// <param name="CacheLines">Lines that were cleaned.</param>
/// <param name="WholeCaches">Times that all caches of the machine were written back.</param>
/// <param name="Nanoseconds">All of it, and the calls.</param>
public sealed record HookCost(
    long Visited, long Flushes, long Interrupts, long CacheLines, long WholeCaches, double Nanoseconds);

/// <summary>One row of the hooks' table: an event on a machine, as Linux 5.5 answered it and as fate does.</summary>
/// <param name="Machine">The machine.</param>
/// <param name="What">The event.</param>
/// <param name="Before">Linux 5.5.</param>
/// <param name="Now">With the event and the pages' fate.</param>
public sealed record HookRow(MachinePreset Machine, HookEvent What, HookCost Before, HookCost Now);

/// <summary>The hooks' table: architecture by architecture, event by event.</summary>
public static class HookTable
{
    /// <summary>The events that a machine can be asked for.</summary>
    public static IEnumerable<HookEvent> EventsOf(MachinePreset machine) => Enum.GetValues<HookEvent>().Where(what =>
        what switch
        {
            // The host swaps pages of 4 KB.
            HookEvent.SwapOut => machine.IsArm64 || machine["base_page"] == 4096,

            // arm64's hosts do not ask: the engine's own tests do.
            HookEvent.Age => !machine.IsArm64,
            _ => true,
        });

    /// <summary>One row, for a VM of base pages that are all touched.</summary>
    /// <exception cref="SimulationException">The VM does not fit the machine.</exception>
    public static HookRow Run(
        MachinePreset machine, HookEvent what, ulong bytes, int vcpus, CancellationToken cancellation = default)
    {
        SimulationRequest request = new()
        {
            Machine = machine,
            MemoryBytes = bytes,
            Pages = machine.IsArm64 || machine["base_page"] == 4096 ? GuestPages.Pages4K : GuestPages.Pages64K,
            Vcpus = Math.Min(vcpus, machine.Pes),
        };
        return new HookRow(
            machine, what,
            Cost(what, request with { Policy = MaintenancePolicy.BeforeSeries }, cancellation),
            Cost(what, request with { Policy = MaintenancePolicy.Fate }, cancellation));
    }

    private static HookCost Cost(HookEvent what, SimulationRequest request, CancellationToken cancellation)
    {
        if (request.Machine.IsArm64)
        {
            Bill bill = ArchitectureRun.DoOnArm64(what, request, cancellation);
            OperationCounts counts = bill.Counts;
            return new HookCost(
                counts.EntryReads, counts.TlbiIpa + counts.TlbiRange + counts.TlbiVmalle1 + counts.TlbiVmid,
                counts.Ipis, counts.DcLines, 0, (bill.Time.Picoseconds - bill.Time.HostFreePicoseconds) / 1000.0);
        }

        ArchitectureResult result = ArchitectureRun.Do(what, request, cancellation: cancellation);
        return new HookCost(
            result.Bill[HookOperation.Visit],
            result.Bill[HookOperation.FlushPage] + result.Bill[HookOperation.FlushGuest],
            result.Bill[HookOperation.Ipi], result.Bill[HookOperation.CacheLine], result.Bill[HookOperation.CacheAll],
            result.Bill.Nanoseconds(request.Machine));
    }
}

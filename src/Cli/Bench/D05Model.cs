using System;
using System.Collections.Concurrent;
using Quietus.Cli.Sim;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>
/// How long a measured death would take on a D05: the simulator's answer for the same VM (<c>./quietus sim</c>), with
/// as much of its memory mapped, in the same pieces, under the same policy. QEMU has no caches, so its own time cannot
/// say. There is one model, in machines/d05.json; docs/calibration.md says how far it goes.
/// </summary>
internal static class D05Model
{
    private static readonly ConcurrentDictionary<(BenchCase, long, long, int, PageFate), double> _known = [];

    /// <summary>The machine.</summary>
    public static MachinePreset Machine { get; } = Machines.Parse(["d05"], [])[0];

    /// <summary>The modelled time, in nanoseconds; 0 where nothing was mapped.</summary>
    public static double Nanoseconds(BenchPlan plan, BenchRow row) => _known.GetOrAdd(
        (row.Case, row.Death.MappedPages4K, row.Death.MappedBlocks2M, plan.Cpus, plan.Fate),
        _ => row.Death.Entries == 0 ? 0 : Simulation.Run(Request(plan, row)).DeathNanoseconds);

    /// <summary>The same death, as the simulator is asked for it.</summary>
    public static SimulationRequest Request(BenchPlan plan, BenchRow row)
    {
        const double PagesPerBlock = 512;
        double blocks = row.Death.MappedBlocks2M * PagesPerBlock;
        double mapped = row.Death.MappedPages4K + blocks;
        return new SimulationRequest
        {
            Machine = Machine,
            MemoryBytes = (ulong)row.Case.MemoryBytes,
            Pages = blocks == 0 ? GuestPages.Pages4K
                : row.Death.MappedPages4K == 0 ? GuestPages.Blocks2M
                : GuestPages.Transparent,
            HugePageShare = blocks / mapped,
            Touched = Math.Min(1, mapped * 4096 / row.Case.MemoryBytes),

            // Pages that are kept are cleaned as those of which nothing is known.
            Death = row.Case.Way == DeathWay.Kill ? DeathKind.Kill
                : plan.Fate == PageFate.Unknown ? DeathKind.Mremap
                : DeathKind.Munmap,
            Policy = row.Case.Policy.Engine,
            Vcpus = plan.Cpus,
        };
    }
}

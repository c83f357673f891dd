using Quietus.Hypervisor.Machine;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// What one death cost, measured from the order to the moment when all memory was back in the pool. Maintenance is what
/// was issued in between, counted where it is issued.
/// </summary>
internal struct DeathFigures
{
    internal DeathWay Way;
    internal MaintenancePolicy Policy;
    internal ulong MappedPages;
    internal ulong MappedBlocks;
    internal ulong StopTicks;
    internal ulong Ticks;
    internal ulong VirtualNanoseconds;
    internal ulong FreedBytes;
    internal ulong LeakedFrames;

    /// <summary>From the start order to the first entry of the guest; 0 when it was never entered.</summary>
    internal ulong FirstEntryNanoseconds;

    /// <summary>From there until it said that its memory is dirty; 0 when it did not come to that.</summary>
    internal ulong FillNanoseconds;
    internal MaintenanceCounters Issued;

    /// <summary>The figures as the protocol has them (docs/protocol.md).</summary>
    internal readonly void Write(ref LineBuilder line)
    {
        line.Field(DeathFields.Way, DeathWays.NameOf(Way));
        line.Field(DeathFields.Policy, PolicyNames.NameOf(Policy));
        line.Field(DeathFields.MappedPages4K, MappedPages);
        line.Field(DeathFields.MappedBlocks2M, MappedBlocks);
        bool isExact = Stopwatch.CountsInstructions;
        line.Field(isExact ? DeathFields.Instructions : DeathFields.Ticks, Ticks);
        line.Field(isExact ? DeathFields.StopInstructions : DeathFields.StopTicks, StopTicks);
        Issued.Write(ref line);
        line.Field(DeathFields.VirtualNanoseconds, VirtualNanoseconds);
        line.Field(DeathFields.FreedBytes, FreedBytes);
        line.Field(DeathFields.LeakedFrames, LeakedFrames);
        line.Field(DeathFields.FirstEntryNanoseconds, FirstEntryNanoseconds);
        line.Field(DeathFields.FillNanoseconds, FillNanoseconds);
    }
}

using Quietus.Hypervisor.Machine;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

/// <summary>What a freeze, a fork or a reset cost, from the order on.</summary>
internal struct BirthFigures
{
    internal ulong Ticks;

    /// <summary>The part of them until the last vCPU had stopped.</summary>
    internal ulong StopTicks;
    internal ulong MappedPages;
    internal ulong MappedBlocks;
    internal ulong FreedBytes;
    internal MaintenanceCounters Issued;

    /// <summary>The figures as the protocol has them (docs/protocol.md).</summary>
    internal readonly void Write(ref LineBuilder line)
    {
        line.Field(DeathFields.MappedPages4K, MappedPages);
        line.Field(DeathFields.MappedBlocks2M, MappedBlocks);
        bool isExact = Stopwatch.CountsInstructions;
        line.Field(isExact ? DeathFields.Instructions : DeathFields.Ticks, Ticks);
        line.Field(isExact ? DeathFields.StopInstructions : DeathFields.StopTicks, StopTicks);
        Issued.Write(ref line);
        line.Field(DeathFields.FreedBytes, FreedBytes);
    }
}

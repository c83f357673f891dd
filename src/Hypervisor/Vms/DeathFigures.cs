using System;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Memory;

namespace Quietus.Hypervisor.Vms;

/// <summary>How a VM's memory was taken from it.</summary>
internal enum DeathWay : byte
{
    /// <summary>The monitor's kill order.</summary>
    Kill,

    /// <summary>A notifier range over all of its memory, while its vCPUs live.</summary>
    Unmap,

    /// <summary>The guest's own end: power-off, reset, a fault that it could not go on from.</summary>
    Self,
}

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
    internal ulong StopInstructions;
    internal ulong Instructions;
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
        line.Field("way"u8, Way switch
        {
            DeathWay.Kill => "kill"u8,
            DeathWay.Unmap => "unmap"u8,
            _ => "self"u8,
        });
        line.Field("policy"u8, PolicyNames.NameOf(Policy));
        line.Field("mapped_pages_4k"u8, MappedPages);
        line.Field("mapped_blocks_2m"u8, MappedBlocks);
        line.Field("instructions"u8, Instructions);
        line.Field("stop_instructions"u8, StopInstructions);
        line.Field("tlbi_ipa"u8, Issued.TlbiIpa);
        line.Field("tlbi_range"u8, Issued.TlbiRange);
        line.Field("tlbi_vmid"u8, Issued.TlbiVmid);
        line.Field("tlbi_vmalle1"u8, Issued.TlbiVmalle1);
        line.Field("dc_lines"u8, Issued.DataCacheLines);
        line.Field("dsb"u8, Issued.Dsb);
        line.Field("virtual_ns"u8, VirtualNanoseconds);
        line.Field("freed_bytes"u8, FreedBytes);
        line.Field("leaked_frames"u8, LeakedFrames);
        line.Field("first_entry_virtual_ns"u8, FirstEntryNanoseconds);
        line.Field("fill_virtual_ns"u8, FillNanoseconds);
    }
}

/// <summary>The policies by the names that people type.</summary>
internal static class PolicyNames
{
    internal static ReadOnlySpan<byte> NameOf(MaintenancePolicy policy) => policy switch
    {
        MaintenancePolicy.BeforeSeries => "before-series"u8,
        MaintenancePolicy.Patch5 => "patch5"u8,
        MaintenancePolicy.Patch6 => "patch6"u8,
        MaintenancePolicy.Patch7 => "patch7"u8,
        MaintenancePolicy.Series => "series"u8,
        MaintenancePolicy.TablesOnly => "tables-only"u8,
        _ => "fate"u8,
    };

    internal static bool TryFind(ReadOnlySpan<byte> name, out MaintenancePolicy policy)
    {
        for (policy = MaintenancePolicy.Fate; policy <= MaintenancePolicy.TablesOnly; policy++)
        {
            if (Ascii.Equal(name, NameOf(policy)))
            {
                return true;
            }
        }

        return false;
    }
}

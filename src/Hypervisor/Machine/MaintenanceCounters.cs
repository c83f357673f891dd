using Quietus.Wire;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Maintenance operations issued for one VM since it was made, counted where they are issued. Changed under the VM's
/// memory lock, but for the cleaning of a fresh 2 MB block: with several vCPUs, and blocks, a count may be lost in its
/// life, never in its death.
/// </summary>
internal struct MaintenanceCounters
{
    /// <summary>TLBI IPAS2E1IS and IPAS2E1.</summary>
    internal ulong TlbiIpa;

    /// <summary>TLBI RIPAS2E1IS.</summary>
    internal ulong TlbiRange;

    /// <summary>TLBI VMALLS12E1IS.</summary>
    internal ulong TlbiVmid;

    /// <summary>TLBI VMALLE1IS and VMALLE1.</summary>
    internal ulong TlbiVmalle1;

    /// <summary>Lines cleaned, or cleaned and invalidated, by DC CVAC and DC CIVAC.</summary>
    internal ulong DataCacheLines;

    /// <summary>DSB of any kind.</summary>
    internal ulong Dsb;

    /// <summary>What was issued since an earlier state of the same counters.</summary>
    internal readonly MaintenanceCounters Since(in MaintenanceCounters earlier) => new()
    {
        TlbiIpa = TlbiIpa - earlier.TlbiIpa,
        TlbiRange = TlbiRange - earlier.TlbiRange,
        TlbiVmid = TlbiVmid - earlier.TlbiVmid,
        TlbiVmalle1 = TlbiVmalle1 - earlier.TlbiVmalle1,
        DataCacheLines = DataCacheLines - earlier.DataCacheLines,
        Dsb = Dsb - earlier.Dsb,
    };

    /// <summary>The counts as the protocol has them (docs/protocol.md).</summary>
    internal readonly void Write(ref LineBuilder line)
    {
        line.Field(DeathFields.TlbiIpa, TlbiIpa);
        line.Field(DeathFields.TlbiRange, TlbiRange);
        line.Field(DeathFields.TlbiVmid, TlbiVmid);
        line.Field(DeathFields.TlbiVmalle1, TlbiVmalle1);
        line.Field(DeathFields.DcLines, DataCacheLines);
        line.Field(DeathFields.Dsb, Dsb);
    }
}

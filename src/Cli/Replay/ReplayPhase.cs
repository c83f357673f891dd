using Quietus.Simulator;

namespace Quietus.Cli.Replay;

/// <summary>What the engine issued for one kind of operation, over the whole trace.</summary>
/// <param name="Bill">Operations, and what they cost on the machine.</param>
/// <param name="Tables">Table pages that were unlinked and freed, the root's apart.</param>
internal sealed record ReplayPhase(Bill Bill, long Tables)
{
    /// <summary>Leaves that were unlinked one by one.</summary>
    public long Leaves => Bill.Counts.EntryUnlinks - Tables;

    /// <summary>
    /// Whether each leaf and each table was invalidated by itself, so that the invalidations can be told apart.
    /// </summary>
    public bool IsEager => Bill.Counts.TlbiIpa == Leaves + Tables;

    /// <summary>Virtual time, without the host's own freeing of pages.</summary>
    public double Nanoseconds => (Bill.Time.Picoseconds - Bill.Time.HostFreePicoseconds) / 1000.0;

    public double CacheNanoseconds => Bill.Time.CachePicoseconds / 1000.0;

    public double TlbiNanoseconds => Bill.Time.TlbiPicoseconds / 1000.0;
}

/// <summary>A trace played again on one machine, under one policy.</summary>
/// <param name="Machine">The machine.</param>
/// <param name="Policy">Which maintenance was issued.</param>
/// <param name="Mapping">Maps and changes of permissions.</param>
/// <param name="Unmapping">Ranges and slots that left the live VM.</param>
/// <param name="Death">The release.</param>
/// <param name="Refused">Maps that the engine did not take: device memory, and what contradicts itself.</param>
internal sealed record ReplayRow(
    MachinePreset Machine, Guests.MaintenancePolicy Policy, ReplayPhase Mapping, ReplayPhase Unmapping,
    ReplayPhase Death, long Refused);

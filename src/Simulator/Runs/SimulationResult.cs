namespace Quietus.Simulator;

/// <summary>
/// What a simulated death came to. Times are virtual nanoseconds of the PE that does the work.
/// <para>
/// The death is Stage-2's: from the order to the moment when nothing of the VM's tables is left, which is what the
/// series measures. <see cref="DeathNanoseconds"/> is the sum of cache, TLBI, walk, free and other. What the host
/// pays to free the process's own pages is the same under every policy, and stands apart:
/// <see cref="HostFreeNanoseconds"/>.
/// </para>
/// </summary>
public sealed record SimulationResult
{
    /// <summary>What was asked for, everything resolved.</summary>
    public required SimulationRequest Request { get; init; }

    /// <summary>4 KB pages that were mapped when the death began.</summary>
    public required long MappedPages4K { get; init; }

    /// <summary>2 MB blocks that were mapped then.</summary>
    public required long MappedBlocks2M { get; init; }

    /// <summary>1 GB blocks that were mapped then.</summary>
    public required long MappedBlocks1G { get; init; }

    /// <summary>Table pages that there were then.</summary>
    public required long TablePages { get; init; }

    /// <summary>What was issued to fill the VM, and what it cost.</summary>
    public required Bill Fill { get; init; }

    /// <summary>What was issued from the order to die to the end, and what it cost.</summary>
    public required Bill Death { get; init; }

    /// <summary>Stage-2's death: all of <see cref="Death"/> but the host's freeing of pages.</summary>
    public double DeathNanoseconds =>
        Nanoseconds(Death.Time.Picoseconds - Death.Time.HostFreePicoseconds);

    /// <summary>Cache maintenance.</summary>
    public double CacheNanoseconds => Nanoseconds(Death.Time.CachePicoseconds);

    /// <summary>TLB invalidation and the waiting for it.</summary>
    public double TlbiNanoseconds => Nanoseconds(Death.Time.TlbiPicoseconds);

    /// <summary>Entries read, written and unlinked.</summary>
    public double WalkNanoseconds => Nanoseconds(Death.Time.WalkPicoseconds);

    /// <summary>Table pages given back.</summary>
    public double FreeNanoseconds => Nanoseconds(Death.Time.TableFreePicoseconds);

    /// <summary>Interrupts, system calls and callbacks, zeroing.</summary>
    public double OtherNanoseconds => Nanoseconds(Death.Time.OtherPicoseconds);

    /// <summary>The host's own freeing of the process's pages: not part of the death.</summary>
    public double HostFreeNanoseconds => Nanoseconds(Death.Time.HostFreePicoseconds);

    /// <summary>Filling the VM, faults included.</summary>
    public double FillNanoseconds => Nanoseconds(Fill.Time.Picoseconds);

    /// <summary>What each other PE of the machine lost to the death's broadcasts.</summary>
    public required double VictimNanoseconds { get; init; }

    /// <summary>How often an invariant was checked in the run, and held: a run in which one fails throws.</summary>
    public required long InvariantsChecked { get; init; }

    private static double Nanoseconds(long picoseconds) => picoseconds / 1000.0;
}

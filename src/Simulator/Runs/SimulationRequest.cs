using Quietus.Memory;

namespace Quietus.Simulator;

/// <summary>In what sizes the host backs the VM's memory.</summary>
public enum GuestPages
{
    /// <summary>4 KB pages.</summary>
    Pages4K,

    /// <summary>2 MB pages out of hugetlbfs.</summary>
    Blocks2M,

    /// <summary>1 GB pages out of hugetlbfs.</summary>
    Blocks1G,

    /// <summary>
    /// Transparent huge pages: 2 MB where the VM's memory is touched in an aligned block first, and a share of 4 KB
    /// pages where the host found no huge page (<see cref="SimulationRequest.HugePageShare"/>).
    /// </summary>
    Transparent,

    /// <summary>
    /// Base pages of 64 KB, on machines of other architectures that have them; the host's are of 2 MB then, of which
    /// the guest gets 64 KB at a time.
    /// </summary>
    Pages64K,
}

/// <summary>How the VM's memory leaves.</summary>
public enum DeathKind
{
    /// <summary>The VMM stops its vCPUs and exits: the notifier's release callback.</summary>
    Exit,

    /// <summary>SIGKILL: as <see cref="Exit"/>, but the vCPUs have to be kicked out of the guest first.</summary>
    Kill,

    /// <summary>The VMM unmaps the guest's memory while the VM's file descriptor lives, then exits.</summary>
    Munmap,

    /// <summary>The VMM deletes the memory slot while the VM lives, then exits.</summary>
    Slot,

    /// <summary>The VMM gives the guest's memory up by MADV_DONTNEED, then exits.</summary>
    Madvise,

    /// <summary>The VMM moves the guest's memory by mremap, which keeps the contents, then exits.</summary>
    Mremap,

    /// <summary>
    /// The guest's memory is a file in memory (memfd); the VMM punches a hole into all of it
    /// (FALLOC_FL_PUNCH_HOLE), then exits.
    /// </summary>
    Punch,
}

/// <summary>In which order the guest touches its memory.</summary>
public enum TouchPattern
{
    /// <summary>From the first page to the last.</summary>
    Sequential,

    /// <summary>Every page once, in an order drawn from the seed.</summary>
    Random,

    /// <summary>As <see cref="Sequential"/>, and then a tenth of the memory again and again.</summary>
    HotSet,
}

/// <summary>One VM's life and death, to be simulated.</summary>
public sealed record SimulationRequest
{
    /// <summary>The machine.</summary>
    public required MachinePreset Machine { get; init; }

    /// <summary>The VM's memory, in bytes; a multiple of the page size.</summary>
    public ulong MemoryBytes { get; init; } = 64UL << 30;

    /// <summary>In what sizes it is backed.</summary>
    public GuestPages Pages { get; init; } = GuestPages.Blocks2M;

    /// <summary>How it ends.</summary>
    public DeathKind Death { get; init; } = DeathKind.Kill;

    /// <summary>Which maintenance is issued.</summary>
    public MaintenancePolicy Policy { get; init; } = MaintenancePolicy.Fate;

    /// <summary>vCPUs, each on a PE of its own while it runs.</summary>
    public int Vcpus { get; init; } = 4;

    /// <summary>The order of first touches.</summary>
    public TouchPattern Touch { get; init; } = TouchPattern.Sequential;

    /// <summary>The share of its memory that the guest touches, 0 to 1: what is not touched is not mapped.</summary>
    public double Touched { get; init; } = 1;

    /// <summary>With <see cref="GuestPages.Transparent"/>, the share of blocks that are huge pages, 0 to 1.</summary>
    public double HugePageShare { get; init; } = 0.9;

    /// <summary>The guest runs with its caches off: its writes go past them and leave stale lines behind.</summary>
    public bool CachesOff { get; init; }

    /// <summary>
    /// Memory is spread over the sockets, page by page; otherwise it is the socket's on which the VM runs, as far as
    /// that has room.
    /// </summary>
    public bool Interleave { get; init; } = true;

    /// <summary>Of everything that is drawn by chance.</summary>
    public int Seed { get; init; } = 1;
}

using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Guests;

/// <summary>
/// What a VM's death, or the unmapping of its memory, has cost. The operations are counted where they are issued; the
/// instructions come from the machine's own counter.
/// </summary>
internal sealed record DeathFigures
{
    /// <summary>4 KB pages that were mapped when it began.</summary>
    public required long MappedPages4K { get; init; }

    /// <summary>2 MB blocks that were mapped when it began.</summary>
    public required long MappedBlocks2M { get; init; }

    /// <summary>
    /// Instructions from the order until all memory was back; ticks of its counter where the machine does not count
    /// instructions (<c>run</c>, which does not show them).
    /// </summary>
    public required long Instructions { get; init; }

    /// <summary>The part of them until the last vCPU had stopped.</summary>
    public required long StopInstructions { get; init; }

    /// <summary>TLBI IPAS2E1IS: one IPA.</summary>
    public required long TlbiIpa { get; init; }

    /// <summary>TLBI RIPAS2E1IS: a range of IPAs (FEAT_TLBIRANGE).</summary>
    public required long TlbiRange { get; init; }

    /// <summary>TLBI VMALLS12E1IS: both stages of the VMID.</summary>
    public required long TlbiVmid { get; init; }

    /// <summary>TLBI VMALLE1IS: the combined entries that invalidating by IPA leaves.</summary>
    public required long TlbiVmalle1 { get; init; }

    /// <summary>Cache lines cleaned and invalidated to PoC.</summary>
    public required long DcLines { get; init; }

    /// <summary>DSB instructions.</summary>
    public required long Dsb { get; init; }

    /// <summary>The machine's own time, in nanoseconds: under -icount another view of the instructions.</summary>
    public required long VirtualNanoseconds { get; init; }

    /// <summary>Bytes that came back to the pool.</summary>
    public required long FreedBytes { get; init; }

    /// <summary>Frames that did not come back: anything but 0 is a defect.</summary>
    public required long LeakedFrames { get; init; }

    /// <summary>Entries mapped, pages and blocks together.</summary>
    public long Entries => MappedPages4K + MappedBlocks2M;

    /// <summary>Reads the figures out of a reply or an event.</summary>
    public static DeathFigures Read(KeyValueLine line) => new()
    {
        MappedPages4K = line.Number(DeathFields.MappedPages4K),
        MappedBlocks2M = line.Number(DeathFields.MappedBlocks2M),
        Instructions = line.TryNumber(DeathFields.Instructions) ?? line.Number(DeathFields.Ticks),
        StopInstructions = line.TryNumber(DeathFields.StopInstructions) ?? line.Number(DeathFields.StopTicks),
        TlbiIpa = line.Number(DeathFields.TlbiIpa),
        TlbiRange = line.Number(DeathFields.TlbiRange),
        TlbiVmid = line.Number(DeathFields.TlbiVmid),
        TlbiVmalle1 = line.Number(DeathFields.TlbiVmalle1),
        DcLines = line.Number(DeathFields.DcLines),
        Dsb = line.Number(DeathFields.Dsb),
        VirtualNanoseconds = line.Number(DeathFields.VirtualNanoseconds),
        FreedBytes = line.Number(DeathFields.FreedBytes),
        LeakedFrames = line.TryNumber(DeathFields.LeakedFrames) ?? 0,
    };
}

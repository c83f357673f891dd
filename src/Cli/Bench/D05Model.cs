using System;
using Quietus.Cli.Guests;

namespace Quietus.Cli.Bench;

/// <summary>
/// How long a death would take on a D05 (two sockets of HiSilicon Hip07, 2 x 32 Cortex-A72, no FEAT_S2FWB): a model,
/// the counts of what was issued times published figures. QEMU has no caches, so its own time cannot say.
/// </summary>
/// <remarks>
/// Where the D05 itself was not measured, its nearest relative stands in, and it is said which. The model reproduces
/// what is known of the whole: 64 GB in 2 MB blocks come out at 11.9 s, more than 99 % of it cache maintenance, and
/// far below one second without; "Help VMs dying quicker" (20191213182503.14460-1-maz@kernel.org) says up to 12 s,
/// 99 % and less than one second.
/// </remarks>
internal static class D05Model
{
    /// <summary>
    /// Clean and invalidate one 64-byte line to PoC: 64 GB in 12 s, 99 % of which is this. D05, same message; derived.
    /// </summary>
    public const double LineNanoseconds = 11;

    /// <summary>
    /// Visit an entry, clear it and drop its references: 20 GiB of 4K entries in 0.244 s without cache maintenance.
    /// Kunpeng 920, kvmarm list, 2021; derived.
    /// </summary>
    public const double EntryNanoseconds = 47;

    /// <summary>
    /// One complete invalidation by IPA: TLBI, DSB, VMALLE1IS, DSB. 128 GB of 4K pages, 64.65 s with and 14.39 s
    /// without one for each page ("KVM: arm64: Add support for FEAT_TLBIRANGE", 20230811045127.3308641-1); derived.
    /// </summary>
    public const double SequenceNanoseconds = 1500;

    /// <summary>
    /// One more TLBI before the same DSB: flush_tlb_range of 16 to 256 pages at about 470 ns each (linux-arm-kernel,
    /// the range-TLBI series).
    /// </summary>
    public const double BatchedTlbiNanoseconds = 470;

    /// <summary>
    /// One invalidation of a whole address space and its DSB: 1508 ns for an ASID, which stands in for a VMID (same
    /// series).
    /// </summary>
    public const double WholeSpaceNanoseconds = 1508;

    /// <summary>The modelled time of a measured death, in nanoseconds.</summary>
    public static double Nanoseconds(BenchRow row) => Nanoseconds(row.Death, VisitedEntries(row));

    /// <summary>The modelled time of a death that visits every mapped entry, in nanoseconds.</summary>
    public static double Nanoseconds(DeathFigures death) => Nanoseconds(death, death.Entries);

    /// <summary>The part of the time that is cache maintenance.</summary>
    public static double CacheNanoseconds(DeathFigures death) => death.DcLines * LineNanoseconds;

    private static double Nanoseconds(DeathFigures death, long visitedEntries)
    {
        // Each VMALLE1IS closes one sequence; what was invalidated by IPA beyond that was batched.
        long byIpa = death.TlbiIpa + death.TlbiRange;
        long sequences = Math.Min(byIpa, death.TlbiVmalle1);
        long batched = byIpa - sequences;
        return (death.DcLines * LineNanoseconds)
            + (visitedEntries * EntryNanoseconds)
            + (sequences * SequenceNanoseconds)
            + (batched * BatchedTlbiNanoseconds)
            + (death.TlbiVmid * WholeSpaceNanoseconds);
    }

    /// <summary>
    /// A whole VM's release visits no leaf under the last two policies: fate nothing at all, tables-only what leads to
    /// a table of 4K pages, and the blocks beside it.
    /// </summary>
    private static long VisitedEntries(BenchRow row) => (row.Case.Way, row.Case.Policy.Name) switch
    {
        (DeathWay.Kill, "fate") => 0,
        (DeathWay.Kill, "tables-only") =>
            ((row.Death.MappedPages4K + PagesPerTable - 1) / PagesPerTable) + row.Death.MappedBlocks2M,
        _ => row.Death.Entries,
    };

    private const long PagesPerTable = 512;
}

using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>
/// One way of losing memory under Quietus, beside what KVM takes for the same, for its share in that, and what the host
/// takes for as much memory without any VM.
/// </summary>
/// <param name="Case">The size of memory and of pages.</param>
/// <param name="Way">By which order of Quietus's.</param>
/// <param name="Ours">Quietus, policy fate: from the order until all memory is back in the pool.</param>
/// <param name="Whole">KVM: from the order until all memory is free.</param>
/// <param name="Share">KVM: the VM's share alone; no host page is freed.</param>
/// <param name="NoVm">The host's kernel without a VM.</param>
internal sealed record KvmComparison(
    KvmCase Case, DeathWay Way, BenchRow Ours, KvmRow Whole, KvmRow Share, KvmRow NoVm)
{
    /// <summary>How many times fewer instructions than KVM, with the host's pages freed on both sides.</summary>
    public double WholeRatio => Ratio(Whole);

    /// <summary>The same against the VM's share alone, although Quietus frees the pages as well.</summary>
    public double ShareRatio => Ratio(Share);

    /// <summary>Every pair that was measured on both sides.</summary>
    public static IReadOnlyList<KvmComparison> Make(BenchResult result, KvmResult kvm)
    {
        List<KvmComparison> pairs = [];
        foreach (KvmCase what in kvm.Rows.Select(row => row.Case).Distinct())
        {
            Add(what, DeathWay.Kill, KvmWay.Kill, KvmWay.Close, KvmWay.KillNoVm);
            Add(what, DeathWay.Unmap, KvmWay.Munmap, KvmWay.SlotRemoval, KvmWay.MunmapNoVm);
        }

        return pairs;

        void Add(KvmCase what, DeathWay way, KvmWay whole, KvmWay share, KvmWay noVm)
        {
            BenchRow? ours = result.Rows.FirstOrDefault(row => row.Case is { Guest.Name: GuestPayload.Filler }
                && row.Case.MemoryBytes == what.MemoryBytes && row.Case.Pages == what.Pages && row.Case.Way == way);
            if (ours is not null
                && kvm.Row(what.MemoryBytes, what.Pages, whole) is { } wholeRow
                && kvm.Row(what.MemoryBytes, what.Pages, share) is { } shareRow
                && kvm.Row(what.MemoryBytes, what.Pages, noVm) is { } noVmRow)
            {
                pairs.Add(new KvmComparison(what, way, ours, wholeRow, shareRow, noVmRow));
            }
        }
    }

    // An unmap costs by the page on both sides, and the filler maps some pages more: those of its own code and tables.
    private double Ratio(KvmRow theirs) => Way == DeathWay.Kill
        ? (double)theirs.Instructions / Ours.Death.Instructions
        : theirs.PerEntry / Ours.InstructionsPerEntry ?? 0;
}

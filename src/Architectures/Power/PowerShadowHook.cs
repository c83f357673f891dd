using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// book3s PR, a guest without hardware's help (arch/powerpc/kvm/book3s_mmu_hpte.c of Linux 5.5): each vCPU has a
/// cache of up to 32,768 shadow entries in the host's hashed table. As in 5.5, a range is flushed by going through
/// all of them, for each vCPU (kvmppc_mmu_pte_pflush); under <c>series</c> and <c>fate</c> they are found by guest
/// page.
/// </summary>
internal sealed class PowerShadowHook : GuestHook
{
    /// <summary>HPTEG_CACHE_NUM: when they are used up, all go.</summary>
    internal const int MostEntries = 1 << 15;

    private const ulong Page = 4096;

    private readonly Dictionary<ulong, HashedPte>[] _shadows;

    internal PowerShadowHook(GuestOptions options)
        : base(options) =>
        _shadows = [.. Enumerable.Range(0, Vcpus).Select(static _ => new Dictionary<ulong, HashedPte>())];

    public override long Tables => 0;

    internal override int LargestLeaf => 3;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _shadows
        .SelectMany(static shadow => shadow)
        .OrderBy(static entry => entry.Key)
        .Select(static entry => new GuestLeaf(entry.Key, entry.Value.Frame, Page, entry.Value.IsWritable));

    public override bool IsMapped(Ipa ipa, AccessKind access) =>
        ShadowOf(ipa.Value).TryGetValue(ipa.Value & ~(Page - 1), out HashedPte entry)
        && (access != AccessKind.Write || entry.IsWritable);

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        // 5.5 does nothing here: kvm_age_hva_pr answers 0.
        owesFlush = false;
        return false;
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        bool onlyWriting = !IsAsIn55 && TakesOnlyWriting(in range);
        Take(range.Start.Value, range.End.Value, onlyWriting);
        return false;
    }

    private protected override bool DropSlot(Slot slot)
    {
        Take(slot.Start, slot.End, onlyWriting: false);
        return false;
    }

    private protected override void Flush() => Guard?.Flushed();

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        Dictionary<ulong, HashedPte> shadow = ShadowOf(ipa);
        if (shadow.Count == MostEntries)
        {
            shadow.Clear();
        }

        ulong gpa = ipa & ~(Page - 1);
        shadow[gpa] = HashedPte.For(HashedTable.VirtualAddressOf(gpa), frame, isWritable, isSecondary: false);
    }

    private protected override void Die()
    {
        Guard?.NoCoreRuns();
        foreach (Dictionary<ulong, HashedPte> shadow in _shadows)
        {
            // The shadow entries lie in the host's own table, which lives on: each has to leave it.
            Meter.Add(HookOperation.Visit, shadow.Count);
            Meter.Add(HookOperation.Unlink, shadow.Count);
            Meter.Add(HookOperation.FlushPage, shadow.Count);
            Meter.Add(HookOperation.FlushWait, IsAsIn55 ? shadow.Count : System.Math.Min(shadow.Count, 1));
            shadow.Clear();
        }
    }

    private Dictionary<ulong, HashedPte> ShadowOf(ulong ipa) => _shadows[(ipa / Page) % (ulong)Vcpus];

    private void Take(ulong start, ulong end, bool onlyWriting)
    {
        long waits = 0;
        foreach (Dictionary<ulong, HashedPte> shadow in _shadows)
        {
            if (IsAsIn55)
            {
                Meter.Add(HookOperation.Visit, shadow.Count);
            }

            // By guest page where the range is small, through all of them where they are fewer.
            List<ulong> pages = (end - start) / Page < (ulong)shadow.Count
                ? [.. Pages(start, end).Where(shadow.ContainsKey)]
                : [.. shadow.Keys.Where(gpa => gpa >= start && gpa < end)];
            if (!IsAsIn55)
            {
                Meter.Add(HookOperation.Visit, System.Math.Min((long)((end - start) / Page), shadow.Count));
            }

            foreach (ulong gpa in pages)
            {
                HashedPte entry = shadow[gpa];
                if (onlyWriting && !entry.IsWritable)
                {
                    continue;
                }

                Guard?.MayBeStale(gpa, entry.Frame, Page);
                if (onlyWriting)
                {
                    Meter.Add(HookOperation.Write);
                    shadow[gpa] = entry.WithoutWrite();
                }
                else
                {
                    Meter.Add(HookOperation.Unlink);
                    shadow.Remove(gpa);
                }

                // The host's own hashed table: an entry leaves it with a tlbie for its address.
                Meter.Add(HookOperation.FlushPage);
                waits++;
            }
        }

        Meter.Add(HookOperation.FlushWait, IsAsIn55 ? waits : System.Math.Min(waits, 1));
        Guard?.Flushed();
    }

    private static IEnumerable<ulong> Pages(ulong start, ulong end)
    {
        for (ulong gpa = start; gpa < end; gpa += Page)
        {
            yield return gpa;
        }
    }
}

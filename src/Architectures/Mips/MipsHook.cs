using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// MIPS with VZ (arch/mips/kvm/mmu.c and vz.c of Linux 5.5): a table of guest-physical addresses that software keeps,
/// and a root TLB on each core. As in 5.5, the range is cleared in the table, empty tables are freed, and then all of
/// the guest's TLB entries go on every vCPU, whether anything was found or not, even where the call touches no slot.
/// Under <c>series</c> and <c>fate</c> that is owed only for what was mapped.
/// </summary>
internal sealed class MipsHook : GuestHook
{
    private const ulong Page = 4096;
    private const int GuestId = 1;
    private const ulong TablesStart = 1UL << 45;
    private const ulong GpaLimit = 1UL << 40;

    private readonly HookWorld _world;
    private readonly SoftTree<MipsPte> _tree;
    private readonly RootTlb[] _tlbs;

    internal MipsHook(GuestOptions options)
        : base(options)
    {
        // No walker of hardware's goes through the table, so a part of it is free as soon as it is unlinked.
        _world = new HookWorld(new TablePages(TablesStart, false), Meter, Guard, 32) { IsSoftwareOnly = true };
        _tree = new SoftTree<MipsPte>(_world, Shape);
        _tlbs = [.. Enumerable.Range(0, Vcpus).Select(static _ => new RootTlb())];
    }

    public override long Tables => _world.Pages.Count;

    internal override int LargestLeaf => 3;

    /// <summary>40 bits: 10 in the root, 9 and 9 below, and 4K pages.</summary>
    internal static TreeShape Shape { get; } =
        new([30, 21, 12], [10, 9, 9], static (table, _) => MipsPte.Table(new Pa(table)));

    internal IReadOnlyList<RootTlb> Tlbs => _tlbs;

    private protected override bool FlushesElsewhere => IsAsIn55;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _tree.LeavesIn(0, GpaLimit, counts: false)
        .Select(static leaf => new GuestLeaf(
            leaf.Gpa, MipsPte.OutputAddress(leaf.Place.Entry, 3).Value, Page,
            (leaf.Place.Entry & MipsPte.WriteBit) != 0));

    public override bool IsMapped(Ipa ipa, AccessKind access)
    {
        ulong entry = _tree.Find(ipa.Value).Entry;
        bool isMapped = MipsPte.IsValid(entry) && (access != AccessKind.Write || (entry & MipsPte.WriteBit) != 0);
        if (isMapped)
        {
            Refill(ipa.Value, entry);
        }

        return isMapped;
    }

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        bool young = false;
        foreach ((_, SoftTree<MipsPte>.Place place) in _tree.LeavesIn(start.Value, start.Value + bytes))
        {
            young |= _tree.Update(place.Address, static leaf => MipsPte.WithAccessed(leaf, false));
        }

        owesFlush = young && IsAsIn55;
        return young;
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        _world.Pages.Forget();
        bool found = !IsAsIn55 && TakesOnlyWriting(in range)
            ? WriteProtect(range.Start.Value, range.End.Value)
            : Clear(range.Start.Value, range.End.Value);
        return found || IsAsIn55;
    }

    private protected override bool DropSlot(Slot slot)
    {
        _world.Pages.Forget();
        return Clear(slot.Start, slot.End) || IsAsIn55;
    }

    private protected override void Flush()
    {
        InterruptVcpus();
        Meter.Add(HookOperation.FlushGuest, Vcpus);
        Meter.Add(HookOperation.FlushWait);
        foreach (RootTlb tlb in _tlbs)
        {
            tlb.Flush(GuestId);
        }

        Guard?.Flushed();
    }

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        ulong gpa = ipa & ~(Page - 1);
        _tree.Map(gpa, frame, _tree.Last, Trees.GuestMemory(isWritable));
        Refill(gpa, _tree.Find(gpa).Entry);
    }

    private protected override void Die()
    {
        Guard?.NoCoreRuns();
        _world.Pages.Forget();
        if (PolicyRules.ReleaseStyleOf(Policy) == ReleaseStyle.UnlinkInvalidateFree)
        {
            Meter.Add(HookOperation.TableFree);
            _world.Pages.ReturnAll();
        }
        else
        {
            if (PolicyRules.ReleaseStyleOf(Policy) != ReleaseStyle.UnlinkInvalidateFreeTables)
            {
                // kvm_mips_flush_gpa_pt from 0 to the end.
                _ = Clear(0, GpaLimit);
            }

            _tree.FreeAll(looksAtLeaves: false);
        }

        Meter.Add(HookOperation.FlushGuest, Vcpus);
        Meter.Add(HookOperation.FlushWait);
        foreach (RootTlb tlb in _tlbs)
        {
            tlb.Flush(GuestId);
        }
    }

    private void Refill(ulong gpa, ulong entry)
    {
        ulong neighbour = _tree.Find(gpa ^ Page).Entry;
        ulong other = MipsPte.IsValid(neighbour) && _tree.Find(gpa ^ Page).Level == _tree.Last
            ? MipsPte.EntryLo(neighbour)
            : 0;
        bool isOdd = (gpa & Page) != 0;
        ulong own = MipsPte.EntryLo(entry);
        _tlbs[(gpa >> 13) % (ulong)Vcpus].Refill(gpa, GuestId, isOdd ? other : own, isOdd ? own : other);
    }

    private bool Clear(ulong start, ulong end)
    {
        bool found = false;
        foreach ((ulong gpa, SoftTree<MipsPte>.Place place) in _tree.LeavesIn(start, end))
        {
            _tree.Clear(place.Address, gpa);
            found = true;
        }

        _tree.DropTables(start, end);
        return found;
    }

    private bool WriteProtect(ulong start, ulong end)
    {
        bool owes = false;
        foreach ((ulong gpa, SoftTree<MipsPte>.Place place) in _tree.LeavesIn(start, end))
        {
            owes |= _tree.Update(place.Address, MipsPte.WithoutWrite, gpa);
        }

        return owes;
    }
}

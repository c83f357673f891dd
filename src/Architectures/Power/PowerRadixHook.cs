using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// POWER9 with a radix guest (arch/powerpc/kvm/book3s_64_mmu_radix.c of Linux 5.5): a partition-scoped tree of 64K or
/// 4K base pages. As in 5.5 each guest page of a range is looked up from the root, cleared, and flushed by a tlbie of
/// its own (kvm_unmap_radix, kvmppc_unmap_pte); at the end tables are freed without a look at the leaves
/// (kvmppc_free_radix). Under <c>series</c> and <c>fate</c> the tables are walked, and one flush pays for the range.
/// </summary>
internal sealed class PowerRadixHook : GuestHook
{
    private const int RootBits = 13;
    private const ulong TablesStart = 1UL << 45;

    private readonly HookWorld _world;
    private readonly SoftTree<PowerRadix> _tree;
    private readonly PendingFlush _pending;
    private readonly int _baseShift;

    internal PowerRadixHook(GuestOptions options)
        : base(options)
    {
        _baseShift = Machine["base_page"] > 4096 ? 16 : 12;
        _world = new HookWorld(new TablePages(TablesStart, isBigEndian: true), Meter, Guard, 128);
        _tree = new SoftTree<PowerRadix>(_world, ShapeOf(_baseShift));
        _pending = new PendingFlush(Meter, Guard);
    }

    public override long Tables => _world.Pages.Count;

    internal override int LargestLeaf => Options.BasePagesOnly && _baseShift == 12 ? 3 : 1;

    /// <summary>The partition table's entry for this guest.</summary>
    internal ulong PartitionEntry => PowerRadix.PartitionEntry(_tree.Root, RootBits);

    /// <summary>52 bits of address: 13 in the root, then 9 and 9, and as many as a base page leaves.</summary>
    internal static TreeShape ShapeOf(int baseShift) =>
        new([39, 30, 21, baseShift], [RootBits, 9, 9, 21 - baseShift], PowerRadix.Directory);

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _tree.LeavesIn(0, 1UL << 48, counts: false)
        .Select(leaf => new GuestLeaf(
            leaf.Gpa, PowerRadix.OutputAddress(leaf.Place.Entry, leaf.Place.Level).Value,
            _tree.BytesAt(leaf.Place.Level), PowerRadix.Attributes(leaf.Place.Entry, false).Write));

    public override bool IsMapped(Ipa ipa, AccessKind access)
    {
        ulong entry = _tree.Find(ipa.Value).Entry;
        return PowerRadix.IsValid(entry) && (access != AccessKind.Write || (entry & PowerRadix.CanWrite) != 0);
    }

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        bool young = false;
        foreach ((_, SoftTree<PowerRadix>.Place place) in _tree.LeavesIn(start.Value, start.Value + bytes))
        {
            young |= _tree.Update(place.Address, static leaf => PowerRadix.WithAccessed(leaf, false));
        }

        // No tlbie in 5.5's kvm_age_radix; the core interrupts the vCPUs.
        owesFlush = young && IsAsIn55;
        return young;
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        _world.Pages.Forget();
        if (IsAsIn55)
        {
            UnmapPageByPage(range.Start.Value, range.End.Value);
            return false;
        }

        return TakesOnlyWriting(in range)
            ? WriteProtect(range.Start.Value, range.End.Value)
            : UnmapByWalk(range.Start.Value, range.End.Value);
    }

    private protected override bool DropSlot(Slot slot)
    {
        _world.Pages.Forget();
        if (IsAsIn55)
        {
            UnmapPageByPage(slot.Start, slot.End);
            return false;
        }

        return UnmapByWalk(slot.Start, slot.End);
    }

    private protected override void Flush()
    {
        _pending.Pay();
        _world.GiveBack();
    }

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        if (Options.BasePagesOnly)
        {
            // A larger page of the host's, of which the guest gets the base page around the address.
            ulong within = ipa & (_tree.BytesAt(level) - 1) & ~((1UL << _baseShift) - 1);
            frame += within;
            level = 3;
        }

        ulong gpa = ipa & ~(_tree.BytesAt(level) - 1);
        bool flushes = false;
        _tree.Map(gpa, frame, level, Trees.GuestMemory(isWritable), () => flushes = true);
        if (flushes)
        {
            // The page walk cache of the LPID: kvmppc_radix_flush_pwc.
            Flush();
        }
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
            _tree.FreeAll(looksAtLeaves: false);
            _world.GiveBack();
        }

        // The LPID is flushed before another guest gets it.
        Meter.Add(HookOperation.FlushGuest);
        Meter.Add(HookOperation.FlushWait);
    }

    private void UnmapPageByPage(ulong start, ulong end)
    {
        for (ulong gpa = start & ~((1UL << _baseShift) - 1); gpa < end; gpa += 1UL << _baseShift)
        {
            Meter.Add(HookOperation.Visit);
            SoftTree<PowerRadix>.Place place = _tree.Find(gpa);
            if (PowerRadix.IsValid(place.Entry))
            {
                _tree.Clear(place.Address, gpa & ~(_tree.BytesAt(place.Level) - 1));
                _pending.Now(gpa & ~(_tree.BytesAt(place.Level) - 1), _tree.BytesAt(place.Level));
            }
        }
    }

    private bool UnmapByWalk(ulong start, ulong end)
    {
        bool owes = false;
        foreach ((ulong gpa, SoftTree<PowerRadix>.Place place) in _tree.LeavesIn(start, end))
        {
            _tree.Clear(place.Address, gpa);
            _pending.Owe(gpa, _tree.BytesAt(place.Level));
            owes = true;
        }

        return owes;
    }

    private bool WriteProtect(ulong start, ulong end)
    {
        bool owes = false;
        foreach ((ulong gpa, SoftTree<PowerRadix>.Place place) in _tree.LeavesIn(start, end))
        {
            if (_tree.Update(place.Address, PowerRadix.WithoutWrite, gpa))
            {
                _pending.Owe(gpa, _tree.BytesAt(place.Level));
                owes = true;
            }
        }

        return owes;
    }
}

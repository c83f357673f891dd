using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// 32-bit arm: the same virt/kvm/arm/mmu.c as arm64's, on the same engine, over <see cref="Lpae"/>. What differs is the
/// hardware: ARMv7 invalidates by VMID only, so Linux 5.5 drops all of the guest's entries for each page (TLBIALLIS,
/// arch/arm/kvm/hyp/tlb.c), and waits for it. Invalidations are issued here, not owed.
/// </summary>
internal sealed class Arm32Hook : GuestHook
{
    private const int IpaBits = 40;

    private readonly HookWorld _world;
    private HookMachine<Lpae> _machine;
    private PageTable<Lpae, HookMachine<Lpae>> _table;

    internal Arm32Hook(GuestOptions options)
        : base(options)
    {
        // 512 GB: above the host's memory, within the 40 bits that a descriptor holds.
        _world = new HookWorld(new TablePages(1UL << 39, false), Meter, Guard, (ulong)Machine["line"])
        {
            InvalidatesAtOnce = true,
        };
        _machine = new HookMachine<Lpae>(_world);
        Stage2Geometry.TryCreate<Lpae>(IpaBits, Lpae.MaximumOutputBits, out Stage2Geometry geometry);
        Trees.Expect(PageTable<Lpae, HookMachine<Lpae>>.Create(ref _machine, geometry, new Vmid(1), out _table));
    }

    public override long Tables => (long)_table.TableCount;

    internal override int LargestLeaf => 1;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => Trees.Leaves(ref _machine, in _table);

    public override bool IsMapped(Ipa ipa, AccessKind access) =>
        Trees.IsMapped(_table.Translate(ref _machine, ipa), access);

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        // Linux 5.5 clears the flags, and its core then flushes the guest, once.
        RangeCursor cursor = new(start, bytes);
        Trees.Expect(_table.Age(ref _machine, ref cursor, out MaintenanceDebt debt));
        bool young = debt.OwesInvalidation;
        debt.Waive(DebtWaiver.AgeMayLag);
        _table.Settle(ref _machine, ref debt);
        owesFlush = young && IsAsIn55;
        return young;
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        UnmapFlags flags = Elision.For(Policy, UnmapOperation.NotifierRange, range.Event, Facts(range.Fate));
        Unmap(range.Start, range.End, flags);
        return false;
    }

    private protected override bool DropSlot(Slot slot)
    {
        // The process keeps the memory.
        UnmapFlags flags = Elision.For(
            Policy, UnmapOperation.NotifierRange, NotifierEvent.ProtectionVma, Facts(PageFate.StaysInPlace));
        Unmap(new Ipa(slot.Start), new Ipa(slot.End), flags);
        return false;
    }

    private protected override void Flush()
    {
        _table.InvalidateVmid(ref _machine);
        _world.GiveBack();
    }

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        ulong bytes = Stage2Geometry.LevelBytes<Lpae>(level);
        LeafAttributes attributes = Trees.GuestMemory(isWritable);
        Ipa start = new(ipa & ~(bytes - 1));
        NoSink sink = default;
        UnmapFlags flags = Elision.For(Policy, UnmapOperation.BlockRetry, default, Facts(PageFate.StaysInPlace));
        Stage2Result result = PolicyRules.RangeStyleOf(Policy) == RangeStyle.Eager
            ? _table.ReplaceTableByBlockEager(
                ref _machine, start, new Pa(frame), level, attributes, flags, ref sink)
            : _table.ReplaceTableByBlock(ref _machine, start, new Pa(frame), level, attributes, flags, ref sink);
        Trees.Expect(result);
    }

    private protected override void Die()
    {
        // No core runs the guest: what is freed before the invalidation can be reached by none.
        Guard?.NoCoreRuns();
        _world.Pages.Forget();
        RangeCursor cursor = _table.WholeRange();
        NoSink sink = default;
        switch (PolicyRules.ReleaseStyleOf(Policy))
        {
            case ReleaseStyle.UnlinkInvalidateFree:
                UnmapWhatIsReadLater();
                _table.DestroyByOwner(ref _machine);
                Meter.Add(HookOperation.TableFree);
                _world.Pages.ReturnAll();
                break;

            case ReleaseStyle.UnlinkInvalidateFreeTables:
                UnmapWhatIsReadLater();
                _table.Destroy(ref _machine);
                break;

            case ReleaseStyle.WalkThenInvalidateVmid:
                Trees.Expect(_table.DestroyAsPosted(ref _machine, ref cursor, ref sink));
                break;

            default:
                Trees.Expect(_table.DestroyEager(ref _machine, ref cursor, UnmapFlags.None, ref sink));
                break;
        }
    }

    /// <summary>A guest may run with its caches off, and there is no FEAT_S2FWB.</summary>
    private static ElisionFacts Facts(PageFate fate) => new(fate, false, true);

    private void UnmapWhatIsReadLater()
    {
        foreach (Slot slot in Slots)
        {
            UnmapFlags flags = Elision.For(Policy, UnmapOperation.Release, default, Facts(slot.Fate));
            if ((flags & UnmapFlags.ElideCacheMaintenance) == 0)
            {
                Unmap(new Ipa(slot.Start), new Ipa(slot.End), flags);
            }
        }
    }

    private void Unmap(Ipa start, Ipa end, UnmapFlags flags)
    {
        _world.Pages.Forget();
        RangeCursor cursor = new(start, end - start);
        NoSink sink = default;
        bool isEager = PolicyRules.RangeStyleOf(Policy) == RangeStyle.Eager;

        // A batch of one page that empties its table would read the rest of it, to tell of leaves that are not there.
        bool isOnePage = end - start == 1UL << Lpae.GranuleShift;
        PartialBlock partial = isEager ? PartialBlock.TakeWhole : PartialBlock.Split;
        Trees.Expect(isEager || isOnePage
            ? _table.UnmapEager(ref _machine, ref cursor, flags, partial, ref sink)
            : _table.Unmap(ref _machine, ref cursor, flags, partial, ref sink));
    }
}

using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// x86 with EPT or NPT (arch/x86/kvm/mmu/mmu.c of Linux 5.5). As in 5.5, guest pages are unmapped by the reverse map,
/// one head for each page and size, tables stay, and the answer is "a remote flush is owed": the core pays it once for
/// all ranges of a notifier's call, by interrupting the vCPUs and by INVEPT, or a new ASID, at their next entries.
/// Under <c>series</c> and <c>fate</c> the engine walks the tables, and gives empty ones back once that flush is paid.
/// </summary>
/// <typeparam name="TFormat"><see cref="Ept"/> or <see cref="Npt"/>.</typeparam>
internal sealed class X86Hook<TFormat> : GuestHook
    where TFormat : struct, IDescriptorFormat
{
    private const int GpaBits = 48;

    /// <summary>32 TB: above the host's memory.</summary>
    private const ulong TablesStart = 1UL << 45;

    private static readonly TreeShape _shape =
        new([39, 30, 21, 12], [9, 9, 9, 9], static (table, _) => TFormat.Table(new Pa(table)));

    private readonly HookWorld _world;
    private readonly SoftTree<TFormat>? _tree;
    private readonly ReverseMap _reverse = new();
    private readonly bool _isEncrypted;
    private HookMachine<TFormat> _machine;
    private PageTable<TFormat, HookMachine<TFormat>> _table;
    private bool _owesCaches;

    internal X86Hook(GuestOptions options)
        : base(options)
    {
        _world = new HookWorld(new TablePages(TablesStart, false), Meter, Guard, 64);
        _isEncrypted = Machine["sev"] != 0;
        if (HasReverseMap)
        {
            _tree = new SoftTree<TFormat>(_world, _shape);
            return;
        }

        _machine = new HookMachine<TFormat>(_world);
        Stage2Geometry.TryCreate<TFormat>(GpaBits, GpaBits, out Stage2Geometry geometry);
        Trees.Expect(PageTable<TFormat, HookMachine<TFormat>>.Create(
            ref _machine, geometry, new Vmid(1), out _table));
    }

    public override long Tables => _world.Pages.Count;

    internal override int LargestLeaf => 1;

    private bool HasReverseMap => Policy is MaintenancePolicy.BeforeSeries or MaintenancePolicy.Patch7;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _tree == null
        ? Trees.Leaves(ref _machine, in _table)
        : _tree.LeavesIn(0, 1UL << GpaBits, counts: false).Select(leaf => new GuestLeaf(
            leaf.Gpa, TFormat.OutputAddress(leaf.Place.Entry, leaf.Place.Level).Value,
            _tree.BytesAt(leaf.Place.Level), TFormat.Attributes(leaf.Place.Entry, false).Write));

    public override bool IsMapped(Ipa ipa, AccessKind access)
    {
        if (_tree == null)
        {
            return Trees.IsMapped(_table.Translate(ref _machine, ipa), access);
        }

        ulong entry = _tree.Find(ipa.Value).Entry;
        return TFormat.IsValid(entry) && (access != AccessKind.Write || TFormat.Attributes(entry, false).Write);
    }

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        bool young = false;
        if (_tree == null)
        {
            RangeCursor cursor = new(start, bytes);
            Trees.Expect(_table.Age(ref _machine, ref cursor, out MaintenanceDebt debt));
            young = debt.OwesInvalidation;
            debt.Waive(DebtWaiver.AgeMayLag);
            _table.Settle(ref _machine, ref debt);
        }
        else
        {
            foreach ((_, SoftTree<TFormat>.Place place) in _tree.LeavesIn(start.Value, start.Value + bytes))
            {
                young |= _tree.Update(place.Address, static leaf => TFormat.WithAccessed(leaf, false));
            }
        }

        owesFlush = young && IsAsIn55;
        return young;
    }

    private protected override void OnSlotAdded(Slot slot)
    {
        if (HasReverseMap)
        {
            _reverse.AddSlot(slot.Start, slot.End);
        }
    }

    private protected override bool Unmap(in NotifierRange range)
    {
        _world.Pages.Forget();
        bool owes = HasReverseMap
            ? ZapByReverseMap(range.Start.Value, range.End.Value)
            : !TakesOnlyWriting(in range) ? ZapByWalk(range.Start, range.End) : WriteProtect(range.Start, range.End);
        _owesCaches |= _isEncrypted && CachesBetray(in range);
        return owes || _owesCaches;
    }

    private protected override bool DropSlot(Slot slot)
    {
        _world.Pages.Forget();
        _owesCaches |= _isEncrypted;
        if (_tree == null)
        {
            return ZapByWalk(new Ipa(slot.Start), new Ipa(slot.End)) || _owesCaches;
        }

        // kvm_mmu_zap_all_fast: every table of the guest goes, whichever slot it is that is removed.
        InterruptVcpus();
        ZapAll();
        return true;
    }

    private protected override void Flush()
    {
        // Each vCPU is interrupted, and invalidates when it enters the guest again; the core waits for all to have
        // left.
        InterruptVcpus();
        Meter.Add(HookOperation.FlushGuest, Vcpus);
        Meter.Add(HookOperation.FlushWait);
        if (_owesCaches)
        {
            Meter.Add(HookOperation.CacheAll);
            _owesCaches = false;
        }

        Guard?.Flushed();
        _world.GiveBack();
    }

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable)
    {
        LeafAttributes attributes = Trees.GuestMemory(isWritable);
        ulong gpa = ipa & ~((1UL << ReverseMap.ShiftOf(level)) - 1);
        if (_tree != null)
        {
            bool flushes = false;
            ulong address = _tree.Map(gpa, frame, level, attributes, () => flushes = true);
            _reverse.Head(gpa, level) = address;
            if (flushes)
            {
                Flush();
            }

            return;
        }

        Stage2Result result = _table.Map(ref _machine, new Ipa(gpa), new Pa(frame), level, attributes);
        if (result == Stage2Result.TableInTheWay)
        {
            NoSink sink = default;
            result = _table.ReplaceTableByBlock(
                ref _machine, new Ipa(gpa), new Pa(frame), level, attributes, UnmapFlags.ElideCacheMaintenance,
                ref sink);
            Flush();
        }

        Trees.Expect(result);
    }

    private protected override void Die()
    {
        // The vCPUs are gone; what their cores still hold is invalidated before any of them enters a guest again.
        Guard?.NoCoreRuns();
        _world.Pages.Forget();
        switch (PolicyRules.ReleaseStyleOf(Policy))
        {
            case ReleaseStyle.UnlinkInvalidateFree:
                _table.DestroyByOwner(ref _machine);
                Meter.Add(HookOperation.TableFree);
                _world.Pages.ReturnAll();
                break;

            case ReleaseStyle.UnlinkInvalidateFreeTables:
                _table.Destroy(ref _machine);
                break;

            default:
                DieByWalk();
                break;
        }

        if (_isEncrypted)
        {
            Meter.Add(HookOperation.CacheAll);
        }

        Meter.Add(HookOperation.FlushGuest);
        Meter.Add(HookOperation.FlushWait);
        _world.GiveBack();
    }

    /// <summary>
    /// What 2022's guest_memory_reclaimed does for every event (commit 683412ccf612), and the RFC of 2023 for some
    /// (20231110003734.1014084-1-jackyli@google.com).
    /// </summary>
    private bool CachesBetray(in NotifierRange range) => Policy switch
    {
        MaintenancePolicy.BeforeSeries => true,

        // licence: none but that the RFC's list of events has it so: mprotect and copy-on-write free nothing.
        MaintenancePolicy.Patch7 or MaintenancePolicy.Series => range.Event
            is NotifierEvent.Unmap or NotifierEvent.Clear or NotifierEvent.Migrate,

        // licence: the page stays the guest's, in place, so no line of it is read or written under another key. Every
        // other fate lets the page meet another key, of which no notifier will tell this guest: a freed page, too,
        // which needs no cleaning on arm.
        _ => range.Fate != PageFate.StaysInPlace,
    };

    private bool ZapByReverseMap(ulong start, ulong end)
    {
        bool zapped = false;
        for (int level = 3; level >= 1; level--)
        {
            int shift = ReverseMap.ShiftOf(level);
            for (ulong page = start >> shift; page <= (end - 1) >> shift; page++)
            {
                Meter.Add(HookOperation.Visit);
                ulong gpa = page << shift;
                ref ulong head = ref _reverse.Head(gpa < start ? start : gpa, level);
                if (head != 0)
                {
                    _tree!.Clear(head);
                    head = 0;
                    zapped = true;
                }
            }
        }

        return zapped;
    }

    private bool ZapByWalk(Ipa start, Ipa end)
    {
        RangeCursor cursor = new(start, end - start);
        CountingSink sink = new(Guard);
        Trees.Expect(_table.Unmap(
            ref _machine, ref cursor, UnmapFlags.ElideCacheMaintenance | UnmapFlags.ElideTlbInvalidation,
            PartialBlock.TakeWhole, ref sink));
        return sink.Leaves != 0;
    }

    private bool WriteProtect(Ipa start, Ipa end)
    {
        RangeCursor cursor = new(start, end - start);
        Trees.Expect(_table.WriteProtect(ref _machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt));
        bool owes = debt.OwesInvalidation;

        // Owed to the core, which pays by Flush.
        _table.Settle(ref _machine, ref debt);
        return owes;
    }

    /// <summary>kvm_mmu_zap_all: every entry of every table, then one flush, then the tables.</summary>
    private void DieByWalk()
    {
        if (_tree != null)
        {
            _tree.FreeAll(looksAtLeaves: true);
            _reverse.Clear();
            return;
        }

        RangeCursor cursor = _table.WholeRange();
        NoSink sink = default;
        Trees.Expect(_table.DestroyAsPosted(ref _machine, ref cursor, ref sink));
    }

    private void ZapAll()
    {
        _tree!.FreeAll(looksAtLeaves: true);
        _reverse.Clear();
        foreach (Slot slot in Slots)
        {
            _reverse.AddSlot(slot.Start, slot.End);
        }

        _tree.Begin();
    }

    private struct CountingSink(FlushGuard? guard) : ILeafSink
    {
        internal ulong Leaves;

        public void Unlinked(Ipa ipa, Pa output, int level, ulong leaves)
        {
            Leaves += leaves;

            // Also those of a table that went by the one entry that led to it.
            guard?.MayBeStale(ipa.Value, output.Value, leaves << ReverseMap.ShiftOf(level));
        }
    }
}

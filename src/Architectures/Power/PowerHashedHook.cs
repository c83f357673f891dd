using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// POWER9 with a guest that has a hashed page table (arch/powerpc/kvm/book3s_64_mmu_hv.c of Linux 5.5). As in 5.5, each
/// guest page of a range is looked at, and each entry of its chain is made absent and flushed by a tlbie of its own,
/// under the lock that POWER9 no longer needs for it. At the end the whole table goes as it is. Under <c>series</c> and
/// <c>fate</c> one flush pays for all the entries of the change.
/// </summary>
internal sealed class PowerHashedHook : GuestHook
{
    private const ulong Page = 4096;

    private readonly PendingFlush _pending;
    private HashedTable? _table;

    internal PowerHashedHook(GuestOptions options)
        : base(options) => _pending = new PendingFlush(Meter, Guard);

    /// <summary>The table is one allocation of many pages.</summary>
    public override long Tables => _table == null ? 0 : _table.Groups / 32;

    internal override int LargestLeaf => 3;

    internal HashedTable Table => _table!;

    private protected override IEnumerable<GuestLeaf> AllLeaves() => _table == null
        ? []
        : _table.Chained.Order().Select(gpa => (Gpa: gpa, Entry: _table[_table.ChainOf(gpa).First()]))
            .Select(page => new GuestLeaf(page.Gpa, page.Entry.Frame, Page, page.Entry.IsWritable));

    public override bool IsMapped(Ipa ipa, AccessKind access)
    {
        int index = _table?.Find(ipa.Value & ~(Page - 1)) ?? -1;
        return index >= 0 && _table![index].IsValid && (access != AccessKind.Write || _table[index].IsWritable);
    }

    public override bool Age(Ipa start, ulong bytes, out bool owesFlush)
    {
        // R is harvested from the entries, and the TLB is left alone (kvm_age_rmapp).
        bool young = false;
        for (ulong gpa = start.Value; gpa < start.Value + bytes; gpa += Page)
        {
            young |= _table?.Age(gpa) ?? false;
        }

        owesFlush = young && IsAsIn55;
        return young;
    }

    private protected override void OnSlotAdded(Slot slot) =>
        _table ??= new HashedTable(HashedTable.GroupsFor(slot.Bytes));

    private protected override bool Unmap(in NotifierRange range) =>
        Take(range.Start.Value, range.End.Value, !IsAsIn55 && TakesOnlyWriting(in range));

    private protected override bool DropSlot(Slot slot) => Take(slot.Start, slot.End, onlyWriting: false);

    private protected override void Flush() => _pending.Pay();

    private protected override void Map(ulong ipa, ulong frame, int level, bool isWritable) =>
        _table!.Enter(ipa & ~(Page - 1), frame, isWritable);

    private protected override void Die()
    {
        Guard?.NoCoreRuns();

        // kvmppc_free_hpt: one allocation, whatever is in it.
        _table = null;
        Meter.Add(HookOperation.TableFree);
        Meter.Add(HookOperation.FlushGuest);
        Meter.Add(HookOperation.FlushWait);
    }

    private bool Take(ulong start, ulong end, bool onlyWriting)
    {
        bool owes = false;
        for (ulong gpa = start; gpa < end; gpa += Page)
        {
            Meter.Add(HookOperation.Visit);
            foreach (int index in _table!.ChainOf(gpa).ToArray())
            {
                Meter.Add(HookOperation.Visit);
                if (onlyWriting && !_table[index].IsWritable)
                {
                    continue;
                }

                Guard?.MayBeStale(gpa, _table[index].Frame, Page);
                if (onlyWriting)
                {
                    Meter.Add(HookOperation.Write);
                    _table.WriteProtect(index);
                }
                else
                {
                    Meter.Add(HookOperation.Unlink);
                    _table.MakeAbsent(index);
                }

                if (IsAsIn55)
                {
                    _pending.Now(gpa, Page);
                }
                else
                {
                    _pending.Owe(gpa, Page);
                    owes = true;
                }
            }
        }

        return owes;
    }
}

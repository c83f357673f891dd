using System;
using System.Collections.Generic;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

/// <summary>
/// What the TLBs and walk caches of all PEs may hold. What the tables say now needs no record: a tag says which PEs may
/// hold it. Invariant: whatever a PE may hold that the tables do not say is a <see cref="StaleItem"/> with that PE.
/// </summary>
internal sealed partial class TlbModel(
    MachineFeatures features, int pes, PageMap pages, Clock clock, TableStore store)
{
    private readonly List<TlbTag> _tags = [];
    private readonly List<PendingTlbi>[] _pending = MakePending(pes);
    private readonly List<int> _overlaps = [];
    private Stack<StaleSet> _spare = new();

    /// <summary>PEs with an overwrite that is not seen.</summary>
    private uint _unseenWriters;

    /// <summary>Where those are, and what was overwritten anew: from the lowest address to the highest.</summary>
    private ulong _lowestUnseen = ulong.MaxValue;
    private ulong _highestUnseen;

    /// <summary>PEs that read another one's overwrite before it was seen.</summary>
    private uint _observers;

    public IReadOnlyList<TlbTag> Tags => _tags;

    /// <summary>Takes over what an earlier judge of this thread left.</summary>
    public void Reuse(Stack<StaleSet> spare) => _spare = spare;

    public Stack<StaleSet> Leave()
    {
        foreach (TlbTag tag in _tags)
        {
            tag.Stale.Clear();
            _spare.Push(tag.Stale);
        }

        return _spare;
    }

    /// <summary>Whether a write of some PE is not seen, apart from one's own.</summary>
    public bool HasUnseenOfOthers(int pe) => (_unseenWriters & ~(1U << pe)) != 0;

    /// <summary>Whether a PE may hold, or come to hold, anything that the tables do not say.</summary>
    public bool HasStale
    {
        get
        {
            foreach (TlbTag tag in _tags)
            {
                if (!tag.Stale.IsEmpty)
                {
                    return true;
                }
            }

            return false;
        }
    }

    public bool IsSettled
    {
        get
        {
            foreach (List<PendingTlbi> pending in _pending)
            {
                if (pending.Count != 0)
                {
                    return false;
                }
            }

            return true;
        }
    }

    public void AddVm(JudgedVm vm) => AddTag(vm, TlbTag.NoVmid);

    /// <summary>
    /// A PE loads VTTBR_EL2: from now on it may walk and cache whatever the tables say, and what they said until the
    /// writer's DSB.
    /// </summary>
    public void Load(int pe, JudgedVm vm, Vmid vmid, int vcpu)
    {
        uint bit = 1U << pe;
        foreach (TlbTag other in _tags)
        {
            if (other.Vm != vm || other.Vmid != vmid.Value)
            {
                // A PE has one VTTBR_EL2.
                other.Unload(pe, clock.Tick());
            }

            if (other.Vmid == vmid.Value && other.Vm != vm && ((other.MayHold & bit) != 0 || other.HasStale(bit)))
            {
                Broken.Fail(ViolationKind.VmidReused, "a guest",
                    $"PE {pe} enters {vm.Name} with VMID {vmid.Value}, and may still hold entries of {other.Vm.Name} "
                    + "under that VMID");
            }
        }

        TlbTag tag = TagFor(vm, vmid.Value);
        vm.Tag = tag;
        if (vm.Dangles)
        {
            Broken.Fail(
                ViolationKind.TableFreedInUse, "a table walk", $"PE {pe} enters {vm.Name}, whose tables are free");
        }

        foreach (ref StaleItem item in tag.Stale.Items)
        {
            if (item.Dangles && (item.Pes & bit) != 0)
            {
                Broken.Fail(
                    item.IsTable ? ViolationKind.TableFreedInUse : ViolationKind.FrameFreedInUse, "a guest",
                    $"PE {pe} enters {vm.Name}, and may still hold an entry that leads to freed memory");
            }

            if (item.SeenAt == 0)
            {
                ReachUnseen(pe, vm, ref item);
            }
        }

        tag.Pairs.Forget(bit);
        tag.Load(pe, vcpu, clock.Tick());
        _on[pe] = tag;
    }

    /// <summary>A PE no longer has the VM's VTTBR_EL2: its TLB keeps what it has, but uses none of it.</summary>
    public void Unload(int pe, JudgedVm vm)
    {
        foreach (TlbTag tag in vm.Tags)
        {
            tag.Unload(pe, clock.Tick());
        }
    }

    /// <summary>A descriptor leaves a VM's tables: every PE that has, or had, the VTTBR may hold it.</summary>
    public void AddStale(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong old)
    {
        if (!Descriptor.IsCacheable(old, level))
        {
            return;
        }

        StaleItem item = ItemOf(pe, level, ipa, location, old);
        foreach (TlbTag tag in vm.Tags)
        {
            item.Stage2Pes = item.CombinedPes = tag.MayHold;
            tag.Stale.Add(item);
        }

        Watch(vm, item);
        Unsee(pe, location);
    }

    private void Unsee(int pe, ulong location)
    {
        _unseenWriters |= 1U << pe;
        _lowestUnseen = Math.Min(_lowestUnseen, location);
        _highestUnseen = Math.Max(_highestUnseen, location);
    }

    /// <summary>
    /// A walk that sees a newer value of an entry never sees an older one again, nor anything of a table that is cut
    /// off: the newest writer's DSB does for all.
    /// </summary>
    public void Overwrite(int pe, ulong start, ulong bytes)
    {
        if (!HasUnseenOfOthers(pe))
        {
            return;
        }

        foreach (TlbTag tag in _tags)
        {
            for (int number = tag.Stale.FirstUnseen; number < tag.Stale.Count && tag.Stale.Unseen != 0; number++)
            {
                ref StaleItem item = ref tag.Stale.Items[number];
                if (item.SeenAt == 0 && item.Location - start < bytes)
                {
                    item.Writer = pe;
                    _unseenWriters |= 1U << pe;
                }
            }
        }
    }

    /// <summary>
    /// Software on a PE read what another one wrote: memory is multi-copy atomic (DDI 0487 B2.3), so that each PE
    /// sees the write, and the reader's next DSB puts what follows behind it.
    /// </summary>
    public void Observe(int pe, ulong location)
    {
        if (location < _lowestUnseen || location > _highestUnseen)
        {
            return;
        }

        foreach (TlbTag tag in _tags)
        {
            for (int number = tag.Stale.FirstUnseen; number < tag.Stale.Count && tag.Stale.Unseen != 0; number++)
            {
                ref StaleItem item = ref tag.Stale.Items[number];
                if (item.SeenAt == 0 && item.Location == location && item.Writer != pe)
                {
                    item.Observers |= 1U << pe;
                    _observers |= 1U << pe;
                }
            }
        }
    }

    /// <summary>A DSB that waits for a PE's stores, and with <paramref name="countsReads"/> its loads.</summary>
    public void See(int pe, bool countsReads)
    {
        uint bit = 1U << pe;
        countsReads &= (_observers & bit) != 0;
        if ((_unseenWriters & bit) == 0 && !countsReads)
        {
            return;
        }

        bool isAllSeen = true;
        foreach (TlbTag tag in _tags)
        {
            if (tag.Stale.Unseen != 0)
            {
                tag.Stale.See(pe, countsReads, clock.Now);
                isAllSeen &= tag.Stale.Unseen == 0;
            }
        }

        Compact();
        if (isAllSeen)
        {
            (_lowestUnseen, _highestUnseen) = (ulong.MaxValue, 0);
        }

        _unseenWriters = isAllSeen ? 0 : _unseenWriters & ~bit;
        _observers = isAllSeen ? 0 : _observers & ~(countsReads ? bit : 0);
    }

    /// <summary>Memory is free: items that lead there must be on no PE that can use them.</summary>
    public void Freed(ulong start, ulong bytes, bool isTable)
    {
        foreach (TlbTag tag in _tags)
        {
            if (tag.Stale.IsEmpty)
            {
                continue;
            }

            if (tag.Vm.Watch.Count != 0)
            {
                Unwatch(tag.Vm, start, bytes);
            }

            foreach (ref StaleItem item in tag.Stale.Items)
            {
                ulong length = item.IsContiguous
                    ? item.TargetBytes << Descriptor.RunShift(pages.GranuleShift, item.Level)
                    : item.TargetBytes;
                ulong target = item.Target & ~(length - 1);
                if (item.Pes == 0 || target >= start + bytes || start >= target + length)
                {
                    continue;
                }

                if ((item.Pes & tag.Loaded) != 0)
                {
                    Broken.Fail(isTable ? ViolationKind.TableFreedInUse : ViolationKind.FrameFreedInUse,
                        isTable ? "a table walk" : "the guest",
                        $"{(isTable ? "a table" : "memory")} of {tag.Vm.Name}, IPA {Broken.Hex(item.Ipa)}, is freed, "
                        + $"and {Broken.Pes(item.Pes & tag.Loaded)} may still {(isTable ? "walk" : "reach")} it: no "
                        + "invalidation of it was complete");
                }

                item.Dangles = true;
            }
        }
    }

    /// <summary>A call for a VM returned: no PE may use what is not in the tables now.</summary>
    public void CheckReturn(JudgedVm vm)
    {
        foreach (TlbTag tag in vm.Tags)
        {
            foreach (ref readonly StaleItem item in tag.Stale.Items)
            {
                if (item.Pes != 0 && IsDangerous(vm, item, out string what))
                {
                    Broken.Fail(ViolationKind.StaleTranslation, "the guest",
                        $"the call has returned, and {Broken.Pes(item.Pes)} may still {what} of {vm.Name} at IPA "
                        + $"{Broken.Hex(item.Ipa)} by a translation that is no longer in the tables");
                }
            }
        }
    }

    /// <summary>
    /// A descriptor is made: whatever differs from it and maps the same addresses must be gone from every TLB.
    /// </summary>
    public void CheckBroken(JudgedVm vm, int level, ulong ipa, ulong location, ulong value)
    {
        foreach (TlbTag tag in vm.Tags)
        {
            if (!tag.Stale.IsEmpty)
            {
                CheckBroken(tag, level, ipa, location, value);
            }
        }
    }

    /// <summary>
    /// Whether software may let PEs see one descriptor and then another of the same address with no break in between
    /// (DDI 0487 D8, break-before-make; FEAT_BBM level 2 for the size).
    /// </summary>
    public bool MayFollow(int level, ulong old, int newLevel, ulong value, bool sameOutput)
    {
        bool sizeMayChange = features.BreakBeforeMake == BreakBeforeMakeSupport.Level2WithoutAbort;
        bool wasTable = Descriptor.IsTable(old, level);
        return wasTable != Descriptor.IsTable(value, newLevel)
            ? sizeMayChange
            : !wasTable && sameOutput && Descriptor.SameType(old, value)
                && ((level == newLevel && Descriptor.SameRun(old, value)) || sizeMayChange);
    }

    /// <summary>Whether a PE may hold a translation that lets a guest write somewhere in a range.</summary>
    public bool MayWrite(ulong start, ulong bytes)
    {
        foreach (TlbTag tag in _tags)
        {
            foreach (ref readonly StaleItem item in tag.Stale.Items)
            {
                if (item.Pes != 0 && !item.IsTable && Descriptor.MayWrite(item.Descriptor)
                    && item.Target < start + bytes && start < item.Target + item.TargetBytes)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Whether a walk cache may lead to a table that no root leads to.</summary>
    public bool IsWalked(ulong table)
    {
        foreach (TlbTag tag in _tags)
        {
            if (WalkersOf(tag, table) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The frames that stale leaves lead to and that are not known to be free: to be asked after.</summary>
    public void Watched(JudgedVm vm, List<(ulong Frame, ulong Bytes)> frames)
    {
        frames.Clear();
        foreach ((ulong frame, ulong bytes) in vm.Watch)
        {
            if (IsUnmapped(frame, bytes))
            {
                frames.Add((frame, bytes));
            }
        }
    }

    /// <summary>A method of its own: what it captures is allocated where it begins.</summary>
    private static void Unwatch(JudgedVm vm, ulong start, ulong bytes) =>
        vm.Watch.RemoveAll(watched => watched.Frame - start < bytes);

    private bool IsUnmapped(ulong frame, ulong bytes)
    {
        foreach (ref readonly PageUse use in pages.Uses(pages.Of(frame), pages.PagesWithin(frame, bytes, out _)))
        {
            if (use.Mappings != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether any frames are to be asked after.</summary>
    public static bool HasWatched(JudgedVm vm)
    {
        foreach (TlbTag tag in vm.Tags)
        {
            if (!tag.Stale.IsEmpty)
            {
                return vm.Watch.Count != 0;
            }
        }

        vm.Watch.Clear();
        return false;
    }

    private void Watch(JudgedVm vm, in StaleItem item)
    {
        if (item.IsTable || pages.PagesWithin(item.Target, item.TargetBytes, out bool isPool) == 0 || !isPool)
        {
            return;
        }

        if (vm.Watch.Count >= vm.MostWatched)
        {
            vm.Watch.Clear();
            foreach (TlbTag tag in vm.Tags)
            {
                foreach (ref readonly StaleItem other in tag.Stale.Items)
                {
                    if (!other.IsTable && !other.IsDead && !other.Dangles
                        && pages.PagesWithin(other.Target, other.TargetBytes, out isPool) != 0 && isPool)
                    {
                        vm.Watch.Add((other.Target, other.TargetBytes));
                    }
                }
            }

            vm.MostWatched = Math.Max(JudgedVm.LeastWatched, 2 * vm.Watch.Count);
        }

        vm.Watch.Add((item.Target, item.TargetBytes));
    }

    private static uint WalkersOf(TlbTag tag, ulong table)
    {
        uint walkers = 0;
        foreach (ref readonly StaleItem item in tag.Stale.Items)
        {
            walkers |= item.IsTable && item.Target == table ? item.Stage2Pes : 0;
        }

        return walkers;
    }

    private StaleItem ItemOf(int pe, int level, ulong ipa, ulong location, ulong old)
    {
        bool isTable = Descriptor.IsTable(old, level);
        int outputShift = isTable ? pages.GranuleShift : pages.LevelShift(level);
        return new StaleItem
        {
            Location = location,
            Descriptor = old,
            Ipa = ipa,
            Bytes = 1UL << pages.LevelShift(level),
            Target = Descriptor.Output(old, outputShift),
            TargetBytes = 1UL << outputShift,
            Level = level,
            Writer = pe,
            IsTable = isTable,
            IsContiguous = !isTable && Descriptor.IsContiguous(old),
        };
    }

    private TlbTag AddTag(JudgedVm vm, int vmid)
    {
        var tag = new TlbTag(
            vm, vmid, _spare.TryPop(out StaleSet? spare) ? spare : new StaleSet(pages.GranuleShift), pes);
        vm.Tags.Add(tag);
        _tags.Add(tag);
        return tag;
    }

    private TlbTag TagFor(JudgedVm vm, int vmid)
    {
        foreach (TlbTag tag in vm.Tags)
        {
            if (tag.Vmid == vmid)
            {
                return tag;
            }
        }

        TlbTag first = vm.Tags[0];
        if (first.Vmid == TlbTag.NoVmid)
        {
            first.Vmid = vmid;
            return first;
        }

        TlbTag added = AddTag(vm, vmid);
        foreach (ref readonly StaleItem item in first.Stale.Items)
        {
            if (item.SeenAt == 0)
            {
                added.Stale.Add(item with { Stage2Pes = 0, CombinedPes = 0, IsCleared = false });
            }
        }

        return added;
    }

    /// <summary>A PE that enters may walk to what was overwritten, beside what is there now.</summary>
    private void ReachUnseen(int pe, JudgedVm vm, ref StaleItem item)
    {
        item.Stage2Pes |= 1U << pe;
        item.CombinedPes |= 1U << pe;
        ulong now = store.LeafAt(vm, item.Ipa, out int level);
        if (item.IsTable || !Descriptor.IsValid(now))
        {
            return;
        }

        ulong output = Descriptor.Output(now, pages.LevelShift(level));
        ulong offset = item.Ipa & ((1UL << pages.LevelShift(level)) - 1);
        if (!MayFollow(item.Level, item.Descriptor, level, now, output + offset == item.Target))
        {
            Broken.Fail(ViolationKind.BreakBeforeMake, "a TLB",
                $"PE {pe} enters {vm.Name}, and may come to hold two descriptors for IPA {Broken.Hex(item.Ipa)}: the "
                + "one that is there, and the one before, which no DSB has taken from walks");
        }
    }

    private void CheckBroken(TlbTag tag, int level, ulong ipa, ulong location, ulong value)
    {
        ulong bytes = 1UL << pages.LevelShift(level);
        bool isTable = Descriptor.IsTable(value, level);
        tag.Stale.FindOverlaps(level, ipa, bytes, _overlaps);
        foreach (int number in _overlaps)
        {
            ref StaleItem item = ref tag.Stale.Items[number];
            if (item.Descriptor == value && item.Ipa == ipa && item.Level == level
                && (item.Location == location || IsCopyOf(tag, item)))
            {
                tag.Stale.Forget(number);
                continue;
            }

            if (item.Pes == 0)
            {
                continue;
            }

            bool isLegal;
            if (item.IsTable || isTable)
            {
                // Of a table above or below only the walk matters, and that the leaves decide.
                isLegal = item.IsTable && isTable
                    ? item.Level != level || item.Target == Descriptor.Output(value, pages.GranuleShift)
                    : item.Level != level || MayFollow(item.Level, item.Descriptor, level, value, false);
            }
            else
            {
                ulong output = Descriptor.Output(value, pages.LevelShift(level));
                isLegal = item.Target - item.Ipa == output - ipa && Descriptor.SameType(item.Descriptor, value)
                    && (item.Level == level
                        || features.BreakBeforeMake == BreakBeforeMakeSupport.Level2WithoutAbort);
            }

            if (!isLegal)
            {
                Broken.Fail(ViolationKind.BreakBeforeMake, "a TLB",
                    $"a descriptor of {tag.Vm.Name} is made at IPA {Broken.Hex(ipa)}, level {level}, and "
                    + $"{Broken.Pes(item.Pes)} may still hold a different one for the same address: the break was not "
                    + "complete");
            }
        }
    }

    /// <summary>
    /// Whether an item is what the tables say now, though in another table: no walk comes to the one it was in, and the
    /// PEs that hold it are among those that may hold what the tables say.
    /// </summary>
    private bool IsCopyOf(TlbTag tag, in StaleItem item) => (item.Pes & ~tag.MayHold) == 0 && item.SeenAt != 0
        && (store.Find(item.Location) is not TablePage table || WalkersOf(tag, table.Address) == 0);

    /// <summary>Whether a stale item lets a guest do what the tables do not, or refuses it what they permit.</summary>
    private bool IsDangerous(JudgedVm vm, in StaleItem item, out string what)
    {
        what = "walk a table";
        if (item.IsTable)
        {
            return !store.LeadsTo(vm, item.Ipa, item.Level, item.Target);
        }

        ulong now = store.LeafAt(vm, item.Ipa, out int level);
        ulong output = Descriptor.Output(item.Descriptor, pages.LevelShift(item.Level));
        ulong offset = item.Ipa & ((1UL << pages.LevelShift(level)) - 1);
        what = Descriptor.MayWrite(item.Descriptor) ? "write memory" : "read memory";
        return !Descriptor.IsValid(now) || Descriptor.Output(now, pages.LevelShift(level)) + offset != output
            || !Descriptor.SamePermissions(item.Descriptor, now) || !Descriptor.SameType(item.Descriptor, now);
    }
}

using System.Collections.Generic;
using System.Runtime.InteropServices;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

// TLBs: what PEs may hold, what invalidation takes from them, and what must not be free while they do.
public sealed partial class Judge
{
    private readonly List<PendingTlbi>[] _pendingTlbi;
    private readonly List<TlbTag> _tags = [];

    private readonly record struct PendingTlbi(
        TlbiKind Kind, ushort Vmid, ulong Ipa, ulong Bytes, int LevelHint, uint Pes, ulong At);

    /// <summary>Whether a page is an empty table that no VM has.</summary>
    internal bool IsSpareTable(Pa page) =>
        PageOf(page.Value) is >= 0 and int at && _tables[at] is { Vm: null, High: < 0 };

    /// <summary>A VM's tables exist from now on.</summary>
    internal JudgedVm AddVm(string name, Pa root, uint tables, int startLevel)
    {
        _listener?.Vm(_parties.Count, name, root, tables, startLevel);
        var vm = new JudgedVm(NewParty(name), name) { Root = root.Value, StartLevel = startLevel };
        for (uint i = 0; i < tables; i++)
        {
            TablePage table = _tables[PageOf(root.Value + ((ulong)i << _granuleShift))]!;
            table.Vm = vm;
            table.Level = startLevel;
            table.Ipa = (ulong)i << (LevelShift(startLevel) + BitsPerLevel);
        }

        return vm;
    }

    /// <summary>A PE loads VTTBR_EL2: from now on it may walk and cache whatever the tables say.</summary>
    internal void Load(int pe, JudgedVm vm, Vmid vmid)
    {
        _listener?.Load(pe, vm.Party, vmid);
        Events++;
        uint bit = 1U << pe;
        foreach (TlbTag other in _tags)
        {
            if (other.Vmid == vmid.Value && other.Vm != vm && ((other.MayHold & bit) != 0 || HasStale(other, bit)))
            {
                Fail(ViolationKind.VmidReused, "a guest",
                    $"PE {pe} enters {vm.Name} with VMID {vmid.Value}, and may still hold entries of {other.Vm.Name} "
                    + "under that VMID");
            }
        }

        if (vm.Tag is null || vm.Tag.Vmid != vmid.Value)
        {
            vm.Tag = new TlbTag(vm, vmid.Value);
            _tags.Add(vm.Tag);
        }

        if (vm.Dangles)
        {
            Fail(ViolationKind.TableFreedInUse, "a table walk", $"PE {pe} enters {vm.Name}, whose tables are free");
        }

        foreach (StaleItem item in vm.Tag.Stale)
        {
            if (item.Dangles && (item.Pes & bit) != 0)
            {
                Fail(item.IsTable ? ViolationKind.TableFreedInUse : ViolationKind.FrameFreedInUse, "a guest",
                    $"PE {pe} enters {vm.Name}, and may still hold an entry that leads to freed memory");
            }
        }

        // What this PE caches from now on no pair has covered.
        vm.Tag.Pairs = 0;
        vm.Tag.Loaded |= bit;
        vm.Tag.MayHold |= bit;
    }

    /// <summary>A PE no longer has the VM's VTTBR_EL2: its TLB keeps what it has, but uses none of it.</summary>
    internal void Unload(int pe, JudgedVm vm)
    {
        _listener?.Unload(pe, vm.Party);
        Events++;
        if (vm.Tag is TlbTag tag)
        {
            tag.Loaded &= ~(1U << pe);
        }
    }

    /// <summary>TLB invalidation is issued; see <see cref="Complete"/>.</summary>
    /// <param name="pes">The PEs that it reaches: all of them for the Inner Shareable forms.</param>
    public void Invalidate(int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes)
    {
        _listener?.Invalidate(pe, kind, vmid, ipa, bytes, levelHint, pes);
        Events++;
        _pendingTlbi[pe].Add(new PendingTlbi(kind, vmid.Value, ipa.Value, bytes, levelHint, pes, ++_sequence));
    }

    /// <summary>A barrier: writes of the PE are seen; with more than stores, its invalidations are complete.</summary>
    public void Complete(int pe, BarrierKind kind)
    {
        _listener?.Complete(pe, kind);
        Events++;
        _sequence++;
        See(pe);
        if (kind != BarrierKind.InnerShareableStores && _pendingTlbi[pe].Count != 0)
        {
            foreach (PendingTlbi operation in _pendingTlbi[pe])
            {
                Apply(operation);
            }

            _pendingTlbi[pe].Clear();
        }

        CompleteCaches(pe, kind);
    }

    /// <summary>Frames went back to whoever gives them out: no PE may reach them.</summary>
    public void ReturnFrames(Pa start, ulong bytes)
    {
        _listener?.ReturnFrames(start, bytes);
        Events++;
        int page = PageOf(start.Value);
        for (int left = PageCount(bytes); left > 0 && page >= 0; left--, page++)
        {
            if (_pages[page].Mappings != 0)
            {
                if (!_pages[page].IsPool)
                {
                    // The host frees nothing that a VM still has mapped, whether it runs or not.
                    Fail(ViolationKind.FrameFreedInUse, "a guest", "the host frees a frame that a VM still has mapped");
                }

                foreach (TlbTag tag in _tags)
                {
                    if (tag.Loaded != 0 && _pages[page].Owner == tag.Vm.Party)
                    {
                        Fail(ViolationKind.FrameFreedInUse, "a guest",
                            $"a frame is freed while {tag.Vm.Name}, on {Pes(tag.Loaded)}, has it mapped");
                    }
                }
            }
        }

        Freed(start.Value, bytes, isTable: false);
    }

    /// <summary>Everything that a VM had was given back.</summary>
    internal void Release(JudgedVm vm)
    {
        _listener?.Release(vm.Party);
        Events++;
        if (vm.Tag is { Loaded: not 0 } tag)
        {
            Fail(ViolationKind.TableFreedInUse, "a guest",
                $"all memory of {vm.Name} is given back, tables too, and {Pes(tag.Loaded)} may still use it");
        }

        vm.IsReleased = true;
        vm.Dangles = true;
        ForgetTables(vm);
    }

    /// <summary>The frames that stale leaves lead to and that are not known to be free: to be asked after.</summary>
    internal static void Watched(JudgedVm vm, List<(ulong Frame, ulong Bytes)> frames)
    {
        frames.Clear();
        if (vm.Tag is TlbTag tag)
        {
            foreach (StaleItem item in tag.Stale)
            {
                if (!item.IsTable && !item.Dangles)
                {
                    frames.Add((item.Target, item.TargetBytes));
                }
            }
        }
    }

    internal static bool HasWatched(JudgedVm vm) => vm.Tag is { Stale.Count: not 0 };

    /// <summary>Where a guest on a PE may reach an IPA by a translation that is no longer in the tables.</summary>
    internal static bool TryReachStale(JudgedVm vm, int pe, ulong random, out Ipa ipa, out Pa page)
    {
        ipa = default;
        page = default;
        if (vm.Tag is not { Stale.Count: not 0 } tag || (tag.Loaded >> pe & 1) == 0)
        {
            return false;
        }

        StaleItem item = tag.Stale[(int)(random % (ulong)tag.Stale.Count)];
        ipa = new Ipa(item.Ipa);
        page = new Pa(item.Target);
        return !item.IsTable && (item.Pes >> pe & 1) != 0 && Descriptor.MayWrite(item.Descriptor);
    }

    private static bool HasStale(TlbTag tag, uint pes)
    {
        foreach (StaleItem item in tag.Stale)
        {
            if ((item.Pes & pes) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Memory is free: items that lead there must be on no PE that can use them.</summary>
    private void Freed(ulong start, ulong bytes, bool isTable)
    {
        foreach (TlbTag tag in _tags)
        {
            foreach (ref StaleItem item in CollectionsMarshal.AsSpan(tag.Stale))
            {
                if (item.Target >= start + bytes || start >= item.Target + item.TargetBytes)
                {
                    continue;
                }

                if ((item.Pes & tag.Loaded) != 0)
                {
                    Fail(isTable ? ViolationKind.TableFreedInUse : ViolationKind.FrameFreedInUse,
                        isTable ? "a table walk" : "the guest",
                        $"{(isTable ? "a table" : "memory")} of {tag.Vm.Name}, IPA {Hex(item.Ipa)}, is freed, and "
                        + $"{Pes(item.Pes & tag.Loaded)} may still {(isTable ? "walk" : "reach")} it: no invalidation "
                        + "of it was complete");
                }

                item.Dangles = true;
            }
        }
    }

    private void AddStale(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong old)
    {
        if (vm.Tag is not { MayHold: not 0 } tag || !Descriptor.IsCacheable(old, level))
        {
            return;
        }

        bool isTable = Descriptor.IsTable(old, level);
        int outputShift = isTable ? _granuleShift : LevelShift(level);
        tag.Stale.Add(new StaleItem
        {
            Location = location,
            Descriptor = old,
            Ipa = ipa,
            Bytes = 1UL << LevelShift(level),
            Target = Descriptor.Output(old, outputShift),
            TargetBytes = 1UL << outputShift,
            Level = level,
            Writer = pe,
            IsTable = isTable,
            Stage2Pes = tag.MayHold,
            CombinedPes = tag.MayHold,
        });
        _unseen++;
    }

    private int _unseen;

    /// <summary>
    /// A walk that sees a newer value of an entry never sees an older one again, nor anything of a table that is cut
    /// off: the newest writer's DSB does for all.
    /// </summary>
    private void Overwrite(int pe, ulong start, ulong bytes)
    {
        if (_unseen == 0)
        {
            return;
        }

        foreach (TlbTag tag in _tags)
        {
            foreach (ref StaleItem item in CollectionsMarshal.AsSpan(tag.Stale))
            {
                if (item.SeenAt == 0 && item.Location - start < bytes)
                {
                    item.Writer = pe;
                }
            }
        }
    }

    private void See(int pe)
    {
        if (_unseen == 0)
        {
            return;
        }

        _unseen = 0;
        foreach (TlbTag tag in _tags)
        {
            foreach (ref StaleItem item in CollectionsMarshal.AsSpan(tag.Stale))
            {
                if (item.SeenAt == 0)
                {
                    if (item.Writer == pe)
                    {
                        item.SeenAt = _sequence;
                    }
                    else
                    {
                        _unseen++;
                    }
                }
            }
        }
    }

    private void Apply(PendingTlbi operation)
    {
        for (int at = _tags.Count - 1; at >= 0; at--)
        {
            TlbTag tag = _tags[at];
            if (operation.Kind != TlbiKind.All && tag.Vmid != operation.Vmid)
            {
                continue;
            }

            bool isWhole = operation.Kind >= TlbiKind.Vmid;
            if (isWhole && IsSure(ref tag.Pairs, ref tag.PairAt))
            {
                tag.MayHold &= ~operation.Pes | tag.Loaded;
                tag.Pairs = 0;
            }

            if (tag.Stale.Count != 0)
            {
                foreach (ref StaleItem item in CollectionsMarshal.AsSpan(tag.Stale))
                {
                    ApplyTo(ref item, operation, isWhole, tag.Loaded);
                }

                tag.Stale.RemoveAll(static item => item.Pes == 0);
            }

            if (tag.IsEmpty && tag.Vm.IsReleased)
            {
                _tags.RemoveAt(at);
            }
        }
    }

    /// <summary>
    /// Whether an invalidation that a DSB completes is sure to be complete. Under the erratum it takes a second pair:
    /// two TLBIs before one DSB are one.
    /// </summary>
    private bool IsSure(ref byte pairs, ref ulong pairAt)
    {
        if (_features.EarlyCompletion && pairAt != _sequence && pairs < 2)
        {
            pairAt = _sequence;
            pairs++;
        }

        return !_features.EarlyCompletion || pairs >= 2;
    }

    private void ApplyTo(ref StaleItem item, PendingTlbi operation, bool isWhole, uint loaded)
    {
        // What a walk could still read when the invalidation was issued can be cached again after it, by PEs that walk.
        if (item.SeenAt == 0 || item.SeenAt > operation.At)
        {
            operation = operation with { Pes = operation.Pes & ~loaded };
        }

        if (operation.Kind == TlbiKind.Combined)
        {
            bool isRefillable = item.ClearedAt > operation.At;
            if (!isRefillable && IsSure(ref item.CombinedPairs, ref item.CombinedPairAt))
            {
                item.CombinedPes &= ~operation.Pes | item.Stage2Pes;
            }

            return;
        }

        if (!isWhole)
        {
            bool isCovered = operation.Ipa < item.Ipa + item.Bytes && item.Ipa < operation.Ipa + operation.Bytes;
            bool isHinted = operation.LevelHint == 0 || (!item.IsTable && item.Level == operation.LevelHint);
            if (!isCovered || !isHinted)
            {
                return;
            }
        }

        if (!IsSure(ref item.Stage2Pairs, ref item.Stage2PairAt))
        {
            return;
        }

        item.Stage2Pes &= ~operation.Pes;
        item.ClearedAt = _sequence;
        if (isWhole)
        {
            item.CombinedPes &= ~operation.Pes;
        }
    }

    /// <summary>
    /// A descriptor is made: whatever differs from it and maps the same addresses must be gone from every TLB.
    /// </summary>
    private void CheckBroken(JudgedVm vm, int level, ulong ipa, ulong location, ulong value)
    {
        if (vm.Tag is not { Stale.Count: not 0 } tag)
        {
            return;
        }

        ulong bytes = 1UL << LevelShift(level);
        bool sizeMayChange = _features.BreakBeforeMake == BreakBeforeMakeSupport.Level2WithoutAbort;
        bool isTable = Descriptor.IsTable(value, level);
        for (int at = tag.Stale.Count - 1; at >= 0; at--)
        {
            StaleItem item = tag.Stale[at];
            if (item.Ipa >= ipa + bytes || ipa >= item.Ipa + item.Bytes)
            {
                continue;
            }

            if (item.Location == location && item.Descriptor == value)
            {
                // What is in the tables again is not stale.
                tag.Stale.RemoveAt(at);
                continue;
            }

            bool isLegal;
            if (item.IsTable || isTable)
            {
                // Of a table above or below only the walk matters, and that the leaves decide.
                isLegal = item.IsTable && isTable
                    ? item.Level != level || item.Target == Descriptor.Output(value, _granuleShift)
                    : sizeMayChange || item.Level != level;
            }
            else
            {
                ulong output = Descriptor.Output(value, LevelShift(level));
                bool sameOutput = item.Target - item.Ipa == output - ipa;
                isLegal = sameOutput && Descriptor.SameType(item.Descriptor, value)
                    && (item.Level == level || sizeMayChange);
            }

            if (!isLegal)
            {
                Fail(ViolationKind.BreakBeforeMake, "a TLB",
                    $"a descriptor of {vm.Name} is made at IPA {Hex(ipa)}, level {level}, and {Pes(item.Pes)} may "
                    + "still hold a different one for the same address: the break was not complete");
            }
        }
    }
}

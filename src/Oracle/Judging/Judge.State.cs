using System;
using System.Collections.Generic;
using System.Numerics;
using Quietus.Oracle.Search;

namespace Quietus.Oracle.Judging;

// The judge's state, so written that states which behave alike are written alike.
public sealed partial class Judge
{
    /// <summary>
    /// What a judge of this thread left for the next of its granule: programs are short, and these are large.
    /// </summary>
    [ThreadStatic]
    private static Remains?[]? _left;

    private ulong[] _touched = [];

    private sealed record Remains(
        PageState[] States, PageUse[] Uses, TablePage?[] Tables, Stack<TablePage> Spare, Stack<StaleSet> Sets);

    /// <summary>This judge is done: the next one of this thread takes its memory.</summary>
    internal void Leave()
    {
        (TablePage?[] tables, Stack<TablePage> spare) = _store.Leave();
        Left = new Remains(_caches.Leave(), _pages.Leave(), tables, spare, _tlbs.Leave());
    }

    private void Reuse()
    {
        if (Left is Remains left)
        {
            _caches.Reuse(left.States);
            _pages.Reuse(left.Uses);
            _store.Reuse(left.Tables, left.Spare);
            _tlbs.Reuse(left.Sets);
            Left = null;
        }
    }

    private ref Remains? Left => ref (_left ??= new Remains?[17])[_pages.GranuleShift];

    /// <summary>
    /// Whether no maintenance is pending, which only a machine with a defect leaves so: then the state cannot be
    /// written, and is like no other.
    /// </summary>
    internal bool IsSettled => _tlbs.IsSettled && _caches.IsSettled && _calls.IsEmpty;

    /// <summary>
    /// Writes the state, after <see cref="FindTouched"/>: parties by the order in which they come up, versions of a
    /// page by their order of age.
    /// </summary>
    /// <param name="tellsVcpus">Whether it counts which vCPU made what.</param>
    internal void WriteState(StateHash hash, bool tellsVcpus)
    {
        hash.Party(NoOwner);
        hash.Party(Hypervisor);
        foreach (PageMap.Area area in _pages.Areas)
        {
            ReadOnlySpan<int> pieces = hash.Pieces(area.Start, out int shift);
            int pages = 1 << (shift - _pages.GranuleShift);
            for (int at = 0; at < pieces.Length; at++)
            {
                int from = area.First + (pieces[at] * pages);
                for (int page = NextTouched(from); page < from + pages; page = NextTouched(page + 1))
                {
                    WritePage(page, ((ulong)(uint)area.First << 32) + (ulong)(uint)((at * pages) + page - from), hash);
                }
            }
        }

        hash.Write(_tables.UnreadUpdate == 0 ? 0 : hash.Address(_tables.UnreadUpdate));
        UInt128 all = 0;
        foreach (TlbTag tag in _tlbs.Tags)
        {
            if (!tag.IsEmpty || tag.Pairs.Once != 0)
            {
                (ulong, ulong) outside = hash.BeginElement();
                WriteTag(tag, hash);
                for (int pe = 0; tellsVcpus && pe < _clock.Pes; pe++)
                {
                    ulong makers = tag.MakersOn(pe);
                    ulong loaded = (tag.Loaded >> pe & 1) != 0 ? (ulong)(uint)tag.VcpuOn(pe) + 1 : 0;
                    all += makers == 0 ? 0 : hash.Element((ulong)(uint)hash.Pe(pe) << 32 | makers << 8 | loaded);
                }

                all += hash.EndElement(outside);
            }
        }

        hash.Write(all);
    }

    /// <summary>Finds the pages of which there is anything to write.</summary>
    internal void FindTouched()
    {
        _touched = new ulong[(_pages.Count / 64) + 1];
        for (int page = 0; page < _pages.Count; page++)
        {
            ref readonly PageState state = ref _caches.StateOf(page);
            ref readonly PageUse use = ref _pages.Use(page);
            ulong only = state.Latest;
            bool isUntouched = Version.Sequence(only) == 1 && state.CoherentOldest == only
                && state.PocOldest == only
                && (state.DirtyOldest | state.Baseline | state.GuestRisked | state.InstructionOldest
                    | state.InstructionBaseline | state.Copied | use.Owner | use.Mappings) == 0 && !use.IsShared;
            if (!isUntouched || _store.At(page) is not null)
            {
                _touched[page >> 6] |= 1UL << page;
            }
        }
    }

    /// <summary>The first such page from one on; past all of them where there is none.</summary>
    private int NextTouched(int page)
    {
        ulong word = _touched[page >> 6] & (ulong.MaxValue << page);
        while (word == 0)
        {
            page = (page | 63) + 1;
            if (page > _pages.Count)
            {
                return int.MaxValue;
            }

            word = _touched[page >> 6];
        }

        return (page & ~63) + BitOperations.TrailingZeroCount(word);
    }

    private static void WriteTag(TlbTag tag, StateHash hash)
    {
        hash.Write(hash.KnownParty(tag.Vm.Party) << 32 | (uint)tag.Vmid);
        hash.Write((ulong)hash.Pes(tag.Loaded) << 32 | hash.Pes(tag.MayHold));
        hash.Write((tag.Vm.Dangles ? 1UL : 0) | (tag.Vm.IsReleased ? 2UL : 0) | (tag.Vm.Tag == tag ? 4UL : 0)
            | (ulong)hash.Pes(tag.Pairs.Once) << 8);
        UInt128 all = 0;
        foreach (ref readonly StaleItem item in tag.Stale.Items)
        {
            if (!item.IsDead)
            {
                (ulong, ulong) outside = hash.BeginElement();
                WriteItem(item, hash);
                all += hash.EndElement(outside);
            }
        }

        hash.Write(all);
    }

    private void WritePage(int page, ulong name, StateHash hash)
    {
        ref readonly PageState state = ref _caches.StateOf(page);
        ref readonly PageUse use = ref _pages.Use(page);
        if (_store.At(page) is TablePage table)
        {
            hash.Write(0x7AB1E000_00000000UL ^ name);
            hash.Write((table.IsShared ? 1UL << 40 : 0) | (ulong)(uint)table.Links.Count << 8
                | (table.Links.Count != 0 ? (ulong)(uint)table.Level : 0));
            foreach (TableLink link in table.Links)
            {
                hash.Write(hash.Party(link.Vm.Party));
                hash.Write(link.Ipa);
            }
        }

        ReadOnlySpan<ulong> versions =
        [
            state.Latest, state.CoherentOldest, state.PocOldest, state.DirtyOldest, state.Baseline, state.GuestRisked,
            state.InstructionOldest, state.InstructionBaseline, state.Copied,
        ];
        hash.Write(name << 16 | use.Mappings);
        hash.Write(hash.Party(use.Owner));
        hash.Write(
            (_caches.IsUnpublished(page, out int pe, out _) ? (ulong)(uint)hash.Pe(pe) + 1 : 0)
            | (use.IsShared ? 0x100UL : 0));
        ulong ranks = 0;
        for (int at = 0; at < versions.Length; at++)
        {
            ulong version = versions[at];
            ulong rank = version == 0 ? 0UL : 1;
            bool isFirst = true;
            for (int other = 0; other < versions.Length; other++)
            {
                rank += version != 0 && versions[other] < version ? 1UL : 0;
                isFirst &= other >= at || versions[other] != version;
            }

            ranks = ranks << 4 | rank;
            if (isFirst && version != 0)
            {
                hash.Write(hash.Party(Version.Writer(version)) << 32 | hash.Party(Version.Owner(version)));
            }
        }

        hash.Write(ranks);
    }

    private static void WriteItem(in StaleItem item, StateHash hash)
    {
        hash.Write(hash.Address(item.Location));
        hash.Write(hash.Descriptor(item.Descriptor));
        hash.Write(item.Ipa);
        hash.Write(item.Bytes);
        hash.Write(hash.Address(item.Target));
        hash.Write(item.TargetBytes);
        hash.Write((ulong)hash.Pes(item.Stage2Pes) << 32 | hash.Pes(item.CombinedPes));
        hash.Write((ulong)(uint)item.Level << 32 | (ulong)(uint)hash.Pe(item.Writer) << 24
            | (item.SeenAt != 0 ? 1UL : 0) | (item.IsTable ? 2UL : 0) | (item.Dangles ? 4UL : 0));
        hash.Write((ulong)hash.Pes(item.Stage2Pairs.Once) << 32 | hash.Pes(item.CombinedPairs.Once));
    }
}

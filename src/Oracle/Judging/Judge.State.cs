using System;
using System.Collections.Generic;
using System.Numerics;
using Quietus.Oracle.Search;

namespace Quietus.Oracle.Judging;

// The judge's state, so written that states which behave alike are written alike.
public sealed partial class Judge
{
    /// <summary>What a judge of this thread left for the next: programs are short, and these are large.</summary>
    [ThreadStatic]
    private static (PageState[] Pages, TablePage?[] Tables, Stack<TablePage> Spare)? _left;

    private ulong[] _touched = [];

    /// <summary>This judge is done: the next one of this thread takes its memory.</summary>
    internal void Leave()
    {
        foreach (ref TablePage? table in _tables.AsSpan())
        {
            if (table is not null)
            {
                Array.Clear(table.Entries);
                _spareTables.Push(table);
                table = null;
            }
        }

        _left = (_pages, _tables, _spareTables);
    }

    private void Reuse()
    {
        if (_left is (PageState[] pages, TablePage?[] tables, Stack<TablePage> spare))
        {
            (_pages, _tables) = (pages, tables);
            bool isOfOtherGranule = spare.TryPeek(out TablePage? table) && table.Entries.Length != 1 << BitsPerLevel;
        _spareTables = isOfOtherGranule ? [] : spare;
            _left = null;
        }
    }

    /// <summary>
    /// Whether no maintenance is pending, which only a machine with a defect leaves so: then the state cannot be
    /// written, and is like no other.
    /// </summary>
    internal bool IsSettled
    {
        get
        {
            for (int pe = 0; pe < _pendingTlbi.Length; pe++)
            {
                if (_pendingTlbi[pe].Count != 0 || _pendingCache[pe].Count != 0)
                {
                    return false;
                }
            }

            return _calls.Count == 0;
        }
    }

    /// <summary>
    /// Writes the state, after <see cref="FindTouched"/>: parties by the order in which they come up, versions of a
    /// page by their order of age.
    /// </summary>
    internal void WriteState(StateHash hash)
    {
        hash.Party(Nobody);
        hash.Party(Hypervisor);
        foreach ((ulong start, ulong end, int first) in _memory)
        {
            ReadOnlySpan<int> pieces = hash.Pieces(start, out int shift);
            int pages = 1 << (shift - _granuleShift);
            for (int at = 0; at < pieces.Length; at++)
            {
                int from = first + (pieces[at] * pages);
                for (int page = NextTouched(from); page < from + pages; page = NextTouched(page + 1))
                {
                    WritePage(page, ((ulong)(uint)first << 32) + (ulong)(uint)((at * pages) + page - from), hash);
                }
            }
        }

        hash.Write((ulong)(uint)_unseen);
        hash.Write(_unreadUpdate == 0 ? 0 : hash.Address(_unreadUpdate));
        UInt128 all = 0;
        foreach (TlbTag tag in _tags)
        {
            if (!tag.IsEmpty || tag.Pairs != 0)
            {
                (ulong, ulong) outside = hash.BeginElement();
                WriteTag(tag, hash);
                all += hash.EndElement(outside);
            }
        }

        hash.Write(all);
    }

    /// <summary>Finds the pages of which there is anything to write.</summary>
    internal void FindTouched()
    {
        _touched = new ulong[(_pageCount / 64) + 1];
        for (int page = 0; page < _pageCount; page++)
        {
            ref readonly PageState state = ref _pages[page];
            ulong only = state.Latest;
            bool isUntouched = only >> (2 * Version.PartyBits) == 1 && state.CoherentOldest == only
                && state.PocOldest == only
                && (state.DirtyOldest | state.Baseline | state.GuestRisked | state.InstructionOldest
                    | state.InstructionBaseline | state.Copied | state.Owner | state.Mappings) == 0;
            if (!isUntouched || _tables[page] is not null)
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
            if (page > _pageCount)
            {
                return int.MaxValue;
            }

            word = _touched[page >> 6];
        }

        return (page & ~63) + BitOperations.TrailingZeroCount(word);
    }

    private static void WriteTag(TlbTag tag, StateHash hash)
    {
        hash.Write(hash.KnownParty(tag.Vm.Party) << 16 | tag.Vmid);
        hash.Write((ulong)hash.Pes(tag.Loaded) << 32 | hash.Pes(tag.MayHold));
        hash.Write((tag.Vm.Dangles ? 1UL : 0) | (tag.Vm.IsReleased ? 2UL : 0) | (tag.Vm.Tag == tag ? 4UL : 0)
            | (ulong)tag.Pairs << 8);
        UInt128 all = 0;
        foreach (StaleItem item in tag.Stale)
        {
            (ulong, ulong) outside = hash.BeginElement();
            WriteItem(item, hash);
            all += hash.EndElement(outside);
        }

        hash.Write(all);
    }

    private void WritePage(int page, ulong name, StateHash hash)
    {
        ref readonly PageState state = ref _pages[page];
        if (_tables[page] is TablePage table)
        {
            hash.Write(0x7AB1E000_00000000UL ^ name);
            hash.Write((table.Vm is null ? 0 : hash.Party(table.Vm.Party)) << 8 | (ulong)(uint)table.Level);
            hash.Write(table.Ipa);
        }

        ReadOnlySpan<ulong> versions =
        [
            state.Latest, state.CoherentOldest, state.PocOldest, state.DirtyOldest, state.Baseline, state.GuestRisked,
            state.InstructionOldest, state.InstructionBaseline, state.Copied,
        ];
        hash.Write(name << 16 | state.Mappings);
        hash.Write(hash.Party(state.Owner));
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
            | (ulong)item.Stage2Pairs << 16 | (ulong)item.CombinedPairs << 8 | (item.SeenAt != 0 ? 1UL : 0)
            | (item.IsTable ? 2UL : 0) | (item.Dangles ? 4UL : 0));
    }
}

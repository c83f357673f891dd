using System;
using System.Collections.Generic;

namespace Quietus.Oracle.Judging;

// The judge's state, so written that states which behave alike are written alike.
public sealed partial class Judge
{
    /// <summary>
    /// Writes the state: parties by the order in which they come up, versions of a page by their order of age. False
    /// where maintenance is still pending, which only a machine with a defect leaves: such a state is like no other.
    /// </summary>
    internal bool TryWriteState(Action<ulong> write)
    {
        for (int pe = 0; pe < _pendingTlbi.Length; pe++)
        {
            if (_pendingTlbi[pe].Count != 0 || _pendingCache[pe].Count != 0)
            {
                return false;
            }
        }

        var names = new Dictionary<int, ulong>();
        ulong NameOf(int party) => names.TryGetValue(party, out ulong name) ? name : names[party] = (ulong)names.Count;
        NameOf(Nobody);
        NameOf(Hypervisor);
        for (int page = 0; page < _pages.Length; page++)
        {
            WritePage(page, write, NameOf);
        }

        write((ulong)(uint)_unseen);
        foreach (TlbTag tag in _tags)
        {
            write(NameOf(tag.Vm.Party) << 16 | tag.Vmid);
            write((ulong)tag.Loaded << 32 | tag.MayHold);
            write((tag.Vm.Dangles ? 1UL : 0) | (tag.Vm.IsReleased ? 2UL : 0) | (tag.Vm.Tag == tag ? 4UL : 0)
                | (ulong)tag.Pairs << 8);
            write((ulong)(uint)tag.Stale.Count);
            foreach (StaleItem item in tag.Stale)
            {
                WriteItem(item, write);
            }
        }

        return true;
    }

    private void WritePage(int page, Action<ulong> write, Func<int, ulong> nameOf)
    {
        PageState state = _pages[page];
        if (_tables[page] is TablePage table)
        {
            write(0x7AB1E000_00000000UL | (ulong)(uint)page);
            write((table.Vm is null ? 0 : 1 + nameOf(table.Vm.Party)) << 8 | (ulong)(uint)table.Level);
            write(table.Ipa);
        }

        ulong only = state.Latest;
        if (only >> (2 * Version.PartyBits) == 1 && state.CoherentOldest == only && state.PocOldest == only
            && (state.DirtyOldest | state.Baseline | state.GuestRisked | state.InstructionOldest
                | state.InstructionBaseline | state.Copied | state.Owner | state.Mappings) == 0)
        {
            return;
        }

        ReadOnlySpan<ulong> versions =
        [
            state.Latest, state.CoherentOldest, state.PocOldest, state.DirtyOldest, state.Baseline, state.GuestRisked,
            state.InstructionOldest, state.InstructionBaseline, state.Copied,
        ];
        write((ulong)(uint)page << 32 | (ulong)state.Mappings << 16 | (state.IsPool ? 1UL : 0));
        write(nameOf(state.Owner));
        foreach (ulong version in versions)
        {
            ulong rank = 0;
            foreach (ulong other in versions)
            {
                rank += other < version ? 1UL : 0;
            }

            write(version == 0 ? 0 : 1 + rank);
            write(nameOf(Version.Writer(version)) << 32 | nameOf(Version.Owner(version)));
        }
    }

    private static void WriteItem(in StaleItem item, Action<ulong> write)
    {
        write(item.Location);
        write(item.Descriptor);
        write(item.Ipa);
        write(item.Bytes);
        write(item.Target);
        write(item.TargetBytes);
        write((ulong)item.Stage2Pes << 32 | item.CombinedPes);
        write((ulong)(uint)item.Level << 32 | (ulong)(uint)item.Writer << 24 | (ulong)item.Stage2Pairs << 16
            | (ulong)item.CombinedPairs << 8 | (item.SeenAt != 0 ? 1UL : 0) | (item.IsTable ? 2UL : 0)
            | (item.Dangles ? 4UL : 0));
    }
}

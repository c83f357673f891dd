using System.Collections.Generic;

namespace Quietus.Architectures;

/// <summary>
/// The root TLB of one core with the VZ module: entries of two neighbouring pages, by guest-physical address and
/// GuestID (MIPS64 VZ-ASE: EntryHi.VPN2, GuestCtl1.RID, EntryLo0 and EntryLo1).
/// </summary>
internal sealed class RootTlb
{
    /// <summary>Dual entries, as the P5600 has them beside its FTLB.</summary>
    internal const int Entries = 64;

    private const int PairShift = 13;

    private readonly (ulong Pair, int GuestId, ulong Even, ulong Odd)[] _entries =
        new (ulong, int, ulong, ulong)[Entries];

    private int _next;

    /// <summary>Writes the pair around an address, over the oldest (TLBWR).</summary>
    internal void Refill(ulong gpa, int guestId, ulong even, ulong odd)
    {
        ulong pair = gpa >> PairShift;
        int at = System.Array.FindIndex(_entries, entry => entry.GuestId == guestId && entry.Pair == pair);
        if (at < 0)
        {
            at = _next;
            _next = (_next + 1) % Entries;
        }

        _entries[at] = (pair, guestId, even, odd);
    }

    /// <summary>All of a guest's entries go (TLBINVF with its GuestID).</summary>
    internal void Flush(int guestId)
    {
        for (int at = 0; at < Entries; at++)
        {
            if (_entries[at].GuestId == guestId)
            {
                _entries[at] = default;
            }
        }
    }

    /// <summary>What a guest's pages are translated to: EntryLo of each that is valid.</summary>
    internal IEnumerable<(ulong Gpa, ulong EntryLo)> Of(int guestId)
    {
        foreach ((ulong pair, int owner, ulong even, ulong odd) in _entries)
        {
            if (owner == guestId && (even & 2) != 0)
            {
                yield return (pair << PairShift, even);
            }

            if (owner == guestId && (odd & 2) != 0)
            {
                yield return ((pair << PairShift) | (1UL << 12), odd);
            }
        }
    }
}

using System.Collections.Generic;

namespace Quietus.Architectures;

/// <summary>
/// KVM/x86's reverse map: for each guest page of a slot, and for each size, where the entry lies that maps it
/// (kvm_memory_slot.arch.rmap of 5.5). A guest without nested guests has one entry for each at most.
/// </summary>
internal sealed class ReverseMap
{
    private const int Levels = 3;

    private readonly List<Heads> _slots = [];

    private sealed record Heads(ulong Start, ulong End, ulong[][] ByLevel);

    /// <summary>log2 of the bytes of a page of a level: 3 for 4K, 2 for 2M, 1 for 1G.</summary>
    internal static int ShiftOf(int level) => 12 + ((Levels - level) * 9);

    /// <summary>Room for a slot: one head for each page of each size.</summary>
    internal void AddSlot(ulong start, ulong end)
    {
        var heads = new ulong[Levels + 1][];
        for (int level = 1; level <= Levels; level++)
        {
            heads[level] = new ulong[(end >> ShiftOf(level)) - (start >> ShiftOf(level)) + 1];
        }

        _slots.Add(new Heads(start, end, heads));
    }

    /// <summary>The head for a page: 0 where nothing maps it in that size.</summary>
    internal ref ulong Head(ulong gpa, int level)
    {
        Heads slot = _slots.Find(candidate => gpa >= candidate.Start && gpa < candidate.End)!;
        return ref slot.ByLevel[level][(gpa >> ShiftOf(level)) - (slot.Start >> ShiftOf(level))];
    }

    internal void Clear() => _slots.Clear();
}

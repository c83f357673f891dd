using System.Buffers.Binary;
using System.Collections.Generic;
using System.Numerics;

namespace Quietus.Architectures;

/// <summary>
/// A guest's hashed page table: groups (PTEG) of eight entries, found by a primary hash and, where that group is
/// full, by its complement (Power ISA 3.0B, book III, 5.7.9); and KVM's reverse chains, which lead from a guest
/// page to the entries that map it, each linked to the next and the last (struct revmap_entry of Linux 5.5).
/// </summary>
/// <remarks>The guest enters its pages itself. Here it maps each at its own address, in segments of 256 MB.</remarks>
internal sealed class HashedTable
{
    private const int EntriesPerGroup = 8;
    private const int PageShift = 12;
    private const int SegmentShift = 28;
    private const ulong FirstVsid = 0x1000;
    private const int None = -1;

    private readonly ulong[] _words;
    private readonly Link[] _links;
    private readonly Dictionary<ulong, int> _heads = [];
    private readonly ulong _groupMask;
    private int _victim;

    private struct Link
    {
        internal int Next;
        internal int Previous;
        internal ulong Gpa;
    }

    /// <param name="groups">A power of two.</param>
    internal HashedTable(int groups)
    {
        _words = new ulong[groups * EntriesPerGroup * 2];
        _links = new Link[groups * EntriesPerGroup];
        _groupMask = (ulong)(uint)groups - 1;
    }

    internal int Groups => (int)_groupMask + 1;

    /// <summary>Entries for a guest's memory: PAPR asks for a 128th of it, eight entries to 128 bytes.</summary>
    internal static int GroupsFor(ulong memory) =>
        (int)BitOperations.RoundUpToPowerOf2(memory >> PageShift >> 2 == 0 ? 1 : memory >> PageShift >> 2);

    /// <summary>The virtual address that the guest maps one of its pages at.</summary>
    internal static ulong VirtualAddressOf(ulong gpa) =>
        (((gpa >> SegmentShift) + FirstVsid) << SegmentShift) | (gpa & ((1UL << SegmentShift) - 1));

    /// <summary>The hash of a virtual address in a 256 MB segment: VSID and page number, xor.</summary>
    internal static ulong HashOf(ulong virtualAddress) =>
        ((virtualAddress >> SegmentShift) & ((1UL << 39) - 1))
        ^ ((virtualAddress & ((1UL << SegmentShift) - 1)) >> PageShift);

    internal HashedPte this[int index]
    {
        get => new(InOrder(_words[index * 2]), InOrder(_words[(index * 2) + 1]));
        private set
        {
            _words[index * 2] = InOrder(value.First);
            _words[(index * 2) + 1] = InOrder(value.Second);
        }
    }

    /// <summary>The guest enters a page (H_ENTER): in its primary group, its secondary, or instead of
    /// another.</summary>
    internal void Enter(ulong gpa, ulong frame, bool isWritable)
    {
        ulong address = VirtualAddressOf(gpa);
        int index = Find(gpa);
        bool isSecondary = index != None && this[index].IsSecondary;
        if (index == None)
        {
            index = FreeSlot(HashOf(address) & _groupMask);
            if (index == None)
            {
                isSecondary = true;
                index = FreeSlot(~HashOf(address) & _groupMask);
            }

            if (index == None)
            {
                index = (int)(~HashOf(address) & _groupMask) * EntriesPerGroup;
                index += _victim = (_victim + 1) % EntriesPerGroup;
                Unchain(index);
            }
        }
        else
        {
            Unchain(index);
        }

        this[index] = HashedPte.For(address, frame, isWritable, isSecondary);
        Chain(index, gpa);
    }

    /// <summary>Where the entry of a guest page lies, valid or absent; -1 where there is none.</summary>
    internal int Find(ulong gpa)
    {
        ulong address = VirtualAddressOf(gpa);
        int primary = FindIn(HashOf(address) & _groupMask, address, isSecondary: false);
        return primary != None ? primary : FindIn(~HashOf(address) & _groupMask, address, isSecondary: true);
    }

    /// <summary>The chain of a guest page: where the entries lie that map it.</summary>
    internal IEnumerable<int> ChainOf(ulong gpa)
    {
        if (!_heads.TryGetValue(gpa, out int head))
        {
            yield break;
        }

        int index = head;
        do
        {
            int next = _links[index].Next;
            yield return index;
            index = next;
        }
        while (index != head);
    }

    /// <summary>Whether a guest page has a chain: the head's "present" bit.</summary>
    internal bool HasChain(ulong gpa) => _heads.ContainsKey(gpa);

    /// <summary>Pages with a chain, in no order.</summary>
    internal IEnumerable<ulong> Chained => _heads.Keys;

    /// <summary>
    /// Makes an entry absent, and takes it out of its chain: the guest still has it, hardware does not
    /// (kvmppc_unmap_hpte).
    /// </summary>
    internal void MakeAbsent(int index)
    {
        this[index] = this[index].AsAbsent();
        Unchain(index);
    }

    /// <summary>Clears R of a guest page's entries; whether any had it.</summary>
    internal bool Age(ulong gpa)
    {
        bool young = false;
        foreach (int index in ChainOf(gpa))
        {
            HashedPte entry = this[index];
            young |= (entry.Second & HashedPte.Reference) != 0;
            this[index] = entry with { Second = entry.Second & ~HashedPte.Reference };
        }

        return young;
    }

    internal void WriteProtect(int index) => this[index] = this[index].WithoutWrite();

    /// <summary>The group that an index lies in.</summary>
    internal static int GroupOf(int index) => index / EntriesPerGroup;

    /// <summary>A doubleword as it lies in memory.</summary>
    internal ulong Raw(int word) => _words[word];

    private int FindIn(ulong group, ulong address, bool isSecondary)
    {
        int first = (int)group * EntriesPerGroup;
        for (int index = first; index < first + EntriesPerGroup; index++)
        {
            HashedPte entry = this[index];
            if ((entry.IsValid || entry.IsAbsent) && entry.IsSecondary == isSecondary && entry.Matches(address)
                && (_links[index].Gpa & ~0xFFFUL) == (GpaOf(address) & ~0xFFFUL))
            {
                return index;
            }
        }

        return None;
    }

    private int FreeSlot(ulong group)
    {
        int first = (int)group * EntriesPerGroup;
        for (int index = first; index < first + EntriesPerGroup; index++)
        {
            if (this[index].First == 0)
            {
                return index;
            }
        }

        return None;
    }

    private static ulong GpaOf(ulong address) => address - (FirstVsid << SegmentShift);

    private void Chain(int index, ulong gpa)
    {
        _links[index] = new Link { Next = index, Previous = index, Gpa = gpa };
        if (_heads.TryGetValue(gpa, out int head))
        {
            int last = _links[head].Previous;
            _links[index] = new Link { Next = head, Previous = last, Gpa = gpa };
            _links[last].Next = index;
            _links[head].Previous = index;
        }
        else
        {
            _heads[gpa] = index;
        }
    }

    private void Unchain(int index)
    {
        ref Link link = ref _links[index];
        if (!_heads.TryGetValue(link.Gpa, out int head) || (link.Next == 0 && link.Previous == 0 && head != index))
        {
            return;
        }

        if (link.Next == index)
        {
            if (head == index)
            {
                _heads.Remove(link.Gpa);
            }
        }
        else
        {
            _links[link.Next].Previous = link.Previous;
            _links[link.Previous].Next = link.Next;
            if (head == index)
            {
                _heads[link.Gpa] = link.Next;
            }
        }

        link.Next = index;
        link.Previous = index;
    }

    private static ulong InOrder(ulong word) => BinaryPrimitives.ReverseEndianness(word);
}

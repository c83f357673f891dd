using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace Quietus.Simulator;

/// <summary>
/// A process's page table: for each 2 MB of its addresses either one entry (a huge page, or a part of a 1 GB page) or
/// 512.
/// </summary>
internal sealed class ProcessPages
{
    internal const int BlockShift = 21;
    internal const ulong BlockBytes = 1UL << BlockShift;
    internal const ulong PageBytes = 4096;

    private const int EntriesPerBlock = (int)(BlockBytes / PageBytes);

    /// <summary>Entries come in slabs of 1 MB, which the garbage collector does not move.</summary>
    private const int SlabEntries = 256 * EntriesPerBlock;

    private readonly Dictionary<ulong, Block> _blocks = [];
    private HostPage[] _slab = [];
    private int _slabNext;
    private ulong _recent = ulong.MaxValue;
    private Block? _recentBlock;

    /// <summary>One 2 MB piece of the address space.</summary>
    internal sealed class Block
    {
        /// <summary>The huge page, when there is one.</summary>
        internal HostPage Huge;

        private HostPage[]? _slab;
        private int _first;

        /// <summary>Whether it has 512 entries rather than one.</summary>
        internal bool IsSmall => _slab != null;

        /// <summary>One of the 512 entries.</summary>
        internal ref HostPage this[int index]
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => ref _slab![_first + index];
        }

        /// <summary>Gives it 512 entries, zeroed, in a slab.</summary>
        internal void Hold(HostPage[] slab, int first)
        {
            _slab = slab;
            _first = first;
        }

        /// <summary>Takes the 512 entries away; the slab keeps their room.</summary>
        internal void Drop() => _slab = null;
    }

    /// <summary>The entry that an address is translated by; all zero when there is none.</summary>
    internal HostPage this[ulong address]
    {
        get
        {
            Block? block = Find(address);
            return block == null ? default : block.IsSmall ? block[IndexOf(address)] : block.Huge;
        }
    }

    /// <summary>The 2 MB piece that an address lies in, or none.</summary>
    internal Block? Find(ulong address)
    {
        ulong number = address >> BlockShift;
        if (number != _recent)
        {
            _recentBlock = _blocks.GetValueOrDefault(number);
            _recent = number;
        }

        return _recentBlock;
    }

    /// <summary>Whether a huge page could be put there: nothing is.</summary>
    internal bool IsBlockEmpty(ulong address) => Find(address) == null;

    /// <summary>Sets the 4 KB entry of an address; a huge page there is cut up first.</summary>
    internal void SetSmall(ulong address, HostPage page)
    {
        Block block = Find(address) ?? Add(address);
        if (!block.IsSmall)
        {
            Cut(block);
        }

        block[IndexOf(address)] = page;
    }

    /// <summary>Sets the entry of a whole 2 MB piece.</summary>
    internal void SetHuge(ulong address, HostPage page)
    {
        Block block = Find(address) ?? Add(address);
        block.Huge = page;
        block.Drop();
    }

    /// <summary>Makes 512 entries of a huge page's one, or of none. The frames stay where they are.</summary>
    internal void Cut(Block block)
    {
        if (_slabNext == _slab.Length)
        {
            _slab = new HostPage[SlabEntries];
            _slabNext = 0;
        }

        block.Hold(_slab, _slabNext);
        _slabNext += EntriesPerBlock;
        HostPage huge = block.Huge;
        for (int i = 0; huge.Bits != 0 && i < EntriesPerBlock; i++)
        {
            block[i] = huge.IsPresent
                ? new HostPage(huge.Address + ((ulong)i * PageBytes), 3, huge.IsWritable)
                : huge;
        }

        block.Huge = default;
    }

    /// <summary>Forgets a 2 MB piece.</summary>
    internal void Remove(ulong address)
    {
        _blocks.Remove(address >> BlockShift);
        _recent = ulong.MaxValue;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int IndexOf(ulong address) => (int)(address >> 12) & 511;

    private Block Add(ulong address)
    {
        var block = new Block();
        _blocks[address >> BlockShift] = block;
        _recent = address >> BlockShift;
        return _recentBlock = block;
    }
}

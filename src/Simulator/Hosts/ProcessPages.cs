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

    private readonly Dictionary<ulong, Block> _blocks = [];
    private ulong _recent = ulong.MaxValue;
    private Block? _recentBlock;

    /// <summary>One 2 MB piece of the address space.</summary>
    internal sealed class Block
    {
        /// <summary>The huge page, when there is one.</summary>
        internal HostPage Huge;

        /// <summary>The 4 KB pages, when there are any.</summary>
        internal HostPage[]? Small;
    }

    /// <summary>The entry that an address is translated by; all zero when there is none.</summary>
    internal HostPage this[ulong address]
    {
        get
        {
            Block? block = Find(address);
            return block == null ? default
                : block.Small == null ? block.Huge : block.Small[IndexOf(address)];
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
        if (block.Small == null)
        {
            block.Small = new HostPage[BlockBytes / PageBytes];
            if (block.Huge.Bits != 0)
            {
                Cut(block);
            }
        }

        block.Small[IndexOf(address)] = page;
    }

    /// <summary>Sets the entry of a whole 2 MB piece.</summary>
    internal void SetHuge(ulong address, HostPage page)
    {
        Block block = Find(address) ?? Add(address);
        block.Huge = page;
        block.Small = null;
    }

    /// <summary>Makes 512 entries of a huge page's one. The frames stay where they are.</summary>
    internal static void Cut(Block block)
    {
        block.Small ??= new HostPage[BlockBytes / PageBytes];
        HostPage huge = block.Huge;
        for (int i = 0; i < block.Small.Length; i++)
        {
            block.Small[i] = huge.IsPresent
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

using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace Quietus.Oracle.Judging;

/// <summary>
/// The table pages and what is written in them, of every VM. Invariant: a page is a table from when it is taken
/// until it is given back, and its entries outside [Low, High] are zero.
/// </summary>
internal sealed class TableStore(PageMap pages)
{
    private TablePage?[] _tables = [];
    private readonly List<int> _taken = [];
    private Stack<TablePage> _spare = new();

    /// <summary>Where the table is that was read last; no address where there is none.</summary>
    private ulong _lastRead = ulong.MaxValue;

    public void Reuse(TablePage?[] tables, Stack<TablePage> spare)
    {
        _tables = tables;
        _spare = spare;
    }

    public (TablePage?[] Tables, Stack<TablePage> Spare) Leave()
    {
        foreach (int page in _taken)
        {
            Return(page);
        }

        return (_tables, _spare);
    }

    public void Grow()
    {
        if (pages.Count > _tables.Length)
        {
            Array.Resize(ref _tables, pages.Count);
        }
    }

    public TablePage? At(int page) => page >= 0 ? _tables[page] : null;

    public TablePage? Find(ulong address) => At(pages.Of(address));

    /// <summary>Whether an entry lies in the table that was read last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool WasRead(ulong entry) => (entry ^ _lastRead) >> pages.GranuleShift == 0;

    /// <summary>Whether an entry lies in a table.</summary>
    public bool Has(ulong entry) => WasRead(entry) || Look(entry);

    public TablePage Take(int page, ulong address)
    {
        if (_tables[page] is TablePage old)
        {
            Put(old);
        }
        else
        {
            _taken.Add(page);
        }

        TablePage table = _spare.TryPop(out TablePage? spare) ? spare : new TablePage(1 << pages.BitsPerLevel);
        table.Address = address;
        table.Low = table.Entries.Length;
        table.High = -1;
        _tables[page] = table;
        return table;
    }

    public void Return(int page)
    {
        _lastRead = ulong.MaxValue;
        if (_tables[page] is TablePage table)
        {
            Put(table);
            _tables[page] = null;
        }
    }

    /// <summary>The descriptor that a walk of a VM's tables as they are ends at.</summary>
    public ulong LeafAt(JudgedVm vm, ulong ipa, out int level)
    {
        level = vm.StartLevel;
        ulong table = vm.Root + (ipa >> pages.LevelShift(level) >> pages.BitsPerLevel << pages.GranuleShift);
        while (true)
        {
            int index = (int)(ipa >> pages.LevelShift(level)) & ((1 << pages.BitsPerLevel) - 1);
            ulong entry = Find(table) is TablePage at ? at.Entries[index] : 0;
            if (!Descriptor.IsValid(entry) || !Descriptor.IsTable(entry, level))
            {
                return entry;
            }

            table = Descriptor.Output(entry, pages.GranuleShift);
            level++;
        }
    }

    /// <summary>Whether an entry of a level in a VM's tables as they are leads to a table.</summary>
    public bool LeadsTo(JudgedVm vm, ulong ipa, int level, ulong target)
    {
        ulong at = vm.Root + (ipa >> pages.LevelShift(vm.StartLevel) >> pages.BitsPerLevel << pages.GranuleShift);
        for (int above = vm.StartLevel; ; above++)
        {
            int index = (int)(ipa >> pages.LevelShift(above)) & ((1 << pages.BitsPerLevel) - 1);
            ulong entry = Find(at) is TablePage table ? table.Entries[index] : 0;
            if (!Descriptor.IsValid(entry) || !Descriptor.IsTable(entry, above))
            {
                return false;
            }

            at = Descriptor.Output(entry, pages.GranuleShift);
            if (above == level)
            {
                return at == target;
            }
        }
    }

    /// <summary>Whether hardware may set the access flag of a leaf in a table of a range.</summary>
    public bool FindUnaccessed(ulong start, ulong bytes)
    {
        int first = pages.Of(start);
        foreach (TablePage? table in _tables.AsSpan(first, pages.PagesIn(bytes)))
        {
            for (int index = table is { Links.Count: > 0 } ? table.Low : int.MaxValue; index <= table?.High; index++)
            {
                ulong entry = table.Entries[index];
                if (Descriptor.IsValid(entry) && !Descriptor.IsCacheable(entry, table.Level))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Whether a leaf in a linked table lets a guest write somewhere in a range.</summary>
    public bool FindWritable(ulong start, ulong bytes)
    {
        foreach (TablePage? table in _tables)
        {
            for (int index = table is { Links.Count: > 0 } ? table.Low : int.MaxValue; index <= table?.High; index++)
            {
                ulong entry = table.Entries[index];
                ulong length = 1UL << pages.LevelShift(table.Level);
                ulong output = Descriptor.Output(entry, pages.LevelShift(table.Level));
                if (Descriptor.IsValid(entry) && !Descriptor.IsTable(entry, table.Level) && Descriptor.MayWrite(entry)
                    && output < start + bytes && start < output + length)
                {
                    return true;
                }
            }
        }

        return false;
    }

    private bool Look(ulong entry)
    {
        if (Find(entry) is null)
        {
            return false;
        }

        _lastRead = entry;
        return true;
    }

    private void Put(TablePage table)
    {
        if (table.High >= table.Low)
        {
            Array.Clear(table.Entries, table.Low, table.High - table.Low + 1);
        }

        table.Links.Clear();
        table.Overwrites.Clear();
        table.MayBeWalked = false;
        table.IsShared = false;
        _spare.Push(table);
    }
}

/// <summary>Where a table is linked: the VM, and the first address that it maps there.</summary>
internal readonly record struct TableLink(JudgedVm Vm, ulong Ipa);

/// <summary>A valid descriptor that was overwritten in a table that is not linked.</summary>
internal readonly record struct Overwrite(int Index, ulong Old, int Pe, ulong At);

/// <summary>A table page.</summary>
internal sealed class TablePage(int entries)
{
    public ulong[] Entries { get; } = new ulong[entries];

    public ulong Address;

    /// <summary>Where roots lead to it from: nowhere while it is not linked, one place unless it is shared.</summary>
    public List<TableLink> Links { get; } = [];

    /// <summary>Declared shared: entries of several tables may lead to it.</summary>
    public bool IsShared;

    public int Level;

    /// <summary>Entries outside [Low, High] were not written since it was handed out.</summary>
    public int Low;
    public int High;

    /// <summary>It was unlinked, and walk caches may lead to it yet.</summary>
    public bool MayBeWalked;

    /// <summary>What a walk may find here, instead of what is here, if it is linked before a DSB.</summary>
    public List<Overwrite> Overwrites { get; } = [];

    public bool IsLinkedAt(JudgedVm vm, ulong ipa)
    {
        foreach (TableLink link in Links)
        {
            if (link.Vm == vm && link.Ipa == ipa)
            {
                return true;
            }
        }

        return false;
    }
}

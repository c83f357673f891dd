using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;

namespace Quietus.Testing;

/// <summary>
/// Memory for translation tables, and a record of all that was done to the machine. Whatever no machine could survive
/// throws: an access to a page that is no table, a table freed twice, one taken without reservation.
/// </summary>
public sealed class FakeWorld(int granuleShift)
{
    private const ulong FirstTable = 0x10_0000_0000;
    private readonly Dictionary<ulong, ulong[]> _tables = [];
    private ulong _next = FirstTable;
    private readonly Dictionary<ulong, int> _owners = [];
    private uint _reserved;

    public List<MachineEvent> Log { get; } = [];

    /// <summary>Tables that may still be taken or reserved.</summary>
    public int TablesLeft { get; set; } = int.MaxValue;

    /// <summary>Tables, and tables of roots, that are out.</summary>
    public int TablesOut => _tables.Count;

    /// <summary>How many entries were read.</summary>
    public long Reads { get; private set; }

    /// <summary>Is told of each event after it was logged.</summary>
    public Action<MachineEvent>? Observer { get; set; }

    /// <summary>
    /// Runs before each compare-exchange, with the entry's address: where the hardware can come first.
    /// </summary>
    public Action<ulong>? BeforeCompareExchange { get; set; }

    public bool HasForcedWriteBack { get; set; }

    public bool HasRangeInvalidation { get; set; }

    public bool HasLevelHint { get; set; }

    public BreakBeforeMakeSupport BreakBeforeMakeSupport { get; set; }

    private ulong GranuleBytes => 1UL << granuleShift;

    public void Note(MachineOperation operation, ulong address = 0, ulong value = 0)
    {
        MachineEvent note = new(operation, address, value);
        Log.Add(note);
        Observer?.Invoke(note);
    }

    public int Count(MachineOperation operation) => Log.FindAll(e => e.Operation == operation).Count;

    public ulong Peek(ulong address) => Entry(address);

    public ulong Read(ulong address)
    {
        Reads++;
        return Entry(address);
    }

    public void Write(ulong address, ulong value)
    {
        Entry(address) = value;
        Note(MachineOperation.WriteEntry, address, value);
    }

    /// <summary>Writes as hardware does, which no log of instructions shows.</summary>
    public void WriteByHardware(ulong address, ulong value) => Entry(address) = value;

    public bool CompareExchange(ulong address, ulong expected, ulong desired)
    {
        BeforeCompareExchange?.Invoke(address);
        if (Entry(address) != expected)
        {
            return false;
        }

        Write(address, desired);
        return true;
    }

    public bool Reserve(uint count)
    {
        if (count > _reserved)
        {
            if (count - _reserved > TablesLeft)
            {
                return false;
            }

            TablesLeft -= (int)(count - _reserved);
            _reserved = count;
        }

        return true;
    }

    public ulong Take(int vm = 0)
    {
        if (_reserved == 0)
        {
            throw new InvalidOperationException("A table was taken that was not reserved.");
        }

        _reserved--;
        ulong table = Add(1, vm);
        Note(MachineOperation.TakeTable, table);
        return table;
    }

    public void Return(ulong table, int vm = 0)
    {
        if (OwnerOf(table) != vm)
        {
            throw new InvalidOperationException($"VM {vm} frees {table:x}, a table of VM {OwnerOf(table)}.");
        }

        Remove(table);
        TablesLeft++;
        Note(MachineOperation.ReturnTable, table);
    }

    public bool TakeRoot(uint tables, int vm, out ulong root)
    {
        root = 0;
        if (TablesLeft < tables)
        {
            return false;
        }

        TablesLeft -= (int)tables;
        root = Add(tables, vm);
        Note(MachineOperation.TakeRoot, root, tables);
        return true;
    }

    public void ReturnRoot(ulong root, uint tables)
    {
        for (ulong i = 0; i < tables; i++)
        {
            Remove(root + (i << granuleShift));
            TablesLeft++;
        }

        Note(MachineOperation.ReturnRoot, root, tables);
    }

    /// <summary>Whose a table, or a page of guest memory, is. Pages are VM 0's unless a test says otherwise.</summary>
    public int OwnerOf(ulong address) => _owners.GetValueOrDefault(address & ~(GranuleBytes - 1));

    /// <summary>Says whose a page of guest memory is.</summary>
    public void SetOwner(ulong page, int vm) => _owners[page] = vm;

    /// <summary>Tables that a VM has out, those of its root included.</summary>
    public int TablesOf(int vm) => _tables.Keys.Count(table => _owners[table] == vm);

    public void Copy(ulong to, ulong from)
    {
        for (ulong at = 0; at < GranuleBytes; at += sizeof(ulong))
        {
            Write(to + at, Read(from + at));
        }
    }

    /// <summary>Tables reserved and not taken, which no leak check may count as lost.</summary>
    public uint Reserved => _reserved;

    private ulong Add(uint tables, int vm)
    {
        ulong alignment = GranuleBytes * tables;
        ulong start = (_next + alignment - 1) / alignment * alignment;
        _next = start + alignment;
        for (ulong i = 0; i < tables; i++)
        {
            _tables.Add(start + (i << granuleShift), new ulong[GranuleBytes / sizeof(ulong)]);
            _owners[start + (i << granuleShift)] = vm;
        }

        return start;
    }

    private void Remove(ulong table)
    {
        if (!_tables.Remove(table))
        {
            throw new InvalidOperationException($"{table:x} is freed, but it is no table that is out.");
        }
    }

    private ref ulong Entry(ulong address)
    {
        ulong table = address & ~(GranuleBytes - 1);
        if ((address & 7) != 0 || !_tables.TryGetValue(table, out ulong[]? entries))
        {
            throw new InvalidOperationException($"{address:x} is no entry of a table that is out.");
        }

        return ref entries[(address - table) / sizeof(ulong)];
    }
}

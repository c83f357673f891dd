using System;
using System.Collections.Generic;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

// Tables: what they say now, and what each overwritten descriptor leaves behind.
public sealed partial class Judge
{
    private Stack<TablePage> _spareTables = new();
    private readonly Stack<CallRecord> _calls = new();
    private readonly Stack<CallRecord> _spareCalls = new();
    private int _lastCall;

    /// <summary>Where hardware set an access flag that software has not read since; 0 for nowhere.</summary>
    private ulong _unreadUpdate;

    private sealed class CallRecord
    {
        public int Number;
        public JudgedVm? Vm;

        public List<(int Page, ushort Mappings)> Touched { get; } = [];
    }

    private int BitsPerLevel => _granuleShift - 3;

    private int LevelShift(int level) => _granuleShift + ((3 - level) * BitsPerLevel);

    /// <summary>Table pages were handed out, zeroed.</summary>
    public void TakeTables(int pe, Pa first, uint count)
    {
        _listener?.TakeTables(pe, first, count);
        Events++;
        for (uint i = 0; i < count; i++)
        {
            ulong address = first.Value + ((ulong)i << _granuleShift);
            int page = PageOf(address);
            TablePage table = _spareTables.TryPop(out TablePage? spare) ? spare : new TablePage(1 << BitsPerLevel);
            table.Address = address;
            table.Vm = null;
            table.Low = table.Entries.Length;
            table.High = -1;
            _tables[page] = table;
            WritePages(new Pa(address), 1UL << _granuleShift, Hypervisor, Hypervisor, isCached: true);
        }
    }

    /// <summary>Table pages are given back: nothing may lead to them any more.</summary>
    public void ReturnTables(Pa first, uint count)
    {
        _listener?.ReturnTables(first, count);
        Events++;
        for (uint i = 0; i < count; i++)
        {
            ulong address = first.Value + ((ulong)i << _granuleShift);
            int page = PageOf(address);
            if (page < 0 || _tables[page] is not TablePage table)
            {
                Fail(ViolationKind.WalkOfFreedTable, "the hypervisor", $"{Hex(address)} is freed, and is no table");
                return;
            }

            if (table.Vm is JudgedVm vm)
            {
                if (vm.Tag is { Loaded: not 0 } tag)
                {
                    Fail(ViolationKind.TableFreedInUse, "a table walk",
                        $"a table of {vm.Name} is freed while it is linked, and {Pes(tag.Loaded)} may walk it");
                }

                vm.Dangles = true;
                Forget(vm, table);
            }

            Freed(address, 1UL << _granuleShift, isTable: true);
            Array.Clear(table.Entries, 0, table.Entries.Length);
            _spareTables.Push(table);
            _tables[page] = null;
        }
    }

    /// <summary>
    /// What a linked table maps when it is given back is mapped no longer, though nobody clears its entries: a VM's
    /// death does not visit them. The tables below stay ones until they are given back, or all that the VM had is.
    /// </summary>
    private void Forget(JudgedVm vm, TablePage table)
    {
        for (int index = table.Low; index <= table.High; index++)
        {
            ulong entry = table.Entries[index];
            if (!Descriptor.IsValid(entry))
            {
                continue;
            }

            if (!Descriptor.IsTable(entry, table.Level))
            {
                int shift = LevelShift(table.Level);
                Count(Descriptor.Output(entry, shift), 1UL << shift, -1, Descriptor.MayExecute(entry));
                continue;
            }

            int page = PageOf(Descriptor.Output(entry, _granuleShift));
            if (page >= 0 && _tables[page] is TablePage below && below.Vm == vm && below.Level == table.Level + 1)
            {
                Forget(vm, below);
                below.Vm = null;
                vm.Orphans.Add((page, below));
            }
        }
    }

    /// <summary>Tables that were not given back one by one go with all that their VM had.</summary>
    private void ForgetTables(JudgedVm vm)
    {
        int root = PageOf(vm.Root);
        while (root >= 0 && root < _pageCount && _tables[root] is TablePage table && table.Vm == vm
            && table.Level == vm.StartLevel)
        {
            Forget(vm, table);
            vm.Orphans.Add((root++, table));
        }

        foreach ((int page, TablePage table) in vm.Orphans)
        {
            if (_tables[page] == table)
            {
                Array.Clear(table.Entries, 0, table.Entries.Length);
                _spareTables.Push(table);
                table.Vm = null;
                _tables[page] = null;
            }
        }

        vm.Orphans.Clear();
    }

    /// <summary>
    /// A PE's table walk sets the access flag of a leaf (FEAT_HAFDBS, VTCR_EL2.HA), if some PE walks here and it is
    /// clear. Nothing is cached of a leaf without it, so nothing becomes stale.
    /// </summary>
    public bool TrySetAccessFlag(Pa entry)
    {
        int page = PageOf(entry.Value);
        if (page < 0 || _tables[page] is not TablePage { Vm.Tag.Loaded: not 0 } table)
        {
            return false;
        }

        ref ulong descriptor = ref table.Entries[(int)((entry.Value - table.Address) >> 3)];
        if (!Descriptor.IsValid(descriptor) || Descriptor.IsCacheable(descriptor, table.Level))
        {
            return false;
        }

        _listener?.SetAccessFlag(entry);
        Events++;
        descriptor |= Descriptor.Accessed;
        _unreadUpdate = entry.Value;
        return true;
    }

    /// <summary>Software reads an entry: it must be one.</summary>
    public void ReadEntry(Pa entry)
    {
        _listener?.ReadEntry(entry);
        Events++;
        if (_unreadUpdate == entry.Value)
        {
            _unreadUpdate = 0;
        }

        int page = PageOf(entry.Value);
        if (page < 0 || _tables[page] is null)
        {
            Fail(ViolationKind.WalkOfFreedTable, "the hypervisor",
                $"the hypervisor walks {Hex(entry.Value)}, which is no table, or no longer one");
        }
    }

    /// <summary>Software wrote an entry.</summary>
    public void WriteEntry(int pe, Pa entry, ulong value)
    {
        _listener?.WriteEntry(pe, entry, value);
        Events++;
        int page = PageOf(entry.Value);
        if (page < 0 || _tables[page] is not TablePage table)
        {
            Fail(ViolationKind.WalkOfFreedTable, "the hypervisor",
                $"the hypervisor writes an entry at {Hex(entry.Value)}, which is no table, or no longer one");
            return;
        }

        _sequence++;
        if (_unreadUpdate == entry.Value)
        {
            _unreadUpdate = 0;
            if (Descriptor.IsValid(value) && !Descriptor.IsCacheable(value, table.Level))
            {
                Fail(ViolationKind.LostUpdate, "page aging",
                    $"a PE set the access flag of a leaf at {Hex(entry.Value)}, and a copy is written over it "
                    + "that it read before: the access is lost");
            }
        }

        int index = (int)((entry.Value - table.Address) >> 3);
        ulong old = table.Entries[index];
        table.Entries[index] = value;
        table.Low = Math.Min(table.Low, index);
        table.High = Math.Max(table.High, index);
        if (table.Vm is JudgedVm vm && old != value)
        {
            Overwrite(pe, entry.Value, sizeof(ulong));
            Change(pe, vm, table.Level, table.Ipa + ((ulong)(uint)index << LevelShift(table.Level)), entry.Value, old,
                value);
        }
    }

    /// <summary>A call into the hypervisor's memory layer begins: what it changes is judged when it returns.</summary>
    internal void BeginCall(JudgedVm? vm)
    {
        _listener?.BeginCall(vm?.Party ?? 0);
        CallRecord call = _spareCalls.TryPop(out CallRecord? spare) ? spare : new CallRecord();
        call.Number = ++_lastCall;
        call.Vm = vm;
        call.Touched.Clear();
        _calls.Push(call);
    }

    /// <summary>The call returned: pages have changed hands, and no PE may use what is not in the tables now.</summary>
    internal void EndCall()
    {
        _listener?.EndCall();
        CallRecord call = _calls.Pop();
        foreach ((int page, ushort before) in call.Touched)
        {
            ref PageState state = ref _pages[page];
            bool isMapped = state.Mappings > before;
            bool isUnmapped = state.Mappings < before
                && (state.Mappings == 0 || Version.Writer(state.Latest) == call.Vm?.Party);
            if (isMapped || isUnmapped)
            {
                RaiseBaseline(ref state);
            }
        }

        if (call.Vm is { IsReleased: false, Tag.Stale.Count: not 0 } vm)
        {
            foreach (StaleItem item in vm.Tag.Stale)
            {
                if (item.Pes != 0 && IsDangerous(vm, item, out string what))
                {
                    Fail(ViolationKind.StaleTranslation, "the guest",
                        $"the call has returned, and {Pes(item.Pes)} may still {what} of {vm.Name} at IPA "
                        + $"{Hex(item.Ipa)} by a translation that is no longer in the tables");
                }
            }
        }

        _spareCalls.Push(call);
    }

    /// <summary>Whether a stale item lets a guest do what the tables do not.</summary>
    private bool IsDangerous(JudgedVm vm, in StaleItem item, out string what)
    {
        what = "walk a table";
        if (item.IsTable)
        {
            return true;
        }

        ulong now = LeafAt(vm, item.Ipa, out int level);
        ulong output = Descriptor.Output(item.Descriptor, LevelShift(item.Level));
        what = Descriptor.MayWrite(item.Descriptor) ? "write memory" : "read memory";
        return !Descriptor.IsValid(now)
            || Descriptor.Output(now, LevelShift(level)) + (item.Ipa & ((1UL << LevelShift(level)) - 1)) != output
            || Descriptor.PermitsMore(item.Descriptor, now) || !Descriptor.SameType(item.Descriptor, now);
    }

    /// <summary>The descriptor that a walk of the tables as they are ends at.</summary>
    private ulong LeafAt(JudgedVm vm, ulong ipa, out int level)
    {
        level = vm.StartLevel;
        ulong table = vm.Root + (ipa >> LevelShift(level) >> BitsPerLevel << _granuleShift);
        while (true)
        {
            int index = (int)(ipa >> LevelShift(level)) & ((1 << BitsPerLevel) - 1);
            int page = PageOf(table);
            ulong entry = page >= 0 && _tables[page] is TablePage at ? at.Entries[index] : 0;
            if (!Descriptor.IsValid(entry) || !Descriptor.IsTable(entry, level))
            {
                return entry;
            }

            table = Descriptor.Output(entry, _granuleShift);
            level++;
        }
    }

    private void Change(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong old, ulong value)
    {
        bool was = Descriptor.IsValid(old);
        bool becomes = Descriptor.IsValid(value);
        int shift = LevelShift(level);
        if (was && becomes)
        {
            bool isTable = Descriptor.IsTable(old, level);
            int outputShift = isTable ? _granuleShift : shift;
            bool sameOutput = Descriptor.Output(old, outputShift) == Descriptor.Output(value, outputShift);
            if (isTable && Descriptor.IsTable(value, level) && sameOutput)
            {
                return;
            }

            bool sizeMayChange = _features.BreakBeforeMake == BreakBeforeMakeSupport.Level2WithoutAbort;
            bool isLegal = isTable != Descriptor.IsTable(value, level)
                ? sizeMayChange
                : !isTable && sameOutput && Descriptor.SameType(old, value)
                    && (Descriptor.SameRun(old, value) || sizeMayChange);
            if (!isLegal && vm.Tag is { MayHold: not 0 } tag)
            {
                Fail(ViolationKind.BreakBeforeMake, "a TLB",
                    $"the descriptor of {vm.Name} at IPA {Hex(ipa)}, level {level}, becomes another one without a "
                    + $"break, and {Pes(tag.MayHold)} may hold the old one");
            }
        }

        if (was)
        {
            Remove(pe, vm, level, ipa, location, old);
        }

        if (becomes)
        {
            Add(pe, vm, level, ipa, location, value);
        }
    }

    private void Remove(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong old)
    {
        AddStale(pe, vm, level, ipa, location, old);
        if (!Descriptor.IsTable(old, level))
        {
            Count(Descriptor.Output(old, LevelShift(level)), 1UL << LevelShift(level), -1, Descriptor.MayExecute(old));
            return;
        }

        // All below is out of the tables with it, and each entry of it may be cached by itself.
        int page = PageOf(Descriptor.Output(old, _granuleShift));
        if (page >= 0 && _tables[page] is TablePage table && table.Vm == vm)
        {
            for (int index = table.Low; index <= table.High; index++)
            {
                if (Descriptor.IsValid(table.Entries[index]))
                {
                    Remove(pe, vm, level + 1, ipa + ((ulong)(uint)index << LevelShift(level + 1)),
                        table.Address + ((ulong)(uint)index << 3), table.Entries[index]);
                }
            }

            Overwrite(pe, table.Address, 1UL << _granuleShift);
            table.Vm = null;
        }
    }

    private void Add(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong value)
    {
        CheckBroken(vm, level, ipa, location, value);
        if (!Descriptor.IsTable(value, level))
        {
            ulong output = Descriptor.Output(value, LevelShift(level));
            Count(output, 1UL << LevelShift(level), 1, wasExecutable: false);
            Take(vm, output, 1UL << LevelShift(level), Descriptor.MayExecute(value));
            return;
        }

        int page = PageOf(Descriptor.Output(value, _granuleShift));
        if (page < 0 || _tables[page] is not TablePage table)
        {
            Fail(ViolationKind.WalkOfFreedTable, "a table walk",
                $"an entry of {vm.Name} leads to {Hex(Descriptor.Output(value, _granuleShift))}, which is no table");
            return;
        }

        if (table.Vm is not null)
        {
            Fail(ViolationKind.WalkOfFreedTable, "a table walk",
                $"an entry of {vm.Name} leads to {Hex(table.Address)}, a table that is linked elsewhere already");
        }

        table.Vm = vm;
        table.Level = level + 1;
        table.Ipa = ipa;
        for (int index = table.Low; index <= table.High; index++)
        {
            if (Descriptor.IsValid(table.Entries[index]))
            {
                Add(pe, vm, level + 1, ipa + ((ulong)(uint)index << LevelShift(level + 1)),
                    table.Address + ((ulong)(uint)index << 3), table.Entries[index]);
            }
        }
    }

    /// <summary>Counts the leaves that map pages; a call's first touch of a page notes what there was.</summary>
    private void Count(ulong output, ulong bytes, int change, bool wasExecutable)
    {
        int page = PageOf(output);
        CallRecord? call = _calls.Count != 0 ? _calls.Peek() : null;
        for (int left = PagesWithin(output, bytes); left > 0; left--, page++)
        {
            ref PageState state = ref _pages[page];
            if (call is not null && state.Call != call.Number)
            {
                state.Call = call.Number;
                state.WasExecutable = wasExecutable;
                call.Touched.Add((page, state.Mappings));
            }

            state.Mappings = (ushort)(state.Mappings + change);
        }
    }

    /// <summary>A leaf leads to pages: pool pages are the VM's from now on, and code is fetched from some.</summary>
    private void Take(JudgedVm vm, ulong output, ulong bytes, bool isExecutable)
    {
        int page = PageOf(output);
        int call = _calls.Count != 0 ? _calls.Peek().Number : 0;
        for (int left = PagesWithin(output, bytes); left > 0; left--, page++)
        {
            ref PageState state = ref _pages[page];
            if (state.IsPool)
            {
                state.Copied = state.Owner == vm.Party ? state.Copied : 0;
                state.Owner = (ushort)vm.Party;
            }

            // Where the guest could fetch before the call, what was written since is the writer's to make visible.
            if (isExecutable && !(state.Call == call && state.WasExecutable))
            {
                state.InstructionBaseline = state.Latest;
            }
        }
    }
}

using System;
using System.Runtime.CompilerServices;
using Quietus.Oracle.Machines;

namespace Quietus.Oracle.Judging;

/// <summary>
/// What the tables say: which lead where, what each entry that is written makes and breaks, and whether what a walk
/// comes to is visible. Invariant: a table is linked wherever an entry of a linked table leads to it, and all that was
/// reachable and is no longer is in the <see cref="TlbModel"/>.
/// </summary>
internal sealed class TableModel(
    PageMap pages, Clock clock, TableStore store, TlbModel tlbs, CacheModel caches, CallLog calls)
{
    /// <summary>Where hardware set an access flag that software has not read since; 0 for nowhere.</summary>
    public ulong UnreadUpdate { get; private set; }

    /// <summary>Table pages are handed out, zeroed.</summary>
    public void Take(int pe, ulong first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            ulong address = first + ((ulong)i << pages.GranuleShift);
            int page = pages.Of(address);
            if (pages.Use(page).Mappings != 0 || store.At(page) is { Links.Count: not 0 })
            {
                Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                    $"{Broken.Hex(address)} becomes a table, and a VM's tables lead there already");
            }

            if (tlbs.HasStale)
            {
                tlbs.Freed(address, 1UL << pages.GranuleShift, isTable: false);
            }

            store.Take(page, address);
            caches.Write(page, 1, Judge.Hypervisor, Judge.Hypervisor, isCached: true, pe);
        }
    }

    public void AddRoot(JudgedVm vm, uint tables)
    {
        for (uint i = 0; i < tables; i++)
        {
            int page = pages.Of(vm.Root + ((ulong)i << pages.GranuleShift));
            TablePage table = store.At(page)!;
            table.Level = vm.StartLevel;
            var link = new TableLink(vm, (ulong)i << (pages.LevelShift(vm.StartLevel) + pages.BitsPerLevel));
            table.Links.Add(link);
            Publish(vm, page, table.Address, isTable: true);
            for (int index = table.Low; index <= table.High; index++)
            {
                // A fork's root begins with its template's entries.
                if (Descriptor.IsValid(table.Entries[index]))
                {
                    Add(Judge.AnyPe, vm, vm.StartLevel, IpaOf(link, table, index),
                        table.Address + ((ulong)(uint)index << 3), table.Entries[index]);
                }
            }
        }
    }

    /// <summary>A PE enters a VM: all that it may walk to must be visible.</summary>
    public void Load(int pe, JudgedVm vm)
    {
        foreach (Unpublished hidden in vm.Unpublished)
        {
            if ((hidden.IsTable || hidden.Pe != pe) && !clock.IsVisible(hidden.Pe, hidden.At))
            {
                FailUnpublished(vm, hidden, 1U << pe);
            }
        }

        if (vm.Unpublished.Count != 0)
        {
            vm.Unpublished.RemoveAll(hidden => clock.IsVisible(hidden.Pe, hidden.At));
        }
    }

    /// <summary>Declares pages shared, or no longer.</summary>
    public void Share(ulong start, ulong bytes, bool isShared)
    {
        int first = pages.Of(start);
        int count = pages.PagesIn(bytes);
        if (isShared && (store.FindWritable(start, bytes) || tlbs.MayWrite(start, bytes)))
        {
            Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                $"{Broken.Hex(start)} is declared shared, and a VM may still write there");
        }

        if (isShared && store.FindUnaccessed(start, bytes))
        {
            Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                $"tables from {Broken.Hex(start)} on are declared shared, and hardware may set an access flag there");
        }

        for (int page = first; page < first + count; page++)
        {
            if (isShared && pages.Use(page).Mappings != 0)
            {
                // From now on any reader sees what it holds now.
                caches.RaiseBaseline(page);
            }

            TablePage? table = store.At(page);
            if (!isShared && (pages.Use(page).Mappings > 1 || table is { Links.Count: > 1 }))
            {
                Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                    "a page is no longer to be shared, and more than one place still leads to it");
            }

            pages.Use(page).IsShared = isShared;
            if (table is not null)
            {
                table.IsShared = isShared;
            }
        }
    }

    /// <summary>A VM in whose tables one of a range is linked; null where there is none.</summary>
    public JudgedVm? FindLinked(ulong start, ulong bytes)
    {
        int first = pages.Of(start);
        for (int page = first; page < first + pages.PagesIn(bytes); page++)
        {
            if (store.At(page) is { Links.Count: > 0 } table)
            {
                return table.Links[0].Vm;
            }
        }

        return null;
    }

    /// <summary>Table pages are given back: nothing may lead to them any more.</summary>
    public void Return(ulong first, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            ulong address = first + ((ulong)i << pages.GranuleShift);
            int page = pages.Of(address);
            if (store.At(page) is not TablePage table)
            {
                Broken.Fail(ViolationKind.WalkOfFreedTable, "the hypervisor",
                    $"{Broken.Hex(address)} is freed, and is no table");
                return;
            }

            foreach (TableLink link in table.Links)
            {
                if (link.Vm.Loaded is not 0 and uint loaded)
                {
                    Broken.Fail(ViolationKind.TableFreedInUse, "a table walk",
                        $"a table of {link.Vm.Name} is freed while it is linked, and {Broken.Pes(loaded)} may walk it");
                }

                link.Vm.Dangles = true;
                Forget(link, table);
            }

            tlbs.Freed(address, 1UL << pages.GranuleShift, isTable: true);
            store.Return(page);
        }
    }

    /// <summary>Tables that were not given back one by one go with all that their VM had.</summary>
    public void Release(JudgedVm vm)
    {
        int root = pages.Of(vm.Root);
        for (ulong ipa = 0; root >= 0 && root < pages.Count && store.At(root) is TablePage table
            && table.Level == vm.StartLevel && table.IsLinkedAt(vm, ipa); root++)
        {
            ipa += 1UL << (pages.LevelShift(vm.StartLevel) + pages.BitsPerLevel);
            Forget(table.Links.Find(link => link.Vm == vm), table);
            vm.Orphans.Add((root, table));
        }

        foreach ((int page, TablePage table) in vm.Orphans)
        {
            table.Links.RemoveAll(link => link.Vm == vm);
            if (store.At(page) == table && table.Links.Count == 0)
            {
                store.Return(page);
            }
        }

        vm.Orphans.Clear();
        vm.Unpublished.Clear();
    }

    /// <summary>
    /// A PE's table walk sets the access flag of a leaf (FEAT_HAFDBS, VTCR_EL2.HA), if some PE walks here and it is
    /// clear. Nothing is cached of a leaf without it, so nothing becomes stale.
    /// </summary>
    public bool MaySetAccessFlag(ulong entry) =>
        store.Find(entry) is TablePage table && IsWalked(table)
        && table.Entries[IndexOf(table, entry)] is ulong descriptor
        && Descriptor.IsValid(descriptor) && !Descriptor.IsCacheable(descriptor, table.Level);

    public void SetAccessFlag(ulong entry)
    {
        TablePage table = store.Find(entry)!;
        table.Entries[IndexOf(table, entry)] |= Descriptor.Accessed;
        UnreadUpdate = entry;
    }

    /// <summary>Software reads an entry: it must be one. Most events are reads, mostly of one table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Read(int pe, ulong entry)
    {
        if (!store.WasRead(entry) || UnreadUpdate != 0 || tlbs.HasUnseenOfOthers(pe))
        {
            ReadWithCare(pe, entry);
        }
    }

    private void ReadWithCare(int pe, ulong entry)
    {
        if (UnreadUpdate == entry)
        {
            UnreadUpdate = 0;
        }

        if (!store.Has(entry))
        {
            Broken.Fail(ViolationKind.WalkOfFreedTable, "the hypervisor",
                $"the hypervisor walks {Broken.Hex(entry)}, which is no table, or no longer one");
        }

        if (pe >= 0 && tlbs.HasUnseenOfOthers(pe))
        {
            tlbs.Observe(pe, entry);
        }
    }

    /// <summary>Software wrote an entry.</summary>
    public void Write(int pe, ulong entry, ulong value)
    {
        if (store.Find(entry) is not TablePage table)
        {
            Broken.Fail(ViolationKind.WalkOfFreedTable, "the hypervisor",
                $"the hypervisor writes an entry at {Broken.Hex(entry)}, which is no table, or no longer one");
            return;
        }

        clock.Tick();
        if (UnreadUpdate == entry)
        {
            UnreadUpdate = 0;
            if (Descriptor.IsValid(value) && !Descriptor.IsCacheable(value, table.Level))
            {
                Broken.Fail(ViolationKind.LostUpdate, "page aging",
                    $"a PE set the access flag of a leaf at {Broken.Hex(entry)}, and a copy is written over it "
                    + "that it read before: the access is lost");
            }
        }

        int index = IndexOf(table, entry);
        ulong old = table.Entries[index];
        if (table.IsShared && old != value)
        {
            Broken.Fail(ViolationKind.UndeclaredSharing, "a table walk",
                $"the hypervisor writes an entry at {Broken.Hex(entry)}, in a table that is declared shared: it "
                + "changes for every VM that has it");
        }

        table.Entries[index] = value;
        table.Low = Math.Min(table.Low, index);
        table.High = Math.Max(table.High, index);
        if (old == value)
        {
            return;
        }

        if (table.MayBeWalked)
        {
            table.MayBeWalked = tlbs.IsWalked(table.Address);
            if (table.MayBeWalked)
            {
                tlbs.WriteUnlinked(pe, table, index, old);
            }
        }

        if (table.Links.Count == 0)
        {
            if (Descriptor.IsValid(old))
            {
                table.Overwrites.Add(new Overwrite(index, old, pe, clock.Now));
            }

            return;
        }

        tlbs.Overwrite(pe, entry, sizeof(ulong));
        for (int at = 0; at < table.Links.Count; at++)
        {
            TableLink link = table.Links[at];
            Change(pe, link.Vm, table.Level, IpaOf(link, table, index), entry, old, value);
        }
    }

    private static int IndexOf(TablePage table, ulong entry) => (int)((entry - table.Address) >> 3);

    private static bool IsWalked(TablePage table)
    {
        foreach (TableLink link in table.Links)
        {
            if (link.Vm.Loaded != 0)
            {
                return true;
            }
        }

        return false;
    }

    private ulong IpaOf(TableLink link, TablePage table, int index) =>
        link.Ipa + ((ulong)(uint)index << pages.LevelShift(table.Level));

    private ulong OutputOf(ulong entry, int level) => Descriptor.Output(
        entry, Descriptor.IsTable(entry, level) ? pages.GranuleShift : pages.LevelShift(level));

    /// <summary>
    /// What a linked table maps when it is given back is mapped no longer, though its entries are not cleared: a VM's
    /// death does not visit them. The tables below stay ones until they are given back, or all that the VM had is.
    /// </summary>
    private void Forget(TableLink link, TablePage table)
    {
        for (int index = table.Low; index <= table.High; index++)
        {
            ulong entry = table.Entries[index];
            if (!Descriptor.IsValid(entry))
            {
                continue;
            }

            ulong output = OutputOf(entry, table.Level);
            if (!Descriptor.IsTable(entry, table.Level))
            {
                Count(output, 1UL << pages.LevelShift(table.Level), -1, Descriptor.MayExecute(entry));
                continue;
            }

            int page = pages.Of(output);
            if (store.At(page) is TablePage below && below.Level == table.Level + 1
                && below.Links.Remove(new TableLink(link.Vm, IpaOf(link, table, index))))
            {
                Forget(new TableLink(link.Vm, IpaOf(link, table, index)), below);
                link.Vm.Orphans.Add((page, below));
            }
        }
    }

    private void Change(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong old, ulong value)
    {
        bool was = Descriptor.IsValid(old);
        bool becomes = Descriptor.IsValid(value);
        if (was && becomes)
        {
            bool sameOutput = OutputOf(old, level) == OutputOf(value, level);
            if (sameOutput && Descriptor.IsTable(old, level) && Descriptor.IsTable(value, level))
            {
                return;
            }

            if (Descriptor.ProtectsInVain(old, value) && !Descriptor.IsTable(value, level))
            {
                Broken.Fail(ViolationKind.StaleTranslation, "the guest",
                    $"a leaf of {vm.Name} at IPA {Broken.Hex(ipa)} is write-protected and keeps DBM: hardware sets "
                    + "S2AP[1] when the guest writes, and what the leaf permits is what it did before");
            }

            if (!tlbs.MayFollow(level, old, level, value, sameOutput) && vm.MayHold is not 0 and uint holders)
            {
                Broken.Fail(ViolationKind.BreakBeforeMake, "a TLB",
                    $"the descriptor of {vm.Name} at IPA {Broken.Hex(ipa)}, level {level}, becomes another one "
                    + $"without a break, and {Broken.Pes(holders)} may hold the old one");
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
        tlbs.AddStale(pe, vm, level, ipa, location, old);
        if (!Descriptor.IsTable(old, level))
        {
            Count(OutputOf(old, level), 1UL << pages.LevelShift(level), -1, Descriptor.MayExecute(old));
            return;
        }

        // All below is out of the tables with it, and each entry of it may be cached by itself.
        var link = new TableLink(vm, ipa);
        if (store.Find(OutputOf(old, level)) is TablePage table && table.Links.Remove(link))
        {
            for (int index = table.Low; index <= table.High; index++)
            {
                if (Descriptor.IsValid(table.Entries[index]))
                {
                    Remove(pe, vm, level + 1, IpaOf(link, table, index), table.Address + ((ulong)(uint)index << 3),
                        table.Entries[index]);
                }
            }

            tlbs.Overwrite(pe, table.Address, 1UL << pages.GranuleShift);
            table.MayBeWalked = true;
        }
    }

    private void Add(int pe, JudgedVm vm, int level, ulong ipa, ulong location, ulong value)
    {
        tlbs.CheckBroken(vm, level, ipa, location, value);
        ulong output = OutputOf(value, level);
        if (!Descriptor.IsTable(value, level))
        {
            AddLeaf(vm, output, 1UL << pages.LevelShift(level), value);
            if (Descriptor.IsCacheable(value, level))
            {
                calls.Made(pe, vm, clock.Now);
            }

            return;
        }

        int page = pages.Of(output);
        if (store.At(page) is not TablePage table)
        {
            Broken.Fail(ViolationKind.WalkOfFreedTable, "a table walk",
                $"an entry of {vm.Name} leads to {Broken.Hex(output)}, which is no table");
            return;
        }

        if (table.Links.Count != 0 && (!table.IsShared || table.Level != level + 1))
        {
            Broken.Fail(ViolationKind.WalkOfFreedTable, "a table walk",
                $"an entry of {vm.Name} leads to {Broken.Hex(table.Address)}, a table that is linked elsewhere "
                + "already");
        }

        var link = new TableLink(vm, ipa);
        table.Links.Add(link);
        table.Level = level + 1;
        Publish(vm, page, table.Address, isTable: true);
        for (int index = table.Low; index <= table.High; index++)
        {
            if (Descriptor.IsValid(table.Entries[index]))
            {
                Add(pe, vm, level + 1, IpaOf(link, table, index), table.Address + ((ulong)(uint)index << 3),
                    table.Entries[index]);
            }
        }

        foreach (Overwrite old in table.Overwrites)
        {
            // A walk that finds the link, and not yet what was written here before it, finds what was here first.
            if (!clock.IsVisible(old.Pe, old.At))
            {
                tlbs.AddStale(old.Pe, vm, level + 1, IpaOf(link, table, old.Index),
                    table.Address + ((ulong)(uint)old.Index << 3), old.Old);
            }
        }

        table.Overwrites.Clear();
    }

    private void Count(ulong output, ulong bytes, int change, bool wasExecutable)
    {
        int count = pages.PagesWithin(output, bytes, out _);
        if (count != 0)
        {
            calls.Count(pages.Of(output), count, change, wasExecutable);
        }
    }

    /// <summary>A leaf leads to pages: pool pages are the VM's from now on, and code is fetched from some.</summary>
    private void AddLeaf(JudgedVm vm, ulong output, ulong bytes, ulong leaf)
    {
        int count = pages.PagesWithin(output, bytes, out bool isPool);
        if (count == 0)
        {
            return;
        }

        int first = pages.Of(output);
        calls.Count(first, count, 1, wasExecutable: false);
        bool isExecutable = Descriptor.MayExecute(leaf);
        if (!isPool && !isExecutable)
        {
            return;
        }

        bool mayBeReached = isPool && tlbs.HasStale;
        for (int page = first; page < first + count; page++)
        {
            ref PageUse use = ref pages.Use(page);
            if (isPool)
            {
                Own(vm, page, ref use, leaf, mayBeReached);
            }

            // Where the guest could fetch before the call, what was written since is the writer's to make visible.
            if (isExecutable && !(use.Call == calls.Number && use.WasExecutable))
            {
                caches.RaiseInstructionBaseline(page);
            }
        }
    }

    private void Own(JudgedVm vm, int page, ref PageUse use, ulong leaf, bool mayBeReached)
    {
        if (use.IsShared)
        {
            if (Descriptor.MayWrite(leaf))
            {
                Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                    $"{vm.Name} maps a frame writable that is declared shared");
            }

            return;
        }

        if (use.Mappings > 1 || store.At(page) is not null)
        {
            Broken.Fail(ViolationKind.UndeclaredSharing, "a guest",
                $"{vm.Name} maps a frame that is {(use.Mappings > 1 ? "mapped already" : "a table")}, and that is not "
                + "declared shared");
        }

        if (use.Owner != vm.Party)
        {
            if (mayBeReached)
            {
                tlbs.Freed(pages.AddressOf(page), 1UL << pages.GranuleShift, isTable: false);
            }

            caches.ForgetCopy(page);
            use.Owner = (ushort)vm.Party;
        }

        if (use.WriterPe != 0)
        {
            Publish(vm, page, pages.AddressOf(page), isTable: false);
        }
    }

    /// <summary>A walk comes to a table or a page from now on: what was written there must be visible.</summary>
    private void Publish(JudgedVm vm, int page, ulong address, bool isTable)
    {
        if (!caches.IsUnpublished(page, out int pe, out ulong at))
        {
            return;
        }

        // A PE's own reads come after its own writes; its walks do not.
        var hidden = new Unpublished(address, pe, at, isTable);
        uint readers = vm.Loaded & (isTable ? uint.MaxValue : ~(1U << pe));
        if (readers != 0)
        {
            FailUnpublished(vm, hidden, readers);
        }

        vm.Unpublished.Add(hidden);
    }

    private static void FailUnpublished(JudgedVm vm, Unpublished hidden, uint readers) => Broken.Fail(
        ViolationKind.Unpublished, hidden.IsTable ? "a table walk" : "a guest",
        hidden.IsTable
            ? $"a table of {vm.Name} at {Broken.Hex(hidden.Address)} is reached before its zeroes are visible: "
                + $"{Broken.Pes(readers)} may walk what was there before"
            : $"a page of {vm.Name} at {Broken.Hex(hidden.Address)} is mapped before what PE {hidden.Pe} wrote there "
                + $"is visible: {Broken.Pes(readers)} may read what was there before");
}

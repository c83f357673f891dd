using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Sharing tables between VMs. A template is frozen: nothing writes its tables or its memory any more. A fork begins
// with a root of its own, and the template's tables below it:
//
//     template's root     fork's root                   after the fork wrote to page p
//       │                   │                             │
//       ├── L2 ◄────────────┤                             ├── L2' (the fork's copy) ──── L3' ──── p'
//       │    ├── L3 ── p    │                             │    ├── L3 ── ...  the template's, as before
//       │    └── L3 ── ...  │                             │    └── ...
//
// Whose a table or a page is, the machine says (IsShared). An own table hangs below own tables only, so that a walk
// from the root meets own tables first and, from one level on, shared ones. Rule: no entry of a shared table is ever
// written. An operation that has to write one makes the path down to it its own first (OwnPath); where a whole
// entry of an own table goes, what lies below it is unlinked as it is.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>What a walk met, level by level.</summary>
    private struct SharedPath
    {
        /// <summary>The level at which the walk ended.</summary>
        public int Level;

        /// <summary>
        /// The level of the entry, in an own table, that leads to the first shared table; <see cref="Level"/> where
        /// there is none.
        /// </summary>
        public int Top;

        public TablePath Addresses;

        public LevelCounts Entries;
    }

    /// <summary>Whether tables of another VM may hang below this root: <see cref="Fork"/> made it.</summary>
    public readonly bool IsFork
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TMachine.CanFork && _isFork;
    }

    /// <summary>
    /// Makes the leaves of a range ready to be shared: none may be written, all have the access flag, so that
    /// hardware has nothing to update; then invalidates the VMID, so that no TLB permits a write any more; then, unless
    /// elided, cleans and invalidates their memory to the PoC, so that readers on both sides of the caches see the same
    /// from now on. Leaves that are shared already are left as they are. Owes nothing when it returns.
    /// <para>
    /// No PE has the tables loaded, from before the call until the table's end: that is the licence for writing leaves
    /// without compare-exchange, and contiguous runs entry by entry.
    /// </para>
    /// </summary>
    /// <returns>Done or Again; Misaligned, OutOfRange.</returns>
    public readonly Stage2Result Freeze(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags)
    {
        Stage2Result validity = Validate(ref cursor);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        Ipa start = cursor.Next;
        Ipa ipa = start;
        ulong budget = BudgetOf(in cursor);
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            ipa = IsSharedTable(ref machine, run.Address) ? run.Start + (run.Entries << LevelShift(run.Level))
                : run.Level == Stage2Geometry.LastLevel ? FreezeRun(ref machine, run, Stage2Geometry.LastLevel)
                : FreezeRun(ref machine, run, run.Level);
            budget = Spend(budget, in run, ipa);
        }

        InvalidateVmid(ref machine);
        if ((flags & UnmapFlags.ElideCacheMaintenance) == 0 && !_forcedWriteBack)
        {
            CleanRange(ref machine, start, ipa);
        }

        return Finish(ref cursor, ipa);
    }

    /// <summary>
    /// Makes a table that maps what a frozen one does, in a range, through the same tables: a root is made, and the
    /// template's entries copied into it. Takes time by the root's entries in the range, and by nothing else.
    /// </summary>
    /// <param name="template">Frozen, as a whole, and it stays as long as this table.</param>
    /// <param name="start">The first address of all that the template maps.</param>
    /// <param name="end">The first address past it.</param>
    /// <returns>Done; OutOfRange; OutOfTables, when there is no root to be had.</returns>
    public static Stage2Result Fork(ref TMachine machine, in PageTable<TFormat, TMachine> template, Vmid vmid,
        Ipa start, Ipa end, out PageTable<TFormat, TMachine> table)
    {
        table = default;
        Stage2Geometry geometry = template._geometry;
        if (!template.Exists || end < start || end > geometry.IpaLimit)
        {
            return Stage2Result.OutOfRange;
        }

        if (!machine.TakeRoot(geometry.RootTables, out Pa root))
        {
            return Stage2Result.OutOfTables;
        }

        table._root = root;
        table._geometry = geometry;
        table._vmid = vmid;
        table._forcedWriteBack = template._forcedWriteBack;
        table._leaves = template._leaves;
        table._tables = template._tables;
        table._isFork = true;
        if (start < end)
        {
            Pa from = template.RootEntry(start);
            Pa last = template.RootEntry(new Ipa(end.Value - 1));
            for (Pa to = table.RootEntry(start); from <= last; from += 1UL << EntryShift, to += 1UL << EntryShift)
            {
                machine.WriteEntry(to, machine.ReadEntry(from));
            }
        }

        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    /// <summary>
    /// Gives an address that a shared page or block maps a page of its own (copy on write): copies the tables down to
    /// it that are shared, makes small pages of a block, and sets the leaf; one break-before-make at the topmost entry
    /// that changes, one TLB invalidation. The neighbours stay shared. Owes nothing when it returns.
    /// </summary>
    /// <param name="ipa">The page's first address.</param>
    /// <param name="page">
    /// Holds what the guest is to see there. The break's own DSB completes stores of this PE; cache maintenance is
    /// complete before the call.
    /// </param>
    /// <returns>Done; NotMapped; Misaligned, OutOfRange; OutOfTables, and then nothing was changed.</returns>
    public Stage2Result BreakShare(ref TMachine machine, Ipa ipa, Pa page, LeafAttributes attributes)
    {
        const int Level = Stage2Geometry.LastLevel;
        Stage2Result validity = ValidateLeaf(ipa, page, Level);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        WalkShared(ref machine, ipa, Level, out SharedPath path);
        ulong found = path.Entries[path.Level];
        if (!TFormat.IsValid(found))
        {
            return Stage2Result.NotMapped;
        }

        if (TFormat.IsContiguous(found))
        {
            // A run is dissolved where it may be written.
            Stage2Result own = OwnPath(ref machine, ipa, path.Level);
            if (own != Stage2Result.Done)
            {
                return own;
            }

            Dissolve(ref machine, ipa, path.Level);
            WalkShared(ref machine, ipa, Level, out path);
        }

        if (path.Top != Level && !machine.ReserveTables((uint)(Level - path.Top)))
        {
            return Stage2Result.OutOfTables;
        }

        ulong leaf = TFormat.Leaf(TFormat.LeafTemplate(attributes, Level, _forcedWriteBack), page);
        Relink(ref machine, ipa, in path, Level, leaf);
        return Stage2Result.Done;
    }

    /// <summary>
    /// Looks at an address that was written to and may not be: whether a page is mapped there that a break of the share
    /// would copy. False for a block, too, and for a run of contiguous entries.
    /// </summary>
    /// <param name="ipa">Any address below the limit.</param>
    /// <param name="entry">Where the page's entry lies; zero where that table is shared as well.</param>
    /// <param name="output">The page's memory.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool FindSharedPage(ref TMachine machine, Ipa ipa, out Pa entry, out Pa output)
    {
        Pa address = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong leaf);
        entry = default;
        output = TFormat.OutputAddress(leaf, Stage2Geometry.LastLevel);
        if (level != Stage2Geometry.LastLevel || !TFormat.IsValid(leaf) || TFormat.IsContiguous(leaf)
            || TFormat.WithoutWrite(leaf) != leaf)
        {
            return false;
        }

        if (IsSharedTable(ref machine, address))
        {
            return true;
        }

        entry = address;
        return machine.IsShared(output);
    }

    /// <summary>
    /// <see cref="BreakShare"/> where <see cref="FindSharedPage"/> has found the entry in a table of the fork's own.
    /// </summary>
    /// <param name="entry">As it was found; nothing has changed since.</param>
    /// <param name="ipa">Any address in the page.</param>
    /// <param name="leaf">The new page's descriptor.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void BreakSharedPage(ref TMachine machine, Pa entry, Ipa ipa, ulong leaf)
    {
        machine.WriteEntry(entry, TFormat.Invalid);
        InvalidateIpa(ref machine, ipa, HintFor(ref machine, Stage2Geometry.LastLevel));
        machine.WriteEntry(entry, leaf);
        machine.DsbInnerShareableStores();
    }

    /// <summary>
    /// Makes the tables that an address's entry of a level lies in, and those above it, the VM's own, as far as there
    /// are any. What is mapped does not change. To be called before an entry is written; a table that is no fork's has
    /// nothing to do.
    /// </summary>
    /// <returns>Done; OutOfTables, and then nothing was changed.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Stage2Result OwnPath(ref TMachine machine, Ipa ipa, int level)
    {
        WalkShared(ref machine, ipa, level, out SharedPath path);
        if (path.Top != path.Level && !machine.ReserveTables((uint)(path.Level - path.Top)))
        {
            return Stage2Result.OutOfTables;
        }

        TakePath(ref machine, ipa, in path);
        return Stage2Result.Done;
    }

    /// <summary><see cref="OwnPath"/> of a path whose tables are reserved.</summary>
    private void TakePath(ref TMachine machine, Ipa ipa, in SharedPath path)
    {
        if (path.Top != path.Level)
        {
            Relink(ref machine, ipa, in path, path.Level, path.Entries[path.Level]);
        }
    }

    /// <summary>
    /// Makes the tables that unmapping a range of whole granules would write the fork's own, so that it cannot run out
    /// of them. What is mapped does not change.
    /// </summary>
    /// <returns>Done; OutOfRange; OutOfTables.</returns>
    public Stage2Result OwnForUnmap(ref TMachine machine, Ipa start, Ipa end) =>
        !Exists || end < start || end > _geometry.IpaLimit ? Stage2Result.OutOfRange
            : IsFork ? OwnRange(ref machine, start, end, BatchLevel) : Stage2Result.Done;

    /// <summary>
    /// <see cref="OwnPath"/> for all the tables, down to those of a level, that a range touches; and, below them, for
    /// the tables that the range covers in part. All of them are reserved before the first is made.
    /// </summary>
    private Stage2Result OwnRange(ref TMachine machine, Ipa start, Ipa end, int level)
    {
        // The root is the VM's own.
        Ipa first = level > _geometry.StartLevel ? start : end;
        uint tables = 0;
        Ipa next;
        for (Ipa ipa = first; ipa < end; ipa = next)
        {
            tables += SharedTablesFrom(ref machine, ipa, start, level, out next);
        }

        const int Last = Stage2Geometry.LastLevel;
        ulong span = LevelBytes(Last - 1);
        bool cutsStart = level != Last && !start.IsAlignedTo(span);
        bool cutsEnd = level != Last && !end.IsAlignedTo(span);
        tables += (cutsStart ? 1U : 0) + (cutsEnd ? 1U : 0);
        if (tables != 0 && !machine.ReserveTables(tables))
        {
            return Stage2Result.OutOfTables;
        }

        Stage2Result result = Stage2Result.Done;
        for (Ipa ipa = first; ipa < end && result == Stage2Result.Done; ipa = next)
        {
            _ = SharedTablesFrom(ref machine, ipa, start, level, out next);
            result = OwnPath(ref machine, ipa, level);
        }

        if (cutsStart && result == Stage2Result.Done)
        {
            result = OwnPath(ref machine, start, Last);
        }

        return cutsEnd && result == Stage2Result.Done ? OwnPath(ref machine, end, Last) : result;
    }

    /// <summary>
    /// How many shared tables a walk to an address meets that a walk to an earlier address of the range did not, and
    /// the first address that another entry of the walk's end covers.
    /// </summary>
    private readonly uint SharedTablesFrom(ref TMachine machine, Ipa ipa, Ipa start, int level, out Ipa next)
    {
        WalkShared(ref machine, ipa, level, out SharedPath path);
        uint tables = 0;
        for (int at = path.Top + 1; at <= path.Level; at++)
        {
            tables += ipa.Value == start.Value || ipa.IsAlignedTo(LevelBytes(at - 1)) ? 1U : 0;
        }

        // The table's end: its other entries lie in tables that this walk has met.
        int span = path.Level == level && level > _geometry.StartLevel ? level - 1 : path.Level;
        next = new Ipa((ipa.Value | (LevelBytes(span) - 1)) + 1);
        return tables;
    }

    /// <summary>Walks towards a level and notes what it meets, and where shared tables begin.</summary>
    private readonly void WalkShared(ref TMachine machine, Ipa ipa, int towards, out SharedPath path)
    {
        Unsafe.SkipInit(out path);
        int level = _geometry.StartLevel;
        Pa address = RootEntry(ipa);
        ulong entry = machine.ReadEntry(address);
        path.Addresses[level] = address;
        path.Entries[level] = entry;
        while (level < towards && TFormat.IsValid(entry) && TFormat.IsTable(entry, AboveLastLevel))
        {
            level++;
            address = EntryIn(TFormat.TableAddress(entry), ipa, level);
            entry = machine.ReadEntry(address);
            path.Addresses[level] = address;
            path.Entries[level] = entry;
        }

        // From the end: own tables hang below own ones, so the first own one that is met is the last.
        int top = level;
        while (top > _geometry.StartLevel && IsSharedTable(ref machine, path.Addresses[top]))
        {
            top--;
        }

        path.Level = level;
        path.Top = top;
    }

    /// <summary>
    /// Writes the entry of a level at the end of a path, through copies of the tables that are shared on the way, and
    /// through new ones where a block is. The topmost entry that changes is broken, invalidated, and made: the barriers
    /// of the invalidation complete the copies' stores before anything leads to them. The tables are reserved.
    /// <para>
    /// One address is invalidated, whatever the entry maps. That takes the page, and each entry that a walk to it uses,
    /// out of TLBs and walk caches. What they may still hold for the entry's other addresses leads where the copies
    /// lead, until one of those changes, and is invalidated by its own address then.
    /// </para>
    /// </summary>
    private void Relink(ref TMachine machine, Ipa ipa, in SharedPath path, int level, ulong entry)
    {
        ulong link = entry;
        for (int at = level; at > path.Top; at--)
        {
            Pa table = machine.TakeTable();
            int count = EntriesPerTable;
            if (at <= path.Level)
            {
                ulong leads = path.Entries[at - 1];
                machine.CopyTable(table, TFormat.TableAddress(leads));
                count = TFormat.TableCount(leads);
            }
            else
            {
                FillWithBlock(ref machine, table, ipa, path.Entries[path.Level], path.Level, at);
            }

            machine.WriteEntry(EntryIn(table, ipa, at), link);
            link = TFormat.WithTableCount(TFormat.Table(table), count);
        }

        int top = path.Top;
        Pa address = path.Addresses[top];
        ulong broken = path.Entries[top];
        machine.WriteEntry(address, TFormat.Invalid);
        InvalidateIpa(ref machine, ipa, TFormat.IsTable(broken, top) ? 0 : HintFor(ref machine, top));
        machine.WriteEntry(address, link);
        machine.DsbInnerShareableStores();

        if (level > path.Level)
        {
            _leaves[path.Level]--;
            for (int at = path.Level + 1; at <= level; at++)
            {
                _leaves[at] += (uint)EntriesPerTable - (at < level ? 1U : 0);
                _tables++;
            }
        }
    }

    /// <summary>Fills a table of a level with what a block above it maps there.</summary>
    private readonly void FillWithBlock(
        ref TMachine machine, Pa table, Ipa ipa, ulong block, int blockLevel, int level)
    {
        ulong offset = ipa.Value & (LevelBytes(blockLevel) - 1) & ~(LevelBytes(level - 1) - 1);
        ulong template = TFormat.LeafTemplate(TFormat.Attributes(block, _forcedWriteBack), level, _forcedWriteBack);
        Pa output = TFormat.OutputAddress(block, blockLevel) + offset;
        Pa end = table + ((ulong)(uint)EntriesPerTable << EntryShift);
        if (level != Stage2Geometry.LastLevel)
        {
            for (; table < end; table += 1UL << EntryShift, output += LevelBytes(level))
            {
                machine.WriteEntry(table, TFormat.Leaf(template, output));
            }

            return;
        }

        // By fours: a table has at least so many entries.
        ulong page = TFormat.Leaf(template, output);
        for (; table < end; table += 4UL << EntryShift)
        {
            machine.WriteEntry(table, page);
            page = TFormat.NextPage(page);
            machine.WriteEntry(table + (1UL << EntryShift), page);
            page = TFormat.NextPage(page);
            machine.WriteEntry(table + (2UL << EntryShift), page);
            page = TFormat.NextPage(page);
            machine.WriteEntry(table + (3UL << EntryShift), page);
            page = TFormat.NextPage(page);
        }
    }

    /// <summary>The loop that freezing spends its time in. Ends early where a table begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ipa FreezeRun(ref TMachine machine, Run run, int level)
    {
        ulong address = run.Address.Value;
        ulong end = address + (run.Entries << EntryShift);
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (TFormat.IsValid(entry))
            {
                if (TFormat.IsTable(entry, level))
                {
                    break;
                }

                machine.WriteEntry(new Pa(address), TFormat.WithAccessed(TFormat.WithoutWrite(entry), true));
            }

            address += 1UL << EntryShift;
        }

        return run.Start + ((address - run.Address.Value) >> EntryShift << LevelShift(level));
    }

    /// <summary>
    /// Cleans and invalidates to the PoC what a range's tables map, and completes it. What is shared was cleaned when
    /// its owner was frozen, and has not been written since.
    /// </summary>
    private readonly void CleanRange(ref TMachine machine, Ipa ipa, Ipa end)
    {
        NoSink none = default;
        while (ipa < end)
        {
            Run run = RunAt(ref machine, ipa, end, ulong.MaxValue);
            ipa = run.Start;
            if (IsSharedTable(ref machine, run.Address))
            {
                ipa += run.Entries << LevelShift(run.Level);
                continue;
            }

            if (run.Level == Stage2Geometry.LastLevel && !IsFork)
            {
                WalkLeaves(ref machine, run.Address, run.Entries, ipa, true, false, ref none);
                ipa += run.Entries << LevelShift(run.Level);
                continue;
            }

            for (; run.Entries != 0; run.Entries--, run.Address += 1UL << EntryShift, ipa += LevelBytes(run.Level))
            {
                ulong entry = machine.ReadEntry(run.Address);
                if (!TFormat.IsValid(entry))
                {
                    continue;
                }

                if (TFormat.IsTable(entry, run.Level))
                {
                    break;
                }

                Pa output = TFormat.OutputAddress(entry, run.Level);
                if (!TFormat.IsDevice(entry, _forcedWriteBack) && !(IsFork && machine.IsShared(output)))
                {
                    machine.CleanInvalidateToPoC(output, LevelBytes(run.Level));
                }
            }
        }

        machine.DsbFullSystem();
    }

    /// <summary>Whether the table that an entry lies in is another VM's. The root is always the VM's own.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool IsSharedTable(ref TMachine machine, Pa entry) => IsFork && machine.IsShared(entry);

    /// <summary>Frees a table that was unlinked and paid for, where it is the VM's own.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void ReturnTable(ref TMachine machine, Pa table)
    {
        if (!IsSharedTable(ref machine, table))
        {
            machine.ReturnTable(table);
        }
    }
}

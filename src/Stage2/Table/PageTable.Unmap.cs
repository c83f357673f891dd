using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Unmapping in batches: each is parked, invalidated once, cleaned where that is due, and only then told of and freed.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>Entries of this level are unlinked by one write each, with the table and leaves below them.</summary>
    private const int BatchLevel = Stage2Geometry.LastLevel - 1;

    /// <summary>One batch: entries of one table, parked (invalid, address kept) until they are paid for.</summary>
    private struct Batch
    {
        public Run Run;

        /// <summary>The first address asked for; inside the first entry where the range begins there.</summary>
        public Ipa From;

        /// <summary>How far it came: past the last entry, or inside it.</summary>
        public Ipa Reached;

        /// <summary>The hull of what is to be invalidated; empty where nothing was mapped.</summary>
        public Ipa Start;

        public Ipa End;

        /// <summary>Tables were unlinked.</summary>
        public bool HasTables;

        /// <summary>Leaves of the run's own level were.</summary>
        public bool HasLeaves;

        /// <summary>Pages were, of tables that stay.</summary>
        public bool HasPages;

        public readonly bool IsEmpty => !HasTables && !HasLeaves && !HasPages;

        /// <summary>Tables that the batch has emptied from above, one of each level; 0 where there is none.</summary>
        public TablePath Emptied;
    }

    /// <summary>
    /// Unmaps a range in batches of up to one level-2 table each, and owes nothing when it returns. A batch parks its
    /// entries: a whole level-3 table goes by the one entry that leads to it. Then one TLB invalidation, the cheapest
    /// that is sufficient (<see cref="InvalidationPlan"/>), its DSB, cache maintenance with its own DSB where it is
    /// due; and only then is the sink told of the leaves, and tables are freed.
    /// </summary>
    /// <param name="sink">Told of runs of leaves, whose memory may be reused at once unless TLB invalidation is elided.
    /// </param>
    /// <returns>As <see cref="UnmapEager"/>.</returns>
    public Stage2Result Unmap<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags,
        PartialBlock partial, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result validity = PrepareRange(ref machine, ref cursor, partial);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Park(ref machine, ipa, cursor.End, ref budget, out Batch batch);
            if (!batch.IsEmpty)
            {
                PayForBatch(ref machine, in batch, flags);
                ReleaseBatch(ref machine, in batch, ref sink);
            }

            ipa = batch.Reached;
        }

        return Finish(ref cursor, ipa);
    }

    /// <summary>Parks a batch's entries, takes them off their table's count, and unlinks what that empties.</summary>
    private void Park(ref TMachine machine, Ipa ipa, Ipa end, ref ulong budget, out Batch batch)
    {
        batch = default;
        batch.From = ipa;
        batch.Reached = ipa;
        Run run = RunAt(ref machine, ipa, end, ulong.MaxValue, BatchLevel);
        batch.Run = run;
        Run rest = run;
        int parked = 0;
        while (rest.Entries != 0 && budget != 0)
        {
            ulong entry = machine.ReadEntry(rest.Address);
            ulong examined = 1;
            ulong cost;
            if (TFormat.IsValid(entry) && TFormat.IsTable(entry, run.Level))
            {
                if (run.Level != BatchLevel)
                {
                    break;
                }

                Ipa next = rest.Start + LevelBytes(BatchLevel);
                Ipa from = rest.Start > ipa ? rest.Start : ipa;
                Ipa to = next < end ? next : end;
                parked += ParkTable(ref machine, rest.Address, entry, from, ref to, budget, ref batch);
                cost = (to - from) >> TFormat.GranuleShift;
                batch.Reached = to;
            }
            else
            {
                Run leaves = rest;
                if (rest.Entries > budget)
                {
                    leaves.Entries = StretchToContiguousEnd(ref machine, rest, budget);
                }

                int removed = ParkRun(ref machine, leaves, out batch.Reached);
                examined = (batch.Reached - rest.Start) >> LevelShift(run.Level);
                cost = examined;
                if (removed != 0)
                {
                    batch.Start = batch.IsEmpty ? rest.Start : batch.Start;
                    batch.End = batch.Reached;
                    batch.HasLeaves = true;
                    _leaves[run.Level] -= (uint)removed;
                    parked += removed;
                }
            }

            budget -= cost < budget ? cost : budget;
            rest.Address += examined << EntryShift;
            rest.Start += examined << LevelShift(run.Level);
            rest.Entries -= examined;
        }

        int level = run.Level;
        while (level > _geometry.StartLevel && parked != 0
            && !Uncount(ref machine, run.Start, level, parked, out Pa table))
        {
            batch.HasTables = true;
            batch.Emptied[level] = table;
            level--;
            parked = 1;
        }
    }

    /// <summary>
    /// Unlinks a table of leaves that a range covers whole, or all of whose leaves it covers; else parks those that it
    /// does. Answers 1 when the table goes, else 0.
    /// </summary>
    /// <param name="to">Where the range ends in the table; nearer where the budget does.</param>
    private int ParkTable(ref TMachine machine, Pa address, ulong entry, Ipa from, ref Ipa to, ulong budget,
        ref Batch batch)
    {
        Run part;
        part.Address = EntryIn(TFormat.TableAddress(entry), from, Stage2Geometry.LastLevel);
        part.Start = from;
        part.Level = Stage2Geometry.LastLevel;
        part.Entries = (to - from) >> TFormat.GranuleShift;
        if (part.Entries > budget)
        {
            part.Entries = StretchToContiguousEnd(ref machine, part, budget);
            to = from + (part.Entries << TFormat.GranuleShift);
        }

        batch.Start = batch.IsEmpty ? from : batch.Start;
        int leaves = TFormat.TableCount(entry);
        if (part.Entries != (ulong)(uint)EntriesPerTable)
        {
            int parked = ParkRun(ref machine, part, out _);
            if (parked == 0)
            {
                return 0;
            }

            batch.End = to;
            _leaves[Stage2Geometry.LastLevel] -= (uint)parked;
            if (parked != leaves)
            {
                machine.WriteEntry(address, TFormat.WithTableCount(entry, leaves - parked));
                batch.HasPages = true;
                return 0;
            }
        }
        else
        {
            _leaves[Stage2Geometry.LastLevel] -= (uint)leaves;
        }

        batch.End = to;
        batch.HasTables = true;
        _tables--;
        machine.WriteEntry(address, TFormat.Park(entry));
        return 1;
    }

    /// <summary>Parks every leaf of a run. Ends early where a table begins.</summary>
    private static int ParkRun(ref TMachine machine, Run run, out Ipa reached)
    {
        int parked = 0;
        ulong address = run.Address.Value;
        ulong end = address + (run.Entries << EntryShift);
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (TFormat.IsValid(entry))
            {
                if (TFormat.IsTable(entry, run.Level))
                {
                    break;
                }

                machine.WriteEntry(new Pa(address), TFormat.Park(entry));
                parked++;
            }

            address += 1UL << EntryShift;
        }

        ulong examined = (address - run.Address.Value) >> EntryShift;
        reached = run.Start + (examined << LevelShift(run.Level));
        return parked;
    }

    private readonly void PayForBatch(ref TMachine machine, in Batch batch, UnmapFlags flags)
    {
        if ((flags & UnmapFlags.ElideTlbInvalidation) == 0)
        {
            // No hint where levels differ, nor for tables: walk caches may hold the entries that led to them.
            int hint = batch.HasTables || (batch.HasLeaves && batch.HasPages) ? 0
                : batch.HasPages ? Stage2Geometry.LastLevel : batch.Run.Level;
            MaintenanceDebt debt = MaintenanceDebt.Range(batch.Start, batch.End, hint);
            Pay(ref machine, in debt);
        }

        if ((flags & UnmapFlags.ElideCacheMaintenance) == 0 && !_forcedWriteBack)
        {
            NoSink none = default;
            WalkBatch(ref machine, in batch, batch.Run.Level, true, ref none);
            machine.DsbFullSystem();
        }
    }

    private void ReleaseBatch<TSink>(ref TMachine machine, in Batch batch, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        // The level as a constant: it is so but for the largest blocks, and roots of pages.
        if (batch.Run.Level == BatchLevel)
        {
            WalkBatch(ref machine, in batch, BatchLevel, false, ref sink);
        }
        else
        {
            WalkBatch(ref machine, in batch, batch.Run.Level, false, ref sink);
        }

        for (int level = batch.Run.Level; level > _geometry.StartLevel && batch.Emptied[level].Value != 0; level--)
        {
            machine.ReturnTable(batch.Emptied[level]);
        }
    }

    /// <summary>
    /// Goes over what a batch has parked: cleans and invalidates the leaves' memory, or tells of them, frees tables and
    /// clears the entries.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void WalkBatch<TSink>(ref TMachine machine, in Batch batch, int level, bool cleans,
        ref TSink sink)
        where TSink : struct, ILeafSink
    {
        ulong step = LevelBytes(level);
        Pa address = batch.Run.Address;
        Ipa end = batch.Reached;
        for (Ipa at = batch.Run.Start; at < end; at += step, address += 1UL << EntryShift)
        {
            ulong entry = machine.ReadEntry(address);
            bool isValid = TFormat.IsValid(entry);
            if (isValid)
            {
                if (level == BatchLevel && TFormat.IsTable(entry, level))
                {
                    // An end of the range: only its part of the table has been parked.
                    Ipa from = at > batch.From ? at : batch.From;
                    Ipa to = at + step < end ? at + step : end;
                    Pa first = EntryIn(TFormat.TableAddress(entry), from, Stage2Geometry.LastLevel);
                    WalkLeaves(ref machine, first, (to - from) >> TFormat.GranuleShift, from, cleans, true, ref sink);
                }

                continue;
            }

            if (entry == 0 || entry == TFormat.Invalid)
            {
                continue;
            }

            if (level == BatchLevel && TFormat.IsTable(TFormat.Unpark(entry), level))
            {
                Pa table = TFormat.TableAddress(TFormat.Unpark(entry));
                WalkLeaves(ref machine, table, (ulong)(uint)EntriesPerTable, at, cleans, false, ref sink);
                if (!cleans)
                {
                    machine.WriteEntry(address, TFormat.Invalid);
                    machine.ReturnTable(table);
                }
            }
            else if (!cleans)
            {
                machine.WriteEntry(address, TFormat.Invalid);
                sink.Unlinked(at, TFormat.OutputAddress(entry, level), level, 1);
            }
            else if (!TFormat.IsDevice(entry, _forcedWriteBack))
            {
                machine.CleanInvalidateToPoC(TFormat.OutputAddress(entry, level), step);
            }
        }
    }

    /// <summary>
    /// The leaves of a table that nothing leads to any more, or parked ones, by runs: of neighbours that lead to
    /// neighbours with the same attributes. The loop that unmapping spends its time in.
    /// </summary>
    /// <param name="clears">Whether the table stays, so that its entries are cleared.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void WalkLeaves<TSink>(ref TMachine machine, Pa first, ulong entries, Ipa start, bool cleans,
        bool clears, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        const int Level = Stage2Geometry.LastLevel;
        ulong address = first.Value;
        ulong end = address + (entries << EntryShift);
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (!TFormat.IsValid(entry) && !TFormat.IsParked(entry))
            {
                address += 1UL << EntryShift;
                continue;
            }

            ulong begun = address;
            ulong expected = entry;
            do
            {
                address += 1UL << EntryShift;
                expected = TFormat.NextPage(expected);
            }
            while (address != end && machine.ReadEntry(new Pa(address)) == expected);

            ulong leaves = (address - begun) >> EntryShift;
            Pa output = TFormat.OutputAddress(entry, Level);
            if (cleans)
            {
                if (!TFormat.IsDevice(entry, _forcedWriteBack))
                {
                    machine.CleanInvalidateToPoC(output, leaves << TFormat.GranuleShift);
                }

                continue;
            }

            for (ulong at = begun; clears && at != address; at += 1UL << EntryShift)
            {
                machine.WriteEntry(new Pa(at), TFormat.Invalid);
            }

            Ipa ipa = start + ((begun - first.Value) << (TFormat.GranuleShift - EntryShift));
            sink.Unlinked(ipa, output, Level, leaves);
        }
    }

    /// <summary>
    /// Takes removed entries off a table's count. False when none are left: then the table is unlinked, by clearing
    /// the entry that led to it.
    /// </summary>
    private bool Uncount(ref TMachine machine, Ipa ipa, int level, int removed, out Pa unlinked)
    {
        Pa parent = Descend(ref machine, ipa, level - 1, out _, out ulong entry);
        int count = TFormat.TableCount(entry) - removed;
        unlinked = TFormat.TableAddress(entry);
        if (count != 0)
        {
            machine.WriteEntry(parent, TFormat.WithTableCount(entry, count));
            return true;
        }

        machine.WriteEntry(parent, TFormat.Invalid);
        _tables--;
        return false;
    }

    /// <summary>
    /// Whether a leaf's memory is to be cleaned and invalidated: cacheable, without FEAT_S2FWB, not elided.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool OwesCacheMaintenance(ulong entry, UnmapFlags flags) =>
        (flags & UnmapFlags.ElideCacheMaintenance) == 0 && !_forcedWriteBack
        && !TFormat.IsDevice(entry, forcedWriteBack: false);
}

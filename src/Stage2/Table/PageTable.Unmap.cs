using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Removing leaves, and the tables that become empty.
public partial struct PageTable<TFormat, TMachine>
{
    private const UnmapFlags ElideAll = UnmapFlags.ElideCacheMaintenance | UnmapFlags.ElideTlbInvalidation;

    /// <summary>
    /// Unmaps a range entry by entry as Linux 5.5 did, so that nothing is owed when it returns. For each leaf: write
    /// the invalid entry (on pages DSB ISHST, kvm_set_pte's own); DSB ISHST, TLBI by IPA, DSB ISH, VMALLE1IS, DSB ISH,
    /// ISB; clean and invalidate its memory to the PoC, DSB SY. For each table that becomes empty: clear the entry
    /// that leads to it, the same invalidation, free it. The flags take their part out.
    /// </summary>
    /// <param name="sink">Told of each leaf after all that was done for it.</param>
    /// <returns>Done or Again, as the cursor says too; Misaligned, OutOfRange; OutOfTables, only where a block is to be
    /// split, and then before this call changed anything.</returns>
    public Stage2Result UnmapEager<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags,
        PartialBlock partial, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result validity = PrepareRange(ref machine, ref cursor, partial, Stage2Geometry.LastLevel);
        if (validity != Stage2Result.Done)
        {
            return cursor.Result = validity;
        }

        bool elidesAll = (flags & ElideAll) == ElideAll;
        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            int removed;
            if (run.Level != Stage2Geometry.LastLevel)
            {
                removed = UnmapRunEager(ref machine, run, run.Level, flags, ref sink, out ipa);
            }
            else if (!elidesAll)
            {
                removed = UnmapRunEager(ref machine, run, Stage2Geometry.LastLevel, flags, ref sink, out ipa);
            }
            else
            {
                removed = ClearRun(ref machine, run, Stage2Geometry.LastLevel, true, ref sink, out ipa);
            }

            if (removed != 0)
            {
                _leaves[run.Level] -= (uint)removed;
                DropEntriesEager(ref machine, run.Start, run.Level, removed, flags);
            }

            budget = Spend(budget, run, ipa);
        }

        return Finish(ref cursor, ipa);
    }

    /// <summary>
    /// Unmaps a range and returns what it owes, so that one invalidation can pay for many entries. The entries are
    /// unlinked a table's worth at a time. How it ended is in the cursor, as for <see cref="UnmapEager"/>; also when
    /// that is an error, what was returned is to be settled.
    /// <para>
    /// Where cache maintenance is due, the TLB must be invalidated before the lines are: a guest that still reaches
    /// the page would dirty them again. So there the leaves of each table are parked (invalid, address kept), the
    /// invalidation is completed, and then they are cleaned and cleared; only tables are still owed.
    /// </para>
    /// <para>
    /// With <see cref="UnmapFlags.ElideTlbInvalidation"/> no invalidation is owed, but unlinked tables still are: they
    /// are freed by <see cref="Settle"/>, after the caller's own invalidation.
    /// </para>
    /// </summary>
    /// <param name="sink">Told of each leaf. Its memory is not free before the debt is settled.</param>
    public MaintenanceDebt Unmap<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags,
        PartialBlock partial, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        MaintenanceDebt debt = default;
        Stage2Result validity = PrepareRange(ref machine, ref cursor, partial, Stage2Geometry.LastLevel);
        if (validity != Stage2Result.Done)
        {
            cursor.Result = validity;
            return debt;
        }

        bool invalidates = (flags & UnmapFlags.ElideTlbInvalidation) == 0;
        bool maintains = (flags & UnmapFlags.ElideCacheMaintenance) == 0 && !_forcedWriteBack;
        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            Ipa reached;
            int removed;
            if (maintains)
            {
                removed = ParkRun(ref machine, run, out reached);
                if (removed != 0)
                {
                    CleanAndClearParked(ref machine, run, reached, invalidates, ref sink);
                }
            }
            else
            {
                // The level as a constant: pages are what there is most of.
                removed = run.Level == Stage2Geometry.LastLevel
                    ? ClearRun(ref machine, run, Stage2Geometry.LastLevel, false, ref sink, out reached)
                    : ClearRun(ref machine, run, run.Level, false, ref sink, out reached);
                if (removed != 0 && invalidates)
                {
                    debt.AddRange(run.Start, reached, run.Level);
                }
            }

            if (removed != 0)
            {
                _leaves[run.Level] -= (uint)removed;
                DropEntries(ref machine, run.Start, run.Level, removed, invalidates, ref debt);
            }

            budget = Spend(budget, run, reached);
            ipa = reached;
        }

        _ = Finish(ref cursor, ipa);
        return debt;
    }

    /// <summary>What is left of a budget after a run of which a part was examined.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Spend(ulong budget, in Run run, Ipa reached)
    {
        ulong examined = (reached - run.Start) >> LevelShift(run.Level);
        return examined < budget ? budget - examined : 0;
    }

    /// <summary>
    /// Validates a range, makes the tables that will be written the VM's own, and takes out of the range's way what
    /// must not be changed in part.
    /// </summary>
    /// <param name="level">The lowest level at which entries of wholly covered tables are written.</param>
    private Stage2Result PrepareRange(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial, int level)
    {
        Stage2Result validity = Validate(ref cursor);
        if (validity == Stage2Result.Done && _isFork)
        {
            validity = OwnRange(ref machine, cursor.Next, cursor.End, level);
        }

        return validity == Stage2Result.Done && cursor.Next < cursor.End
            ? IsolateRange(ref machine, cursor.Next, cursor.End, partial)
            : validity;
    }

    /// <summary>Unmaps the leaves of a run one after the other. Ends early where a table begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int UnmapRunEager<TSink>(ref TMachine machine, Run run, int level, UnmapFlags flags,
        ref TSink sink, out Ipa reached)
        where TSink : struct, ILeafSink
    {
        ulong address = run.Address.Value;
        ulong end = address + (run.Entries << EntryShift);
        Ipa ipa = run.Start;
        int removed = 0;
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (TFormat.IsValid(entry))
            {
                if (TFormat.IsTable(entry, level))
                {
                    break;
                }

                DissolveIfContiguous(ref machine, ipa, level, entry);
                UnmapLeafEager(ref machine, new Pa(address), entry, ipa, level, flags, ref sink);
                removed++;
            }

            address += 1UL << EntryShift;
            ipa += LevelBytes(level);
        }

        reached = ipa;
        return removed;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void UnmapLeafEager<TSink>(ref TMachine machine, Pa address, ulong entry, Ipa ipa, int level,
        UnmapFlags flags, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        machine.WriteEntry(address, TFormat.Invalid);
        if (level == Stage2Geometry.LastLevel)
        {
            machine.DsbInnerShareableStores();
        }

        if ((flags & UnmapFlags.ElideTlbInvalidation) == 0)
        {
            InvalidateIpa(ref machine, ipa, 0);
        }

        Pa output = TFormat.OutputAddress(entry, level);
        if (OwesCacheMaintenance(entry, flags))
        {
            machine.CleanInvalidateToPoC(output, LevelBytes(level));
            machine.DsbFullSystem();
        }

        sink.Unlinked(ipa, output, level);
    }

    /// <summary>
    /// The loop that unmapping without maintenance spends its time in. Ends early where a table begins.
    /// </summary>
    /// <param name="fenced">Whether a DSB ISHST follows each write, as in kvm_set_pte.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ClearRun<TSink>(ref TMachine machine, Run run, int level, bool fenced, ref TSink sink,
        out Ipa reached)
        where TSink : struct, ILeafSink
    {
        ulong address = run.Address.Value;
        ulong end = address + (run.Entries << EntryShift);
        ulong ipa = run.Start.Value;
        int removed = 0;
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (TFormat.IsValid(entry))
            {
                if (TFormat.IsTable(entry, level))
                {
                    break;
                }

                machine.WriteEntry(new Pa(address), TFormat.Invalid);
                if (fenced)
                {
                    machine.DsbInnerShareableStores();
                }

                sink.Unlinked(new Ipa(ipa), TFormat.OutputAddress(entry, level), level);
                removed++;
            }

            address += 1UL << EntryShift;
            ipa += LevelBytes(level);
        }

        reached = new Ipa(ipa);
        return removed;
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

    /// <summary>Completes the invalidation of parked leaves, then cleans the memory of each and clears it.</summary>
    private readonly void CleanAndClearParked<TSink>(ref TMachine machine, Run run, Ipa reached, bool invalidates,
        ref TSink sink)
        where TSink : struct, ILeafSink
    {
        if (invalidates)
        {
            MaintenanceDebt leaves = MaintenanceDebt.Range(run.Start, reached, run.Level);
            Pay(ref machine, in leaves);
        }

        for (Ipa ipa = run.Start; ipa < reached; ipa += LevelBytes(run.Level))
        {
            ulong entry = machine.ReadEntry(run.Address);
            if (TFormat.IsParked(entry))
            {
                Pa output = TFormat.OutputAddress(entry, run.Level);
                if (!TFormat.IsDevice(entry, _forcedWriteBack))
                {
                    machine.CleanInvalidateToPoC(output, LevelBytes(run.Level));
                }

                machine.WriteEntry(run.Address, TFormat.Invalid);
                sink.Unlinked(ipa, output, run.Level);
            }

            run.Address += 1UL << EntryShift;
        }

        machine.DsbFullSystem();
    }

    /// <summary>
    /// Takes removed entries off the count of the table of a level that covers an address, and unlinks it when it is
    /// empty, and so on upwards: clear, invalidate, free.
    /// </summary>
    private void DropEntriesEager(ref TMachine machine, Ipa ipa, int level, int removed, UnmapFlags flags)
    {
        while (level > _geometry.StartLevel && !Uncount(ref machine, ipa, level, removed, out Pa table))
        {
            if ((flags & UnmapFlags.ElideTlbInvalidation) == 0)
            {
                InvalidateIpa(ref machine, ipa, 0);
            }

            machine.ReturnTable(table);
            level--;
            removed = 1;
        }
    }

    /// <summary>As <see cref="DropEntriesEager"/>, but invalidating and freeing are added to the debt.</summary>
    private void DropEntries(ref TMachine machine, Ipa ipa, int level, int removed, bool invalidates,
        ref MaintenanceDebt debt)
    {
        while (level > _geometry.StartLevel && !Uncount(ref machine, ipa, level, removed, out Pa table))
        {
            if (invalidates)
            {
                // No level hint: walk caches hold the entry that led to the table.
                Ipa granule = new(ipa.Value & ~(GranuleBytes - 1));
                debt.AddRange(granule, granule + GranuleBytes, 0);
            }

            Chain(ref machine, ref debt, table);
            level--;
            removed = 1;
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

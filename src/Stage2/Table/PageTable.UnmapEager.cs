using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Unmapping as Linux 5.5 did it: each entry is cleared, invalidated and maintained before the next is looked at.
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
    /// <returns>Done or Again; Misaligned, OutOfRange; OutOfTables, only where a block is to be split, and then before
    /// this call changed anything.</returns>
    public Stage2Result UnmapEager<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags,
        PartialBlock partial, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result validity = PrepareRange(ref machine, ref cursor, partial);
        if (validity != Stage2Result.Done)
        {
            return validity;
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
                removed = ClearRun(ref machine, run, ref sink, out ipa);
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

        sink.Unlinked(ipa, output, level, 1);
    }

    /// <summary>
    /// The loop that unmapping pages without maintenance spends its time in: a write, and the DSB ISHST of kvm_set_pte.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ClearRun<TSink>(ref TMachine machine, Run run, ref TSink sink, out Ipa reached)
        where TSink : struct, ILeafSink
    {
        const int Level = Stage2Geometry.LastLevel;
        ulong address = run.Address.Value;
        ulong end = address + (run.Entries << EntryShift);
        ulong ipa = run.Start.Value;
        int removed = 0;
        while (address != end)
        {
            ulong entry = machine.ReadEntry(new Pa(address));
            if (TFormat.IsValid(entry))
            {
                machine.WriteEntry(new Pa(address), TFormat.Invalid);
                machine.DsbInnerShareableStores();
                sink.Unlinked(new Ipa(ipa), TFormat.OutputAddress(entry, Level), Level, 1);
                removed++;
            }

            address += 1UL << EntryShift;
            ipa += GranuleBytes;
        }

        reached = new Ipa(ipa);
        return removed;
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
}

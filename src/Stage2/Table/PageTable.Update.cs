namespace Quietus.Stage2;

// Changing what leaves permit, in place: no output address, type or size changes, so nothing has to be broken.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>A change of one leaf's descriptor.</summary>
    private interface ILeafUpdate
    {
        /// <summary>The leaf as it is to be; the same where nothing is to be done.</summary>
        ulong Apply(ulong leaf);
    }

    private readonly struct SetPermissions(LeafAttributes permissions) : ILeafUpdate
    {
        public ulong Apply(ulong leaf) => TFormat.WithPermissions(leaf, permissions);
    }

    private readonly struct DenyWrite : ILeafUpdate
    {
        public ulong Apply(ulong leaf) => TFormat.WithoutWrite(leaf);
    }

    private readonly struct ClearAccessed : ILeafUpdate
    {
        public ulong Apply(ulong leaf) => TFormat.WithAccessed(leaf, false);
    }

    /// <summary>
    /// Gives the leaves of a range the read, write and execute-never permissions of
    /// <paramref name="permissions"/>. How it ended is in the cursor, as for <see cref="Unmap"/>.
    /// </summary>
    public MaintenanceDebt ChangePermissions(ref TMachine machine, ref RangeCursor cursor, LeafAttributes permissions,
        PartialBlock partial)
    {
        SetPermissions update = new(permissions);
        return Update(ref machine, ref cursor, partial, update, out _);
    }

    /// <summary>
    /// Takes write permission from the leaves of a range, so that the next write to each faults: dirty logging. How it
    /// ended is in the cursor, as for <see cref="Unmap"/>.
    /// </summary>
    public MaintenanceDebt WriteProtect(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial) =>
        Update(ref machine, ref cursor, partial, default(DenyWrite), out _);

    /// <summary>
    /// Clears the access flags of a range, and tells whether any was set. A block counts whole. What is returned may
    /// be waived: <see cref="DebtWaiver.AgeMayLag"/>. How it ended is in the cursor, as for <see cref="Unmap"/>.
    /// </summary>
    public MaintenanceDebt Age(ref TMachine machine, ref RangeCursor cursor, out bool young) =>
        Update(ref machine, ref cursor, PartialBlock.TakeWhole, default(ClearAccessed), out young);

    /// <summary>
    /// Sets the access flag of the leaf that maps an IPA, as an access flag fault asks for. Owes nothing: a leaf
    /// without it is never cached (DDI 0487 D8, the Access flag).
    /// </summary>
    /// <returns>Done; NotMapped; OutOfRange; OutOfTables, of a fork.</returns>
    public Stage2Result MarkAccessed(ref TMachine machine, Ipa ipa)
    {
        if (!Exists || ipa >= _geometry.IpaLimit)
        {
            return Stage2Result.OutOfRange;
        }

        Pa address = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong entry);
        if (!TFormat.IsValid(entry))
        {
            return Stage2Result.NotMapped;
        }

        if (TFormat.WithAccessed(entry, true) == entry)
        {
            return Stage2Result.Done;
        }

        if (_isFork)
        {
            if (OwnPath(ref machine, ipa, level) != Stage2Result.Done)
            {
                return Stage2Result.OutOfTables;
            }

            address = Descend(ref machine, ipa, level, out _, out _);
        }

        DissolveIfContiguous(ref machine, ipa, level, entry);
        entry = machine.ReadEntry(address);
        while (!machine.CompareExchangeEntry(address, entry, TFormat.WithAccessed(entry, true)))
        {
            entry = machine.ReadEntry(address);
        }

        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    private MaintenanceDebt Update<TUpdate>(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial,
        TUpdate update, out bool changed)
        where TUpdate : struct, ILeafUpdate
    {
        MaintenanceDebt debt = default;
        changed = false;
        Stage2Result validity = Validate(ref cursor);
        if (validity == Stage2Result.Done && partial == PartialBlock.Split && cursor.Next < cursor.End)
        {
            validity = IsolateRange(ref machine, cursor.Next, cursor.End, partial);
        }

        if (validity != Stage2Result.Done)
        {
            cursor.Result = validity;
            return debt;
        }

        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            ulong step = LevelBytes(run.Level);
            ipa = run.Start;
            bool isShared = IsSharedTable(ref machine, run.Address);
            for (ulong left = run.Entries; left != 0; left--)
            {
                ulong entry = machine.ReadEntry(run.Address);
                if (TFormat.IsValid(entry))
                {
                    if (TFormat.IsTable(entry, run.Level))
                    {
                        break;
                    }

                    if (isShared && Updated(ref machine, entry, run.Level, update) != entry)
                    {
                        if (OwnPath(ref machine, ipa, run.Level) != Stage2Result.Done)
                        {
                            cursor.Next = ipa;
                            cursor.Result = Stage2Result.OutOfTables;
                            return debt;
                        }

                        run.Address = Descend(ref machine, ipa, run.Level, out _, out entry);
                        isShared = false;
                    }

                    if (UpdateLeaf(ref machine, run.Address, ipa, run.Level, entry, update))
                    {
                        debt.AddRange(ipa, ipa + step, run.Level);
                        changed = true;
                    }
                }

                run.Address += 1UL << EntryShift;
                ipa += step;
            }

            budget = Spend(budget, in run, ipa);
        }

        _ = Finish(ref cursor, ipa);
        return debt;
    }

    /// <summary>
    /// Changes a leaf against the hardware's own updates of it. False where there is nothing to change.
    /// </summary>
    private readonly bool UpdateLeaf<TUpdate>(ref TMachine machine, Pa address, Ipa ipa, int level, ulong entry,
        TUpdate update)
        where TUpdate : struct, ILeafUpdate
    {
        ulong next = Updated(ref machine, entry, level, update);
        if (next == entry)
        {
            return false;
        }

        // A run whose leaves differ is no run.
        DissolveIfContiguous(ref machine, ipa, level, entry);
        do
        {
            entry = machine.ReadEntry(address);
            next = Updated(ref machine, entry, level, update);
        }
        while (!machine.CompareExchangeEntry(address, entry, next));
        return true;
    }

    /// <summary>The leaf as it is to be. Memory that is shared stays unwritable, whatever is asked for.</summary>
    private readonly ulong Updated<TUpdate>(ref TMachine machine, ulong leaf, int level, TUpdate update)
        where TUpdate : struct, ILeafUpdate
    {
        ulong next = update.Apply(leaf);
        return _isFork && machine.IsShared(TFormat.OutputAddress(leaf, level)) ? TFormat.WithoutWrite(next) : next;
    }
}

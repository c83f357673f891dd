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
    /// <paramref name="permissions"/>.
    /// </summary>
    /// <param name="debt">What it owes: to be settled also when this call ended in Again.</param>
    /// <returns>As <see cref="UnmapEager"/>.</returns>
    public Stage2Result ChangePermissions(ref TMachine machine, ref RangeCursor cursor, LeafAttributes permissions,
        PartialBlock partial, out MaintenanceDebt debt)
    {
        SetPermissions update = new(permissions);
        return Update(ref machine, ref cursor, partial, update, out debt);
    }

    /// <summary>
    /// Takes write permission from the leaves of a range, so that the next write to each faults: dirty logging.
    /// </summary>
    /// <param name="debt">As for <see cref="ChangePermissions"/>.</param>
    /// <returns>As <see cref="UnmapEager"/>.</returns>
    public Stage2Result WriteProtect(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial,
        out MaintenanceDebt debt) =>
        Update(ref machine, ref cursor, partial, default(DenyWrite), out debt);

    /// <summary>
    /// Clears the access flags of a range; where any was set, it owes an invalidation. A block counts whole.
    /// </summary>
    /// <param name="debt">As for <see cref="ChangePermissions"/>; may be waived: <see cref="DebtWaiver.AgeMayLag"/>.
    /// </param>
    /// <returns>As <see cref="UnmapEager"/>.</returns>
    public Stage2Result Age(ref TMachine machine, ref RangeCursor cursor, out MaintenanceDebt debt) =>
        Update(ref machine, ref cursor, PartialBlock.TakeWhole, default(ClearAccessed), out debt);

    /// <summary>
    /// Sets the access flag of the leaf that maps an IPA, as an access flag fault asks for. Owes nothing: a leaf
    /// without it is never cached (DDI 0487 D8, the Access flag).
    /// </summary>
    /// <returns>Done; NotMapped; OutOfRange.</returns>
    public readonly Stage2Result MarkAccessed(ref TMachine machine, Ipa ipa)
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

        DissolveIfContiguous(ref machine, ipa, level, entry);
        entry = machine.ReadEntry(address);
        while (!machine.CompareExchangeEntry(address, entry, TFormat.WithAccessed(entry, true)))
        {
            entry = machine.ReadEntry(address);
        }

        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    private Stage2Result Update<TUpdate>(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial,
        TUpdate update, out MaintenanceDebt debt)
        where TUpdate : struct, ILeafUpdate
    {
        debt = default;
        Stage2Result validity = partial == PartialBlock.Split
            ? PrepareRange(ref machine, ref cursor, partial)
            : Validate(ref cursor);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            ulong step = LevelBytes(run.Level);
            ipa = run.Start;
            for (ulong left = run.Entries; left != 0; left--)
            {
                ulong entry = machine.ReadEntry(run.Address);
                if (TFormat.IsValid(entry))
                {
                    if (TFormat.IsTable(entry, run.Level))
                    {
                        break;
                    }

                    if (UpdateLeaf(ref machine, run.Address, ipa, run.Level, entry, update))
                    {
                        debt.AddRange(ipa, ipa + step, run.Level);
                    }
                }

                run.Address += 1UL << EntryShift;
                ipa += step;
            }

            budget = Spend(budget, in run, ipa);
        }

        return Finish(ref cursor, ipa);
    }

    /// <summary>
    /// Changes a leaf against the hardware's own updates of it. False where there is nothing to change.
    /// </summary>
    private readonly bool UpdateLeaf<TUpdate>(ref TMachine machine, Pa address, Ipa ipa, int level, ulong entry,
        TUpdate update)
        where TUpdate : struct, ILeafUpdate
    {
        ulong next = update.Apply(entry);
        if (next == entry)
        {
            return false;
        }

        // A run whose leaves differ is no run.
        DissolveIfContiguous(ref machine, ipa, level, entry);
        do
        {
            entry = machine.ReadEntry(address);
            next = update.Apply(entry);
        }
        while (!machine.CompareExchangeEntry(address, entry, next));
        return true;
    }
}

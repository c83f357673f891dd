using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Paying: TLB invalidation in its forms.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>
    /// Pays a debt: the cheapest sufficient TLB invalidation (<see cref="InvalidationPlan"/>), and the DSB that
    /// completes it. The debt is none afterwards.
    /// </summary>
    public readonly void Settle(ref TMachine machine, ref MaintenanceDebt debt)
    {
        Pay(ref machine, in debt);
        debt = default;
    }

    /// <summary>
    /// Invalidates all that any TLB holds for the VMID, and completes it. Pays every debt of this table.
    /// </summary>
    public readonly void InvalidateVmid(ref TMachine machine)
    {
        machine.DsbInnerShareableStores();
        machine.InvalidateVmid(_vmid);
        machine.DsbInnerShareable();
        machine.Isb();
    }

    private readonly void Pay(ref TMachine machine, in MaintenanceDebt debt)
    {
        if (!debt.OwesInvalidation)
        {
            return;
        }

        int leafShift = debt.LevelHint > 0 ? LevelShift(debt.LevelHint) : TFormat.GranuleShift;
        ulong granules = (debt.End - debt.Start) >> TFormat.GranuleShift;
        ulong granulesPerLeaf = 1UL << (leafShift - TFormat.GranuleShift);
        InvalidationKind kind = InvalidationPlan.Choose(granules, granulesPerLeaf, machine.HasRangeInvalidation);
        if (kind == InvalidationKind.WholeVmid)
        {
            InvalidateVmid(ref machine);
            return;
        }

        machine.DsbInnerShareableStores();
        if (kind == InvalidationKind.ByRange)
        {
            InvalidateRange(ref machine, debt.Start, debt.End - debt.Start, debt.LevelHint);
        }
        else
        {
            int levelHint = machine.HasLevelHint ? debt.LevelHint : 0;
            for (Ipa ipa = debt.Start; ipa < debt.End; ipa += 1UL << leafShift)
            {
                machine.InvalidateIpa(_vmid, new TlbiIpa(ipa, levelHint, TFormat.GranuleShift));
            }
        }

        CompleteByIpa(ref machine);
    }

    private readonly void InvalidateRange(ref TMachine machine, Ipa start, ulong bytes, int levelHint)
    {
        ulong single = TlbiRange.SmallestBytes(TFormat.GranuleShift);
        while (bytes > single)
        {
            TlbiRange range = TlbiRange.Greatest(start, bytes, levelHint, TFormat.GranuleShift);
            machine.InvalidateIpaRange(_vmid, range);
            start += range.Bytes;
            bytes -= range.Bytes;
        }

        if (bytes != 0)
        {
            machine.InvalidateIpa(_vmid, new TlbiIpa(start, levelHint, TFormat.GranuleShift));
        }
    }

    /// <summary>
    /// Invalidates one leaf or walk, by IPA, as Linux's __kvm_tlb_flush_vmid_ipa does.
    /// </summary>
    /// <param name="level">The leaf's level; 0 or less for no hint, as when a table was unlinked.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void InvalidateIpa(ref TMachine machine, Ipa ipa, int level)
    {
        machine.DsbInnerShareableStores();
        machine.InvalidateIpa(_vmid, new TlbiIpa(ipa, level, TFormat.GranuleShift));
        CompleteByIpa(ref machine);
    }

    /// <summary>
    /// Invalidation by IPA finds Stage-2 entries. Those that combine both stages are known by VA, which the engine does
    /// not know: all of the VMID's go, once the Stage-2 entries that could refill them are gone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void CompleteByIpa(ref TMachine machine)
    {
        machine.DsbInnerShareable();
        machine.InvalidateCombined(_vmid);
        machine.DsbInnerShareable();
        machine.Isb();
    }
}

using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>Why a debt may be let go unpaid.</summary>
public enum DebtWaiver : byte
{
    /// <summary>
    /// Aging cleared access flags, and TLBs go on with entries that have them.
    /// <para>licence: the ages steer reclaim only, so a page in use may look old until its TLB entry goes; what is
    /// reclaimed is unmapped, and invalidated, all the same. Linux's clear_young notifier lives by it.</para>
    /// </summary>
    AgeMayLag,

    /// <summary>
    /// The TLBI is left to an invalidation of the whole VMID that follows.
    /// <para>licence: that of <see cref="UnmapFlags.ElideTlbInvalidation"/>.</para>
    /// </summary>
    VmidIsInvalidatedNext,
}

/// <summary>
/// What a change of the tables still owes: nothing, TLB invalidation of a range, or of the whole VMID, and table
/// pages that are unlinked but not free. Until it is settled (<c>PageTable.Settle</c>), PEs may use what was there
/// before, and none of that memory may be reused; the chained tables cannot be freed in any other way.
/// <para>
/// A range is kept as its hull. The level hint lasts only while all that was unlinked were leaves of one level.
/// </para>
/// </summary>
[MustSettle]
public struct MaintenanceDebt
{
    private const sbyte NoHint = 0;

    private ulong _start;
    private ulong _end;
    private sbyte _levelHint;
    private bool _wholeVmid;

    /// <summary>The first of the unlinked tables, each of which links to the next in its first entry.</summary>
    internal Pa FirstTable;

    /// <summary>The last of them, so that chains are joined in one write.</summary>
    internal Pa LastTable;

    /// <summary>No debt.</summary>
    public static MaintenanceDebt None => default;

    /// <summary>The debt of leaves of one level in a range.</summary>
    /// <param name="levelHint">Their level; 0 or less when levels differ or a table was unlinked.</param>
    public static MaintenanceDebt Range(Ipa start, Ipa end, int levelHint)
    {
        MaintenanceDebt debt = default;
        debt.AddRange(start, end, levelHint);
        return debt;
    }

    /// <summary>The debt that only the invalidation of the whole VMID pays.</summary>
    public static MaintenanceDebt WholeVmid
    {
        get
        {
            MaintenanceDebt debt = default;
            debt._wholeVmid = true;
            return debt;
        }
    }

    public readonly bool IsNone => !OwesInvalidation && !HoldsTables;

    /// <summary>Whether TLBs may still hold what was changed.</summary>
    public readonly bool OwesInvalidation => _wholeVmid || _end != 0;

    public readonly bool OwesWholeVmid => _wholeVmid;

    /// <summary>Whether unlinked tables wait to be freed.</summary>
    public readonly bool HoldsTables => FirstTable.Value != 0;

    /// <summary>The first address owed; meaningful only where a range is owed.</summary>
    public readonly Ipa Start => new(_start);

    /// <summary>The first address past the range owed.</summary>
    public readonly Ipa End => new(_end);

    /// <summary>The level of all the leaves owed, or 0.</summary>
    public readonly int LevelHint => _levelHint;

    /// <summary>Lets the invalidation go, by name. Tables stay owed: they are freed by settling.</summary>
    public void Waive(DebtWaiver licence)
    {
        _ = licence;
        _start = 0;
        _end = 0;
        _wholeVmid = false;
    }

    /// <summary>Adds a range, which widens the hull.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void AddRange(Ipa start, Ipa end, int levelHint)
    {
        if (_end == 0)
        {
            _start = start.Value;
            _end = end.Value;
            _levelHint = levelHint > 0 ? (sbyte)levelHint : NoHint;
            return;
        }

        if (start.Value < _start)
        {
            _start = start.Value;
        }

        if (end.Value > _end)
        {
            _end = end.Value;
        }

        if (_levelHint != levelHint)
        {
            _levelHint = NoHint;
        }
    }

    /// <summary>Adds what another debt's TLBs owe; its tables are the page table's to join.</summary>
    internal void AddInvalidation(in MaintenanceDebt other)
    {
        _wholeVmid |= other._wholeVmid;
        if (other._end != 0)
        {
            AddRange(other.Start, other.End, other._levelHint);
        }
    }
}

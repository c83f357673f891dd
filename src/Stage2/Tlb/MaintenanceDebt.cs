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
}

/// <summary>
/// What a change of the tables still owes: nothing, or TLB invalidation of a range. Until it is settled
/// (<c>PageTable.Settle</c>), PEs may use what was there before.
/// <para>
/// A range is kept as its hull. The level hint lasts only while all of it were leaves of one level.
/// </para>
/// </summary>
[MustSettle]
public struct MaintenanceDebt
{
    private const sbyte NoHint = 0;

    private ulong _start;
    private ulong _end;
    private sbyte _levelHint;

    /// <summary>The debt of leaves of one level in a range.</summary>
    /// <param name="levelHint">Their level; 0 or less when levels differ or a table was unlinked.</param>
    public static MaintenanceDebt Range(Ipa start, Ipa end, int levelHint)
    {
        MaintenanceDebt debt = default;
        debt.AddRange(start, end, levelHint);
        return debt;
    }

    /// <summary>Whether TLBs may still hold what was changed.</summary>
    public readonly bool OwesInvalidation => _end != 0;

    /// <summary>The first address owed; meaningful only where a range is owed.</summary>
    public readonly Ipa Start => new(_start);

    /// <summary>The first address past the range owed.</summary>
    public readonly Ipa End => new(_end);

    /// <summary>The level of all the leaves owed, or 0.</summary>
    public readonly int LevelHint => _levelHint;

    /// <summary>Lets the debt go, by name.</summary>
    public void Waive(DebtWaiver licence)
    {
        _ = licence;
        this = default;
    }

    /// <summary>Takes over another debt of the same table.</summary>
    public void Add(in MaintenanceDebt other)
    {
        if (other.OwesInvalidation)
        {
            AddRange(other.Start, other.End, other._levelHint);
        }
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
}

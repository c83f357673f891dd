namespace Quietus.Stage2;

/// <summary>
/// A walk over a range of IPAs that can stop when its budget is spent, with <see cref="Stage2Result.Again"/>, and go on
/// by another call. The budget is in table entries that one call examines; a call goes past it only to finish a run of
/// contiguous entries.
/// </summary>
public struct RangeCursor
{
    /// <summary>A budget that never runs out.</summary>
    public const uint Unlimited = uint.MaxValue;

    /// <summary>Entries that each call may examine; 0 is refused.</summary>
    public readonly uint Budget;

    /// <summary>The first address that is still to be done.</summary>
    public Ipa Next;

    /// <summary>The first address past the range.</summary>
    public readonly Ipa End;

    /// <summary>A call has reached the end: nothing is left, and that is no error.</summary>
    internal bool IsFinished;

    /// <summary>A range of whole granules. What is wrong with it, the operation that gets it says.</summary>
    public RangeCursor(Ipa start, ulong bytes, uint budget = Unlimited)
    {
        Next = start;
        End = start + bytes;
        Budget = budget;
        IsFinished = false;
    }
}

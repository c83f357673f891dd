namespace Quietus.Stage2;

/// <summary>What becomes of a block that a range covers only in part.</summary>
public enum PartialBlock : byte
{
    /// <summary>
    /// The whole block is taken, beyond the range's end too, as Linux 5.5 did. The guest faults the rest in again.
    /// </summary>
    TakeWhole = 0,

    /// <summary>The block is split first, so that only the range is touched. This can need table pages.</summary>
    Split,
}

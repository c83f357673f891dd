namespace Quietus.Stage2;

/// <summary>
/// Is told of leaves that were unlinked. All that they owed is paid, and their memory may be reused at once; unless TLB
/// invalidation was elided: then when the caller has invalidated the VMID.
/// </summary>
public interface ILeafSink
{
    /// <param name="ipa">The first leaf.</param>
    /// <param name="output">Its memory; that of the others follows without a gap.</param>
    /// <param name="level">Their level: it tells their size.</param>
    /// <param name="leaves">How many there are; 1 above level 3, and in the eager operations.</param>
    void Unlinked(Ipa ipa, Pa output, int level, ulong leaves);
}

/// <summary>A sink for callers that need not know.</summary>
public struct NoSink : ILeafSink
{
    public readonly void Unlinked(Ipa ipa, Pa output, int level, ulong leaves)
    {
    }
}

/// <summary>Is shown each leaf of a range, in ascending order.</summary>
public interface ILeafVisitor
{
    void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes);
}

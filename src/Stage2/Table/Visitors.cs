namespace Quietus.Stage2;

/// <summary>
/// Is told of each leaf that was unlinked. Its memory may be reused once the debt that the operation returned has
/// been settled; at once in the eager operations without elided TLB invalidation.
/// </summary>
public interface ILeafSink
{
    /// <param name="level">The leaf's level: it tells its size.</param>
    void Unlinked(Ipa ipa, Pa output, int level);
}

/// <summary>
/// Is told of leaves that are unlinked and paid for: no TLB leads to their memory, its maintenance is complete, and it
/// may be reused at once.
/// </summary>
public interface IRunSink
{
    /// <param name="ipa">The first leaf.</param>
    /// <param name="output">Its memory; that of the others follows without a gap.</param>
    /// <param name="level">Their level: it tells their size.</param>
    /// <param name="leaves">How many there are.</param>
    void Released(Ipa ipa, Pa output, int level, ulong leaves);
}

/// <summary>A sink for callers that need not know.</summary>
public struct NoSink : ILeafSink, IRunSink
{
    public readonly void Released(Ipa ipa, Pa output, int level, ulong leaves)
    {
    }

    public readonly void Unlinked(Ipa ipa, Pa output, int level)
    {
    }
}

/// <summary>Is shown each leaf of a range, in ascending order.</summary>
public interface ILeafVisitor
{
    void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes);
}

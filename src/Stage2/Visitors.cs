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

/// <summary>A sink for callers that need not know.</summary>
public struct NoSink : ILeafSink
{
    public readonly void Unlinked(Ipa ipa, Pa output, int level)
    {
    }
}

/// <summary>Is shown each leaf of a range, in ascending order.</summary>
public interface ILeafVisitor
{
    void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes);
}

namespace Quietus.Stage2;

/// <summary>The kinds of TLB invalidation that pay for a range.</summary>
public enum InvalidationKind : byte
{
    None = 0,

    /// <summary>IPAS2E1IS for each leaf, then VMALLE1IS.</summary>
    ByIpa,

    /// <summary>RIPAS2E1IS as often as it takes (at most a few times), then VMALLE1IS.</summary>
    ByRange,

    /// <summary>One VMALLS12E1IS.</summary>
    WholeVmid,
}

/// <summary>
/// The cheapest TLB invalidation that is sufficient, as a pure function. The rule: broadcasts are what costs, since
/// each is answered by every PE of the Inner Shareable domain before the DSB ends. By IPA it takes one for each leaf
/// and a VMALLE1IS, which already drops the guest's Stage-1 and combined entries. VMALLS12E1IS is one broadcast, and
/// loses the VMID's Stage-2 entries besides: a few walks later they are back. So, in order: a single leaf by IPA;
/// with FEAT_TLBIRANGE up to 2^21 granules, which four range operations and one by IPA cover at most; a few leaves by
/// IPA; else the whole VMID.
/// </summary>
public static class InvalidationPlan
{
    /// <summary>By IPA, at most this many leaves; beyond it the refills cost less than the broadcasts.</summary>
    public const ulong MaximumIpaOperations = 8;

    /// <param name="granules">The size of the range, in granules.</param>
    /// <param name="granulesPerLeaf">How many granules one invalidation by IPA surely covers: a leaf's where the
    /// level is known, else 1.</param>
    public static InvalidationKind Choose(ulong granules, ulong granulesPerLeaf, bool hasRangeInvalidation)
    {
        if (granules == 0)
        {
            return InvalidationKind.None;
        }

        ulong leaves = ((granules - 1) / granulesPerLeaf) + 1;
        if (leaves == 1)
        {
            return InvalidationKind.ByIpa;
        }

        if (hasRangeInvalidation && granules <= TlbiRange.MaximumGranules)
        {
            return InvalidationKind.ByRange;
        }

        return leaves <= MaximumIpaOperations ? InvalidationKind.ByIpa : InvalidationKind.WholeVmid;
    }
}

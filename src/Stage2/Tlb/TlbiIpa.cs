using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The operand of TLBI IPAS2E1IS (DDI 0487 C5.5, FEAT_TTL):
/// <code>
///   63   62    48 47 44 43  36 35         0
/// ┌────┬────────┬─────┬──────┬────────────┐
/// │ NS │  RES0  │ TTL │ RES0 │ IPA[47:12] │
/// └────┴────────┴─────┴──────┴────────────┘
/// </code>
/// TTL is the granule's code (1: 4K, 2: 16K, 3: 64K) above the leaf's level; 0 names none.
/// </summary>
public readonly struct TlbiIpa
{
    private const int TtlShift = 44;
    private const int IpaUnitShift = 12;
    private const ulong IpaMask = (1UL << 36) - 1;

    /// <summary>What the instruction takes.</summary>
    public readonly ulong Operand;

    /// <param name="levelHint">The level of the only leaf that may be cached; 0 or less when it is not known, and
    /// when a table was unlinked: a hint then would leave walk caches as they are.</param>
    /// <param name="granuleShift"><see cref="IDescriptorFormat.GranuleShift"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TlbiIpa(Ipa ipa, int levelHint, int granuleShift)
    {
        // Level 0 has an encoding of its own only with FEAT_LPA2; no hint is always right.
        ulong ttl = levelHint > 0 ? ((ulong)(uint)TlbiRange.GranuleCode(granuleShift) << 2) | (uint)levelHint : 0;
        Operand = (ttl << TtlShift) | ((ipa.Value >> IpaUnitShift) & IpaMask);
    }

    public Ipa Ipa => new((Operand & IpaMask) << IpaUnitShift);

    /// <summary>The level named, or 0 for none.</summary>
    public int LevelHint => (int)(Operand >> TtlShift) & 3;
}

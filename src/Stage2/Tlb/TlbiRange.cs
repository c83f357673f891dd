using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The operand of TLBI RIPAS2E1IS (DDI 0487 C5.5, FEAT_TLBIRANGE):
/// <code>
///   63  62 48 47 46 45   44 43 39 38 37 36        0
/// ┌────┬─────┬─────┬───────┬─────┬─────┬──────────┐
/// │ NS │  0  │ TG  │ SCALE │ NUM │ TTL │ BaseADDR │
/// └────┴─────┴─────┴───────┴─────┴─────┴──────────┘
/// </code>
/// BaseADDR counts granules. It covers (NUM + 1) * 2^(5 * SCALE + 1) granules from there: 2 to 2^21, never one.
/// </summary>
public readonly struct TlbiRange
{
    /// <summary>The most granules that one operation covers.</summary>
    public const ulong MaximumGranules = 1UL << 21;

    private const int MaximumScale = 3;
    private const uint MaximumCount = 32;
    private const int TtlShift = 37;
    private const int NumShift = 39;
    private const int ScaleShift = 44;
    private const int GranuleShift = 46;
    private const ulong BaseMask = (1UL << 37) - 1;

    /// <summary>What the instruction takes.</summary>
    public readonly ulong Operand;

    /// <summary>
    /// The operation that covers as much as one can from the start of a range, and nothing past its end.
    /// </summary>
    /// <param name="bytes">At least two granules: a single one is for <see cref="TlbiIpa"/>.</param>
    /// <param name="levelHint">The level of all the leaves, 1 to 3; 0 or less for none.</param>
    public static TlbiRange Greatest(Ipa start, ulong bytes, int levelHint, int granuleShift)
    {
        int granuleCode = GranuleCode(granuleShift);
        ulong granules = bytes >> PageShift(granuleCode);

        // The scale is sought from above, and the count is clamped: 2^21 granules are 32 units of scale 3, which a
        // mask of five bits would take for none (the fault that Linux commit e3ba51ab24fd mends).
        int scale = MaximumScale;
        while (scale > 0 && granules >> UnitShift(scale) == 0)
        {
            scale--;
        }

        ulong count = granules >> UnitShift(scale);
        if (count > MaximumCount)
        {
            count = MaximumCount;
        }

        return new TlbiRange(start, scale, (uint)count - 1, levelHint, granuleCode);
    }

    private TlbiRange(Ipa start, int scale, uint num, int levelHint, int granuleCode) =>
        Operand = ((ulong)(uint)granuleCode << GranuleShift) | ((ulong)(uint)scale << ScaleShift)
            | ((ulong)num << NumShift) | ((ulong)(levelHint > 0 ? (uint)levelHint : 0) << TtlShift)
            | ((start.Value >> PageShift(granuleCode)) & BaseMask);

    /// <summary>Granules covered.</summary>
    public ulong Granules => (Num + 1UL) << UnitShift(Scale);

    /// <summary>Bytes covered.</summary>
    public ulong Bytes => Granules << PageShift((int)(Operand >> GranuleShift) & 3);

    /// <summary>The first address covered.</summary>
    public Ipa Start => new((Operand & BaseMask) << PageShift((int)(Operand >> GranuleShift) & 3));

    public int Scale => (int)(Operand >> ScaleShift) & 3;

    public uint Num => (uint)(Operand >> NumShift) & 31;

    /// <summary>The level named, or 0 for none.</summary>
    public int LevelHint => (int)(Operand >> TtlShift) & 3;

    /// <summary>Bytes of one unit of BaseADDR: what is too little for a range operation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SmallestBytes(int granuleShift) => 1UL << PageShift(GranuleCode(granuleShift));

    /// <summary>
    /// TG, and the upper half of TTL: 1, 2 and 3 for 4K, 16K and 64K. Another granule is counted in the next smaller.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int GranuleCode(int granuleShift) => (granuleShift - 10) >> 1;

    /// <summary>log2 of the granules of one unit of a scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int UnitShift(int scale) => (5 * scale) + 1;

    /// <summary>log2 of the bytes of a granule, by its code: 12, 14 or 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int PageShift(int granuleCode) => 10 + (2 * granuleCode);
}

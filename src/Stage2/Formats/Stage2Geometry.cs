using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The shape of a Stage-2 table of one format: input size, level at which walks start, and how many tables are
/// concatenated there. A pure consequence of the format and two sizes.
/// <para>
/// A start level L with granule shift g and n bits per level leaves e = IPA bits - (g + (3 - L) * n) bits to the
/// first lookup. The architecture demands 1 &lt;= e &lt;= n + 4: up to 16 tables in a row stand in for a level
/// (DDI 0487 D8.2, and the checks of the start level in the shared pseudocode). It also reserves
/// the topmost start level of each granule for PEs of large physical size.
/// </para>
/// </summary>
public readonly struct Stage2Geometry
{
    /// <summary>Pages are mapped here, in every format.</summary>
    public const int LastLevel = 3;

    public const int MinimumIpaBits = 32;

    /// <summary>52 bits take FEAT_LPA2 or 64K with FEAT_LPA, whose descriptors are formats of their own.</summary>
    public const int MaximumIpaBits = 48;

    /// <summary>Concatenated tables at most, as log2.</summary>
    public const int MaximumConcatenationShift = 4;

    private readonly byte _ipaBits;
    private readonly byte _outputBits;
    private readonly byte _startLevel;
    private readonly byte _rootTables;
    private readonly byte _granuleShift;
    private readonly byte _startShift;

    private Stage2Geometry(int ipaBits, int outputBits, int startLevel, int rootTables, int granuleShift,
        int startShift)
    {
        _ipaBits = (byte)ipaBits;
        _outputBits = (byte)outputBits;
        _startLevel = (byte)startLevel;
        _rootTables = (byte)rootTables;
        _granuleShift = (byte)granuleShift;
        _startShift = (byte)startShift;
    }

    /// <summary>Input address bits.</summary>
    public int IpaBits => _ipaBits;

    /// <summary>Output address bits: what the PEs implement.</summary>
    public int OutputBits => _outputBits;

    /// <summary>The level of the first lookup.</summary>
    public int StartLevel => _startLevel;

    /// <summary>Concatenated tables at the start level: 1, 2, 4, 8 or 16.</summary>
    public uint RootTables => _rootTables;

    /// <summary>log2 of the bytes of a page: <see cref="IDescriptorFormat.GranuleShift"/>.</summary>
    public int GranuleShift => _granuleShift;

    /// <summary>log2 of the bytes that one entry of the root maps.</summary>
    public int StartShift => _startShift;

    /// <summary>The first address past the input range.</summary>
    public Ipa IpaLimit => new(1UL << _ipaBits);

    /// <summary>The first address past the output range.</summary>
    public Pa OutputLimit => new(1UL << _outputBits);

    /// <summary>
    /// The geometry with the fewest levels: walks are shortest when the root is concatenated as far as may be.
    /// </summary>
    /// <param name="ipaBits">32 to 48, and not above <paramref name="paBits"/>.</param>
    /// <param name="paBits">What ID_AA64MMFR0_EL1.PARange says, 32 to 52.</param>
    public static bool TryCreate<TFormat>(int ipaBits, int paBits, out Stage2Geometry geometry)
        where TFormat : struct, IDescriptorFormat
    {
        for (int level = LastLevel; level >= 0; level--)
        {
            if (TryCreate<TFormat>(ipaBits, paBits, level, out geometry))
            {
                return true;
            }
        }

        geometry = default;
        return false;
    }

    /// <summary>The geometry with a given start level, or false where the architecture has none such.</summary>
    public static bool TryCreate<TFormat>(int ipaBits, int paBits, int startLevel, out Stage2Geometry geometry)
        where TFormat : struct, IDescriptorFormat
    {
        geometry = default;
        int outputBits = paBits < TFormat.MaximumOutputBits ? paBits : TFormat.MaximumOutputBits;
        if (ipaBits < MinimumIpaBits || ipaBits > MaximumIpaBits || ipaBits > outputBits
            || startLevel < 0 || startLevel > LastLevel)
        {
            return false;
        }

        int firstBits = ipaBits - LevelShift<TFormat>(startLevel);
        if (firstBits < 1 || firstBits > TFormat.BitsPerLevel + MaximumConcatenationShift
            || paBits < LeastPaBitsFor<TFormat>(startLevel))
        {
            return false;
        }

        int concatenation = firstBits > TFormat.BitsPerLevel ? firstBits - TFormat.BitsPerLevel : 0;
        geometry = new Stage2Geometry(ipaBits, outputBits, startLevel, 1 << concatenation, TFormat.GranuleShift,
            LevelShift<TFormat>(startLevel));
        return true;
    }

    /// <summary>log2 of the bytes that one entry of a level maps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LevelShift<TFormat>(int level)
        where TFormat : struct, IDescriptorFormat =>
        TFormat.GranuleShift + (LastLevel * TFormat.BitsPerLevel) - (level * TFormat.BitsPerLevel);

    /// <summary>Bytes that one entry of a level maps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong LevelBytes<TFormat>(int level)
        where TFormat : struct, IDescriptorFormat => 1UL << LevelShift<TFormat>(level);

    /// <summary>
    /// The largest SL0 is reserved where the PEs' physical size makes it useless: below 44 bits for level 0 of 4K,
    /// below 41 for level 1 of 16K, below 43 for level 1 of 64K. Level 3 as the start with 4K is FEAT_TTST's, and
    /// level 0 with 16K is FEAT_LPA2's: no input size from 32 to 48 bits needs either.
    /// </summary>
    private static int LeastPaBitsFor<TFormat>(int startLevel)
        where TFormat : struct, IDescriptorFormat =>
        (TFormat.GranuleShift, startLevel) switch
        {
            (12, 0) => 44,
            (14, 1) => 41,
            (14, 0) => int.MaxValue,
            (16, 1) => 43,
            (16, 0) => int.MaxValue,
            _ => 0,
        };
}

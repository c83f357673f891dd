namespace Quietus.Oracle.Judging;

/// <summary>
/// VMSAv8-64 Stage-2 descriptors as the judge reads them (DDI 0487 D8.3). Written apart from the engine's formats on
/// purpose: a fault in those must not make the judge blind.
/// </summary>
internal static class Descriptor
{
    public const ulong Accessed = 1UL << 10;

    /// <summary>DBM: hardware may set S2AP[1] at a guest's write (FEAT_HAFDBS), which so is permitted.</summary>
    private const ulong DirtyModifier = 1UL << 51;

    private const ulong Write = 1UL << 7;
    private const ulong Read = 1UL << 6;
    private const ulong Contiguous = 1UL << 52;
    private const ulong AddressMask = (1UL << 48) - 1;

    /// <summary>
    /// XN[1:0] is bits 54:53. Bit 53 means something with FEAT_XNX only; a judge that heeds it always is on the safe
    /// side.
    /// </summary>
    private const ulong ExecuteNever = 3UL << 53;

    /// <summary>FnXS (FEAT_XS): whether what goes through the leaf has the XS attribute.</summary>
    private const ulong NoExtraSlow = 1UL << 11;

    /// <summary>MemAttr and SH, which only break-before-make may change.</summary>
    private const ulong TypeMask = 0x33C;

    public static bool IsValid(ulong entry) => (entry & 1) != 0;

    public static bool IsTable(ulong entry, int level) => (entry & 3) == 3 && level < 3;

    public static bool MayWrite(ulong entry) => (entry & (Write | DirtyModifier)) != 0;

    /// <summary>Whether a write protection protects nothing: hardware takes it back.</summary>
    public static bool ProtectsInVain(ulong old, ulong value) =>
        (old & Write) != 0 && (value & (Write | DirtyModifier)) == DirtyModifier;

    /// <summary>XN is 0b10 where neither EL1 nor EL0 may execute (DDI 0487 D8.4, Stage 2 execution).</summary>
    public static bool MayExecute(ulong entry) => (entry & ExecuteNever) != 1UL << 54;

    /// <summary>Whether accesses by a leaf may have the XS attribute, which TLBI's nXS forms do not wait for.</summary>
    public static bool MayBeExtraSlow(ulong entry) => (entry & NoExtraSlow) == 0;

    /// <summary>A leaf without the access flag is not cached (DDI 0487 D8, the Access flag).</summary>
    public static bool IsCacheable(ulong entry, int level) => IsTable(entry, level) || (entry & Accessed) != 0;

    /// <summary>The output address; bits below the leaf's or table's size are not part of it.</summary>
    public static ulong Output(ulong entry, int shift) => entry & AddressMask & ~((1UL << shift) - 1);

    /// <summary>Whether two leaves differ in what break-before-make guards, apart from address and size.</summary>
    public static bool SameType(ulong a, ulong b) => ((a ^ b) & TypeMask) == 0;

    public static bool SameRun(ulong a, ulong b) => ((a ^ b) & Contiguous) == 0;

    public static bool IsContiguous(ulong entry) => (entry & Contiguous) != 0;

    /// <summary>Of how many leaves a contiguous run is, as a power of two (DDI 0487 D8, the Contiguous bit).</summary>
    public static int RunShift(int granuleShift, int level) => granuleShift switch
    {
        14 => level == 3 ? 7 : 5,
        16 => 5,
        _ => 4,
    };

    /// <summary>Whether two leaves let a guest do the same, and let it be waited for in the same way.</summary>
    public static bool SamePermissions(ulong a, ulong b) =>
        ((a ^ b) & (Read | Write | ExecuteNever | NoExtraSlow)) == 0;
}

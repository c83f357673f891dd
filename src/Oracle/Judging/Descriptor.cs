namespace Quietus.Oracle.Judging;

/// <summary>
/// VMSAv8-64 Stage-2 descriptors as the judge reads them (DDI 0487 D8.3). Written apart from the engine's formats on
/// purpose: a fault in those must not make the judge blind.
/// </summary>
internal static class Descriptor
{
    public const ulong Accessed = 1UL << 10;

    private const ulong Write = 1UL << 7;
    private const ulong Read = 1UL << 6;
    private const ulong ExecuteNever = 1UL << 54;
    private const ulong Contiguous = 1UL << 52;
    private const ulong AddressMask = (1UL << 48) - 1;

    /// <summary>MemAttr and SH, which only break-before-make may change.</summary>
    private const ulong TypeMask = 0x33C;

    public static bool IsValid(ulong entry) => (entry & 1) != 0;

    public static bool IsTable(ulong entry, int level) => (entry & 3) == 3 && level < 3;

    public static bool MayWrite(ulong entry) => (entry & Write) != 0;

    public static bool MayExecute(ulong entry) => (entry & ExecuteNever) == 0;

    /// <summary>A leaf without the access flag is not cached (DDI 0487 D8, the Access flag).</summary>
    public static bool IsCacheable(ulong entry, int level) => IsTable(entry, level) || (entry & Accessed) != 0;

    /// <summary>The output address; bits below the leaf's or table's size are not part of it.</summary>
    public static ulong Output(ulong entry, int shift) => entry & AddressMask & ~((1UL << shift) - 1);

    /// <summary>Whether two leaves differ in what break-before-make guards, apart from address and size.</summary>
    public static bool SameType(ulong a, ulong b) => ((a ^ b) & TypeMask) == 0;

    public static bool SameRun(ulong a, ulong b) => ((a ^ b) & Contiguous) == 0;

    /// <summary>Whether <paramref name="old"/> lets a guest do what <paramref name="now"/> does not.</summary>
    public static bool PermitsMore(ulong old, ulong now) =>
        (old & ~now & (Read | Write)) != 0 || (MayExecute(old) && !MayExecute(now));
}

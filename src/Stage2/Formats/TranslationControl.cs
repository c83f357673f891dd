using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The values of the two registers that make a table the current one, as pure functions of the geometry:
/// <code>
/// VTCR_EL2   31   20 19 18 16 15 14 13 12 11   10 9     8 7   6 5    0
///          ┌──────┬────┬─────┬─────┬─────┬───────┬───────┬─────┬──────┐
///          │ RES1 │ VS │ PS  │ TG0 │ SH0 │ ORGN0 │ IRGN0 │ SL0 │ T0SZ │
///          └──────┴────┴─────┴─────┴─────┴───────┴───────┴─────┴──────┘
/// VTTBR_EL2  63                  48 47                           1   0
///          ┌───────────────────────┬──────────────────────────────┬─────┐
///          │         VMID          │        BADDR[47:1]           │ CnP │
///          └───────────────────────┴──────────────────────────────┴─────┘
/// </code>
/// Walks are Normal write-back cacheable and Inner Shareable, as the engine's table writes are.
/// </summary>
public static class TranslationControl
{
    private const int Sl0Shift = 6;
    private const int Irgn0Shift = 8;
    private const int Orgn0Shift = 10;
    private const int Sh0Shift = 12;
    private const int Tg0Shift = 14;
    private const int PsShift = 16;
    private const int VsShift = 19;
    private const ulong Res1 = 1UL << 31;
    private const ulong WriteBackWriteAllocate = 1;
    private const ulong InnerShareable = 3;
    private const int VmidShift = 48;

    /// <summary>VTCR_EL2 for a geometry.</summary>
    /// <param name="vmid16">Whether VMIDs have 16 bits (FEAT_VMID16, and VTCR_EL2.VS set).</param>
    public static ulong Vtcr(Stage2Geometry geometry, bool vmid16) =>
        Res1
        | (64 - (ulong)(uint)geometry.IpaBits)
        | (StartLevelCode(geometry) << Sl0Shift)
        | (WriteBackWriteAllocate << Irgn0Shift)
        | (WriteBackWriteAllocate << Orgn0Shift)
        | (InnerShareable << Sh0Shift)
        | (GranuleField(geometry.GranuleShift) << Tg0Shift)
        | (SizeCode(geometry.OutputBits) << PsShift)
        | ((vmid16 ? 1UL : 0) << VsShift);

    /// <summary>VTTBR_EL2 for a root, which is aligned to the size of all its tables.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Vttbr(Pa root, Vmid vmid) => ((ulong)vmid.Value << VmidShift) | root.Value;

    /// <summary>SL0 counts down from the level below the last (4K) or from the last (16K, 64K).</summary>
    private static ulong StartLevelCode(Stage2Geometry geometry)
    {
        int zero = geometry.GranuleShift == 12 ? Stage2Geometry.LastLevel - 1 : Stage2Geometry.LastLevel;
        // With FEAT_TTST, 4K encodes level 3 as 0b11.
        return (ulong)(uint)(zero - geometry.StartLevel) & 3;
    }

    /// <summary>TG0's own order: 4K, 64K, 16K.</summary>
    private static ulong GranuleField(int granuleShift) => granuleShift switch
    {
        14 => 2,
        16 => 1,
        _ => 0,
    };

    /// <summary>PS, and ID_AA64MMFR0_EL1.PARange: the greatest size that is not above what is asked.</summary>
    private static ulong SizeCode(int outputBits) => outputBits switch
    {
        >= 52 => 6,
        >= 48 => 5,
        >= 44 => 4,
        >= 42 => 3,
        >= 40 => 2,
        >= 36 => 1,
        _ => 0,
    };
}

using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>The ID registers of the machine's cores, as read at EL2, from which a guest's are made.</summary>
public struct HostIdRegisters
{
    /// <summary>REVIDR_EL1.</summary>
    public ulong Revision;

    /// <summary>AIDR_EL1.</summary>
    public ulong Auxiliary;

    /// <summary>ID_AA64PFR0_EL1.</summary>
    public ulong Pfr0;

    /// <summary>ID_AA64PFR1_EL1.</summary>
    public ulong Pfr1;

    /// <summary>ID_AA64DFR0_EL1.</summary>
    public ulong Dfr0;

    /// <summary>ID_AA64ISAR0_EL1.</summary>
    public ulong Isar0;

    /// <summary>ID_AA64ISAR1_EL1.</summary>
    public ulong Isar1;

    /// <summary>ID_AA64ISAR2_EL1.</summary>
    public ulong Isar2;

    /// <summary>ID_AA64MMFR0_EL1.</summary>
    public ulong Mmfr0;

    /// <summary>ID_AA64MMFR1_EL1.</summary>
    public ulong Mmfr1;

    /// <summary>ID_AA64MMFR2_EL1.</summary>
    public ulong Mmfr2;
}

/// <summary>
/// The ID registers that a guest reads (HCR_EL2.TID3 traps them), by an allow-list: a field that is not named here is
/// 0, or whatever value says "not implemented". What a later architecture adds is therefore hidden.
/// </summary>
/// <remarks>
/// An ID register has 16 fields of 4 bits, where a greater value means more (DDI 0487 D24.1.3, "Principles of the ID
/// scheme"). The constants below have in each field the greatest value that a guest may see; it gets that or the
/// machine's, whichever is less. Fields whose 0xF means "not implemented" are treated one by one.
/// Hidden because EL2 does not save, restore or trap their state: SVE, SME, MTE, pointer authentication, AMU, MPAM,
/// RAS, GCS, POE, PIE, TME. Hidden by choice: AArch32, EL2, EL3, PMU, trace, statistical profiling, LOR,
/// hardware update of access flag and dirty state (its walks would write through Stage-2).
/// </remarks>
public struct GuestIdRegisters
{
    /// <summary>CSV3, CSV2 (no SCXTNUM registers), DIT, GIC system registers, EL1 and EL0 in AArch64 only.</summary>
    private const ulong Pfr0Maximum = 0x1101_0000_0100_0011;

    /// <summary>CSV2_frac, SSBS with its instructions, BTI.</summary>
    private const ulong Pfr1Maximum = 0x0000_0001_0000_0021;

    /// <summary>
    /// RNDR, TLBI by range and outer shareable, flag manipulation, FHM, DP, SM4, SM3, SHA3, RDM, LSE, CRC32, SHA-512,
    /// SHA1, PMULL.
    /// </summary>
    private const ulong Isar0Maximum = 0x1221_1111_1021_2120;

    /// <summary>I8MM, DGH, BF16, SPECRES, SB, FRINTTS, LRCPC2, FCMA, JSCVT, DPB2.</summary>
    private const ulong Isar1Maximum = 0x0011_1111_0021_1002;

    /// <summary>CLRBHB, BC.</summary>
    private const ulong Isar2Maximum = 0x0000_0000_1010_0000;

    /// <summary>
    /// The 16K granule, mixed endianness, ASIDs of 16 bits. PARange and the other granules are treated one by one.
    /// </summary>
    private const ulong Mmfr0Maximum = 0x0000_0000_0011_0120;

    /// <summary>ECBHB, ETS2, PAN3, HPDS.</summary>
    private const ulong Mmfr1Maximum = 0x1000_0020_0030_1000;

    /// <summary>E0PD, BBM level 2, TTL, LSE2, small tables, CCIDX, 52-bit VAs, UAO, CnP.</summary>
    private const ulong Mmfr2Maximum = 0x1021_0001_1011_0011;

    /// <summary>ID_AA64DFR0_EL1: Armv8 debug (bits 3..0), no double lock (39..36). No PMU, trace, SPE, BRBE.</summary>
    private const ulong Dfr0Fixed = 0x0000_00F0_0000_0006;

    /// <summary>
    /// The machine's numbers of breakpoints (15..12), watchpoints (23..20) and context-aware breakpoints (31..28), each
    /// less one.
    /// </summary>
    private const ulong Dfr0FromMachine = 0xF0F0_F000;

    private const int FloatingPointShift = 16;
    private const int AdvancedSimdShift = 20;
    private const int Granule16KShift = 20;
    private const int Granule64KShift = 24;
    private const int Granule4KShift = 28;
    private const ulong NotImplemented = 0xF;

    private ulong pfr0;
    private ulong pfr1;
    private ulong dfr0;
    private ulong isar0;
    private ulong isar1;
    private ulong isar2;
    private ulong mmfr0;
    private ulong mmfr1;
    private ulong mmfr2;

    /// <summary>REVIDR_EL1: the machine's, as MIDR_EL1 is. It says which errata of that core are mended.</summary>
    public ulong Revision { readonly get; private set; }

    /// <summary>AIDR_EL1: the machine's.</summary>
    public ulong Auxiliary { readonly get; private set; }

    /// <summary>The guest has PSTATE.PAN (FEAT_PAN).</summary>
    public readonly bool HasPrivilegedAccessNever => ((mmfr1 >> 20) & 0xF) != 0;

    /// <summary>The guest has PSTATE.SSBS (FEAT_SSBS).</summary>
    public readonly bool HasSpeculativeStoreBypass => ((pfr1 >> 4) & 0xF) != 0;

    /// <summary>Whether the guest's MMU has pages of this size: 4096, 16384 or 65536 bytes.</summary>
    public readonly bool HasGranule(uint bytes) => bytes switch
    {
        4096 => ((mmfr0 >> Granule4KShift) & 0xF) != NotImplemented,
        16384 => ((mmfr0 >> Granule16KShift) & 0xF) != 0,
        65536 => ((mmfr0 >> Granule64KShift) & 0xF) != NotImplemented,
        _ => false,
    };

    /// <summary>Breakpoints that the guest has: 2 to 16.</summary>
    public readonly int Breakpoints => (int)((dfr0 >> 12) & 0xF) + 1;

    /// <summary>Watchpoints that the guest has: 2 to 16.</summary>
    public readonly int Watchpoints => (int)((dfr0 >> 20) & 0xF) + 1;

    /// <summary>Works the guest's registers out.</summary>
    /// <param name="host">The machine's.</param>
    /// <param name="ipaBits">The size of the guest's IPA space in bits; PARange says at most that.</param>
    public void Reset(in HostIdRegisters host, int ipaBits)
    {
        Revision = host.Revision;
        Auxiliary = host.Auxiliary;
        pfr0 = Least(host.Pfr0, Pfr0Maximum) | 0x11
            | FloatingPoint(host.Pfr0, FloatingPointShift)
            | FloatingPoint(host.Pfr0, AdvancedSimdShift);
        pfr1 = Least(host.Pfr1, Pfr1Maximum);
        dfr0 = Dfr0Fixed | (host.Dfr0 & Dfr0FromMachine);
        isar0 = Least(host.Isar0, Isar0Maximum);
        isar1 = Least(host.Isar1, Isar1Maximum);
        isar2 = Least(host.Isar2, Isar2Maximum);
        ulong range = PhysicalRange(ipaBits);
        ulong hostRange = host.Mmfr0 & 0xF;
        mmfr0 = Least(host.Mmfr0, Mmfr0Maximum)
            | (hostRange < range ? hostRange : range)
            | Granule(host.Mmfr0, Granule64KShift)
            | Granule(host.Mmfr0, Granule4KShift);
        mmfr1 = Least(host.Mmfr1, Mmfr1Maximum);
        mmfr2 = Least(host.Mmfr2, Mmfr2Maximum);
    }

    /// <summary>
    /// What a guest reads from an ID register with Op0 = 3, Op1 = 0, CRn = 0 and CRm = 1 to 7. The AArch32 registers
    /// (CRm 1 to 3) are UNKNOWN without AArch32, and everything else that is not named is RES0: 0 for both.
    /// </summary>
    public readonly ulong Read(uint crm, uint op2) => (((crm & 0xF) << 3) | (op2 & 7)) switch
    {
        (4 << 3) | 0 => pfr0,
        (4 << 3) | 1 => pfr1,
        (5 << 3) | 0 => dfr0,
        (6 << 3) | 0 => isar0,
        (6 << 3) | 1 => isar1,
        (6 << 3) | 2 => isar2,
        (7 << 3) | 0 => mmfr0,
        (7 << 3) | 1 => mmfr1,
        (7 << 3) | 2 => mmfr2,
        _ => 0,
    };

    /// <summary>Field by field the lesser of two registers.</summary>
    private static ulong Least(ulong host, ulong maximum)
    {
        ulong result = 0;
        for (int shift = 0; shift < 64; shift += 4)
        {
            ulong field = (host >> shift) & 0xF;
            ulong most = (maximum >> shift) & 0xF;
            result |= (field < most ? field : most) << shift;
        }

        return result;
    }

    /// <summary>FP and AdvSIMD: 0 is implemented, 1 with half precision, 0xF not implemented.</summary>
    private static ulong FloatingPoint(ulong host, int shift)
    {
        ulong field = (host >> shift) & 0xF;
        return (field is 0 or NotImplemented ? field : 1) << shift;
    }

    /// <summary>TGran64 and TGran4: 0 is supported, 1 with 52-bit addresses, 0xF not supported.</summary>
    private static ulong Granule(ulong host, int shift) =>
        ((host >> shift) & 0xF) == NotImplemented ? NotImplemented << shift : 0;

    /// <summary>ID_AA64MMFR0_EL1.PARange: the greatest size that is not beyond the IPA space.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong PhysicalRange(int ipaBits) => ipaBits switch
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

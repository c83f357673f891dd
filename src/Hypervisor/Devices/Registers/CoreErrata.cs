namespace Quietus.Hypervisor.Devices;

/// <summary>
/// Which cores need what against their errata and branch predictors, by MIDR_EL1 and ID registers. docs/errata.md has
/// each with Arm's number, and what is not worked around.
/// </summary>
public static class CoreErrata
{
    private const uint Arm = 0x41;
    private const uint Nvidia = 0x4E;
    private const uint Microsoft = 0x6D;

    /// <summary>
    /// Rounds of the loop that clears the branch history (CVE-2022-23960, Spectre-BHB; Arm, "Spectre-BHB: Speculative
    /// Target Reuse Attacks", version 1.7). 0: the core does it by itself at each exception (FEAT_ECBHB), its predictor
    /// keeps contexts apart (FEAT_CSV2_3), or it has no such history.
    /// </summary>
    /// <param name="identity">MIDR_EL1.</param>
    /// <param name="host">The core's ID registers.</param>
    public static uint BranchHistoryRounds(ulong identity, in HostIdRegisters host)
    {
        const int Csv2 = 56;
        const int ExceptionsClear = 60;
        const int ClearInstruction = 28;
        if (Field(host.Pfr0, Csv2) >= 3 || Field(host.Mmfr1, ExceptionsClear) != 0)
        {
            return 0;
        }

        if (Field(host.Isar2, ClearInstruction) != 0)
        {
            return 1; // the thunk's CLRBHB does it; one round is its way through the loop
        }

        return Implementer(identity) != Arm ? 0 : Part(identity) switch
        {
            0xD07 or 0xD08 => 8u,                           // Cortex-A57, A72
            0xD0B or 0xD0C or 0xD0D or 0xD0E => 24,         // A76, Neoverse N1, A77, A76AE
            0xD40 or 0xD41 or 0xD42 or 0xD4B => 32,         // Neoverse V1, A78, A78AE, A78C
            0xD44 or 0xD4C or 0xD47 or 0xD48 or 0xD49 => 32, // X1, X1C, A710, X2, Neoverse N2
            0xD4D or 0xD81 => 38,                           // A715, A720
            0xD4E or 0xD4F => 132,                          // X3, Neoverse V2
            _ => 0,
        };
    }

    /// <summary>
    /// Completing a broadcast TLBI does not complete all accesses that used the entry: a second TLBI and DSB do
    /// (CVE-2025-10263, Arm document 112137; on Cortex-A76 also erratum 1286807).
    /// </summary>
    /// <param name="identity">MIDR_EL1.</param>
    public static bool RepeatsInvalidation(ulong identity)
    {
        uint part = Part(identity);
        return Implementer(identity) switch
        {
            // A76, Neoverse N1, A77, A76AE; V1, A78, A78AE; X1; A710, X2, N2; A78C, X1C; X3, V2; X4, V3AE, V3, X925;
            // C1-Ultra, C1-Premium.
            Arm => part is (>= 0xD0B and <= 0xD0E) or (>= 0xD40 and <= 0xD42) or 0xD44 or (>= 0xD47 and <= 0xD49)
                or 0xD4B or 0xD4C or 0xD4E or 0xD4F or (>= 0xD82 and <= 0xD85) or 0xD8C or 0xD90,
            Nvidia => part == 0x010,    // Olympus
            Microsoft => part == 0xD49, // Cobalt 100, a Neoverse N2
            _ => false,
        };
    }

    /// <summary>
    /// DC CVAC may lose data: DC CIVAC instead (Cortex-A53 up to r0p4, errata 819472, 824069, 826319, 827319).
    /// </summary>
    /// <param name="identity">MIDR_EL1.</param>
    public static bool CleansByInvalidating(ulong identity) =>
        Implementer(identity) == Arm && Part(identity) == 0xD03
        && ((identity >> 20) & 0xF) == 0 && (identity & 0xF) <= 4;

    private static uint Implementer(ulong identity) => (uint)(identity >> 24) & 0xFF;

    private static uint Part(ulong identity) => (uint)(identity >> 4) & 0xFFF;

    private static ulong Field(ulong register, int shift) => (register >> shift) & 0xF;
}

using System.Threading;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>What of a guest's doings comes to EL2 (DDI 0487 D24.2: HCR_EL2, MDCR_EL2, CPTR_EL2).</summary>
internal static class GuestTraps
{
    private const ulong Vm = 1UL << 0;      // Stage-2 translation
    private const ulong Swio = 1UL << 1;    // set/way invalidation cleans, too
    private const ulong Fmo = 1UL << 3;     // FIQ, IRQ, SError come to EL2
    private const ulong Imo = 1UL << 4;
    private const ulong Amo = 1UL << 5;
    private const ulong Fb = 1UL << 9;      // the guest's local TLBIs are broadcast
    private const ulong BsuInner = 1UL << 10; // its barriers reach the Inner Shareable domain
    private const ulong Twi = 1UL << 13;    // WFI
    private const ulong Twe = 1UL << 14;    // WFE; QEMU ignores it
    private const ulong Tid1 = 1UL << 16;   // REVIDR_EL1, AIDR_EL1, SMIDR_EL1
    private const ulong Tid3 = 1UL << 18;   // ID registers
    private const ulong Tsc = 1UL << 19;    // SMC
    private const ulong Tidcp = 1UL << 20;  // implementation-defined registers; QEMU 7.2 ignores it
    private const ulong Tacr = 1UL << 21;   // ACTLR_EL1
    private const ulong Rw = 1UL << 31;     // EL1 is AArch64
    private const ulong Tlor = 1UL << 35;   // LORegions
    private const ulong Terr = 1UL << 36;   // RAS error records
    private const ulong Fwb = 1UL << 46;    // FEAT_S2FWB: Stage-2 decides cacheability
    private const ulong Tid5 = 1UL << 58;   // MTE's ID register

    private static ulong _hcr;

    /// <summary>
    /// HCR_EL2 in a guest. WFI and WFE trap when vCPUs take turns; one that has its core to itself waits there. Cache
    /// maintenance by set and way does not trap: for a vCPU that does not move meanwhile it means what it means without
    /// a hypervisor, and with SWIO it never loses data. APK and API are clear, so pointer authentication traps; ATA is
    /// clear, so MTE does.
    /// </summary>
    internal static ulong Hcr => Volatile.Read(ref _hcr);

    /// <summary>WFI and WFE trap from now on, or do not; a core that runs a guest must be told.</summary>
    internal static void SetWaits(bool trap) => Volatile.Write(ref _hcr, Always | (trap ? Twi | Twe : 0));

    private static ulong Always =>
        Vm | Swio | Fmo | Imo | Amo | Fb | BsuInner | Tid1 | Tid3 | Tsc | Tidcp | Tacr | Rw | Tlor | Terr | Tid5
        | (CpuFeatures.ForcedWriteBack ? Fwb : 0);

    /// <summary>
    /// MDCR_EL2 in a guest: PMU (TPM, TPMCR), debug (TDA, TDOSA, TDRA), statistical profiling (TPMS, E2PB = 0), trace
    /// filter (TTRF) and the debug communications channel (TDCC) all trap; of these only self-hosted debug is answered
    /// (<see cref="GuestDebug"/>). The guest's own debug exceptions stay at EL1 (TDE = 0), so none can come at EL2.
    /// </summary>
    internal const ulong Mdcr =
        (1UL << 5) | (1UL << 6) | (1UL << 9) | (1UL << 10) | (1UL << 11) | (1UL << 14) | (1UL << 19) | (1UL << 27);

    /// <summary>
    /// MDCR_EL2.HPMN stays as reset left it: all event counters are EL1's, which cannot reach them. A value beyond what
    /// PMCR_EL0 has is CONSTRAINED UNPREDICTABLE.
    /// </summary>
    internal const ulong MdcrKept = 0x1F;
}

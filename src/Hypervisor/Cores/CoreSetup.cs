using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Cores;

/// <summary>EL2's state of one core when it runs no guest, and its interrupts.</summary>
/// <remarks>Invariant: a core's record lasts as long as the machine runs.</remarks>
internal static unsafe class CoreSetup
{
    /// <summary>HCR_EL2.RW alone: EL1 is AArch64, no Stage-2, nothing routed or trapped.</summary>
    internal const ulong HostHcr = 1UL << 31;

    /// <summary>
    /// CPTR_EL2: its RES1 bits with TFP clear, and traps for what guests must not have and EL2 does not use: TZ is RES1
    /// where there is no SVE and traps SVE where there is; TSM likewise for SME (DDI 0487 D24.2.34); trace (TTA) and
    /// activity monitors (TAM).
    /// </summary>
    private const ulong Cptr = 0x33FF | (1UL << 20) | (1UL << 30);

    /// <summary>SCTLR_EL1 on a core that runs no guest: its RES1 bits, and the MMU on.</summary>
    private const ulong ParkedSystemControl = 0x30D0_0801;

    /// <summary>TCR_EL1 there: EPD0 and EPD1, no walk by either table.</summary>
    private const ulong ParkedTranslationControl = (1UL << 7) | (1UL << 23);

    /// <summary>
    /// A core that runs no guest: no walk that a core could speculate (errata 1319367, 1319537, 1165522:
    /// docs/errata.md), and no debugging.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void LeaveVm() =>
        Instructions.LeaveVm(ParkedSystemControl, ParkedTranslationControl, HostHcr);

    /// <summary>Once per core, before it does anything else.</summary>
    internal static void Initialize(Core* core)
    {
        GuardBranches(core);
        Instructions.ResetGuestRegisters(ParkedSystemControl, ParkedTranslationControl);
        Instructions.WriteHcr(HostHcr);
        Instructions.WriteHstr(0);
        Instructions.ResetEl2Controls();
        Instructions.WriteVttbr(0);

        // What is the same for every guest, and nothing to EL2 itself.
        Instructions.WriteVtcr(TranslationControl.Vtcr(VmTable.Geometry, CpuFeatures.VmidBits == 16));
        Instructions.WriteMdcr(GuestTraps.Mdcr | (Instructions.ReadMdcr() & GuestTraps.MdcrKept));
        Instructions.WriteCptr(Cptr);
        Instructions.WriteVpidr(Instructions.ReadMidr());
        Instructions.WriteCnthctl(VcpuTimers.Traps);
        Instructions.WriteVirtualTimerControl(0);
        Instructions.OpenDebugLocks();
        GuestDebug.ClearCore();
        if (CpuFeatures.CycleCounter)
        {
            Instructions.EnableCycleCounter();
            OwnWork.Begin(core);
        }

        uint enabled = (1u << (int)PhysicalGic.KickInterrupt) | (1u << (int)Platform.Description.MaintenanceInterrupt)
            | (1u << (int)Platform.Description.HypervisorTimerInterrupt)
            | VcpuTimers.Interrupts; // whose lines are down while the core has no vCPU: its timers are off
        PhysicalGic.InitializeCore(core->Redistributor, enabled);
        Instructions.WriteIchHcr(0);
        VcpuInterrupts.Initialize(core);
    }

    /// <summary>What keeps a guest from steering EL2's indirect branches.</summary>
    private static void GuardBranches(Core* core)
    {
        HostIdRegisters host = SystemRegisters.ReadHost();
        core->BranchHistoryRounds = CoreErrata.BranchHistoryRounds(Instructions.ReadMidr(), in host);
        core->FirmwareWorkaround = Firmware.BranchWorkaround();
        if (core->FirmwareWorkaround != 0)
        {
            Instructions.UseGuardedVectors();
        }
    }
}

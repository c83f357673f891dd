using System.Runtime;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Machine;

/// <summary>FAR_EL2 and HPFAR_EL2: the guest's virtual address, and the page of the intermediate one.</summary>
internal readonly struct FaultAddresses(ulong virtualAddress, ulong page)
{
    internal readonly ulong Virtual = virtualAddress;
    internal readonly ulong Page = page;
}

/// <summary>The instructions that C# cannot say: each is a leaf function in Boot/Instructions.S.</summary>
/// <remarks>
/// Invariant: the declarations have the parameters that the functions take; an address that a caller hands over is one
/// that it owns, as each caller says.
/// </remarks>
internal static unsafe class Instructions
{
    // ---- identification ----
    [RuntimeImport("*", "read_midr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadMidr();

    [RuntimeImport("*", "read_revidr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadRevidr();

    [RuntimeImport("*", "read_aidr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadAidr();

    [RuntimeImport("*", "read_mpidr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadMpidr();

    [RuntimeImport("*", "read_ctr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCtr();

    [RuntimeImport("*", "read_dczid"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadDczid();

    [RuntimeImport("*", "read_id_aa64pfr0"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Pfr0();

    [RuntimeImport("*", "read_id_aa64pfr1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Pfr1();

    [RuntimeImport("*", "read_id_aa64dfr0"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Dfr0();

    [RuntimeImport("*", "read_id_aa64isar0"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Isar0();

    [RuntimeImport("*", "read_id_aa64isar1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Isar1();

    [RuntimeImport("*", "read_id_aa64isar2"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Isar2();

    [RuntimeImport("*", "read_id_aa64mmfr0"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Mmfr0();

    [RuntimeImport("*", "read_id_aa64mmfr1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Mmfr1();

    [RuntimeImport("*", "read_id_aa64mmfr2"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIdAa64Mmfr2();

    /// <summary>RNDR; 0 when it had no number. Only with FEAT_RNG.</summary>
    [RuntimeImport("*", "read_random"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadRandom();

    // ---- EL2 state ----
    /// <summary>TPIDR_EL2: this core's <see cref="Core"/>.</summary>
    [RuntimeImport("*", "read_core"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void* ReadCore();

    /// <summary>FAR_EL2 of the exception that brought this core to EL2.</summary>
    [RuntimeImport("*", "read_far"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadFar();

    /// <summary>Both addresses of the exception that brought this core to EL2.</summary>
    [RuntimeImport("*", "read_fault_addresses"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern FaultAddresses ReadFaultAddresses();

    [RuntimeImport("*", "write_hcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteHcr(ulong value);

    [RuntimeImport("*", "write_hstr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteHstr(ulong value);

    [RuntimeImport("*", "write_cptr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteCptr(ulong value);

    [RuntimeImport("*", "write_mdcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteMdcr(ulong value);

    [RuntimeImport("*", "read_mdcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadMdcr();

    [RuntimeImport("*", "write_vtcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVtcr(ulong value);

    [RuntimeImport("*", "write_vttbr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVttbr(ulong value);

    /// <summary>
    /// Whether an interrupt would be taken, were interrupts not masked at EL2 (ISR_EL1.I, DDI 0487 D24.2.85).
    /// </summary>
    internal static bool IsInterruptPending
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (ReadInterruptStatus() & (1 << 7)) != 0;
    }

    [RuntimeImport("*", "read_interrupt_status"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong ReadInterruptStatus();

    [RuntimeImport("*", "read_vttbr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadVttbr();

    [RuntimeImport("*", "write_vpidr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVpidr(ulong value);

    [RuntimeImport("*", "write_cnthctl"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteCnthctl(ulong value);

    [RuntimeImport("*", "write_cntvoff"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteCntvoff(ulong value);

    [RuntimeImport("*", "read_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCounter();

    [RuntimeImport("*", "read_counter_frequency"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCounterFrequency();

    [RuntimeImport("*", "write_virtual_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVirtualTimerControl(ulong value);

    [RuntimeImport("*", "read_virtual_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadVirtualTimerControl();

    [RuntimeImport("*", "write_virtual_timer_compare"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVirtualTimerCompare(ulong value);

    [RuntimeImport("*", "write_physical_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WritePhysicalTimerControl(ulong value);

    [RuntimeImport("*", "read_physical_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadPhysicalTimerControl();

    [RuntimeImport("*", "write_physical_timer_compare"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WritePhysicalTimerCompare(ulong value);

    [RuntimeImport("*", "read_hypervisor_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadHypervisorTimerControl();

    /// <summary>The EL2 physical timer's interrupt after a number of the system counter's ticks.</summary>
    [RuntimeImport("*", "start_hypervisor_timer"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void StartHypervisorTimer(ulong ticks);

    /// <summary>The EL2 physical timer's interrupt at a value of the system counter.</summary>
    [RuntimeImport("*", "set_hypervisor_timer"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SetHypervisorTimer(ulong count);

    [RuntimeImport("*", "stop_hypervisor_timer"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void StopHypervisorTimer();

    /// <summary>EL2's own tables, and from now on nothing writable is executable (SCTLR_EL2.WXN).</summary>
    [RuntimeImport("*", "write_translation_table"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteTranslationTable(ulong table);

    /// <summary>One page of EL2's own stage 1, on all cores.</summary>
    /// <param name="page">The address, without its lowest 12 bits.</param>
    [RuntimeImport("*", "invalidate_el2_page"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateEl2Page(ulong page);

    /// <summary>Controls of EL2 that only newer cores have, to nothing trapped and nothing enabled.</summary>
    [RuntimeImport("*", "reset_el2_controls"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ResetEl2Controls();

    [RuntimeImport("*", "enable_cycle_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnableCycleCounter();

    /// <summary>1 where event counter 0 can count instructions (<see cref="Cores.OwnWork"/>).</summary>
    [RuntimeImport("*", "own_counter_exists"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint OwnCounterExists();

    [RuntimeImport("*", "enable_own_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnableOwnCounter();

    [RuntimeImport("*", "read_own_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint ReadOwnCounter();

    [RuntimeImport("*", "read_cycle_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCycleCounter();

    [RuntimeImport("*", "count_65_instructions"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Count65Instructions();

    // ---- barriers, waiting, locks ----
    [RuntimeImport("*", "dsb_ishst"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DataSynchronizationIshSt();

    [RuntimeImport("*", "dsb_ish"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DataSynchronizationIsh();

    [RuntimeImport("*", "dsb_sy"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DataSynchronizationSy();

    [RuntimeImport("*", "instruction_barrier"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InstructionSynchronization();

    /// <summary>DSB SY; WFI. An interrupt that is pending, masked or not, ends the wait.</summary>
    [RuntimeImport("*", "wait_for_interrupt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WaitForInterrupt();

    [RuntimeImport("*", "lock_acquire"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LockAcquire(uint* value);

    [RuntimeImport("*", "lock_release"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LockRelease(uint* value);

    // ---- TLB maintenance ----
    /// <summary>TLBI IPAS2E1IS: Stage-2 entries of one IPA (bits 47:12 of it), TTL in bits 47:44.</summary>
    [RuntimeImport("*", "tlbi_ipas2e1is"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateIpa(ulong operand);

    /// <summary>TLBI IPAS2E1: the same, in this core's TLBs only.</summary>
    [RuntimeImport("*", "tlbi_ipas2e1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateIpaHere(ulong operand);

    /// <summary>TLBI RIPAS2E1IS (FEAT_TLBIRANGE): Stage-2 entries of a range of IPAs.</summary>
    [RuntimeImport("*", "tlbi_ripas2e1is"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateIpaRange(ulong operand);

    [RuntimeImport("*", "tlbi_vmalle1is"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateStage1OfVmid();

    [RuntimeImport("*", "tlbi_vmalle1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateStage1OfVmidHere();

    [RuntimeImport("*", "tlbi_vmalls12e1is"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateVmid();

    [RuntimeImport("*", "tlbi_alle1is"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateAllVmids();

    /// <summary>
    /// From now on DSB ISH is followed by another broadcast TLBI and DSB. The boot core, before EL2's final tables.
    /// </summary>
    [RuntimeImport("*", "repeat_invalidations"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void RepeatInvalidations();

    // ---- cache maintenance: lines from a line-aligned address; the caller adds the DSB ----
    [RuntimeImport("*", "dc_civac"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CleanInvalidateLines(ulong address, ulong lines, ulong lineBytes);

    [RuntimeImport("*", "dc_cvac"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CleanLines(ulong address, ulong lines, ulong lineBytes);

    [RuntimeImport("*", "ic_ivau"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateInstructionLines(ulong address, ulong lines, ulong lineBytes);

    [RuntimeImport("*", "ic_ialluis"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateAllInstructions();

    [RuntimeImport("*", "dc_zva"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ZeroBlocks(ulong address, ulong blocks, ulong blockBytes);

    /// <summary>ST1 of four zero vectors, over a multiple of 4 KB.</summary>
    [RuntimeImport("*", "zero_by_stores"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ZeroByStores(ulong address, ulong bytes);

    /// <summary>LD1 and ST1 of four vectors, over a multiple of 4 KB.</summary>
    [RuntimeImport("*", "copy_by_vectors"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CopyPages(ulong to, ulong from, ulong bytes);

    /// <summary>DC ZVA and DC CIVAC on each line.</summary>
    [RuntimeImport("*", "dc_zva_civac"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ZeroAndCleanLines(ulong address, ulong lines, ulong lineBytes);

    [RuntimeImport("*", "memset"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void* MemorySet(void* to, int value, nuint bytes);

    // ---- physical GIC CPU interface ----
    [RuntimeImport("*", "read_icc_iar1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong AcknowledgeInterrupt();

    /// <summary>ICC_EOIR1_EL1: with EOImode 1 a priority drop only.</summary>
    [RuntimeImport("*", "write_icc_eoir1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DropPriority(ulong interrupt);

    [RuntimeImport("*", "write_icc_dir"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void DeactivateInterrupt(ulong interrupt);

    [RuntimeImport("*", "write_icc_sgi1r"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SendSgi(ulong value);

    [RuntimeImport("*", "write_icc_pmr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccPmr(ulong value);

    [RuntimeImport("*", "write_icc_bpr1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccBpr1(ulong value);

    [RuntimeImport("*", "write_icc_ctlr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccCtlr(ulong value);

    [RuntimeImport("*", "write_icc_igrpen1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccIgrpen1(ulong value);

    [RuntimeImport("*", "write_icc_sre_el2"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccSreEl2(ulong value);

    [RuntimeImport("*", "read_icc_sre_el2"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIccSreEl2();

    /// <summary>ICC_AP1R0_EL1: active priorities of EL2's own interface.</summary>
    [RuntimeImport("*", "write_icc_ap1r0"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccAp1r0(ulong value);

    [RuntimeImport("*", "write_icc_sre_el1"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIccSreEl1(ulong value);

    // ---- virtual GIC CPU interface ----
    [RuntimeImport("*", "write_ich_hcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIchHcr(ulong value);

    [RuntimeImport("*", "read_ich_hcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIchHcr();

    [RuntimeImport("*", "read_ich_vtr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIchVtr();

    [RuntimeImport("*", "write_ich_vmcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteIchVmcr(ulong value);

    [RuntimeImport("*", "read_ich_vmcr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadIchVmcr();

    [RuntimeImport("*", "write_active_priorities"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ClearActivePriorities(ulong preemptionBits);

    /// <summary>ICH_VMCR_EL2 and the active priorities: 9 words at most.</summary>
    [RuntimeImport("*", "save_interrupt_interface"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SaveInterruptInterface(ulong* nine, ulong preemptionBits);

    [RuntimeImport("*", "load_interrupt_interface"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoadInterruptInterface(ulong* nine, ulong preemptionBits);

    [RuntimeImport("*", "read_list_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ReadListRegisters(ulong* values, int count);

    [RuntimeImport("*", "write_list_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteListRegisters(ulong* values, int count);

    // ---- the end ----
    /// <summary>See Boot/LastWords.cs. Does not return.</summary>
    [RuntimeImport("*", "last_words"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SayLastWords(void* text, long length, ulong uart, int kind, int shift, int conduit);

    // ---- guests ----
    /// <summary>Runs a vCPU until <c>quietus_guest_exit</c> answers that it must not go on.</summary>
    [RuntimeImport("*", "vcpu_run"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void RunGuest(void* context);

    /// <summary>
    /// Saves the vector registers of the guest that this core has left last, which are in the core but for two, to its
    /// context. To be called before another guest is entered here.
    /// </summary>
    [RuntimeImport("*", "save_vectors"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SaveVectors(void* context);

    /// <summary>Loads them, for a context that has changed since. <see cref="RunGuest"/> does it as well.</summary>
    [RuntimeImport("*", "load_vectors"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoadVectors(void* context);

    /// <summary>
    /// This core runs no guest from now on: no timer, no virtual interrupt, no walk of EL1's stage 1, no Stage-2.
    /// </summary>
    /// <param name="systemControl">SCTLR_EL1.</param>
    /// <param name="translationControl">TCR_EL1.</param>
    /// <param name="hypervisorControl">HCR_EL2.</param>
    [RuntimeImport("*", "leave_vm"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LeaveVm(ulong systemControl, ulong translationControl, ulong hypervisorControl);

    /// <summary>
    /// This core runs a guest of a VM from now on, with what its TLBs hold of the VMID: see <see cref="ForgetVcpu"/>.
    /// </summary>
    /// <param name="table">VTTBR_EL2.</param>
    /// <param name="hypervisorControl">HCR_EL2.</param>
    /// <param name="affinity">VMPIDR_EL2.</param>
    /// <param name="counterOffset">CNTVOFF_EL2.</param>
    [RuntimeImport("*", "enter_vm"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnterVm(ulong table, ulong hypervisorControl, ulong affinity, ulong counterOffset);

    /// <summary>
    /// What this core's TLBs hold of Stage-1 under the VMID that is loaded goes, and what is in its instruction cache.
    /// </summary>
    [RuntimeImport("*", "forget_vcpu"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ForgetVcpu();

    /// <summary>
    /// Every EL1 register that a guest can reach, to its reset value; SCTLR_EL1 and TCR_EL1 to these, last.
    /// </summary>
    [RuntimeImport("*", "reset_guest_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ResetGuestRegisters(ulong systemControl, ulong translationControl);

    /// <summary>What <see cref="ResetGuestRegisters"/> resets, into a <see cref="Cores.GuestRegisters"/>.</summary>
    [RuntimeImport("*", "save_guest_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SaveGuestRegisters(ulong* registers);

    /// <summary>
    /// And back. CNTVOFF_EL2 is the VM's by now; the physical timer stays off.
    /// </summary>
    [RuntimeImport("*", "load_guest_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoadGuestRegisters(ulong* registers);

    /// <summary>SCTLR_EL1.</summary>
    [RuntimeImport("*", "read_guest_system_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadGuestSystemControl();

    /// <summary>ELR, SPSR, ESR, FAR, VBAR and SCTLR of EL1, in this order.</summary>
    [RuntimeImport("*", "read_exception_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ReadExceptionRegisters(ulong* six);

    /// <summary>ELR, SPSR, ESR and FAR of EL1, in this order.</summary>
    [RuntimeImport("*", "write_exception_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteExceptionRegisters(ulong* four);

    /// <summary>DBGBVR, DBGBCR, DBGWVR or DBGWCR, which the core must have.</summary>
    /// <param name="place">The kind times 16, plus the number.</param>
    /// <param name="value">What it shall hold.</param>
    [RuntimeImport("*", "write_debug_point"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteDebugPoint(ulong place, ulong value);

    [RuntimeImport("*", "write_mdscr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteMdscr(ulong value);

    /// <summary>OSLAR_EL1 and OSDLR_EL1: unlocked.</summary>
    [RuntimeImport("*", "open_debug_locks"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void OpenDebugLocks();

    /// <summary>TCR, TTBR0 and TTBR1 of EL1, in this order.</summary>
    [RuntimeImport("*", "read_translation_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void ReadTranslationRegisters(ulong* three);

    /// <summary>AT S1E1R in the guest that is loaded on this core; PAR_EL1's answer.</summary>
    [RuntimeImport("*", "translate_guest_address"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong TranslateGuestAddress(ulong address);

    /// <summary>This core calls <see cref="Cores.Core.FirmwareWorkaround"/> at each exit from a guest.</summary>
    [RuntimeImport("*", "use_guarded_vectors"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void UseGuardedVectors();

    // ---- firmware ----
    [RuntimeImport("*", "smc_call"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong CallFirmwareBySmc(ulong function, ulong a, ulong b, ulong c);

    /// <summary>BRK in EL2: a fault report, as the monitor's <c>panic</c> asks for one.</summary>
    [RuntimeImport("*", "break_here"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Break();

    /// <summary>Masks everything and waits for ever.</summary>
    [RuntimeImport("*", "halt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Halt();

    // ---- the image's own layout (addresses, not values) ----
    /// <summary>An address in the image, by <see cref="ImageBoundary"/>.</summary>
    [RuntimeImport("*", "image_address"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ImageAddress(ImageBoundary which);
}

/// <summary>Boundaries in the image, in the order of Boot/Instructions.S's table.</summary>
internal enum ImageBoundary
{
    Start,
    TextEnd,
    DataStart,
    End,
    Symbols,
    SymbolsEnd,
    SecondaryEntry,
    BootCore,
    BootStackBottom,
    Filler,
    FillerEnd,
    LastWords,
}

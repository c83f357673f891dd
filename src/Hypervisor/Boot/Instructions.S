// What C# cannot say: system registers, barriers, TLB and cache maintenance.
// Each function is a leaf that follows the procedure call standard; Machine/Instructions.cs declares them.

    .include "Macros.inc"

// ---- identification and EL2 state ----
    read_register midr, midr_el1
    read_register revidr, revidr_el1
    read_register aidr, aidr_el1
    read_register mpidr, mpidr_el1
    read_register ctr, ctr_el0
    read_register dczid, dczid_el0
    read_register id_aa64pfr0, id_aa64pfr0_el1
    read_register id_aa64pfr1, id_aa64pfr1_el1
    read_register id_aa64dfr0, id_aa64dfr0_el1
    read_register id_aa64isar0, id_aa64isar0_el1
    read_register id_aa64isar1, id_aa64isar1_el1
    read_register id_aa64isar2, s3_0_c0_c6_2
    read_register id_aa64mmfr0, id_aa64mmfr0_el1
    read_register id_aa64mmfr1, id_aa64mmfr1_el1
    read_register id_aa64mmfr2, s3_0_c0_c7_2
    read_register core, tpidr_el2
    read_register far, far_el2
    write_register hcr, hcr_el2
    write_register hstr, hstr_el2
    write_register cptr, cptr_el2
    write_register mdcr, mdcr_el2
    read_register mdcr, mdcr_el2
    write_register vtcr, vtcr_el2
    write_register vttbr, vttbr_el2
    read_register vttbr, vttbr_el2
    write_register vpidr, vpidr_el2
    write_register cnthctl, cnthctl_el2
    write_register cntvoff, cntvoff_el2
    read_register counter, cntpct_el0
    read_register interrupt_status, isr_el1
    read_register counter_frequency, cntfrq_el0
    write_register virtual_timer_control, cntv_ctl_el0
    read_register virtual_timer_control, cntv_ctl_el0
    write_register virtual_timer_compare, cntv_cval_el0
    write_register physical_timer_control, cntp_ctl_el0
    read_register physical_timer_control, cntp_ctl_el0
    write_register physical_timer_compare, cntp_cval_el0
    read_register hypervisor_timer_control, cnthp_ctl_el2

// FaultAddresses read_fault_addresses(): FAR_EL2 in x0, HPFAR_EL2 in x1.
function read_fault_addresses
    mrs     x0, far_el2
    mrs     x1, hpfar_el2
    ret

// ulong read_random(): RNDR sets Z, and gives 0, when it has no number.
function read_random
    mrs     x0, s3_3_c2_c4_0
    ret

// void start_hypervisor_timer(ulong ticks), void stop_hypervisor_timer()
function start_hypervisor_timer
    msr     cnthp_tval_el2, x0
    mov     x0, #1
    msr     cnthp_ctl_el2, x0
    isb
    ret

// void set_hypervisor_timer(ulong count)
function set_hypervisor_timer
    msr     cnthp_cval_el2, x0
    mov     x0, #1
    msr     cnthp_ctl_el2, x0
    isb
    ret

function stop_hypervisor_timer
    msr     cnthp_ctl_el2, xzr
    isb
    ret

// void write_translation_table(ulong table): EL2's own stage 1.
// The MMU is off in between, so that no TLB holds entries of both tables at once, nor any from before WXN; everything
// is mapped at its own address, and nothing here touches memory. SCTLR_EL2.WXN is bit 19.
function write_translation_table
    dsb     ishst
    mrs     x1, sctlr_el2
    bic     x2, x1, #1
    msr     sctlr_el2, x2
    isb
    msr     ttbr0_el2, x0
    isb
    tlbi    alle2
    dsb     nsh
    isb
    orr     x1, x1, #0x80000
    msr     sctlr_el2, x1
    isb
    ret

// void invalidate_el2_page(ulong page): an entry of EL2's own stage 1 has become invalid; x0 = address >> 12.
function invalidate_el2_page
    dsb     ishst
    tlbi    vae2is, x0
    dsb     ish
    isb
    ret

// void reset_el2_controls(): controls that only newer cores have, to "nothing trapped, nothing enabled"; a boot loader
// leaves them unknown. MPAM, which is hidden from guests, traps.
function reset_el2_controls
    mrs     x0, id_aa64mmfr0_el1
    ubfx    x0, x0, #56, #4         // FGT
    cbz     x0, 1f
    msr     s3_4_c1_c1_4, xzr       // HFGRTR_EL2
    msr     s3_4_c1_c1_5, xzr       // HFGWTR_EL2
    msr     s3_4_c1_c1_6, xzr       // HFGITR_EL2
    msr     s3_4_c3_c1_4, xzr       // HDFGRTR_EL2
    msr     s3_4_c3_c1_5, xzr       // HDFGWTR_EL2
1:  mrs     x0, id_aa64mmfr1_el1
    ubfx    x0, x0, #40, #4         // HCX
    cbz     x0, 2f
    msr     s3_4_c1_c2_2, xzr       // HCRX_EL2
2:  mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #40, #4         // MPAM
    cbz     x0, 3f
    mov     x0, #(3 << 48)
    msr     s3_4_c10_c5_0, x0       // MPAM2_EL2.TRAPMPAM0EL1, TRAPMPAM1EL1
3:  isb
    ret

// ---- performance counter: PMCCNTR_EL0 counts at EL2, EL1 and EL0, 64 bits, never reset ----
function enable_cycle_counter
    mov     x0, #(1 << 27)          // PMCCFILTR_EL0.NSH: count at EL2 too
    msr     pmccfiltr_el0, x0
    mov     x0, #(1 << 31)
    msr     pmcntenset_el0, x0
    mrs     x0, pmcr_el0
    orr     x0, x0, #1              // E
    orr     x0, x0, #0x40           // LC
    msr     pmcr_el0, x0
    isb
    ret

// u32 own_counter_exists(): event counter 0 is there, and counts instructions (PMCEID0_EL0.ID8).
function own_counter_exists
    mrs     x0, pmcr_el0
    ubfx    x0, x0, #11, #5         // N
    cbz     x0, 1f
    mrs     x0, pmceid0_el0
    ubfx    x0, x0, #8, #1          // INST_RETIRED
1:  ret

// Event counter 0 counts the instructions of EL2, and no other's: 32 bits, never reset.
function enable_own_counter
    mov     x0, #0x8                // INST_RETIRED
    movk    x0, #0xC800, lsl #16    // P and U: not EL1 and EL0; NSH: EL2
    msr     pmevtyper0_el0, x0
    mov     x0, #1
    msr     pmcntenset_el0, x0
    isb
    ret

function read_own_counter
    isb
    mrs     x0, pmevcntr0_el0
    ret

function read_cycle_counter
    isb
    mrs     x0, pmccntr_el0
    ret

// What the counter makes of 64 instructions and the second read.
function count_65_instructions
    isb
    mrs     x1, pmccntr_el0
    .rept   64
    nop
    .endr
    mrs     x0, pmccntr_el0
    sub     x0, x0, x1
    ret

// ---- barriers, waiting ----
function dsb_ishst
    dsb     ishst
    ret

function dsb_ish
    dsb     ish
dsb_ish_end:
    ret                             // or NOP, on cores where a broadcast TLBI and its DSB must come twice
    tlbi    vale1is, xzr            // of no matter what
    dsb     ish
    ret

// void repeat_invalidations(): from now on each DSB ISH does so (CoreErrata.RepeatsInvalidation). While text is
// writable: on the boot core, before EL2's final tables. A core that needs none pays nothing.
function repeat_invalidations
    adr     x0, dsb_ish_end
    ldr     w1, =0xd503201f         // NOP
    str     w1, [x0]
    dc      cvac, x0                // to the PoC: other cores fetch it first with their caches off
    dsb     ish
    ic      ivau, x0
    dsb     ish
    isb
    ret
    .ltorg

function dsb_sy
    dsb     sy
    ret

function instruction_barrier
    isb
    ret

function wait_for_interrupt
    dsb     sy
    wfi
    ret

// void lock_acquire(uint* lock): 0 is free. WFE waits for the release, whose store clears the exclusive monitor. The
// core that finds it free gets it. With tickets all would wait for the core whose turn it is, which, where cores are
// threads of a busy host, may not run for milliseconds (docs/architecture.md).
function lock_acquire
    mov     w2, #1
1:  ldaxr   w1, [x0]
    cbnz    w1, 2f
    stxr    w1, w2, [x0]
    cbnz    w1, 1b
    ret
2:  wfe
    b       1b

function lock_release
    stlr    wzr, [x0]
    ret

// ---- TLB maintenance, inner shareable, or (without "is") for this core. The argument is the operand. ----
function tlbi_ipas2e1
    tlbi    ipas2e1, x0
    ret

function tlbi_vmalle1
    tlbi    vmalle1
    ret

function tlbi_ipas2e1is
    tlbi    ipas2e1is, x0
    ret

function tlbi_ripas2e1is
    sys     #4, c8, c0, #2, x0      // TLBI RIPAS2E1IS (FEAT_TLBIRANGE), which older assemblers do not know
    ret

function tlbi_vmalle1is
    tlbi    vmalle1is
    ret

function tlbi_vmalls12e1is
    tlbi    vmalls12e1is
    ret

function tlbi_alle1is
    tlbi    alle1is
    ret

// ---- cache maintenance ----
// x0 = first byte, line-aligned; x1 = lines; x2 = bytes in a line. The caller adds the DSB. 64 lines a round: a page of
// lines of 64 bytes takes two instructions more than the least that it can.
    .macro by_line name, operation, another=nop
    function \name
    subs    x1, x1, #64
    b.lo    2f
1:  .rept 64
    \operation, x0
    .ifnc \another, nop
    \another, x0
    .endif
    add     x0, x0, x2
    .endr
    subs    x1, x1, #64
    b.hs    1b
2:  adds    x1, x1, #64
    b.eq    4f
3:  \operation, x0
    .ifnc \another, nop
    \another, x0
    .endif
    add     x0, x0, x2
    subs    x1, x1, #1
    b.ne    3b
4:  ret
    .endm

    by_line dc_civac, "dc civac"
    by_line dc_cvac, "dc cvac"
    by_line ic_ivau, "ic ivau"
    by_line dc_zva, "dc zva"

// Two vector registers more than EL2 may use (build/vector-registers), which are a guest's.
    .macro take_two_vectors
    stp     q18, q19, [sp, #-32]!
    .endm

    .macro give_two_vectors_back
    ldp     q18, q19, [sp], #32
    .endm

// x0 = first byte; x1 = bytes, a multiple of 4096.
function zero_by_stores
    take_two_vectors
    movi    v16.2d, #0
    movi    v17.2d, #0
    movi    v18.2d, #0
    movi    v19.2d, #0
1:  .rept 64
    st1     {v16.2d, v17.2d, v18.2d, v19.2d}, [x0], #64
    .endr
    subs    x1, x1, #4096
    b.ne    1b
    give_two_vectors_back
    ret

// x0 = to; x1 = from; x2 = bytes, a multiple of 4096. Each entry of a table is read and written whole: no access is
// narrower than the 64 bits that a walk reads.
function copy_by_vectors
    take_two_vectors
1:  .rept 64
    ld1     {v16.2d, v17.2d, v18.2d, v19.2d}, [x1], #64
    st1     {v16.2d, v17.2d, v18.2d, v19.2d}, [x0], #64
    .endr
    subs    x2, x2, #4096
    b.ne    1b
    give_two_vectors_back
    ret

    by_line dc_zva_civac, "dc zva", "dc civac"

function ic_ialluis
    ic      ialluis
    ret

// ---- physical GICv3 CPU interface ----
// The DSB: what was written before the interrupt was sent is seen by the core that acknowledges it.
function read_icc_iar1
    mrs     x0, s3_0_c12_c12_0
    dsb     sy
    isb
    ret

    write_register icc_ap1r0, s3_0_c12_c9_0
    write_register icc_eoir1, s3_0_c12_c12_1
    write_register icc_dir, s3_0_c12_c11_1
    write_register icc_sgi1r, s3_0_c12_c11_5
    write_register icc_pmr, s3_0_c4_c6_0
    write_register icc_bpr1, s3_0_c12_c12_3
    write_register icc_ctlr, s3_0_c12_c12_4
    write_register icc_igrpen1, s3_0_c12_c12_7
    write_register icc_sre_el2, s3_4_c12_c9_5
    write_register icc_sre_el1, s3_0_c12_c12_5
    read_register icc_sre_el2, s3_4_c12_c9_5

// ---- virtual CPU interface control ----
    write_register ich_hcr, s3_4_c12_c11_0
    read_register ich_hcr, s3_4_c12_c11_0
    read_register ich_vtr, s3_4_c12_c11_1
    write_register ich_vmcr, s3_4_c12_c11_7
    read_register ich_vmcr, s3_4_c12_c11_7

// void write_active_priorities(ulong preemption_bits): ICH_AP0R<n>, ICH_AP1R<n> = 0. Only those that the number of
// preemption bits (5, 6, 7) gives exist.
function write_active_priorities
    msr     s3_4_c12_c8_0, xzr
    msr     s3_4_c12_c9_0, xzr
    cmp     x0, #6
    b.lo    1f
    msr     s3_4_c12_c8_1, xzr
    msr     s3_4_c12_c9_1, xzr
    b.eq    1f
    msr     s3_4_c12_c8_2, xzr
    msr     s3_4_c12_c9_2, xzr
    msr     s3_4_c12_c8_3, xzr
    msr     s3_4_c12_c9_3, xzr
1:  isb
    ret

// void save_interrupt_interface(ulong* nine, ulong preemption_bits), void load_interrupt_interface(…): ICH_VMCR, then
// ICH_AP0R<n> and ICH_AP1R<n> by turns.
    .macro interface_registers action
    \action s3_4_c12_c11_7
    \action s3_4_c12_c8_0
    \action s3_4_c12_c9_0
    cmp     x1, #6
    b.lo    1f
    \action s3_4_c12_c8_1
    \action s3_4_c12_c9_1
    b.eq    1f
    \action s3_4_c12_c8_2
    \action s3_4_c12_c9_2
    \action s3_4_c12_c8_3
    \action s3_4_c12_c9_3
1:  isb
    ret
    .endm

    .macro save_next register
    mrs     x2, \register
    str     x2, [x0], #8
    .endm

    .macro load_next register
    ldr     x2, [x0], #8
    msr     \register, x2
    .endm

function save_interrupt_interface
    interface_registers save_next

function load_interrupt_interface
    interface_registers load_next

// void read_list_registers(ulong* values, int count), write_list_registers: the first count (at most 16), in order.
    .macro list_registers_in_order action
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    \action s3_4_c12_c12_\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    \action s3_4_c12_c13_\n
    .endr
    .endm

    .macro read_one register
    cbz     w1, 1f
    mrs     x2, \register
    str     x2, [x0], #8
    sub     w1, w1, #1
    .endm

    .macro write_one register
    cbz     w1, 1f
    ldr     x2, [x0], #8
    msr     \register, x2
    sub     w1, w1, #1
    .endm

function read_list_registers
    list_registers_in_order read_one
1:  ret

function write_list_registers
    list_registers_in_order write_one
1:  ret

// ---- a guest's EL1 registers ----
    .equ TCR_EPD0, 1 << 7
    .equ TCR_EPD1, 1 << 23

// void reset_guest_registers(ulong sctlr, ulong tcr): every EL1 register that a guest can reach, as a reset leaves it
// or zero, so that nothing of the guest before is left. SCTLR_EL1 and TCR_EL1 are told, for a guest that begins or for a
// core that runs none.
// First no walk of stage 1 can begin any more (TCR_EL1.EPD0, EPD1, with the MMU on), and only last can one again: an AT
// that a core speculates (docs/errata.md) must not walk with half of one guest's registers and half of another's.
function reset_guest_registers
    mov     x2, #TCR_EPD0
    orr     x2, x2, #TCR_EPD1
    msr     tcr_el1, x2
    isb
    orr     x2, x0, #1              // SCTLR_EL1.M
    msr     sctlr_el1, x2
    isb
    msr     ttbr0_el1, xzr
    msr     ttbr1_el1, xzr
    msr     mair_el1, xzr
    msr     amair_el1, xzr
    msr     vbar_el1, xzr
    msr     contextidr_el1, xzr
    msr     tpidr_el0, xzr
    msr     tpidrro_el0, xzr
    msr     tpidr_el1, xzr
    msr     cpacr_el1, xzr
    msr     esr_el1, xzr
    msr     far_el1, xzr
    msr     afsr0_el1, xzr
    msr     afsr1_el1, xzr
    msr     par_el1, xzr
    msr     elr_el1, xzr
    msr     spsr_el1, xzr
    msr     sp_el0, xzr
    msr     sp_el1, xzr
    msr     csselr_el1, xzr
    msr     cntkctl_el1, xzr
    msr     cntv_ctl_el0, xzr
    msr     cntv_cval_el0, xzr
    msr     cntp_ctl_el0, xzr
    msr     cntp_cval_el0, xzr
    msr     mdscr_el1, xzr
    mrs     x3, id_aa64pfr0_el1
    ubfx    x2, x3, #4, #4
    cmp     x2, #2                  // EL1 could be AArch32: without that the next registers are undefined
    b.ne    1f
    msr     spsr_abt, xzr
    msr     spsr_und, xzr
    msr     spsr_irq, xzr
    msr     spsr_fiq, xzr
    msr     dacr32_el2, xzr
    msr     ifsr32_el2, xzr
    msr     fpexc32_el2, xzr
    msr     dbgvcr32_el2, xzr
1:  ubfx    x2, x3, #28, #4         // RAS: with HCR_EL2.AMO a guest's DISR_EL1 is VDISR_EL2
    cbz     x2, 2f
    msr     s3_4_c12_c1_1, xzr
    msr     s3_4_c5_c2_3, xzr       // VSESR_EL2
2:  mrs     x2, id_aa64pfr1_el1
    ubfx    x2, x2, #24, #4         // SME: TPIDR2_EL0, which nothing but FEAT_FGT traps
    cbz     x2, 3f
    msr     s3_3_c13_c0_5, xzr
3:  isb
    msr     sctlr_el1, x0
    isb
    msr     tcr_el1, x1
    isb
    ret

// void leave_vm(ulong sctlr, ulong tcr, ulong hcr): the core runs no guest. Its timers are off, no virtual
// interrupt is shown, no walk of stage 1 can begin (TCR_EL1.EPD0, EPD1, with the MMU on), in the order of
// reset_guest_registers, nothing is debugged. Only then Stage-2 goes: a walk of the guest's stage 1 without it would take
// what the guest wrote for physical addresses. The other registers wait for the next guest's load.
function leave_vm
    dsb     ish                     // the guest may go on elsewhere, where its own DSB does not wait for its TLBIs here
    msr     cntv_ctl_el0, xzr
    msr     cntp_ctl_el0, xzr
    msr     s3_4_c12_c11_0, xzr     // ICH_HCR_EL2
    msr     tcr_el1, x1
    isb
    msr     sctlr_el1, x0
    msr     mdscr_el1, xzr
    isb
    msr     hcr_el2, x2
    msr     vttbr_el2, xzr
    isb
    ret

// void enter_vm(ulong vttbr, ulong hcr, ulong vmpidr, ulong cntvoff): on a core that leave_vm has left.
function enter_vm
    msr     vttbr_el2, x0
    msr     hcr_el2, x1
    msr     vmpidr_el2, x2
    msr     cntvoff_el2, x3
    isb
    ret

// void forget_vcpu(void): after enter_vm, where another vCPU of the VM has been on this core. What the TLBs hold of the
// VMID's stage 1 goes, and the instruction cache, which a vCPU with its MMU off fills past what others keep coherent.
function forget_vcpu
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ret

// void save_guest_registers(ulong* registers), void load_guest_registers(ulong* registers): what reset_guest_registers
// resets, in the order of GuestRegisters. The physical timer's moment is not the guest's own, and not in it.
function save_guest_registers
    mrs     x1, sctlr_el1
    mrs     x2, tcr_el1
    stp     x1, x2, [x0]
    .macro save_two first, second
    mrs     x1, \first
    mrs     x2, \second
    stp     x1, x2, [x0, #16]!
    .endm
    save_two ttbr0_el1, ttbr1_el1
    save_two mair_el1, amair_el1
    save_two vbar_el1, contextidr_el1
    save_two tpidr_el0, tpidrro_el0
    save_two tpidr_el1, cpacr_el1
    save_two esr_el1, far_el1
    save_two afsr0_el1, afsr1_el1
    save_two par_el1, csselr_el1
    save_two elr_el1, spsr_el1
    save_two sp_el0, sp_el1
    save_two cntkctl_el1, cntp_ctl_el0
    save_two cntv_cval_el0, cntv_ctl_el0
    stp     xzr, xzr, [x0, #16]!    // VDISR_EL2, VSESR_EL2
    str     xzr, [x0, #16]          // TPIDR2_EL0
    mrs     x2, id_aa64pfr0_el1
    ubfx    x2, x2, #28, #4
    cbz     x2, 1f
    mrs     x1, s3_4_c12_c1_1
    mrs     x2, s3_4_c5_c2_3
    stp     x1, x2, [x0]
1:  mrs     x2, id_aa64pfr1_el1
    ubfx    x2, x2, #24, #4
    cbz     x2, 2f
    mrs     x1, s3_3_c13_c0_5
    str     x1, [x0, #16]
2:  ret

// In the order of reset_guest_registers, for the reason that is given there. Both timers' registers come when
// CNTVOFF_EL2 is right; the physical timer stays off.
function load_guest_registers
    ldp     x3, x4, [x0]
    mov     x2, #TCR_EPD0
    orr     x2, x2, #TCR_EPD1
    msr     tcr_el1, x2
    isb
    orr     x2, x3, #1              // SCTLR_EL1.M
    msr     sctlr_el1, x2
    isb
    .macro load_two first, second
    ldp     x1, x2, [x0, #16]!
    msr     \first, x1
    msr     \second, x2
    .endm
    load_two ttbr0_el1, ttbr1_el1
    load_two mair_el1, amair_el1
    load_two vbar_el1, contextidr_el1
    load_two tpidr_el0, tpidrro_el0
    load_two tpidr_el1, cpacr_el1
    load_two esr_el1, far_el1
    load_two afsr0_el1, afsr1_el1
    load_two par_el1, csselr_el1
    load_two elr_el1, spsr_el1
    load_two sp_el0, sp_el1
    ldr     x1, [x0, #16]!
    msr     cntkctl_el1, x1
    msr     cntp_ctl_el0, xzr
    load_two cntv_cval_el0, cntv_ctl_el0
    ldp     x1, x2, [x0, #16]!
    mrs     x5, id_aa64pfr0_el1
    ubfx    x5, x5, #28, #4
    cbz     x5, 1f
    msr     s3_4_c12_c1_1, x1
    msr     s3_4_c5_c2_3, x2
1:  mrs     x5, id_aa64pfr1_el1
    ubfx    x5, x5, #24, #4
    cbz     x5, 2f
    ldr     x1, [x0, #16]
    msr     s3_3_c13_c0_5, x1
2:  isb
    msr     sctlr_el1, x3
    isb
    msr     tcr_el1, x4
    isb
    ret

// ---- a guest's debug registers ----
    .macro write_point register, n
    msr     \register\n\()_el1, x1
    ret
    .endm

    .macro write_points register
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    write_point \register, \n
    .endr
    .endm

// void write_debug_point(ulong place, ulong value): place = DebugPointKind * 16 + number, which the core must have.
function write_debug_point
    adr     x2, 1f
    add     x2, x2, x0, lsl #3
    br      x2
1:  write_points dbgbvr
    write_points dbgbcr
    write_points dbgwvr
    write_points dbgwcr

    write_register mdscr, mdscr_el1

// void open_debug_locks(): the OS lock is locked out of a cold reset, and no breakpoint works while it or the OS double
// lock is.
function open_debug_locks
    msr     oslar_el1, xzr
    msr     osdlr_el1, xzr
    isb
    ret

    read_register guest_system_control, sctlr_el1

// The registers that an injected exception reads and writes: x0 = ulong[6]: ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1,
// VBAR_EL1, SCTLR_EL1.
function read_exception_registers
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [x0]
    mrs     x1, esr_el1
    mrs     x2, far_el1
    stp     x1, x2, [x0, #16]
    mrs     x1, vbar_el1
    mrs     x2, sctlr_el1
    stp     x1, x2, [x0, #32]
    ret

function write_exception_registers
    ldp     x1, x2, [x0]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x1, x2, [x0, #16]
    msr     esr_el1, x1
    msr     far_el1, x2
    isb
    ret

// void read_translation_registers(ulong* three): TCR_EL1, TTBR0_EL1, TTBR1_EL1.
function read_translation_registers
    mrs     x1, tcr_el1
    mrs     x2, ttbr0_el1
    stp     x1, x2, [x0]
    mrs     x1, ttbr1_el1
    str     x1, [x0, #16]
    ret

// ulong translate_guest_address(ulong va): AT S1E1R for the guest on this core; returns PAR_EL1 and keeps the guest's.
function translate_guest_address
    mrs     x2, par_el1
    at      s1e1r, x0
    isb
    mrs     x0, par_el1
    msr     par_el1, x2
    ret

// ---- firmware ----
// ulong smc_call(function, a, b, c) (DEN0028).
function smc_call
    smc     #0
    ret

// void last_words(text, length, uart, kind, shift, conduit): a line on a UART of some kind (DeviceTrees/LastResort.cs),
// then PSCI SYSTEM_OFF by SMC (1) or HVC (2), or a halt (0). MMU and data cache go off, so that it needs no tables for
// the UART, which may lie anywhere, beside the image too. Does not return.
function last_words
    add     x10, x0, x1
    mov     x9, x0
1:  dc      cvac, x9                // no line is shorter than 16 bytes
    add     x9, x9, #16
    cmp     x9, x10
    b.lo    1b
    sub     x9, x10, #1
    dc      cvac, x9
    dsb     sy
    mrs     x9, CurrentEL
    cmp     x9, #(2 << 2)
    b.ne    2f
    mrs     x9, sctlr_el2
    bic     x9, x9, #1              // M
    bic     x9, x9, #4              // C
    msr     sctlr_el2, x9
    b       3f
2:  mrs     x9, sctlr_el1
    bic     x9, x9, #1
    bic     x9, x9, #4
    msr     sctlr_el1, x9
3:  isb
    cbz     w3, 10f

    // x11 = the status register, w12 = which bits of it, w13 = what they are when a byte may go to x14; w15: by bytes
    mov     w12, #0x20
    mov     w13, #0
    mov     w15, #0
    mov     x14, x2
    add     x11, x2, #0x18          // PL011: UARTFR.TXFF clear
    cmp     w3, #2
    b.lo    5f
    b.hi    4f
    mov     w9, #0x14
    str     w9, [x2]                // Cadence: transmitter and receiver on; SR.TXFULL clear
    add     x11, x2, #0x2c
    mov     w12, #0x10
    add     x14, x2, #0x30
    b       5f
4:  mov     x9, #5
    lsl     x9, x9, x4
    add     x11, x2, x9             // 8250: LSR.THRE set
    mov     w13, #0x20
    cmp     w4, #0
    cset    w15, eq
5:  cbz     x1, 9f
    ldrb    w9, [x0], #1
    sub     x1, x1, #1
    mov     w16, #0x100000          // a UART that is never ready does not keep the machine on
6:  cbz     w15, 7f
    ldrb    w10, [x11]
    b       14f
7:  ldr     w10, [x11]
14: and     w10, w10, w12
    cmp     w10, w13
    b.eq    8f
    subs    w16, w16, #1
    b.ne    6b
8:  cbz     w15, 11f
    strb    w9, [x14]
    b       5b
11: str     w9, [x14]
    b       5b

    // What is on its way goes out: a 16th of a second.
9:  mrs     x9, cntfrq_el0
    mrs     x10, cntvct_el0
    add     x10, x10, x9, lsr #4
12: mrs     x9, cntvct_el0
    cmp     x9, x10
    b.lo    12b
10: mov     w0, #0x0008
    movk    w0, #0x8400, lsl #16
    cmp     w5, #1
    b.lo    halt
    b.hi    13f
    smc     #0
    b       halt
13: hvc     #0
    b       halt

function break_here
    brk     #0x5144
    ret

// ---- the image's own layout ----
    .macro image_boundary symbol
    adrp    x0, \symbol
    add     x0, x0, :lo12:\symbol
    ret
    .balign 16
    .endm

// ulong image_address(int which): the order is ImageBoundary's.
function image_address
    adr     x1, 1f
    add     x1, x1, x0, lsl #4
    br      x1
    .balign 16
1:  image_boundary image_start
    image_boundary __text_end
    image_boundary __data_start
    image_boundary __image_end
    image_boundary __symbols_start
    image_boundary __symbols_end
    image_boundary secondary_start
    image_boundary boot_core
    image_boundary boot_stack_bottom
    image_boundary filler_start
    image_boundary filler_end
    image_boundary last_words_text

// Tables of the tests: in each a count, then 32-bit words. Instructions are copied and run one by one
// (Machine/GeneratedCode.cs): x0 is the address or value that they get; they may change x0 to x17 only.

    .arch   armv8.5-a+sve
    .arch_extension sme
    .arch_extension lse

    .section .rodata
    .macro  table name
    .balign 4
    .globl  \name
\name:
    .word   (\name\()_end - . - 4) / 4
    .endm

// Fields of ID registers (op0 3, op1 0, CRn 0) that must be zero: CRm, op2, lowest bit, bits.
    table   hidden_fields
    .byte   4, 0, 8, 4              // ID_AA64PFR0_EL1: EL2
    .byte   4, 0, 12, 4             //   EL3
    .byte   4, 0, 32, 4             //   SVE
    .byte   4, 0, 40, 4             //   MPAM
    .byte   4, 0, 44, 4             //   AMU
    .byte   4, 1, 8, 4              // ID_AA64PFR1_EL1: MTE
    .byte   4, 1, 16, 4             //   MPAM_frac
    .byte   4, 1, 24, 4             //   SME
    .byte   4, 4, 0, 64             // ID_AA64ZFR0_EL1
    .byte   4, 5, 0, 64             // ID_AA64SMFR0_EL1
    .byte   5, 0, 4, 4              // ID_AA64DFR0_EL1: TraceVer
    .byte   5, 0, 32, 4             //   PMSVer (statistical profiling)
    .byte   5, 0, 40, 4             //   TraceFilt
    .byte   5, 0, 44, 4             //   TraceBuffer
    .byte   5, 0, 52, 4             //   BRBE
    .byte   6, 1, 4, 8              // ID_AA64ISAR1_EL1: APA, API (pointer authentication)
    .byte   6, 1, 24, 8             //   GPA, GPI
    .byte   6, 2, 8, 8              // ID_AA64ISAR2_EL1: GPA3, APA3
    .byte   7, 1, 8, 4              // ID_AA64MMFR1_EL1: VH
    .byte   7, 2, 24, 4             // ID_AA64MMFR2_EL1: NV
hidden_fields_end:

// What a guest whose ID registers have no such feature must find undefined.
    table   hidden_instructions
    ptrue   p0.b                    // SVE
    rdvl    x0, #1
    mov     z0.d, x0
    mrs     x0, s3_0_c1_c2_0        // ZCR_EL1
    rdsvl   x0, #1                  // SME
    smstart
    mrs     x0, s3_3_c4_c2_2        // SVCR
    mrs     x0, pmccntr_el0         // PMU
    mrs     x0, pmcr_el0
    mrs     x0, pmceid0_el0
    msr     pmintenset_el1, x0
    msr     pmuserenr_el0, x0
    pacia   x1, x0                  // pointer authentication
    mrs     x0, s3_0_c2_c1_0        // APIAKeyLo_EL1
    mrs     x0, s3_0_c9_c9_0        // PMSCR_EL1 (statistical profiling)
    mrs     x0, s3_0_c1_c2_1        // TRFCR_EL1
    mrs     x0, s3_0_c10_c5_1       // MPAM0_EL1
    mrs     x0, s3_3_c13_c2_0       // AMCR_EL0
    mrs     x0, s3_0_c1_c0_6        // GCR_EL1 (memory tagging)
hidden_instructions_end:

// Accesses to a device that a hypervisor cannot emulate from the syndrome alone.
    table   odd_accesses
    ldp     x2, x3, [x0]
    ldp     w2, w3, [x0]
    stp     x2, x3, [x0]
    ldnp    x2, x3, [x0]
    stnp    w2, w3, [x0]
    ldpsw   x2, x3, [x0]
    ldr     w1, [x0], #4
    ldr     x1, [x0, #8]!
    str     w1, [x0], #4
    strb    w1, [x0, #1]!
    ldrsb   x1, [x0]
    ldrsh   w1, [x0]
    ldrsw   x1, [x0]
    ldr     xzr, [x0]
    str     wzr, [x0]
    ldr     q0, [x0]
    str     q0, [x0]
    ldr     b0, [x0]
    ldp     q0, q1, [x0]
    ld1     {v0.16b, v1.16b, v2.16b, v3.16b}, [x0]
    st1     {v0.b}[3], [x0]
    ldar    w1, [x0]
    stlr    w1, [x0]
    ldtr    w1, [x0]
    sttr    x1, [x0]
    ldxr    w1, [x0]
    stxr    w2, w1, [x0]
    ldaxp   x1, x2, [x0]
    stlxp   w3, x1, x2, [x0]
    ldadd   w1, w2, [x0]
    swpal   x1, x2, [x0]
    cas     w1, w2, [x0]
    casp    x2, x3, x4, x5, [x0]
    prfm    pldl1keep, [x0]
    dc      zva, x0
    dc      cvac, x0
    dc      civac, x0
    dc      ivac, x0
    ic      ivau, x0
    ldur    w1, [x0, #1]
    ldur    x1, [x0, #3]
    sturh   w1, [x0, #1]
    stur    x1, [x0, #5]
odd_accesses_end:

// Reads and writes of memory that must either work or abort.
    table   atomic_accesses
    ldxr    x1, [x0]
    ldaxr   w1, [x0]
    ldar    x1, [x0]
    stlr    x1, [x0]
    ldp     x2, x3, [x0]
    stp     x2, x3, [x0]
    ldr     q0, [x0]
    ldadd   x1, x2, [x0]
    cas     x1, x2, [x0]
    swp     x1, x2, [x0]
atomic_accesses_end:

// Accesses that need a table walk, each with what ESR_EL1 says of it: WnR is 0x40, CM 0x100.
    table   walked_accesses
    .irp    access, "ldrb w1, [x0]", "ldr x1, [x0]", "ldp x1, x2, [x0]", "ldr q1, [x0]"
    \access
    .word   0
    .endr
    .irp    access, "strb wzr, [x0]", "strh wzr, [x0]", "str xzr, [x0]", "stp x1, x2, [x0]", "str q1, [x0]"
    \access
    .word   0x40
    .endr
    .irp    access, "at s1e1r, x0", "at s1e1w, x0" // QEMU does not translate for DC
    \access
    .word   0x140
    .endr
walked_accesses_end:

// A32 code for AArch32 at EL0: r1 = an address where nothing is. It ends in SVC, or is thrown out before.
    .balign 4
    .globl  user_program
user_program:
    .word   10                      // instructions that follow
    .word   0xe320f000              // nop
    .word   0xee1d0f70              // mrc p15, 0, r0, c13, c0, 3: TPIDRURO
    .word   0xee190f1d              // mrc p15, 0, r0, c9, c13, 0: PMCCNTR
    .word   0xee110f10              // mrc p15, 0, r0, c1, c0, 0: SCTLR
    .word   0xee100e15              // mrc p14, 0, r0, c0, c5, 0: DBGDTRRXint
    .word   0xeef10a10              // vmrs r0, fpscr
    .word   0xe1400070              // hvc #0
    .word   0xe1600070              // smc #0
    .word   0xe5910000              // ldr r0, [r1]
    .word   0xef000000              // svc #0

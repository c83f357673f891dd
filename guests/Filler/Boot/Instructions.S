// What C# cannot say. Each function is a leaf that follows the procedure call standard; Machine/Instructions.cs
// declares them.

    .include "Macros.inc"

    read_register mpidr, mpidr_el1
    read_register ctr, ctr_el0
    read_register counter_frequency, cntfrq_el0
    read_register virtual_timer_control, cntv_ctl_el0
    write_register virtual_timer_control, cntv_ctl_el0
    write_register virtual_timer_deadline, cntv_cval_el0
    read_register virtual_timer_deadline, cntv_cval_el0
    read_register physical_timer_control, cntp_ctl_el0
    write_register physical_timer_control, cntp_ctl_el0
    write_register physical_timer_deadline, cntp_cval_el0
    read_register binary_point, s3_0_c12_c12_3              // ICC_BPR1_EL1
    write_register binary_point, s3_0_c12_c12_3
    read_register interrupt_acknowledge, s3_0_c12_c12_0     // ICC_IAR1_EL1
    write_register interrupt_end, s3_0_c12_c12_1            // ICC_EOIR1_EL1
    write_register software_interrupt, s3_0_c12_c11_5       // ICC_SGI1R_EL1

function read_counter
    isb
    mrs     x0, cntvct_el0
    ret

function read_physical_counter
    isb
    mrs     x0, cntpct_el0
    isb
    ret

// This core's side of the interrupt controller: group 1, no priority masked.
function enable_interrupt_interface
    mov     x0, #1
    msr     s3_0_c12_c12_5, x0      // ICC_SRE_EL1.SRE
    isb
    mov     x0, #0xff
    msr     s3_0_c4_c6_0, x0        // ICC_PMR_EL1
    msr     s3_0_c12_c12_3, xzr     // ICC_BPR1_EL1
    msr     s3_0_c12_c12_4, xzr     // ICC_CTLR_EL1
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0      // ICC_IGRPEN1_EL1
    isb
    ret

function unmask_interrupts
    msr     daifclr, #2
    isb
    ret

function mask_interrupts
    msr     daifset, #2
    ret

function wait_for_interrupt
    dsb     sy
    wfi
    ret

function yield_to_others
    yield
    ret

// Sets its own event first, so that it never waits for another core's.
function pass_wait_for_event
    sevl
    wfe
    ret

function synchronize
    dsb     sy
    isb
    ret

// ---- calls to the hypervisor or firmware (DEN0028) ----
// ulong hypervisor_call(function, a, b, c), ulong firmware_call(...)
function hypervisor_call
    hvc     #0
    ret

function secure_call
    smc     #0
    ret

    .equ SENTINEL, 0x600            // plus the register's number

// Both halves of a vector register, each with a value of its own; and what has changed of them, into x1.
    .macro vector_mark n
    mov     x4, #(SENTINEL + \n)
    mov     x5, #(SENTINEL + 64 + \n)
    mov     v\n\().d[0], x4
    mov     v\n\().d[1], x5
    .endm

    .macro vector_difference n
    mov     x4, v\n\().d[0]
    mov     x5, v\n\().d[1]
    sub     x4, x4, #(SENTINEL + \n)
    sub     x5, x5, #(SENTINEL + 64 + \n)
    orr     x1, x1, x4
    orr     x1, x1, x5
    .endm

// ulong hypervisor_call_checked(ulong* registers): x0 to x3 in and out. Returns 0 when x4 to x17, x19 to x28 and d0 to
// d31 came back as they were (SMCCC 1.1 and later), else a value whose bits mean nothing.
function hypervisor_call_checked
    stp     x29, x30, [sp, #-176]!
    callee_saved stp
    str     x0, [sp, #160]
    .irp    n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    mov     x\n, #(SENTINEL + \n)
    .endr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    fmov    d\n, x4
    .endr
    .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fmov    d\n, x5
    .endr
    ldp     x2, x3, [x0, #16]
    ldp     x0, x1, [x0]
    hvc     #0
    ldr     x30, [sp, #160]
    stp     x0, x1, [x30]
    stp     x2, x3, [x30, #16]
    mov     x0, xzr
    .irp    n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    sub     x1, x\n, #(SENTINEL + \n)
    orr     x0, x0, x1
    .endr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    fmov    x1, d\n
    sub     x1, x1, #(SENTINEL + 4)
    orr     x0, x0, x1
    .endr
    .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fmov    x1, d\n
    sub     x1, x1, #(SENTINEL + 5)
    orr     x0, x0, x1
    .endr
    ldp     d14, d15, [sp, #144]
    ldp     d12, d13, [sp, #128]
    ldp     d10, d11, [sp, #112]
    ldp     d8, d9, [sp, #96]
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #176
    ret

// ulong vectors_over_exits(ulong device, ulong page): all 128 bits of each vector register, FPCR and FPSR, over a call, a
// load from a device, a store to a page that has not been touched, and a read that traps. Returns 0 when all came back
// as they were.
function vectors_over_exits
    stp     x29, x30, [sp, #-160]!
    callee_saved stp
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vector_mark \n
    .endr
    .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vector_mark \n
    .endr
    mov     x4, #0x1000000          // FPCR.FZ
    msr     fpcr, x4
    mov     x4, #0x9f               // FPSR's cumulative bits
    msr     fpsr, x4
    mov     x19, x0
    mov     x20, x1
    mov     x0, #0x80000000         // SMCCC_VERSION
    hvc     #0
    ldr     w1, [x19]
    str     xzr, [x20]
    mrs     x1, id_aa64pfr0_el1
    mrs     x0, fpcr
    mrs     x1, fpsr
    mov     x4, #0x1000000
    mov     x5, #0x9f
    eor     x0, x0, x4
    eor     x1, x1, x5
    msr     fpcr, xzr
    msr     fpsr, xzr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vector_difference \n
    .endr
    .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vector_difference \n
    .endr
    orr     x0, x0, x1
    callee_saved ldp
    ldp     x29, x30, [sp], #160
    ret

// ---- loops that are measured: each beside the same loop without what it measures ----
    .macro loop_of name, action:vararg
    function \name                  // (ulong count, ulong x)
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    mov     x20, x1
    .balign 64
1:  mov     x0, x20
    add     x20, x20, x2            // x2 = stride, 0 for calls
    \action
    subs    x19, x19, #1
    b.ne    1b
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret
    .endm

    loop_of loop_empty
    loop_of loop_store, str xzr, [x0]

// A call may change x2 (DEN0028 2.7), so that this one has no stride.
function loop_hypervisor_call
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    mov     x20, x1
    .balign 64
1:  mov     x0, x20
    add     x20, x20, xzr
    hvc     #0
    subs    x19, x19, #1
    b.ne    1b
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

// ---- memory ----
// ulong page_or(ulong page): all 64-bit words of a 4 KB page, OR-ed.
function page_or
    mov     x1, #4096
    mov     x2, xzr
1:  ldp     x3, x4, [x0], #16
    ldp     x5, x6, [x0], #16
    ldp     x7, x8, [x0], #16
    ldp     x9, x10, [x0], #16
    orr     x3, x3, x4
    orr     x5, x5, x6
    orr     x7, x7, x8
    orr     x9, x9, x10
    orr     x3, x3, x5
    orr     x7, x7, x9
    orr     x2, x2, x3
    orr     x2, x2, x7
    subs    x1, x1, #64
    b.ne    1b
    mov     x0, x2
    ret

// void page_set_lines(ulong page, ulong value): the first word of each 64-byte line of a 4 KB page.
function page_set_lines
    mov     x2, #64
1:  str     x1, [x0], #64
    str     x1, [x0], #64
    str     x1, [x0], #64
    str     x1, [x0], #64
    subs    x2, x2, #4
    b.ne    1b
    ret

// Plain single accesses, which may fault: byte, halfword, word, doubleword.
function load_8
    ldrb    w0, [x0]
    ret

function load_16
    ldrh    w0, [x0]
    ret

function load_32
    ldr     w0, [x0]
    ret

function load_64
    ldr     x0, [x0]
    ret

function store_8
    strb    w1, [x0]
    ret

function store_16
    strh    w1, [x0]
    ret

function store_32
    str     w1, [x0]
    ret

function store_64
    str     x1, [x0]
    ret

// ulong call(ulong code, ulong argument): the argument in x0, the result in x0.
function call
    mov     x2, x0
    mov     x0, x1
    br      x2

// ---- maintenance ----
function clean_invalidate_line
    dc      civac, x0
    dsb     sy
    ret

// What was written at this address is code.
function synchronize_code_line
    dc      cvau, x0
    dsb     ish
    ic      ivau, x0
    dsb     ish
    isb
    ret

function clean_invalidate_set_way
    dc      cisw, x0
    ret

function clean_set_way
    dc      csw, x0
    ret

function invalidate_set_way
    dc      isw, x0
    ret

// ulong read_cache_size(ulong selector): CCSIDR_EL1 of the cache that CSSELR_EL1 selects.
function read_cache_size
    msr     csselr_el1, x0
    isb
    mrs     x0, ccsidr_el1
    ret

function invalidate_translations
    dsb     ishst
    tlbi    vmalle1is
    dsb     ish
    isb
    ret

// ---- with the MMU and the caches off: x0 = address in memory that has no dirty line ----
    .macro mmu_off
    mrs     x9, sctlr_el1
    mov     x10, #0x1005            // I, C, M
    bic     x10, x9, x10
    dsb     sy
    msr     sctlr_el1, x10
    isb
    .endm

    .macro mmu_on
    dsb     sy
    msr     sctlr_el1, x9
    isb
    .endm

// void uncached_store(ulong address, ulong value)
function uncached_store
    mmu_off
    str     x1, [x0]
    mmu_on
    ret

// ulong uncached_load(ulong address)
function uncached_load
    mmu_off
    ldr     x0, [x0]
    mmu_on
    ret

// ulong big_endian_load(ulong address): a device's word, with SCTLR_EL1.EE.
function big_endian_load
    mmu_off
    orr     x10, x10, #0x2000000
    msr     sctlr_el1, x10
    isb
    ldr     w0, [x0]
    mmu_on
    ret

// ---- ways out ----
// void enter_state(ulong address, ulong state, ulong* resume): leaves EL1 by ERET. The exception handler gives the
// address that is stored in *resume to come back here.
function enter_state
    stp     x29, x30, [sp, #-96]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    adr     x3, 1f
    str     x3, [x2]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    isb
    eret
1:  ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #96
    ret

// Jumps to an address with the MMU off and vectors that are not there either: no instruction of this guest can follow.
function crash
    msr     vbar_el1, x0
    mmu_off
    br      x0

// ---- addresses ----
    .macro address_of name, symbol
    function \name
    adrp    x0, \symbol
    add     x0, x0, :lo12:\symbol
    ret
    .endm

    address_of address_of_gigabyte_table, gigabyte_table
    address_of address_of_code_page, code_page
    address_of address_of_secondary_start, secondary_start
    address_of address_of_hidden_fields, hidden_fields
    address_of address_of_hidden_instructions, hidden_instructions
    address_of address_of_odd_accesses, odd_accesses
    address_of address_of_atomic_accesses, atomic_accesses
    address_of address_of_walked_accesses, walked_accesses
    address_of address_of_first_vectors, first_vectors
    address_of address_of_user_program, user_program

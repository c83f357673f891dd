// EL2 exception vectors, and the way into and out of a guest. EL2 itself runs with interrupts masked; an exception it
// takes is a bug, reported.

    .include "Macros.inc"

    .equ CORE_CONTEXT, 0            // offsets into Core (Cores/Core.cs asserts them)
    .equ CORE_FAULT_STACK_TOP, 24
    .equ CORE_HISTORY_ROUNDS, 72
    .equ CORE_FIRMWARE_WORKAROUND, 80

    .equ CONTEXT_PC, 248            // offsets into VcpuContext (Cores/VcpuContext.cs asserts them)
    .equ CONTEXT_ESR, 264
    .equ CONTEXT_FPSR, 272
    .equ CONTEXT_Q, 288
    .equ CONTEXT_Q16, CONTEXT_Q + 16 * 16

    .equ FRAME_SIZE, 304            // FaultFrame (Boot/FaultReporter.cs)

    .macro guest_exit kind
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mov     x1, #\kind
    b       save_guest
    .endm

    .macro fault kind
    .balign 128
    msr     sp_el0, x0              // the guest's, but no guest will run on this core again
    mov     x0, #\kind
    b       report_fault
    .endm

    .text
    .balign 2048
    .globl vectors
vectors:
    fault   0                       // current EL, SP_EL0: never used
    fault   1
    fault   2
    fault   3
    fault   4                       // current EL, SP_EL2: synchronous, IRQ, FIQ, SError
    fault   5
    fault   6
    fault   7
    guest_exit 0                    // lower EL, AArch64
    guest_exit 1
    guest_exit 2
    guest_exit 3
    guest_exit 0                    // lower EL, AArch32: SPSR_EL2.M[4] tells
    guest_exit 1
    guest_exit 2
    guest_exit 3

// The same for cores whose branch predictor the firmware must clean before EL2 goes on (docs/errata.md). A core that
// needs no such call has the vectors above, and pays nothing.
    .macro guarded_exit kind
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mov     x1, #\kind
    b       call_firmware
    .endm

    .balign 2048
    .globl guarded_vectors
guarded_vectors:
    .irp    kind, 0, 1, 2, 3, 4, 5, 6, 7
    fault   \kind
    .endr
    .irp    kind, 0, 1, 2, 3, 0, 1, 2, 3
    guarded_exit \kind
    .endr

// x1 = the kind of exit. SMCCC_ARCH_WORKAROUND_1 and 3 change x0 to x3 only (DEN0028).
call_firmware:
    stp     x2, x3, [sp, #-32]!
    str     x1, [sp, #16]
    mrs     x0, tpidr_el2
    ldr     w0, [x0, #CORE_FIRMWARE_WORKAROUND]
    smc     #0
    ldr     x1, [sp, #16]
    ldp     x2, x3, [sp], #32
    b       save_guest

// Branches by a register. The link turns each BR of the image into a B to that register's thunk here
// (build/thunk-branches), so that no indirect branch of EL2 is predicted by a history that a guest has made
// (CVE-2022-23960). ILC makes them of dense switches; there are no calls by a register.
    .macro thunk register
    stp     x30, x0, [sp, #-16]!
    bl      clear_branch_history
    ldp     x30, x0, [sp], #16
    br      \register
    .endm

    .balign 64
    .globl branch_thunks
branch_thunks:                      // 16 bytes each, in the order of the registers
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    thunk   x\n
    .endr

// As many rounds as this core needs (CoreErrata); 0 for none. The hint is CLRBHB where there is such a thing.
clear_branch_history:
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #CORE_HISTORY_ROUNDS]
    cbz     x0, 2f
    hint    #22
1:  b       . + 4
    subs    x0, x0, #1
    b.ne    1b
    dsb     nsh
    isb
2:  ret

// void use_guarded_vectors(): on this core, from now on.
    .globl use_guarded_vectors
use_guarded_vectors:
    adrp    x0, guarded_vectors
    add     x0, x0, :lo12:guarded_vectors
    msr     vbar_el2, x0
    isb
    ret

// void vcpu_run(VcpuContext* context): runs a guest until quietus_guest_exit(context, kind) answers null, which is that
// it must not go on; else the context to go on with.
// What the caller wants kept is saved once; between exits nothing of EL2's lives in registers.
// Of the vector registers EL2 uses two, q16 and q17 (build/vector-registers holds it to them): an exit saves these. The
// others stay the guest's, in the core, until save_vectors.
    .balign 64
    .globl vcpu_run
vcpu_run:
    stp     x29, x30, [sp, #-96]!
    mov     x29, sp
    callee_saved_general stp
    mrs     x1, tpidr_el2
    str     x0, [x1, #CORE_CONTEXT]
    add     x1, x0, #CONTEXT_Q
    vector_registers ldp, x1
    ldp     x2, x3, [x0, #CONTEXT_FPSR]
    msr     fpsr, x2
    msr     fpcr, x3

// x0 = the context.
enter_guest:
    ldp     q16, q17, [x0, #CONTEXT_Q16]
    ldp     x2, x3, [x0, #CONTEXT_PC]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    general_registers ldp, x0
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret
    dsb     nsh                     // no speculation past the ERET
    isb

// The guest's x0, x1 are on the stack; x1 = the kind of exit: 0 synchronous, 1 IRQ, 2 FIQ, 3 SError.
save_guest:
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #CORE_CONTEXT]
    general_registers stp, x0
    str     x30, [x0, #240]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x0, #CONTEXT_PC]
    mrs     x2, esr_el2
    str     x2, [x0, #CONTEXT_ESR]
    stp     q16, q17, [x0, #CONTEXT_Q16]
    mov     x29, sp                 // a frame record for backtraces: the exit handler was called by vcpu_run
    bl      quietus_guest_exit
    cbnz    x0, enter_guest

    callee_saved_general ldp
    ldp     x29, x30, [sp], #96
    ret

// void save_vectors(VcpuContext* context): what of the guest is in the core's vector registers. q16 and q17 have been in
// the context since its last exit.
    .balign 16
    .globl save_vectors
save_vectors:
    add     x1, x0, #CONTEXT_Q
    most_vector_registers stp, x1
    mrs     x2, fpsr
    mrs     x3, fpcr
    stp     x2, x3, [x0, #CONTEXT_FPSR]
    ret

// void load_vectors(VcpuContext* context): for a guest whose context has changed and that is entered next.
    .balign 16
    .globl load_vectors
load_vectors:
    add     x1, x0, #CONTEXT_Q
    vector_registers ldp, x1
    ldp     x2, x3, [x0, #CONTEXT_FPSR]
    msr     fpsr, x2
    msr     fpcr, x3
    ret

// SP_EL0 = the faulting x0; x0 = which vector. The report runs on a stack of its own: the fault may be a stack
// overflow.
report_fault:
    mrs     x18, tpidr_el2          // x18 is the platform register: ILC's code never holds a value in it
    ldr     x18, [x18, #CORE_FAULT_STACK_TOP]
    sub     x18, x18, #FRAME_SIZE
    stp     x2, x3, [x18, #16]
    stp     x4, x5, [x18, #32]
    stp     x6, x7, [x18, #48]
    stp     x8, x9, [x18, #64]
    stp     x10, x11, [x18, #80]
    stp     x12, x13, [x18, #96]
    stp     x14, x15, [x18, #112]
    stp     x16, x17, [x18, #128]
    stp     xzr, x19, [x18, #144]
    stp     x20, x21, [x18, #160]
    stp     x22, x23, [x18, #176]
    stp     x24, x25, [x18, #192]
    stp     x26, x27, [x18, #208]
    stp     x28, x29, [x18, #224]
    mov     x2, sp
    stp     x30, x2, [x18, #240]
    mrs     x2, sp_el0
    stp     x2, x1, [x18]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x18, #256]
    mrs     x2, esr_el2
    mrs     x3, far_el2
    stp     x2, x3, [x18, #272]
    mov     sp, x18
    mov     x1, x0
    mov     x0, sp
    bl      quietus_fault
    b       halt

// void quietus_check_failed(int code): what the compiler calls when an index, a division or a cast fails. The report
// wants registers and a backtrace, so it takes the same way as a fault: BRK with the code.
    .globl quietus_check_failed
quietus_check_failed:
    stp     x29, x30, [sp, #-16]!
    mov     x29, sp
    brk     #0x5143
    b       quietus_check_failed

// Reached only if code that ILC marks as impossible runs.
    .globl RhpFallbackFailFast
RhpFallbackFailFast:
    mov     w0, #255
    b       quietus_check_failed

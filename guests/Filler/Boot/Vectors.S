// EL1 exception vectors. Every exception saves all registers on the stack and asks C#, which may say where it returns.

    .include "Macros.inc"

    .equ FRAME_BYTES, 800           // ExceptionFrame (Machine/Exceptions.cs), and q0 to q31 above it
    .equ FRAME_Q, 288

    .macro exception kind
    .balign 128
    sub     sp, sp, #FRAME_BYTES
    stp     x0, x1, [sp]
    mov     x1, #\kind
    b       save
    .endm

    .text
    .balign 2048
    .globl vectors
vectors:
    .irp    kind, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    exception \kind
    .endr

    .balign 128
save:
    general_registers stp, sp
    mrs     x2, elr_el1
    stp     x30, x2, [sp, #240]
    mrs     x2, spsr_el1
    mrs     x3, esr_el1
    stp     x2, x3, [sp, #256]
    mrs     x2, far_el1
    str     x2, [sp, #272]
    add     x2, sp, #FRAME_Q
    vector_registers stp, x2
    mov     x0, sp
    bl      filler_exception
    add     x2, sp, #FRAME_Q
    vector_registers ldp, x2
    ldp     x30, x2, [sp, #240]
    msr     elr_el1, x2
    ldr     x2, [sp, #256]
    msr     spsr_el1, x2
    general_registers ldp, sp
    ldp     x0, x1, [sp]
    add     sp, sp, #FRAME_BYTES
    eret

// What the compiler calls when an index, a division or a cast fails, and where code that ILC marks as impossible ends.
    .globl quietus_check_failed
quietus_check_failed:
    brk     #0x5143
    b       quietus_check_failed

    .globl RhpFallbackFailFast
RhpFallbackFailFast:
    brk     #0x5144
    b       RhpFallbackFailFast
